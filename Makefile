# Every target works from a fresh clone: it makes the virtual environment that it needs.
# Pass options with ARGS: make train ARGS="--regime informed"
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
STAMP := .venv/.installed
RAY_STAMP := .venv-ray/.installed
LEARNERS_STAMP := .venv-learners/.installed
PEERS_STAMP := .venv-peers/.installed

.DEFAULT_GOAL := help
.PHONY: help venv venv-ray venv-learners venv-peers train evaluate tune export wheel docs site
.PHONY: test test-slow test-ray test-learners lint check format bench bench-peers fuzz soak mutants
.PHONY: versions exploits

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /|/' \
		| awk -F'|' '{printf "make %-13s %s\n", $$1, $$2}'

train: $(STAMP)  ## train by PPO and compare with the rule-based makers
	$(BIN)/python train.py --jobs 2 $(ARGS)

evaluate: $(STAMP)  ## evaluate agents x regimes on paired seeds
	$(BIN)/python evaluate.py $(ARGS)

tune: $(STAMP)  ## tune the rule-based makers into agents/rules/tuned.json
	$(BIN)/python -m agents.tuning $(ARGS)

export: $(STAMP)  ## write a trained policy as ONNX: make export ARGS=runs/NAME
	$(BIN)/python -m agents.tools.export $(ARGS)

test: $(STAMP)  ## run the tests, without the longest ones
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS)

test-slow: $(STAMP)  ## run the longest tests
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow $(ARGS)

test-ray: $(RAY_STAMP)  ## run the tests that need Ray or Dask
	.venv-ray/bin/python -m pytest tests/ray tests/learners/test_docs.py $(ARGS)

test-learners: $(LEARNERS_STAMP)  ## run the tests that need TorchRL, Tianshou, skrl, rl_zoo3, sbx
	.venv-learners/bin/python -m pytest tests/learners $(ARGS)

fuzz: $(STAMP)  ## give 100,000 hostile inputs to every public entry, and stop work 200 times
	MM_GYM_INPUTS=100000 MM_GYM_STOPS=200 $(BIN)/python -m pytest -n auto tests/trust $(ARGS)

lint: $(STAMP)  ## check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint site test  ## run lint, build the documentation site, run the tests

format: $(STAMP)  ## format the code and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(STAMP)  ## check a billion events of hostile markets: make soak ARGS="--seed 3"
	$(BIN)/python -m validation.soak --events 1000000000 --seconds 100000 $(ARGS)

mutants: $(STAMP)  ## apply small faults to the core and list those that the tests miss
	$(BIN)/python -m validation.mutants $(ARGS)

exploits: $(STAMP)  ## search for policies that game the reward
	$(BIN)/python -m validation.exploits $(ARGS)

versions: $(STAMP)  ## test with the oldest and newest packages allowed; ARGS="--pythons python3.13"
	$(BIN)/python -m validation.versions $(ARGS)

bench: $(STAMP)  ## measure speed; OTHER=../checkout compares the core with another checkout
	$(if $(OTHER),$(BIN)/python -m benchmarks.core_ratio $(OTHER))
	$(BIN)/python -m benchmarks.throughput $(ARGS)
	$(BIN)/python -m benchmarks.rendering $(ARGS)
	$(BIN)/python -m benchmarks.replay
	$(BIN)/python -m benchmarks.data

bench-peers: $(PEERS_STAMP)  ## measure this project beside other simulators
	.venv-peers/bin/python -m benchmarks.peers $(ARGS)

site: $(STAMP)  ## build the documentation site into docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

docs: site  ## build the documentation site, and run the code it shows
	$(BIN)/python -m pytest tests/docs tests/test_readme.py $(ARGS)

wheel: $(STAMP)  ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

venv: $(STAMP)  ## make the virtual environment, with pinned versions

venv-ray: $(RAY_STAMP)  ## make one with Ray and Dask, for clusters

venv-learners: $(LEARNERS_STAMP)  ## make one with other learning libraries, 2.5 GB

venv-peers: $(PEERS_STAMP)  ## make one with hftbacktest and other simulators

$(STAMP): WANTED := -c constraints.txt -e ".[dev]"
$(STAMP): constraints.txt
$(RAY_STAMP): WANTED := -c constraints-ray.txt -e ".[train,evaluate,tune,test,ray,dask]"
$(RAY_STAMP): constraints-ray.txt
$(LEARNERS_STAMP): WANTED := -c constraints-learners.txt \
	-e ".[train,render,gymnasium-wrappers,test,learners]"
$(LEARNERS_STAMP): constraints-learners.txt
$(PEERS_STAMP): WANTED := -c constraints-peers.txt -e ".[peers]"
$(PEERS_STAMP): constraints-peers.txt

# An environment is updated only when the required packages change. If its creation fails, it is
# removed, so that the next call does not use half of it.
$(STAMP) $(RAY_STAMP) $(LEARNERS_STAMP) $(PEERS_STAMP): %/.installed: pyproject.toml
	@test -x $*/bin/pip || { \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
			echo "PYTHON=$(PYTHON) cannot be used: expected Python 3.11 or newer," \
				"got $$($(PYTHON) --version 2>/dev/null || echo no such program)" \
				"(write make PYTHON=/path/to/python3.11)"; exit 2; }; \
		$(PYTHON) -m venv $* || { rm -rf $*; exit 1; }; \
	}
	$*/bin/python -m pip install $(WANTED)
	@touch $@
