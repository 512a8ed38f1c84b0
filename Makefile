# Sojourn, in two commands: `make demo` and `make test`. Both do first what `make setup` does.
# ARGS are passed on as they are written: make demo ARGS='--speed 60', make test ARGS='-k "coupon or till"'.

SHELL := /bin/bash
.DEFAULT_GOAL := help
# Programs start dozens of times in a test run; without this, some machines would compile them each time.
unexport PYTHONDONTWRITEBYTECODE
# A measurement is of one core, and tests run side by side: linear algebra would take all the cores there are.
test speed accuracy: export OPENBLAS_NUM_THREADS := 1
test speed accuracy: export OMP_NUM_THREADS := 1
.PHONY: help setup pages demo test speed accuracy fuzz

PY := .venv/bin/python
INSTALL := $(PY) -m pip --disable-pip-version-check install --quiet
# The first Python on this machine that is new enough and can make virtual environments.
FIND_PYTHON := for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; done; \
	test -n "$$python" || { echo 'Sojourn needs Python 3.11 or later with its venv module (Debian: python3-venv).' >&2; exit 1; }
# hatch_build.py ends with 3 where the pages want Node and there is none: then one comes as a wheel, once.
with_node = $(PY) hatch_build.py $(1) || { test $$? -eq 3 && echo 'Taking it from a wheel, once ...' && $(INSTALL) --only-binary :all: --require-hashes -r requirements-node.lock \
	&& $(PY) hatch_build.py $(1); }

help:  ## This list
	@sed -n 's/^\([a-z]*\):.*  ## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 16
	@echo '  ARGS=...      what demo gives to `sojourn demo`, test to pytest, speed and accuracy to their measurements'

setup: .venv/.stamp-compiled pages  ## All that is locked into .venv, Sojourn itself, and its pages

.venv/.stamp-locked: requirements-build.lock requirements.lock
	@$(FIND_PYTHON); test -x $(PY) || { echo "Making .venv with $$($$python --version) ..."; $$python -m venv .venv; }
	@echo 'Installing what requirements.lock names (about a minute) ...'
	@# Some packages come as source only. What builds them is locked too: left to itself, pip would fetch it unchecked.
	@$(INSTALL) --only-binary :all: --require-hashes -r requirements-build.lock
	@$(INSTALL) --no-build-isolation --require-hashes -r requirements.lock
	@touch $@

.venv/.stamp-installed: .venv/.stamp-locked pyproject.toml
	@SOJOURN_SKIP_PAGES=1 $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# The inner loops of presence. Where the map cannot be read yet, whoever starts it first is told, and compiles them.
.venv/.stamp-compiled: .venv/.stamp-installed engine/belief.py engine/motion.py engine/position.py engine/walking.py engine/weighing.py
	@echo 'Compiling the inner loops (about 40 s) ...'
	@.venv/bin/sojourn compile && touch $@ || true

pages: .venv/.stamp-installed
	@$(call with_node,build)

demo: setup  ## A mall coming alive on this machine; Ctrl-C ends it
	@.venv/bin/sojourn demo $(ARGS)

test: setup  ## Style, types, laws and every test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	@$(call with_node,check)
	@# Exit code 5 is "nothing selected", as when ARGS names tests of the other kind.
	@# More processes than cores: there are always some that wait for a server, a browser or a clock.
	$(PY) -m pytest -m 'not alone' --numprocesses 4 --no-loadscope-reorder $(ARGS) || test $$? -eq 5
	$(PY) -m pytest -m alone $(ARGS) || test $$? -eq 5

speed: setup  ## How fast it is, into tests/speed/report.json; ARGS='-k presence' for a part
	@$(PY) -m tests.speed $(ARGS)

fuzz: setup  ## Many requests of every kind to every route, and a thousand random histories of each kind (about an hour)
	@SOJOURN_FUZZ=200 SOJOURN_HISTORIES=1000 $(PY) -m pytest -q tests/contract/test_fuzz.py tests/rules/test_histories.py $(ARGS)

accuracy: setup  ## How well places, zones and dwell are known: tests/accuracy/report.md (about 5 minutes)
	@$(PY) -m tests.accuracy $(ARGS)
