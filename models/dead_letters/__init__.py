"""Dead letters: what they are, why they were refused, how they are grouped."""
