# Everything a developer does here, one word each. Needs Python 3.11 or newer, make, and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest

.PHONY: run test traps control coverage-of-faults seeds soak live check lint types coverage toxiproxy bench mutants clean

# The main job: every scenario in virtual time, then the path of the report.
run: $(STAMP)
	$(BIN)/foxtrot-chaos run scenarios/

# The same with two more runs of each: what the faults cost, and what the core saved.
control: $(STAMP)
	$(BIN)/foxtrot-chaos run scenarios/ --control

# Which corners of the fault space no scenario reaches.
coverage-of-faults: $(STAMP)
	$(BIN)/foxtrot-chaos run scenarios/ --coverage

# The declared mix with a thousand seeds, hours of it: goes on after the seeds in reports/seeds, as
# long as the scenarios, and the sources that running and judging them imports, are what they were.
SEEDS := 16499-17498
MIX := sed -n '/^mix:/,/^kinds:/s|^  - \(.*\)|scenarios/\1.yaml|p' scenarios/manifest.yaml
seeds: $(STAMP)
	$(BIN)/foxtrot-chaos sweep $$($(MIX)) --seeds $(SEEDS) --out reports/seeds

# A hundred thousand orders whose acknowledgement was lost, instead of the tests' thousand.
soak: $(STAMP)
	FOXTROT_SOAK=100000 $(PYTEST) -q tests/foxtrot/server/orders/test_soak.py

test: $(STAMP)
	$(PYTEST) -q -n auto -m "not live and not mutation"

# The traps of other libraries: each guard is taken away in a copy, and its tests have to fail.
traps: $(STAMP)
	$(PYTEST) -q -n auto -m mutation tests/sabotage

# The same over real sockets, through toxiproxy-server. Skips with a line that says how to get it.
live: $(STAMP) toxiproxy
	$(PYTEST) -q -m live

toxiproxy:
	PYTHON=$(PYTHON) tools/get-toxiproxy

# All that CI runs.
check: lint types test traps live run

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

coverage: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m "not mutation"
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

# Ratios, measured in one run; never part of the tests.
bench: $(STAMP)
	for file in tests/benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

# Changes the core in thousands of small ways and counts which the tests miss. The figure and the
# reasons: tests/foxtrot/util/MUTANTS.md. An hour or so, on one core.
mutants: $(STAMP)
	$(BIN)/python tools/mutants.py

clean:
	rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis mutants

# Installed again only when what it depends on has changed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; say make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@
