"""The ways to the outside: Slack, email, Pusher."""
