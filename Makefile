# `make help` lists the targets. Needs Python 3.11-3.14 (any that is found, or PYTHON=...), nothing else.

VENV := .venv
STAMP := $(VENV)/.installed
SOURCES := bench deploy indexer migrations tests
PYTHON :=
ARGS :=

.DEFAULT_GOAL := help
.PHONY: help setup test lint soak endurance size bench bench-peers format docs demo lock migration manifests dashboards pictures clean

help:
	@echo "make setup             make $(VENV) with everything in it; PYTHON=... names the interpreter"
	@echo "make test              run the tests, JOBS=3 at a time; ARGS=... goes to pytest instead"
	@echo "make soak SEEDS=1-500  live through seeded fault stories; prints each seed that fails"
	@echo "make endurance         live long with faults, and through a long finality stall; BLOCKS=20000 STALL=3000"
	@echo "make size SCALE=1      time the documented queries at the full chain's size, see docs/SIZE.md; ARGS=--partitions"
	@echo "make bench             time it against floors and scalecodec: see tests/bench/RESULTS.md; ARGS='--short trie'"
	@echo "make bench-peers       time it against two npm packages, needs Node 20: see tests/bench/peers; ARGS=--short"
	@echo "make lint              ruff, mypy and the import contract"
	@echo "make format            let ruff lay out the code"
	@echo "make docs              write the documents that are made from the code: schema, metrics, configuration"
	@echo "make demo              index a simulated chain and query it; ARGS=... goes to 'indexer demo'"
	@echo "make lock              renew requirements.lock, and requirements-run.lock for images; ARGS=--upgrade for newer"
	@echo "make migration DATASET=name  write the migration of a new dataset from its declaration"
	@echo "make manifests         write the PrometheusRule for Kubernetes from deploy/prometheus"
	@echo "make dashboards        write deploy/grafana/dashboards from the code beside them"
	@echo "make pictures          draw them, on a simulated chain, into docs/pictures; takes a quarter of an hour"
	@echo "make clean             remove $(VENV) and caches"

setup: $(STAMP)

# A found interpreter is tried, not only found: it may be too old, a broken shim, or lack venv (Debian's
# python3-venv). Everything is installed by hash; the build of the project itself downloads nothing more.
$(STAMP): requirements.lock pyproject.toml
	@set -e; \
	usable='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'; \
	if ! $(VENV)/bin/python -c "$$usable" 2>/dev/null; then \
		found=; \
		for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
			if "$$python" -c "$$usable" >/dev/null 2>&1; then found=$$python; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "make setup: no usable Python among: $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)." >&2; \
			echo "It takes Python 3.11 to 3.14 with the venv module (on Debian: apt-get install python3-venv); name one by PYTHON=..." >&2; \
			exit 1; \
		fi; \
		echo "Making $(VENV) with $$("$$found" --version)"; \
		"$$found" -m venv --clear $(VENV); \
	fi
	@echo "Installing requirements.lock"
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
	@PYTHONWARNINGS=ignore $(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP)

# The tests wait most of their time, for blocks, time-outs and Postgres: they run side by side, more than there are cores.
# Each brings its own node and database, each worker its own server.
STORIES := tests/faults/test_seeds.py
JOBS := 3
test: setup
	$(VENV)/bin/pytest $(if $(ARGS),$(ARGS),-n $(JOBS) --dist worksteal)

# Any range of seeds; the tests run the first 200. COLUMNS: the command that repeats a seed is not cut off.
SEEDS := 1-200
soak: setup
	SEEDS=$(SEEDS) COLUMNS=200 $(VENV)/bin/pytest -n $(JOBS) $(STORIES) --tb=line --show-capture=no $(ARGS)

# A quarter of an hour; the tests do 300 blocks and a stall of 400. `-s` shows the table as it grows.
BLOCKS := 20000
STALL := 3000
endurance: setup
	BLOCKS=$(BLOCKS) STALL=$(STALL) $(VENV)/bin/pytest tests/endurance -s $(ARGS)

# A quarter of an hour and 12 GB in TMPDIR, removed at the end; SCALE=0.01 takes seconds.
SCALE := 1
size: setup
	$(VENV)/bin/python -m bench --scale $(SCALE) $(ARGS)

# Ratios of two sides of one run, never times. ARGS='--short' takes small loads, ARGS='trie write' are some of them.
bench: setup
	$(VENV)/bin/python tests/bench $(ARGS)

# The packages come from the registry that npm is set to; versions and hashes stand in package-lock.json.
PEERS := build/peers/subql/.installed build/peers/squid/.installed
$(PEERS): build/peers/%/.installed: tests/bench/peers/%/package-lock.json
	@mkdir -p $(@D) && cp tests/bench/peers/$*/package.json tests/bench/peers/$*/package-lock.json $(@D)/
	@echo "Installing the npm packages of tests/bench/peers/$* into $(@D)"
	@cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

bench-peers: setup $(PEERS)
	$(VENV)/bin/python tests/bench/peers $(ARGS)

lint: setup
	$(VENV)/bin/ruff check $(SOURCES)
	$(VENV)/bin/ruff format --check $(SOURCES)
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

format: setup
	$(VENV)/bin/ruff format $(SOURCES)

# Files to check in; a test of each says when it is out of date.
docs: setup
	$(VENV)/bin/python -m indexer.manual

demo: setup
	$(VENV)/bin/indexer demo $(ARGS)

# uv resolves for all supported Pythons and platforms at once; it is not needed for anything else.
lock: setup
	@set -e; tool=$$(mktemp -d); trap 'rm -rf "$$tool"' EXIT; \
	$(VENV)/bin/python -m venv "$$tool"; \
	"$$tool/bin/python" -m pip install --disable-pip-version-check --quiet uv; \
	"$$tool/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		$(ARGS) --output-file requirements.lock pyproject.toml; \
	"$$tool/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--constraint requirements.lock --no-annotate \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--output-file requirements-run.lock pyproject.toml

# Two files to check in: the revision and its SQL, from the declaration in indexer/datasets/$(DATASET).py.
DATASET :=
migration: setup
	$(VENV)/bin/python -m indexer.scaffold $(DATASET)

# The rules, once for Prometheus itself and once as objects of its operator.
manifests: setup
	$(VENV)/bin/python deploy/kubernetes/prometheus_rule.py

dashboards: setup
	$(VENV)/bin/python -m deploy.grafana.boards

# The chain, indexer and Prometheus (Debian's package of that name) they are asked of are those of the tests.
pictures: setup
	PYTHONPATH=tests/deploy:tests/integration $(VENV)/bin/python -m deploy.grafana.boards.pictures

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
