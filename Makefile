# All of it works from a fresh clone: the targets set up what they need and do nothing when it is there.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The tests start hundreds of processes: without bytecode kept each of them would compile everything anew.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

PACKAGES := langyan edge cloud simulators firmware_tools device_profiles contract

CHECKED := $(PACKAGES) tests scripts $(wildcard benchmarks)

# Extra arguments: make demo ARGS="--seconds 60"; make test ARGS="-k outbox"; make bench ARGS="..."
ARGS ?=

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(INSTALLED) ## Run a whole site in this terminal: devices, gateway, broker, database, alarm desk
	@scripts/setup-servers
	@$(BIN)/langyan demo $(ARGS)

.PHONY: test
test: $(INSTALLED) ## Run all tests, against real servers on free ports
	@scripts/setup-servers --tests
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)

.PHONY: check
check: $(INSTALLED) ## Check format, style, types, import directions and translations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CHECKED)
	$(BIN)/lint-imports
	scripts/locale check

.PHONY: fmt
fmt: $(INSTALLED) ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(INSTALLED) ## Measure the promises (see benchmarks/)
	@scripts/setup-servers --tests
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: soak
soak: $(INSTALLED) ## An hour of random faults; ARGS="--minutes 10" for less
	@scripts/setup-servers --tests
	$(BIN)/python -m benchmarks.soak $(ARGS)

.PHONY: clean
clean: ## Remove the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is newer than what it was made from, or pip runs again.
$(INSTALLED): pyproject.toml constraints.txt scripts/setup-python
	@scripts/setup-python $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@
