# `make demo` and `make test` are all that a newcomer needs. Each sets itself up in .venv; only the first needs a network.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROCESSES ?= 5
SEED ?= 1
SECONDS ?= 600
ROUNDS ?= 0
TRIES ?= 1

unexport PYTHONDONTWRITEBYTECODE  # else each test process compiles all tests anew: ten seconds

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all rq-suite chaos check lint types imports layout bench simulate capacity-check clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## an environment in .venv with all that the other targets need

demo: $(STAMP) ## the main job on real input: two hosts, deferral, a killed host
	@$(BIN)/farm demo

test: $(STAMP) ## all tests, against a real Redis of their own
	@$(BIN)/pytest -n $(PROCESSES) --dist worksteal

test-all: $(STAMP) $(VENV)/dashboard ## those that take long as well
	@$(BIN)/pytest -n $(PROCESSES) --dist worksteal -m 'slow or not slow'

rq-suite: $(STAMP) ## RQ's own tests, downloaded now, against farm_worker.rq.Worker
	@$(BIN)/python -m tests.rq_suite

chaos: $(STAMP) ## all kinds of faults for SECONDS (600), drawn by SEED (1): no job may be lost or count twice
	@$(BIN)/python -m tests.chaos --seed $(SEED) --seconds $(SECONDS)

check: lint types imports layout ## lint, format, types, who may import whom, layout, a hostile user folder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/pytest -q -m slow tests/typing

imports: $(STAMP)
	$(BIN)/lint-imports

layout: $(STAMP)
	$(BIN)/pytest -q -m 'slow or not slow' tests/unit/test_layout.py tests/host/test_hostile_folder.py

bench: $(STAMP) ## the farm beside its peers; QUICK=1, ROUNDS=5, WORKLOADS="drain latency", PEERS="rq huey", TRIES=3, PUBLISH=1
	@$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(if $(PUBLISH),--publish) --rounds $(ROUNDS) --tries $(TRIES) \
		--workloads "$(WORKLOADS)" --peers "$(PEERS)"

capacity-check: $(STAMP) ## whether a host sustains what `farm capacity` says: ROUNDS (3), PUBLISH=1
	@$(BIN)/python -m tests.capacity_experiment $(if $(filter-out 0,$(ROUNDS)),--rounds $(ROUNDS)) $(if $(PUBLISH),--publish)

simulate: $(STAMP) ## placement beside simpler policies on simulated machines; writes docs/placement.svg and its numbers
	@$(BIN)/python -m tests.simulation --publish

# In an environment of its own: it brings a package called `tests`, and needs six without saying so.
$(VENV)/dashboard: $(STAMP)
	$(BIN)/python -m venv --clear $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check rq-dashboard six

clean: ## forget the environment and everything that tools left here
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is there already is not looked for again, so a changed pyproject.toml needs a network only for new dependencies.
$(STAMP): pyproject.toml .ci/python
	@python=$$(.ci/python) && { $(BIN)/python -c '' 2>/dev/null || $$python -m venv --clear $(VENV); }
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")' > $(VENV)/development.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'hatchling>=1.27'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable . --requirement $(VENV)/development.txt
	@touch $@
