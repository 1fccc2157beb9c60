"""The `jobtrail` command: thin, and quick to answer, because heavy imports wait inside the commands that need them."""
