"""Heartbeats: the sender that workers run, the monitor that stores them, and the rules that judge liveness by them."""
