# Two commands do everything on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.

VENV := .venv
# Most tests wait for a telephone to ring: more at once than there are processors.
JOBS ?= 4
BIN := $(VENV)/bin

.PHONY: help demo test test-python lint check serve lock clean

help:
	@echo "make demo    play the same call on both profiles, on the emulators; no account needed"
	@echo "make test    run all tests"
	@echo "make test-python    those of the media path again, without the compiled modules"
	@echo "make lint    formatting, lint rules, strict types"
	@echo "make check   lint and test"
	@echo "make serve   start the optimized server (settings from .env)"
	@echo "make lock    pin the dependencies anew"

demo: $(VENV)/.installed
	$(BIN)/shortwire demo

serve: $(VENV)/.installed
	$(BIN)/shortwire serve

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

# What the compiled modules have a part in, without them.
test-python: $(VENV)/.installed-dev
	PYTHONPATH=tests $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -p without_native \
		tests/unit/call tests/unit/audio tests/unit/net tests/unit/switchboard tests/unit/native \
		tests/integration/test_measured_call.py tests/integration/test_toggles.py \
		tests/integration/test_no_stale_audio_on_the_wire.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check src tests scripts benchmarks
	$(BIN)/ruff check src tests scripts benchmarks
	$(BIN)/mypy

check: lint test

lock:
	scripts/lock.sh

clean:
	rm -rf $(VENV) demo-out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# PYTHON=python3.12 chooses; else one that was built for speed, if there is one.
$(VENV)/bin/python:
	@python=$$(PYTHON='$(PYTHON)' scripts/choose_python.sh) && exec "$$python" -m venv $(VENV)

# Exactly the versions and files that were tried: everything is pinned with its hash.
$(VENV)/.installed: requirements.txt pyproject.toml hatch_build.py $(wildcard src/shortwire/native/*.p[yx][xd]) | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
