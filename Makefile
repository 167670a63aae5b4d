# Needs git, make and Python >= 3.11. Everything else is set up once, in .venv; a second run starts at once.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.PHONY: help dashboards lab test test-slow lint format bench traces eval lock clean

# constraints.txt was made under 3.11; the newer ones work too. Choose another with `make PYTHON=...`.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo $$python && break; done)
RUN := .venv/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check install -qq -c constraints.txt

help:
	@echo "make dashboards   the lessons as pages, on this machine only"
	@echo "make lab          the lessons as notebooks in JupyterLab"
	@echo "make test         every test, browser tests included (test-slow: the long ones)"
	@echo "make lint         style of code and notebooks (format: mend it)"
	@echo "make bench        speed beside transformers        make eval   quality of the embedded model"

# ---- set-up, once ----
.venv/.runtime: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "tokentrace needs Python 3.11 or newer with venv (on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	@echo "Setting up the lessons in .venv (once, a few minutes)"
	@test -x $(RUN) || $(PYTHON) -m venv .venv
	@$(PIP) $$($(RUN) .ci/torch_index.py) -e .
	@touch $@

.venv/.test: .venv/.runtime
	@echo "Setting up the tests (once)"
	@$(PIP) -e ".[test]"
	@touch $@

.venv/.browser: .venv/.test tests/browser/chromium.py
	@$(RUN) tests/browser/chromium.py --install
	@touch $@

# ---- use ----
dashboards: .venv/.runtime
	@$(RUN) -m tokentrace.dashboards

lab: .venv/.runtime
	@$(RUN) -m tokentrace.dashboards --lab

test: .venv/.browser
	@$(RUN) -m pytest -m "not slow" -n 2 --dist loadgroup --no-loadscope-reorder

test-slow: .venv/.browser
	@$(RUN) -m pytest -m slow

lint: .venv/.test
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check
	@$(RUN) -m nbstripout --keep-id --verify notebooks/*.ipynb

format: .venv/.test
	@$(RUN) -m ruff check --fix --quiet
	@$(RUN) -m ruff format --quiet
	@$(RUN) -m nbstripout --keep-id notebooks/*.ipynb

bench: .venv/.test
	@$(RUN) -m benches

traces: .venv/.runtime
	@$(RUN) data/traces/record.py

eval: .venv/.runtime
	@$(RUN) data/storyteller/evaluate.py
	@$(RUN) data/storyteller/safety.py
	@$(RUN) -m benches --only speculation --rounds 5

# After a change of pins: install them in a fresh .venv, then write down what that gave.
lock: .venv/.test
	@{ sed -n '/^#/p' constraints.txt; $(RUN) -m pip freeze --exclude-editable --exclude setuptools | sed 's/+cpu$$//'; } > .venv/lock
	@mv .venv/lock constraints.txt

clean:
	rm -rf .venv build
