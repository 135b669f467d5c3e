# The one door for people and for CI. Needs a Debian or Ubuntu with Python >= 3.11 and a C++ compiler; no root, no GPU.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup check test demo python

help: ## print this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

setup: $(VENV)/.installed ## make .venv and install everything into it

check: setup ## format, lint, types, dependency rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/deptry .

# Those with a server, a browser or a clock one after the other; the many small ones on every core. Status 5: ARGS
# selects none of them.
test: setup ## run the tests; ARGS holds options of pytest: make test ARGS="-k merge"
	$(BIN)/suture toolchain install
	$(BIN)/python -m pytest $(ARGS) tests/browser tests/docker tests/flows || [ $$? = 5 ]
	$(BIN)/python -m pytest $(ARGS) -n logical --maxprocesses 4 --dist loadfile tests/integration tests/unit || [ $$? = 5 ]

demo: setup ## the whole pipeline on a small real model; a second time everything is found in the store
	$(BIN)/suture toolchain install
	$(BIN)/suture run recipes/demo-stack.yaml

# The stamp is written last, so that an interrupted installation is taken up again by the next make.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory python
	$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): 2 GB, some minutes."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[flows,dev]'
	@touch $@

python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "Suture needs Python 3.11 or newer, and there is no $(PYTHON) here." \
			"Install one, or name it: make setup PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Suture needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
			"Name another: make setup PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv." \
			"Or name another Python: make setup PYTHON=python3.12"; exit 2; }
