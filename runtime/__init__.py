"""What every service needs to run: back-off, sleep, tasks, the health page."""
