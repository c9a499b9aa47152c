# What a developer does with this repository. Needs make and Python 3.11 or newer; everything else is installed into .venv.
# Another interpreter: make env PYTHON=python3.13

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The rules of the language and of execution: every branch of them is tested.
FULLY_COVERED := model expr flow
FULLY_COVERED_FILES := $(patsubst %,engine/%.py,bindings calls cause compensation decide ending extending faults fold issuing listening machine \
  remembered requesting requests rollback settling state steps tickets timing)

# What is left to targets of their own, wherever it is.
FAST := not chaos and not engines and not browser and not kubernetes
TESTED := tests/unit tests/store tests/acceptance tests/typed tests/simulation
SERVED := tests/pool tests/server
MEASURED := $(if $(COVERAGE),--cov --cov-append --cov-report=)

# Tests start thousands of processes: each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help env demo test test-slow test-services coverage test-docs test-quick test-engines test-browser test-kubernetes screenshots test-long chaos storm soak idle reliability simulate bench bench-peers bench-smoke docs check \
  format clean

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

# In a fresh checkout each worker would compile every test for itself.
test: $(STAMP)  ## run the unit, store and acceptance tests
	@test -d tests/unit/__pycache__ || for part in "tests/unit tests/typed" "tests/store tests/acceptance tests/simulation"; do \
	  $(BIN)/python -m pytest --collect-only -qq $$part >/dev/null & \
	done; wait
	$(BIN)/python -m pytest -n $(if $(COVERAGE),4,5) --dist worksteal $(MEASURED) -m "$(FAST) and not slow" $(TESTED)

test-slow: $(STAMP)  ## run those of them that take seconds each, mostly since they kill processes
	$(BIN)/python -m pytest -n $(if $(COVERAGE),4,5) --dist worksteal $(MEASURED) -m "$(FAST) and slow" $(TESTED)

test-services: $(STAMP)  ## run the tests of the pools, Docker's where it is there, and of the server
	$(BIN)/python -m pytest -n $(if $(COVERAGE),4,5) --dist worksteal $(MEASURED) -m "$(FAST)" $(SERVED)

coverage: $(STAMP)  ## run these three, and check what they cover; measuring costs as much time again
	@rm -f .coverage .coverage.*
	$(MAKE) test COVERAGE=1
	$(MAKE) test-slow COVERAGE=1
	$(MAKE) test-services COVERAGE=1
	$(BIN)/coverage report --skip-covered --fail-under=95
	@set -e; for part in $(FULLY_COVERED:%=%/*) $(FULLY_COVERED_FILES); do \
	  echo "100 % of $$part"; \
	  $(BIN)/coverage report --skip-covered --fail-under=100 --include="*/interlock/$$part"; \
	done

test-docs: $(STAMP)  ## do what the documentation says: every command, every program
	$(BIN)/python -m pytest -n 3 --dist worksteal tests/docs

test-quick: $(STAMP)  ## run the unit and store tests without coverage, such as for another Python: VENV=.venv-3.13
	$(BIN)/python -m pytest -n 3 --dist worksteal tests/unit tests/store -m "$(FAST) and not slow" -k "not postgresql"

test-engines: $(STAMP)  ## run the store on an older PostgreSQL and behind PgBouncer, which pip does not bring, and pools on Podman and Ray
	$(BIN)/python -m pytest -n 2 tests/store tests/pool -m "engines and not chaos"

test-browser: $(STAMP)  ## look at the dashboard in Chromium, which pip does not bring: light, dark, narrow, live, with axe
	$(BIN)/python -m pytest -n 2 tests/browser -m browser

test-kubernetes: $(STAMP)  ## run the pool of Kubernetes on a real API server, which is built once and cached
	$(BIN)/python tests/kubernetes/build.py
	$(BIN)/python -m pytest -n 0 tests/kubernetes -m kubernetes

screenshots: $(STAMP)  ## write pictures of the dashboard into the folder `screenshots`
	PYTHONPATH=src:tests $(BIN)/python tests/browser/screenshots.py screenshots

# A part of it: make test-long PART=3/5
test-long: $(STAMP)  ## run what `make test` takes samples of: every commit of a saga, every edit, 500 seeds, deliberate defects
	TESTS_PART=$(PART) $(BIN)/python -m pytest -n 2 --dist worksteal tests/unit tests/store tests/pool tests/acceptance tests/server tests/simulation -m chaos

# At full scale: make chaos INTERLOCK_CHAOS=full
chaos: $(STAMP)  ## kill, stop and restart nodes and servers under load; takes minutes
	INTERLOCK_CHAOS=$(INTERLOCK_CHAOS) $(BIN)/python -m pytest tests/chaos -m chaos -n 0 -s

# Bounded: make storm. At full scale: make storm FULL=1, which takes hours and fills in docs/explanation/reliability.json.
storm: $(STAMP)  ## let kills, stops, restarts, shortages and jumping clocks rage over real nodes and servers
ifdef FULL
	PYTHONPATH=src:tests $(BIN)/python -m chaos.storm --record
else
	$(BIN)/python -m pytest tests/chaos/test_storm.py tests/chaos/test_exhaustion.py tests/chaos/test_clock.py -m chaos -n 0 -s
endif

# 24 hours; shorter: make soak SOAK_MINUTES=20
soak: $(STAMP)  ## run both stores under steady load, and print how memory grows
	SOAK_MINUTES=$(SOAK_MINUTES) PYTHONPATH=src:tests $(BIN)/python -m chaos.soak

MINUTES ?= 20
idle: $(STAMP)  ## measure what nodes cost that have nothing to do, also with 1,000 queues and 10,000 waiters
	PYTHONPATH=src:tests $(BIN)/python -m chaos.idle --minutes $(MINUTES)

reliability: $(STAMP)  ## write docs/explanation/reliability.md from what storms, soaks and simulations came to
	PYTHONPATH=src:tests $(BIN)/python -m chaos.report

# One seed, with its plan made small: make simulate SEED=123
SEEDS ?= 500
simulate: $(STAMP)  ## simulate clusters from seeds, on a clock of their own
	PYTHONPATH=src:tests $(BIN)/python -m simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --jobs 2)

# Some cases, some peers: make bench CASES=W1,W3 ROUNDS=3 PEERS=dbos
CASES ?= all
ROUNDS ?= 3
PEERS ?= all
SCALE ?= full
BENCH := $(if $(wildcard .venv-bench/bin/python),.venv-bench,$(VENV))/bin/python
bench: $(STAMP)  ## measure Interlock beside the peers that are installed, and write docs/explanation/performance.md
	PYTHONPATH=src $(BENCH) -m bench --cases $(CASES) --rounds $(ROUNDS) --peers $(PEERS) --scale $(SCALE) --out .bench
	PYTHONPATH=src $(BENCH) -m bench.page .bench/results.json

bench-peers:  ## install the peers, into .venv-bench
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -e . --group dev -r bench/requirements-peers.txt

bench-smoke: $(STAMP)  ## run every case small, to see that it works; no time is judged
	PYTHONPATH=src $(BIN)/python -m bench --scale smoke --rounds 1 --peers none --out .bench/smoke

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
