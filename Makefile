PYTHON = python3
SYSTEM_PYTHON = /usr/bin/python3
PREFIX = /opt/dane-mailgraph
VENV = .venv
BIN = $(VENV)/bin

# Names the interpreter and the place: an upgraded Python or a copied checkout gets a new .venv.
FOR := $(shell $(PYTHON) -c 'import os, sys, zlib; print("%d.%d.%d-%08x" % (*sys.version_info[:3], zlib.crc32(os.fsencode(sys.base_prefix + os.getcwd()))))' 2>/dev/null)
READY = $(VENV)/for-$(FOR)
SETUP = sh tools/setup.sh "$(PYTHON)" $(VENV) $(READY)
INPUTS = setup.cfg setup.py pyproject.toml tools/setup.sh


# What takes long is a matter of disks, browsers and servers more than of Python and its packages.
SLOW = rotation kills browser doctor own_mx resolver build page demo sync time live_log invariants cli relays journal daemon
LEFT_OUT = $(SLOW:%=--ignore=tests/test_%.py)

.NOTPARALLEL:
AXE = build/browser/node_modules/axe-core/axe.min.js

.PHONY: help demo test short ready test-systemd test-browser browser install uninstall lint bench torture fuzz tox release clean

help:
	@echo 'make demo     count and draw the sample logs into build/demo'
	@echo 'make test     ruff, mypy and pytest'
	@echo 'make short    the tests that take seconds'
	@echo 'make test-browser   the page in a real browser; make browser only installs it'
	@echo 'make install  as root: all of it for this machine, in PREFIX (/opt/dane-mailgraph); make uninstall leaves the data'
	@echo 'make lint     ruff and mypy only'
	@echo 'make test-systemd  as root: install it and run it under a real systemd, over a throw-away overlay of this machine'
	@echo 'make tox      the tests with every Python from 3.10 to 3.13 that is here (ENVS=py310,py313: only these; SHORT=yes: those of make short; ARGS: for pytest)'
	@echo 'make bench    CPU time of the pictures; of counting beside grep, ripgrep and mailgraph on 1 GB (LOG=FILE TRUTH=FILE: on this one; ARGS=--rfc3339)'
	@echo 'make torture  kill it at every moment and look for lost or doubled counts'
	@echo 'make fuzz     throw bytes at the parser for a minute (ARGS=-max_total_time=3600: an hour)'
	@echo 'make release  as root: all that .ci/run does, and what takes too long for it, on fresh Debian 12 and 13 too; before each release'
	@echo 'make clean    remove everything that was built'
	@echo
	@echo 'What is missing is installed first. Another Python: make PYTHON=python3.12 test'

demo: $(READY)/demo
	@$(BIN)/dane-mailgraph demo build/demo

test: lint
	@echo pytest
	@$(BIN)/python -m pytest -q

short: $(READY)/test
	@echo pytest of what takes seconds
	@$(BIN)/python -m pytest -q $(LEFT_OUT) $(ARGS)

test-browser: $(READY)/test browser
	@echo pytest in a browser
	@$(BIN)/python -m pytest -q tests/test_browser.py

browser: $(AXE)
	@command -v chromium chromium-browser >/dev/null || sh tools/browser.sh build/browser

$(AXE):
	@sh tools/browser.sh build/browser

# The system's Python, because units may not look into home directories; and no network inside.
test-systemd: $(READY)/test build/wheels/ready
	@$(BIN)/python -m pytest -q -m systemd -rs

install:
	@sh tools/install.sh install "$(PYTHON)" "$(PREFIX)"

uninstall:
	@sh tools/install.sh uninstall "$(PYTHON)" "$(PREFIX)"

ready: $(READY)/test

lint: $(READY)/test
	@echo ruff
	@$(BIN)/ruff check -q
	@echo mypy
	@$(BIN)/mypy --no-error-summary

bench: $(READY)/demo
	@$(BIN)/python benchmarks/render.py
	@$(BIN)/python benchmarks/bench.py $(if $(LOG),--log '$(LOG)') $(if $(TRUTH),--truth '$(TRUTH)') $(ARGS)

torture: $(READY)/test
	@EVERY=1 $(BIN)/python -m pytest -q tests/test_kills.py
	@$(BIN)/python tests/torture.py

fuzz: $(READY)/fuzz
	@mkdir -p build
	@PYTHONPATH=. $(BIN)/python tests/fuzz.py -artifact_prefix=build/ -max_total_time=60 $(ARGS)

# pyenv keeps its interpreters out of PATH.
tox: $(READY)/tox
	@PATH="$$PATH$(subst $() ,,$(patsubst %,:%,$(wildcard $(HOME)/.pyenv/versions/3.*/bin)))" \
	    $(BIN)/tox run -q $(if $(ENVS),-e $(ENVS)) -- $(if $(SHORT),$(LEFT_OUT)) $(ARGS)

# The long torture too.
release:
	@CI=true bash .ci/run </dev/null
	@sh tools/release.sh
	@$(MAKE) torture

clean:
	@rm -rf $(VENV) build dist .tox *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY)/demo: $(INPUTS)
	@$(SETUP) '' -e
	@touch $@

$(READY)/test: $(INPUTS)
	@$(SETUP) test -e
	@touch $@

$(READY)/fuzz: $(INPUTS)
	@$(SETUP) '' atheris -e
	@touch $@

$(READY)/tox: $(INPUTS)
	@$(SETUP) test 'tox>=4' -e
	@touch $@

build/wheels/ready: $(INPUTS)
	@sh tools/setup.sh $(SYSTEM_PYTHON) build/wheels/venv build/wheels/venv/ready completions
	@build/wheels/venv/bin/pip -q --disable-pip-version-check wheel -w build/wheels '.[completions,tzdata]' 'setuptools>=64' wheel 2>>build/setup.log
	@rm -f build/wheels/dane_mailgraph*
	@touch $@
