"""What is asked for over HTTP: for now the signatures that Pusher's private channels need."""
