# Everything a person or a machine does with this project. `make help` lists it.
.DEFAULT_GOAL := help
.PHONY: help demo dev browser test soak check dictionary format setup lock clean bench \
  bench-marts bench-shared bench-growth bench-database bench-scaling sbom audit package screenshots

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := .venv-bench
SUPPLY := .venv-supply
LAKE := .venv-lake
CLUSTER := .venv-cluster
UV := $(shell command -v uv 2>/dev/null)

# Where bytecode is not kept, every process that a test starts compiles the whole program anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## virtual environment with the locked dependencies

# Plain Debian has python3 and pip but neither uv nor ensurepip, hence --without-pip and pip's --python.
$(READY): requirements.lock pyproject.toml
	@echo "Installing $$(grep -c == requirements.lock) locked packages into $(VENV), once: a minute or more,"
	@echo "most of it downloads (dagster, duckdb, polars). Nothing is said until they are there."
ifdef UV
	$(UV) venv -q --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install -q --python $(BIN)/python --no-deps -e .
else
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install -q --require-hashes -r requirements.lock
	$(PYTHON) -m pip --python $(BIN)/python install -q --no-deps -e .
endif
	@touch $@

demo: $(READY) ## read 30 days of a simulated Dify 1.16.1 into dify_data/demo/dify.duckdb
	$(BIN)/dify-etl demo

browser: $(READY) ## in Chromium: pages of strangers against the UI, and the UI itself (needs chromium)
	$(BIN)/python -m dify_etl_tests.ui.browser

screenshots: demo ## the README's pictures of a report of the demo, into docs/images (needs chromium)
	$(BIN)/python -m dify_etl_tests.report.screenshots

# Newcomers have neither a server nor an .env: they are shown the simulated Dify.
dev: $(READY) ## the Dagster UI on port 3000 (--simulated where neither DIFY_BASE_URL nor .env is there)
	$(BIN)/dify-etl dev $(if $(or $(DIFY_BASE_URL),$(wildcard .env)),,--simulated)

# A third of their time tests wait for processes and sockets: three workers on two cores. Each takes
# file after file: worlds and nights that the tests of a file share are made once. The order is that
# of the names, whose last files are short: nobody waits for one long file at the end.
# Where Python is told to keep no bytecode, each of the hundreds of commands that tests start would
# compile all modules anew. TEST_WORKERS=4: another number of them.
test: export PYTHONDONTWRITEBYTECODE =
test: $(READY) $(if $(FAST),,$(LAKE)/.ready $(CLUSTER)/.ready) ## all tests; FAST=1: those for the change at hand, without whole nights, processes and kills
	$(BIN)/pytest -n $(or $(TEST_WORKERS),3) --dist loadfile --no-loadscope-reorder --durations=10 --durations-min=1 $(if $(FAST),-m "not slow")

soak: $(READY) $(LAKE)/.ready $(CLUSTER)/.ready ## thousands of random nights and histories and odd answers, each endpoint away in turn, serve with killed parts and PostgreSQL, the image's commands as its user, hundreds of kills and faults, exports of a million rows, 500 publications of four processes into a lake, nights on Celery workers that die (SOAK_LAKE, EXPORT_ROWS, SOAK_NIGHTS, SOAK_HISTORIES, SOAK_FUZZ, SOAK_KILLS, SOAK_FAULTS, SOAK_SEED)
	EXPORT_ROWS=$${EXPORT_ROWS:-1000000} $(BIN)/pytest -p no:xdist dify_etl_tests/cli/test_export_memory.py
	SOAK_DAEMON=1 $(BIN)/pytest -p no:xdist dify_etl_tests/defs/test_failing_backfill.py
	SOAK_SERVE=1 $(BIN)/pytest -p no:xdist dify_etl_tests/defs/test_serving.py dify_etl_tests/supply_chain/test_image.py
	SOAK_LAKE=$${SOAK_LAKE:-500} $(BIN)/pytest -p no:xdist dify_etl_tests/shared_warehouse
	SOAK_CLUSTER=1 $(BIN)/pytest -p no:xdist dify_etl_tests/cluster
	SOAK_ROUTES=1 $(BIN)/pytest -p no:xdist dify_etl_tests/sync/test_endpoints_gone.py
	SOAK_NIGHTS=$${SOAK_NIGHTS:-1400} $(BIN)/pytest -p no:xdist dify_etl_tests/sql/test_partial_builds.py
	SOAK_HISTORIES=$${SOAK_HISTORIES:-500} SOAK_KILLS=$${SOAK_KILLS:-100} SOAK_FAULTS=$${SOAK_FAULTS:-20} \
	  SOAK_FUZZ=$${SOAK_FUZZ:-100000} \
	  $(BIN)/pytest -p no:xdist dify_etl_tests/histories dify_etl_tests/fuzz dify_etl_tests/crashes \
	  dify_etl_tests/dify_database/test_histories.py \
	  dify_etl_tests/operations/keys/test_histories.py

check: $(READY) ## format, lint, strict types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

dictionary: $(READY) ## write anew what is made of the code: data dictionary, facts of settings, asset keys, parsed queries
	$(BIN)/python -m dify_etl_tests.data_dictionary
	$(BIN)/python -m dify_etl_tests.settings_document
	$(BIN)/python -m dify_etl_tests.defs.asset_keys
	$(BIN)/python -m dify_etl_tests.parsed_queries

format: $(READY) ## put the source into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## resolve the dependencies anew into requirements.lock (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-strip-extras --no-annotate --no-header --all-extras --group dev pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-strip-extras --no-annotate --no-header --all-extras -c requirements.lock pyproject.toml \
	  -o deploy/requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-strip-extras --no-annotate --no-header supply_chain/requirements.in -o supply_chain/requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-strip-extras --no-annotate --no-header dify_etl_tests/shared_warehouse/requirements.in \
	  -o dify_etl_tests/shared_warehouse/requirements.lock
	for one in deploy/cluster dify_etl_tests/cluster; do \
	  uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-strip-extras --no-annotate --no-header -c requirements.lock $$one/requirements.in \
	    $$(sed -n 's/^\([A-Za-z0-9._-]*\).*==.*/--no-emit-package \1/p' deploy/requirements.lock) \
	    -o $$one/requirements.lock; done

bench: $(READY) $(BENCH)/.ready ## measure against dlt and others into docs/benchmark.md (SIZE=small: minutes)
	$(BIN)/python -m benchmark --size $(or $(SIZE),full)

bench-database: $(READY) ## how long Dify's own PostgreSQL takes to read (MESSAGES=1000000; needs postgresql)
	$(BIN)/python -m benchmark.database --messages $(or $(MESSAGES),1000000)

bench-shared: $(READY) $(LAKE)/.ready ## how long a large home takes to publish into a shared file, a lake, and one in an S3 at a distance (MESSAGES=1000000; needs postgresql)
	$(BIN)/python -m benchmark.shared --messages $(or $(MESSAGES),1000000)

bench-growth: $(BENCH)/.ready ## how seconds and memory grow, from reports of bench-shared and bench-marts of several sizes (REPORTS="a b c")
	$(BENCH)/bin/python -m benchmark.growth docs/images/growth.svg $(REPORTS)

bench-scaling: $(READY) ## how many conversations a second one process reads, and what that costs it (COPIES=8)
	$(BIN)/python -m benchmark.scaling --copies $(or $(COPIES),8)

bench-marts: $(READY) ## how long all marts take to build (MESSAGES=1000000)
	$(BIN)/python -m benchmark.marts --messages $(or $(MESSAGES),10000000)

sbom: $(READY) $(SUPPLY)/.ready ## a CycloneDX list of what users install, into dist/dify-etl.cdx.json
	$(BIN)/python -m supply_chain.sbom --cyclonedx $(SUPPLY)/bin/cyclonedx-py --output dist/dify-etl.cdx.json

package: $(READY) ## wheel and sdist into dist/; the wheel, installed by pip as users do, in an empty folder
	rm -f dist/*.whl dist/*.tar.gz
	$(BIN)/python -m hatchling build -d dist
	$(BIN)/python -m supply_chain.trial --wheel dist/*.whl $(foreach one,$(WITH),--with $(one))

audit: $(READY) $(SUPPLY)/.ready ## known weaknesses of dependencies and code; "no data" (error 3) without PyPI
	$(BIN)/python -m supply_chain.audit --pip-audit $(SUPPLY)/bin/pip-audit --bandit $(SUPPLY)/bin/bandit

# What the tools of others depend on is not ours, hence environments of their own.
$(BENCH)/.ready: benchmark/requirements.lock
$(SUPPLY)/.ready: supply_chain/requirements.lock
$(LAKE)/.ready: dify_etl_tests/shared_warehouse/requirements.lock
$(CLUSTER)/.ready: deploy/cluster/requirements.lock dify_etl_tests/cluster/requirements.lock
$(BENCH)/.ready $(SUPPLY)/.ready $(LAKE)/.ready $(CLUSTER)/.ready:
ifdef UV
	$(UV) venv -q --allow-existing --python $(PYTHON) $(@D)
	$(UV) pip install -q --python $(@D)/bin/python --no-deps --require-hashes $(addprefix -r ,$^)
else
	$(PYTHON) -m venv --without-pip $(@D)
	$(PYTHON) -m pip --python $(@D)/bin/python install -q --no-deps --require-hashes $(addprefix -r ,$^)
endif
	@echo '*' > $(@D)/.gitignore
	@touch $@

clean: ## remove the virtual environment and caches; data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
