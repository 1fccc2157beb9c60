"""The demo fleet: a few workers that do real work on real files, and someone who gives them work."""
