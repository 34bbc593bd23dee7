# Forewarn. A fresh clone needs Python 3.11 or newer and make; every target installs what it needs into .venv.
#
#   make demo          simulate an operator, run it, print the alerts with their reasons (HEADLESS=1: open nothing)
#   make check         lint, types, layers and the fast tests: before every commit
#   make test          all that must hold: the same, every test (killed runs too), every branch of the core
#   make drill         what takes longer than make test has time for: a second operator of 400,000 records, bit for bit
#   make postgres      run a PostgreSQL server in the foreground until Ctrl-C (PORT=5432)
#   make kafka         run a Kafka broker in the foreground until Ctrl-C (PORT=9092; SECURE=1: also with TLS and passwords)
#   make bench         throughput, memory, the engines compared, latency, real data, the model's share of the ceiling (two hours)
#   make compiled      a wheel in dist/ whose hot path is machine code, for workers with much to do (needs a C compiler)
#   make format        put the layout of the code right
#   make clean         remove what the tools made, and .venv

PYTHON ?= python3
HEADLESS ?=
DEMO ?=
JOBS ?= 2
PORT ?=
SECURE ?=

# Tests start the command hundreds of times: what Python has compiled is to be kept, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUNTIME := $(VENV)/.stamp-runtime
DEV := $(VENV)/.stamp-dev
COUNTED := streams/core streams/words streams/evaluation/metrics.py streams/evaluation/profit.py tests/core tests/contracts \
	tests/words tests/evaluation/test_metrics.py tests/evaluation/test_profit.py

.DEFAULT_GOAL := help
.PHONY: help demo check test drill kafka broker postgres servers bench compiled format lint types layers clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n '1,12p'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Forewarn needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Creating $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)

# The stamps say for which pyproject.toml and constraints.txt the packages were installed.
$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what Forewarn needs to run" >&2
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what Forewarn needs to run and to be worked on" >&2
	@$(PIP) install --constraint constraints.txt --editable '.[dev,bench]'
	@touch $(RUNTIME) $@

# HEADLESS is there for the day on which the demo opens a page; today it opens nothing.
demo: $(RUNTIME)
	@$(BIN)/forewarn demo $(DEMO)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy

layers: $(DEV)
	$(BIN)/lint-imports

format: $(DEV)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

check: lint types layers
	HYPOTHESIS_PROFILE=quick $(BIN)/pytest --quiet --numprocesses=$(JOBS) -m 'not slow'

# Only the core's branches are counted, and its own tests take every one; counting slows all else down for nothing.
test: lint types layers servers
	$(BIN)/pytest --quiet --numprocesses=$(JOBS) --cov --cov-report=term-missing:skip-covered $(COUNTED)
	$(BIN)/pytest --quiet --numprocesses=$(JOBS) -m 'not drill' $(COUNTED:%=--ignore=%)

drill: $(DEV)
	$(BIN)/pytest --quiet --numprocesses=$(JOBS) -m drill

kafka: $(DEV)
	@$(BIN)/python -m tests.kafka.broker serve --port $(or $(PORT),9092) $(if $(SECURE),--secure)

# The tests run a real broker: Docker's, or Kafka's own jars with Java and Maven, which root on Debian gets installed.
broker: $(DEV)
	@$(BIN)/python -m tests.kafka.broker fetch

postgres: $(DEV)
	@$(BIN)/python -m tests.postgres.server serve --port $(or $(PORT),5432)

# And a real PostgreSQL, which root on Debian gets installed.
servers: broker
	@$(BIN)/python -m tests.postgres.server fetch

bench: $(DEV) servers
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/workers.py
	$(BIN)/python benchmarks/restore.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/deliveries.py
	$(BIN)/python benchmarks/told.py
	$(BIN)/python benchmarks/alert_list.py
	$(BIN)/python benchmarks/real_data.py
	$(BIN)/python benchmarks/ceiling.py
	$(BIN)/python benchmarks/learning.py
	$(BIN)/python benchmarks/stories.py

# setup.py says what is compiled, and how.
compiled: $(DEV)
	@rm -rf dist
	@FOREWARN_COMPILED=1 $(PIP) wheel --no-build-isolation --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean:
	rm -rf $(VENV) .cache build dist *.egg-info .coverage .coverage.* htmlcov .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find streams tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
