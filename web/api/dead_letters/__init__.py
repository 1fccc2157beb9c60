"""REST: dead letters, groups and replays."""
