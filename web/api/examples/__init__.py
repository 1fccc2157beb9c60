"""Examples in the REST documentation."""
