# `make` or `make help` lists what there is. Every target sets up what it needs by itself.

SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
# More arguments for pytest, jobtrail up or the benchmarks: make test ARGS="-k spool"
ARGS ?=

.PHONY: help setup services run test check bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with all packages; done only when something changed
	@scripts/setup

services: setup ## Install RabbitMQ where it is missing (needs root, Debian or Ubuntu)
	@$(BIN)/python -m stack.install

run: setup ## Start everything with a demo fleet; Ctrl-C stops it, the data stays in .jobtrail
	@exec $(BIN)/jobtrail up --demo $(ARGS)

test: services ## Run every test, on private services of its own
	@exec $(BIN)/pytest -n 2 --dist worksteal $(ARGS)

check: setup ## Lint, format check, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: services ## Measure speed and memory
	@exec $(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove .venv and caches; the data in .jobtrail stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -not -path './.jobtrail/*' -prune -exec rm -rf {} +
