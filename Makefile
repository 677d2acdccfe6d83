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
AXE = build/browser/node_modules/axe-core/axe.min.js

# Marker expressions: see [tool:pytest] in setup.cfg. More than eight processes start slower than they help.
PYTEST = $(BIN)/python -m pytest -q
SPREAD = -n auto --maxprocesses=8 --dist=worksteal
FAST = -m 'not slow'

.NOTPARALLEL:

.PHONY: help demo check fast test nightly ready test-systemd test-browser browser screenshots install uninstall lint bench bench-daemon torture fuzz \
    tox deb sdist release clean

help:
	@echo 'make demo          count and draw the sample logs into build/demo'
	@echo 'make check         lint, types and the fast tests: before each commit'
	@echo 'make fast          the fast tests only'
	@echo 'make test          lint, types and all tests'
	@echo 'make install       as root: install it on this machine, in PREFIX (/opt/dane-mailgraph)'
	@echo 'make uninstall     remove it again, and leave the data'
	@echo 'make lint          lint and types only'
	@echo 'make test-browser  the page in a real browser; make browser only installs it'
	@echo 'make screenshots   draw the pictures of the README anew, from invented logs of a bad and a good day'
	@echo 'make test-systemd  as root: the units under a real systemd, in an overlay of this machine'
	@echo 'make nightly       all tests, with many more random examples than make test'
	@echo 'make tox           the tests with each Python from 3.10 to 3.13 that is here'
	@echo '                   (ENVS=py310,py313: only these; ARGS: for pytest)'
	@echo 'make bench         CPU time of pictures and of counting, beside grep, mailgraph, pflogsumm, mtail'
	@echo '                   (LOG=FILE TRUTH=FILE: on this log; ARGS=--rfc3339)'
	@echo 'make bench-daemon  what `run` costs a small server in an hour (ARGS="--minutes 5": sooner)'
	@echo 'make torture       kill it at every moment and look for lost or doubled counts'
	@echo '                   (ARGS="--minutes 60": longer)'
	@echo 'make fuzz          throw bytes at the parser for a minute (ARGS=-max_total_time=3600: an hour)'
	@echo 'make deb           as root: build dist/dane-mailgraph_*_all.deb of what is committed, for Debian 12 and 13'
	@echo 'make sdist         build sdist and wheel of what is committed into dist, and try the sdist'
	@echo 'make release       as root, before each release: all that it needs, and what fails; then how to sign it'
	@echo 'make clean         remove everything that was built'
	@echo
	@echo 'What is missing is installed first. Another Python: make PYTHON=python3.12 test'

demo: $(READY)/demo
	@$(BIN)/dane-mailgraph demo build/demo $(ARGS)

check: lint fast

fast: $(READY)/test
	@echo pytest, the fast tests
	@$(PYTEST) $(SPREAD) $(FAST) $(ARGS)

test: lint
	@echo pytest
	@$(PYTEST) $(SPREAD) -rs $(ARGS)

nightly: $(READY)/test
	@EVERY=3 $(PYTEST) $(SPREAD) --hypothesis-profile=nightly $(ARGS)

test-browser: $(READY)/test browser
	@echo pytest in a browser
	@$(PYTEST) -m browser $(ARGS)

screenshots: $(READY)/test browser
	@$(BIN)/python tools/screenshots.py

browser: $(AXE)
	@command -v chromium chromium-browser >/dev/null || sh tools/browser.sh build/browser

$(AXE):
	@sh tools/browser.sh build/browser

# The system's Python, because units may not look into home directories; and no network inside.
test-systemd: $(READY)/test build/wheels/ready
	@$(PYTEST) -m systemd -rs $(ARGS)

install:
	@sh tools/install.sh install "$(PYTHON)" "$(PREFIX)"

uninstall:
	@sh tools/install.sh uninstall "$(PYTHON)" "$(PREFIX)"

ready: $(READY)/test

lint: $(READY)/test
	@echo ruff
	@$(BIN)/ruff check -q
	@$(BIN)/ruff format -q --check
	@echo mypy
	@$(BIN)/mypy --no-error-summary

bench: $(READY)/demo
	@$(BIN)/python benchmarks/render.py
	@$(BIN)/python benchmarks/bench.py $(if $(LOG),--log '$(LOG)') $(if $(TRUTH),--truth '$(TRUTH)') $(ARGS)

bench-daemon: $(READY)/demo
	@$(BIN)/python benchmarks/daemon.py $(ARGS)

torture: $(READY)/test
	@EVERY=1 $(PYTEST) tests/test_kills.py
	@$(BIN)/python tests/torture.py $(ARGS)

fuzz: $(READY)/fuzz
	@mkdir -p build
	@PYTHONPATH=. $(BIN)/python tests/fuzz.py -artifact_prefix=build/ -max_total_time=60 $(ARGS)

# pyenv keeps its interpreters out of PATH.
tox: $(READY)/tox
	@PATH="$$PATH$(subst $() ,,$(patsubst %,:%,$(wildcard $(HOME)/.pyenv/versions/3.*/bin)))" \
	    $(BIN)/tox run -q $(if $(ENVS),-e $(ENVS)) -- $(ARGS)

deb:
	@sh tools/deb.sh

sdist: $(READY)/sdist
	@sh tools/release.sh sdist $(BIN)/python

# What fails soonest first; the long torture too.
release:
	@sh tools/release.sh check
	@CI=true bash .ci/run </dev/null
	@$(MAKE) sdist
	@sh tools/release.sh fresh
	@$(MAKE) torture
	@sh tools/release.sh tell $(BIN)/python

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

$(READY)/sdist: $(INPUTS)
	@$(SETUP) test 'build>=1' 'twine>=6' -e
	@touch $@

$(READY)/tox: $(INPUTS)
	@$(SETUP) test 'tox>=4' -e
	@touch $@

build/wheels/ready: $(INPUTS)
	@sh tools/setup.sh $(SYSTEM_PYTHON) build/wheels/venv build/wheels/venv/ready completions
	@build/wheels/venv/bin/pip -q --disable-pip-version-check wheel -w build/wheels '.[completions,tzdata]' 'setuptools>=64' wheel 2>>build/setup.log
	@rm -f build/wheels/dane_mailgraph*
	@touch $@
