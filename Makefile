# Everything that is done with this repository. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
SEEDS ?= 10000
KILLS ?= 200
# Tests wait more than they compute.
JOBS ?= $(shell expr $$(nproc) + 1)
PYTEST := $(BIN)/pytest -q -n $(JOBS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup run demo check format test sim campaign docs bench locks clean

help: ## List what there is to make
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the virtual environment, with `.venv/bin/ondol` in it

$(STAMP): requirements/dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ondol needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

run: setup ## Start ondol on port 4566
	$(BIN)/ondol up

demo: setup ## Start ondol, deploy a function, invoke it, show what happened
	$(BIN)/python examples/demo.py

check: setup ## Format, lint, types, import rules, unit tests: half a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/api.py --check
	$(PYTEST) tests/unit

format: setup ## Put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup ## All tests, on real sandboxes and real servers
	$(BIN)/python tests/prepare.py
	$(PYTEST)
	[ $$(id -u) -ne 0 ] || $(BIN)/python tests/ordinary_user.py $(PYTEST) -m sandbox
	[ $$(id -u) -ne 0 ] || $(BIN)/python tests/ordinary_user.py --range $(PYTEST) -m sandbox tests/escape tests/contracts/test_driver.py

sim: setup ## Replay a million invocations over a thousand workers
	$(BIN)/python -m ondol.simulator

campaign: setup ## Kill ondol at seeded moments, and look for events that are lost: SEEDS=10000 KILLS=200
	PYTHONPATH=tests $(BIN)/python -m campaign simulated --seeds $(SEEDS)
	PYTHONPATH=tests $(BIN)/python -m campaign live --kills $(KILLS)

docs: setup ## Write docs/api.md anew, which says what each operation does
	$(BIN)/python docs/api.py

bench: setup ## Measure against peers and the floor, in one run
	$(BIN)/python benchmarks/run.py

locks: setup ## Write requirements/*.lock anew
	$(BIN)/python requirements/lock.py

clean: ## Remove what was set up and built
	rm -rf $(VENV) .venvs build .mypy_cache .ruff_cache .hypothesis
