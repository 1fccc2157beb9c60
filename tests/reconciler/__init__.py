"""Tests of `dataset:get-status`."""
