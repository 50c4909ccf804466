# Sets Quitledger up, runs it, tests it. `make` alone lists what there is.
# Everything lives in this folder: .venv (programs) and .data (the demo's database). Nothing else is touched.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# The first Python here that is new enough.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
# Four at most: each of them has databases of its own.
TEST_PROCESSES ?= $(shell [ $(CORES) -gt 4 ] && echo 4 || echo $(CORES))
UV ?= uv
# pip as a stranger's machine has it; what it may install is fixed by the hashes.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Django wants a database named even where it is not asked.
NO_DATABASE := DATABASE_URL=postgresql://nobody@127.0.0.1:1/none QUITLEDGER_SECRET_KEY=none DJANGO_SETTINGS_MODULE=quitledger.settings

.PHONY: help setup demo nation test check audit torture bench lock messages
.DEFAULT_GOAL := help

help:  ## this list
	@echo "Quitledger 戒菸登錄"
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(VENV)/.installed  ## make .venv with the quitledger command
	@echo "Ready: $(BIN)/quitledger --help"

demo: $(VENV)/.installed  ## demo site with made-up data; make demo TODAY=114/4/1 sets its day; Ctrl-C stops it
	@exec $(BIN)/quitledger run --demo $(if $(TODAY),--today $(TODAY)) $(RUN)

nation: $(VENV)/.installed  ## the demo site with a made-up nation of 113 in it, minutes to make; SCALE=0.1 a tenth of it
	@$(BIN)/quitledger synthesize --year 113 --scale $(or $(SCALE),1) --today $(or $(TODAY),114/4/1)
	@exec $(BIN)/quitledger run --demo $(RUN)

test: $(VENV)/.installed-dev  ## all tests; make test TESTS=tests/visits runs some
	@$(BIN)/python -m tests.browser.find_browser --install > /dev/null
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) $(TESTS)

check: $(VENV)/.installed-dev  ## lint, types, layering, templates, lock files, migrations; changes nothing
	$(BIN)/python .ci/lock_files.py
	$(BIN)/ruff check --no-cache --quiet
	$(BIN)/ruff format --check --no-cache --quiet
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-cache > $(VENV)/layers.log || { cat $(VENV)/layers.log; exit 1; }
	$(BIN)/djlint quitledger --lint --quiet
	$(NO_DATABASE) $(BIN)/python -W ignore -m django makemigrations --check --dry-run
	@rm -rf $(VENV)/policy && $(BIN)/quitledger policy docs $(VENV)/policy > /dev/null
	diff -r docs/policy $(VENV)/policy
	$(BIN)/python .ci/messages.py --check
	@echo "All checks passed."

torture: $(VENV)/.installed-dev  ## kill -9 of every part of a site under write load, 200 times (KILLS=20 SEED=7 sets how often, and whom); 1,000 applications by 50 users at once
	@KILLS=$(or $(KILLS),200) SEED=$(SEED) APPLICATIONS=20 $(BIN)/python -m pytest -q -s tests/storm tests/corrections/test_at_once.py

audit: $(VENV)/.installed-dev  ## are the locked parts known to have holes? make audit ADVISORIES=folder needs no network
	@PATH="$(BIN):$$PATH" $(BIN)/python .ci/known_holes.py $(ADVISORIES)

bench: $(VENV)/.installed-dev  ## measure, as JSON; all of it takes about an hour and 40 GB of disk, make bench BENCH="--only evening" less
	@$(BIN)/python -m tests.bench $(BENCH)

messages: $(VENV)/.installed-dev  ## gather the texts for the English catalogue and compile it
	$(BIN)/python .ci/messages.py

lock:  ## work out the lock files anew (needs uv: pip install uv)
	@command -v $(UV) > /dev/null || { echo "make lock needs uv: pip install uv"; exit 1; }
	$(UV) pip compile pyproject.toml --extra setup $(LOCKED) -o requirements.txt
	$(UV) pip compile pyproject.toml --extra setup --extra dev $(LOCKED) -o requirements-dev.txt
	$(PYTHON) .ci/lock_files.py
LOCKED := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet

# --- How .venv comes about: once, and again only where what it is made from has changed ------------------------------

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is missing: apt-get install python3 (or python.org)"; exit 1; }
	@command -v git > /dev/null || { echo "git is missing: apt-get install git"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	@# One that works is kept, whoever made it; only one that was left half made is made anew.
	@$(BIN)/python -c 'import pip' 2> /dev/null || { \
	  echo "Making $(VENV) with $(PYTHON) …" && $(PYTHON) -m venv --clear $(VENV); }
	@touch $@

$(VENV)/.installed: $(VENV)/.made requirements.txt pyproject.toml
	@echo "Installing what Quitledger needs …"
	@# The lock files name everything: pip need not work it out, and does not stumble over a newer release of a part.
	@$(PIP) install --require-hashes --no-deps -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@echo "Installing what the tests need …"
	@$(PIP) install --require-hashes --no-deps -r requirements-dev.txt
	@touch $@
