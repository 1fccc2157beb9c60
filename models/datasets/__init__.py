"""Datasets: histories, changes, the analyzer's answers."""
