# Everything runs in a virtual environment of its own, .venv, made with plain `python3 -m venv`.
# It is installed anew only when pyproject.toml changes.

PYTHON ?= python3
PIP := .venv/bin/python -m pip --disable-pip-version-check --quiet
ARGS ?=
URL ?=

.PHONY: help serve test check tools conformance conformance-official bench bench-scale torture clean

help:
	@echo 'make serve                  serve on 127.0.0.1:5000, data in ./data; flags: ARGS="--listen ..."'
	@echo 'make test                   run every test that this machine can; flags for pytest: ARGS="-k ..."'
	@echo 'make check                  formatting, lint, types and import rules'
	@echo 'make tools                  install the programs that the tests prove things with (as root)'
	@echo 'make conformance URL=...    check any registry against the specification'
	@echo 'make conformance-official   run the official conformance program against a server of our own'
	@echo 'make bench                  measure side by side with other registries'
	@echo 'make bench-scale            measure what an index of a million blobs costs, for docs/scale.md'
	@echo 'make torture                the kill -9 loop, for long'
	@echo 'make clean                  remove what can be made again; data stays'

serve: .venv/runtime.stamp
	@exec .venv/bin/python -m registry serve $(ARGS)

test: .venv/test.stamp
	@.venv/bin/python -m pytest --numprocesses 4 --dist loadgroup --maxschedchunk 1 $(ARGS)

check: .venv/test.stamp
	@.venv/bin/python -m ruff format --check .
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m mypy
	@.venv/bin/lint-imports --no-logo

tools:
	@.ci/install-tools

conformance: .venv/test.stamp
	@test -n '$(URL)' || { echo 'say which registry: make conformance URL=http://127.0.0.1:5000' >&2; exit 2; }
	@.venv/bin/python -m conformance --url '$(URL)' $(ARGS)

conformance-official: .venv/test.stamp
	@.venv/bin/python -m conformance.official $(ARGS)

bench: .venv/test.stamp
	@.venv/bin/python -m benchmarks $(ARGS)

bench-scale: .venv/test.stamp
	@.venv/bin/python -m benchmarks.scale $(ARGS)

torture: .venv/test.stamp
	@.venv/bin/python -m tests.faults.torture $(ARGS)

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Entrepot needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || true)." >&2; \
		echo 'If a newer one is installed, name it: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) can't make virtual environments: its modules venv and ensurepip are not installed." >&2; \
		echo 'On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@echo 'making the virtual environment .venv'
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/runtime.stamp: pyproject.toml | .venv/made.stamp
	@echo 'installing what the registry needs'
	@$(PIP) install --editable .
	@touch $@

.venv/test.stamp: pyproject.toml | .venv/made.stamp
	@echo 'installing what the registry and its tests need'
	@$(PIP) install 'setuptools>=77' --editable '.[test]'
	@touch .venv/runtime.stamp $@
