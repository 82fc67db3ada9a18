# Everything from a fresh clone: `make train`, `make test`. Arguments: make train ARGS="--regime informed"
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
STAMP := .venv/.installed
RAY_STAMP := .venv-ray/.installed
LEARNERS_STAMP := .venv-learners/.installed

.DEFAULT_GOAL := help
.PHONY: help venv venv-ray venv-learners train evaluate tune export test test-ray test-learners lint check format bench docs

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /|/' | awk -F'|' '{printf "make %-13s %s\n", $$1, $$2}'

train: $(STAMP)  ## train PPO and compare it with the rule-based makers
	$(BIN)/python train.py --jobs 2 $(ARGS)

evaluate: $(STAMP)  ## agents x regimes on paired seeds
	$(BIN)/python evaluate.py $(ARGS)

tune: $(STAMP)  ## the best parameters of the rule-based makers, into agents/rules/tuned.json
	$(BIN)/python -m agents.tuning $(ARGS)

export: $(STAMP)  ## a trained policy as ONNX: make export ARGS=runs/NAME
	$(BIN)/python -m agents.tools.export $(ARGS)

test: $(STAMP)  ## the tests
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-ray: $(RAY_STAMP)  ## the tests of training with Ray RLlib
	.venv-ray/bin/python -m pytest tests/ray tests/learners/test_docs.py $(ARGS)

test-learners: $(LEARNERS_STAMP)  ## the tests with TorchRL, Tianshou, skrl, rl_zoo3 and sbx
	.venv-learners/bin/python -m pytest tests/learners $(ARGS)

lint: $(STAMP)  ## formatter, linter, types, who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test  ## lint, then test

format: $(STAMP)  ## let the formatter and the linter mend what they can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## throughput, side by side
	$(BIN)/python -m benchmarks.throughput $(ARGS)

docs: $(STAMP)  ## build the documentation site into docs/_build/html, and run the code it shows
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	$(BIN)/python -m pytest tests/docs tests/test_readme.py $(ARGS)

venv: $(STAMP)  ## the virtual environment with what is pinned, and nothing more

venv-ray: $(RAY_STAMP)  ## another one in which Ray is too, for train.py --engine rllib

venv-learners: $(LEARNERS_STAMP)  ## another one with other people's learners, 2.5 GB

$(STAMP): WANTED := -c constraints.txt -e ".[dev]"
$(STAMP): constraints.txt
$(RAY_STAMP): WANTED := -c constraints-ray.txt -e ".[train,evaluate,test,ray]"
$(RAY_STAMP): constraints-ray.txt
$(LEARNERS_STAMP): WANTED := -c constraints-learners.txt -e ".[train,render,gymnasium-wrappers,test,learners]"
$(LEARNERS_STAMP): constraints-learners.txt

# Made again only when what is wanted changes. An environment that is already there is kept; one
# that could not be finished is not left behind to be mistaken for a good one.
$(STAMP) $(RAY_STAMP) $(LEARNERS_STAMP): %/.installed: pyproject.toml
	@test -x $*/bin/pip || { \
		command -v $(PYTHON) >/dev/null || { \
			echo "$(PYTHON) was not found. mm_gym needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11"; exit 1; }; \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
			echo "$(PYTHON) is $$($(PYTHON) --version 2>&1). mm_gym needs Python 3.11 or newer; name one with: make PYTHON=python3.11"; exit 1; }; \
		$(PYTHON) -m venv $* || { rm -rf $*; exit 1; }; \
	}
	$*/bin/python -m pip install $(WANTED)
	@touch $@
