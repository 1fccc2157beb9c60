"""Tables that follow the database until Ctrl-C."""
