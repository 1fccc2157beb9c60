# `make` or `make help` lists what there is. Every target sets up what it needs by itself.

SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
# More arguments for pytest, jobtrail up or the benchmarks: make test ARGS="-k spool"
ARGS ?=

.PHONY: help setup services browser run test test-fast test-rabbitmq4 soak faults check bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with all packages; done only when something changed
	@scripts/setup

services: setup ## Install RabbitMQ where it is missing (needs root, Debian or Ubuntu)
	@$(BIN)/python -m jobtrail.stack.install

browser: setup ## Install chromium for the tests where it is missing (needs root, Debian)
	@$(BIN)/python -m tests.browser.install

run: setup ## Start everything with a demo fleet; Ctrl-C stops it, the data stays in .jobtrail
	@exec $(BIN)/jobtrail up --demo $(ARGS)

test: services browser ## Run every test, on private services of its own
	@exec $(BIN)/pytest -n 4 --dist worksteal $(ARGS)

test-fast: setup ## Run the tests that need no services and no browser
	@exec $(BIN)/pytest -n 4 -m "not services and not browser" $(ARGS)

test-rabbitmq4: services browser ## Run tests with RabbitMQ 4 from Debian 13 (needs root, Debian): ARGS="tests/consumer"
	@exec scripts/rabbitmq4 $(BIN)/pytest -n 4 --dist worksteal $(ARGS)

soak: services ## Kill replays of 50,000 dead letters again and again; takes minutes
	@exec env SOAK=1 $(BIN)/pytest -n 2 tests/deadletters/test_replay_crashes.py $(ARGS)

faults: services ## Do 200 random faults under load, on RabbitMQ, MongoDB and the consumers; takes half an hour
	@exec env FAULTS=$${FAULTS:-200} $(BIN)/pytest -n 0 -s tests/faults/test_faults.py $(ARGS)

check: setup ## Lint, format check, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: services browser ## Measure speed and memory
	@exec $(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove .venv and caches; the data in .jobtrail stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -not -path './.jobtrail/*' -prune -exec rm -rf {} +
