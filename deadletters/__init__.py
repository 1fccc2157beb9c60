"""Dead letters: capture, dry run, edit, replay and its outcomes, message accounting."""
