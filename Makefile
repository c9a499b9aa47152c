# What a developer does with this repository. Needs make and Python 3.11 or newer; everything else is installed into .venv.
# Another interpreter: make env PYTHON=python3.13

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The rules of the language and of execution: every branch of them is tested.
FULLY_COVERED := model expr flow
FULLY_COVERED_FILES := $(patsubst %,engine/%.py,bindings calls cause compensation decide ending extending faults fold listening machine \
  requesting requests rollback state steps)

.DEFAULT_GOAL := help
.PHONY: help env demo test test-quick test-long chaos docs check format clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

env: $(STAMP)  ## make .venv with Interlock and the development tools; quick when nothing changed

# `--group` needs pip 25.1, and a new environment may come with an older one.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Interlock needs Python 3.11 or newer; try: make env PYTHON=python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . --group dev
	@touch $(STAMP)

demo: $(STAMP)  ## run the sample workflow: a report about this repository
	$(BIN)/interlock demo .

test: $(STAMP)  ## run all tests and check the coverage
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n 2 --cov --cov-report=
	$(BIN)/coverage report --skip-covered --fail-under=95
	@set -e; for part in $(FULLY_COVERED:%=%/*) $(FULLY_COVERED_FILES); do \
	  echo "100 % of $$part"; \
	  $(BIN)/coverage report --skip-covered --fail-under=100 --include="*/interlock/$$part"; \
	done

test-quick: $(STAMP)  ## run the unit and store tests without coverage, such as for another Python: VENV=.venv-3.13
	$(BIN)/python -m pytest -n 2 tests/unit tests/store -k "not pgbouncer and not postgresql"

test-long: $(STAMP)  ## run what `make test` takes samples of: every commit of a saga, every edit, 100,000 runs
	$(BIN)/python -m pytest -n 2 tests/unit tests/store tests/acceptance -m chaos

# At full scale: make chaos INTERLOCK_CHAOS=full
chaos: $(STAMP)  ## kill, stop and restart nodes and servers under load; takes minutes
	INTERLOCK_CHAOS=$(INTERLOCK_CHAOS) $(BIN)/python -m pytest tests/chaos -m chaos -n 0 -s

docs: $(STAMP)  ## write the pages that are made from docstrings
	$(BIN)/python docs/generate.py

check: $(STAMP)  ## check format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove the environment and what tools left behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov
