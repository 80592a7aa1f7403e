# Needs make and Python >= 3.11, nothing else. `make` alone lists the targets.
#
# PYTHON       the interpreter that the virtual environment is made with
# CONSTRAINTS  the file of exact versions; CONSTRAINTS=/dev/null takes the newest that pyproject.toml allows
# PIP_FLAGS    further flags of every `pip install`. On Linux pip's default index gives torch as a CUDA build of several
#              gigabytes; a CPU build, or a build for another CUDA, comes with
#              make search PIP_FLAGS="--extra-index-url <the index that the selector on pytorch.org shows>"
# JOBS         processes that run the tests
#
# The first three count when something is installed: after changing one, `make clean-all` first.

PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
PIP_FLAGS ?=
JOBS ?= 2

# The tour: known networks, a search and a training in two minutes of one core.
FIND := digits --minutes 2 --out runs/digits

VENV := .venv
OLDEST := .venv-oldest
BIN := $(VENV)/bin
INSTALL := install -q --disable-pip-version-check $(PIP_FLAGS)
# One thread a process: the networks are tiny, and the processes share the cores. As a module, pytest lets the children that
# tests start import the tests.
PYTEST := env OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup search test test-all coverage test-oldest lint format build matrix docs notebooks clean clean-all

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.core ## make .venv and install mixop with pinned dependencies

# Threads that wait for each other cost these tiny networks more than they bring.
search: export OMP_NUM_THREADS = 1
search: $(VENV)/.core ## the tour: find a network for handwritten digits in two minutes, and write a file that runs without mixop
	$(BIN)/mixop find $(FIND)
	$(BIN)/mixop export runs/digits/final

test: lint ## what a reviewer runs: lint, types and the test suite
	$(PYTEST)

test-all: lint $(VENV)/.docs ## the same with the tests marked slow, the tutorials as notebooks among them
	$(PYTEST) -m ""

coverage: $(VENV)/.test ## which lines the test suite runs; tracing them takes time, so it is not part of `make test`
	$(PYTEST) --cov=mixop --cov-report=term:skip-covered

lint: $(VENV)/.test ## style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.test ## mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The second wheel has kernels for processors like this machine's, and needs Linux and g++, or the compiler that CXX names.
build: $(VENV)/.release ## source distribution and wheels, in dist/, built and checked
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	@if [ "$$(uname)" = Linux ] && command -v $${CXX:-g++} > /dev/null; then \
		MIXOP_KERNELS=1 $(BIN)/python -m build --no-isolation --wheel; \
	else echo "No wheel with kernels: it needs Linux and the compiler $${CXX:-g++}."; fi
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

# With CONSTRAINTS=/dev/null it installs what pip would install today. The folder of its environments is outside of the source
# tree and takes several gigabytes a Python, until the end.
matrix: export PIP_CONSTRAINT = $(abspath $(CONSTRAINTS))
matrix: build ## the wheel without kernels in empty environments of all Pythons that are here; the log is build/matrix.log
	@mkdir -p build
	@folder=$$(mktemp -d) && code=0; \
		$(BIN)/tox run --workdir $$folder --installpkg $$(echo dist/*-none-any.whl) > build/matrix.log 2>&1 || code=$$?; \
		rm -rf $$folder; sed -n '/^  3\.[0-9]*: /p; $$p' build/matrix.log; exit $$code

# Keeps the promise of the lower bounds in pyproject.toml. Not part of CI: it downloads a second torch, and wheels that old
# exist for Python 3.11 and 3.12 only. What old packages warn of in new Pythons is no error of ours.
test-oldest: ## the test suite on the oldest supported dependencies, in .venv-oldest
	$(call make-venv,$(OLDEST))
	$(PYTHON) -c "$$OLDEST_PINS" > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/pip $(INSTALL) -c $(OLDEST)/constraints.txt -e '.[test]'
	env OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -n $(JOBS) -W default

docs: export PYTHONPATH = docs
docs: $(VENV)/.docs ## the documentation site, in build/site; a broken link or a warning ends it
	$(BIN)/python -m builder build/docs
	$(BIN)/zensical build --strict --clean
	$(BIN)/python -m builder.links build/site

notebooks: $(VENV)/.test $(VENV)/.docs ## every tutorial as a notebook, where a warning is an error
	$(PYTEST) -m "" tests/builder/test_scripts.py

clean: ## remove what building and testing left; runs/ and .venv stay
	rm -rf dist build .cache .coverage .coverage.* .pytest_cache .ruff_cache
	find src tests examples -name __pycache__ -prune -exec rm -rf {} +

clean-all: clean ## clean, and remove the virtual environments
	rm -rf $(VENV) $(OLDEST)

# A stamp is younger than what it was installed from, or the step runs again. The test extras contain the core.
$(VENV)/.core: pyproject.toml $(filter-out /dev/null,$(CONSTRAINTS))
	$(call make-venv,$(VENV))
	@echo "Installing mixop and its dependencies into $(VENV) (minutes the first time: torch is large) ..."
	@$(BIN)/pip $(INSTALL) -c $(CONSTRAINTS) -e .
	@touch $@

$(VENV)/.test: pyproject.toml $(filter-out /dev/null,$(CONSTRAINTS))
	$(call make-venv,$(VENV))
	@echo "Installing mixop, its dependencies and the test tools into $(VENV) (minutes the first time: torch is large) ..."
	@$(BIN)/pip $(INSTALL) -c $(CONSTRAINTS) -e '.[test]'
	@touch $(VENV)/.core $@

$(VENV)/.docs: pyproject.toml $(filter-out /dev/null,$(CONSTRAINTS))
	$(call make-venv,$(VENV))
	@echo "Installing mixop, its dependencies and what builds the pages into $(VENV) (minutes the first time: torch is large) ..."
	@$(BIN)/pip $(INSTALL) -c $(CONSTRAINTS) -e '.[docs]'
	@touch $(VENV)/.core $@

$(VENV)/.release: pyproject.toml $(filter-out /dev/null,$(CONSTRAINTS))
	$(call make-venv,$(VENV))
	@echo "Installing mixop, its dependencies and what builds a release into $(VENV) (minutes the first time: torch is large) ..."
	@$(BIN)/pip $(INSTALL) -c $(CONSTRAINTS) -e '.[release]'
	@touch $(VENV)/.core $@

# $(call make-venv,FOLDER): a virtual environment, made once; pip is what comes last when one is made.
define make-venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "mixop needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing):" \
			"install one and name it, as in: make setup PYTHON=python3.12" >&2; exit 2; }
	@test -x $(1)/bin/pip || $(PYTHON) -m venv --clear $(1)
endef

# The lower bounds of pyproject.toml as exact versions; the test tools stay free.
define OLDEST_PINS
import tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = project["optional-dependencies"]
for bounds in (project["dependencies"], *(extras[name] for name in extras if name not in ("test", "release"))):
    print(*(bound.replace(">=", "==") for bound in bounds), sep="\n")
endef
export OLDEST_PINS
