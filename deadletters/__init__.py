"""Dead letters: capture, group, judge, edit, replay, discard."""
