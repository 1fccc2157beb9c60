"""Jobs: status updates, the state machine, timelines."""
