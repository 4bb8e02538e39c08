# `make` alone lists what there is to do. The environment is set up from requirements.lock whenever that is newer.

VENV ?= .venv
SCALE ?= small
JOBS ?= 1
TEST_JOBS ?= 2

BIN := $(VENV)/bin
READY := $(VENV)/.ready
# the first of these that runs and is 3.11, 3.12 or 3.13
PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3,$(shell $(p) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) and print("$(p)")' 2>/dev/null)))
REPRODUCE = $(BIN)/python -m minilib.batch.reproduce --scale '$(SCALE)' --jobs '$(JOBS)' \
	$(if $(ONLY),--only '$(ONLY)') $(if $(SEEDS),--seeds '$(SEEDS)') $(if $(OUT),--out '$(OUT)') $(ARGS)
# parallel tests share the cores and wait without spinning; MPLBACKEND would remove every figure
QUIETLY = env -u MPLBACKEND OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} OMP_WAIT_POLICY=passive

.DEFAULT_GOAL := help
.PHONY: help setup reproduce test lab site solutions bench mutants lint notebooks lock clean
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## the environment in .venv, from the lock file

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found; name one with PYTHON=" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(PYTHON) -m venv failed; on Debian and Ubuntu it needs the package python3-venv" >&2; exit 1; }
	@echo "setting up $(VENV): several GB, a few minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

reproduce: setup ## run the notebooks and write the report [SCALE=smoke|small|paper ONLY=02,03 SEEDS=5 JOBS=2 OUT= ARGS=]
	@$(REPRODUCE)

notebooks: setup ## run the notebooks and take outputs, rows and report into the checkout
	@$(REPRODUCE) --update

test: setup ## ruff, unit tests, and every notebook at smoke scale
	@$(BIN)/ruff check .
	@$(QUIETLY) $(BIN)/python -m pytest -q -n $(TEST_JOBS) --dist worksteal tests
	@if ls notebooks/*.ipynb >/dev/null 2>&1; then \
		$(QUIETLY) $(BIN)/python -m pytest -q --nbmake --nbmake-timeout=600 -n $(TEST_JOBS) --dist worksteal notebooks/; \
	else echo "no notebooks to test"; fi

lab: setup ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab --notebook-dir=notebooks

site: setup ## the executed notebooks as a site that opens from runs/site/index.html, without a server [OUT=]
	@$(BIN)/python -m minilib.batch.site $(if $(OUT),--out '$(OUT)')

solutions: setup ## the solved exercises of every notebook, in runs/solutions
	@$(BIN)/python -m minilib.batch.solutions

bench: setup ## timings and memory, side by side
	@$(BIN)/python -m tests.benchmarks

mutants: setup ## do the tests notice broken code? about an hour [MUTANTS='--count 200 --seed 0']
	@$(QUIETLY) $(BIN)/python -m tests.mutants $(MUTANTS)

lint: setup ## format and mend what ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## write requirements.lock anew from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "uv is needed for this: https://docs.astral.sh/uv" >&2; exit 1; }
	@uv pip compile --quiet --universal --generate-hashes --all-extras --no-header --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.lock

clean: ## remove the environment and all caches; runs/ stays
	@rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
