# Each target installs what it needs into .venv, and no more.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: study test soak lint clean
.NOTPARALLEL: # two installations in one .venv would meet

study: .venv/study
	$(BIN)/python -m study run --space imbalance $(ARGS)

test: .venv/test
	$(BIN)/python -m pytest $(ARGS)

# The long tests: processes killed, disks filled, load; what they did is in results/reliability.md.
soak: .venv/test
	ECG_SOAK=1 $(BIN)/python -m pytest -m soak $(ARGS)
	$(BIN)/python -m tests.soak

lint: .venv/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck .ci/run benchmarks/*.sh examples/*.sh
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec examples/compose.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/kubernetes-validate --quiet examples/kubernetes.yaml

.venv/test: EXTRA = [test]
.venv/lint: EXTRA = [lint]
.venv/study .venv/test .venv/lint: pyproject.toml | .venv/bin/pip
	$(BIN)/python -m pip install --quiet -e '.$(EXTRA)'
	touch $@

.venv/bin/pip: # the last thing that a new environment gets
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
