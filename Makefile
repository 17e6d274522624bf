# `make study` and `make test` set up everything they need in .venv.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: study test soak lint clean

study: .venv/installed
	$(BIN)/python -m study run --space imbalance $(ARGS)

test: .venv/installed
	$(BIN)/python -m pytest $(ARGS)

# The long tests: processes killed, disks filled, load; what they did is in results/reliability.md.
soak: .venv/installed
	ECG_SOAK=1 $(BIN)/python -m pytest -m soak $(ARGS)
	$(BIN)/python -m tests.soak

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
