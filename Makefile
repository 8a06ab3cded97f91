# SPDX-License-Identifier: Apache-2.0
#
#   make run      a story, computed on the simulated accelerator
#   make test     lint, type check and the tests that take less than a minute each
#   make verify   the whole matrix: RTL against the reference, all presets and weights (long)
#   make lint     ruff and pyright alone
#   make bench    the benchmarks, as a table, as build/bench/bench.json and as pictures
#   make quality  docs/quality.md, measured again (hours)
#   make docs     the generated pages and the firmware's header
#   make clean    remove what the targets built (the cache of compiled models stays)

PYTHON ?= python3
PROMPT ?= Once upon a time
SAMPLING ?= -n 200 --temperature 0.6 --seed 5
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
# The project's files that an editable install looks at; sources are found without reinstalling.
INSTALL_INPUTS := pyproject.toml hatch_build.py

.DEFAULT_GOAL := run
.PHONY: run test verify lint bench quality docs clean

run: $(STAMPS)/run
	@$(BIN)/weft generate "$(PROMPT)" -d rtl $(SAMPLING)

test: $(STAMPS)/test
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow"

verify: $(STAMPS)/test
	@mkdir -p build
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --junit-xml=build/verify.xml
	$(BIN)/python bench/verify.py --jobs $(JOBS) --report build/verify-report.md

lint: $(STAMPS)/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

bench: $(STAMPS)/test
	@mkdir -p build/bench
	$(BIN)/weft bench --json build/bench/bench.json --plots build/bench

quality: $(STAMPS)/run
	$(BIN)/python bench/quality.py

docs: $(STAMPS)/run
	$(BIN)/python -m weft_arch.generate
	$(BIN)/python -m weft.quality_page
	$(BIN)/python -m weft_rtl.boards.report_page

clean:
	rm -rf build dist .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

# A stamp is touched only when its install succeeded, so an interrupted one is repeated. The test
# install includes the other.
$(STAMPS)/test: $(INSTALL_INPUTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	@mkdir -p $(STAMPS)
	@touch $(STAMPS)/run $@

$(STAMPS)/run: $(INSTALL_INPUTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@mkdir -p $(STAMPS)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "weft needs Python 3.11 or newer; name one with make PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
