"""Speed and memory, measured on this machine: `python -m benchmarks`, or `make bench`. See docs/benchmarks.md."""
