"""Commands about jobs and the extractors that run them."""
