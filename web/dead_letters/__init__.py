"""What pages and REST share about dead letters."""
