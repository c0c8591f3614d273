# Each target works alone in a fresh clone: `make demo`, `make test`.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed

.PHONY: setup demo reproduce test test-slow lint bench docs clean
.DEFAULT_GOAL := help

help:
	@echo "make setup   make $(VENV) and install the project with what its models and tests need"
	@echo "make demo    setup, then two floors, CLALA-Net and four baselines on 300 phantoms; tables in results/runs/demo"
	@echo "make reproduce   setup, then the paper's tables and Figure 3 again on phantoms, three trainings each: 87 steps, an hour and a half on two cores"
	@echo "make test    setup, then ruff, mypy and the tests"
	@echo "make test-slow   the tests that take long: trainings that are killed, a table of the paper from nothing"
	@echo "make docs    setup, then the documentation in site/"
	@echo "make bench   setup, then the speed benchmarks (ratios, measured side by side)"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; name another one: make setup PYTHON=python3.12")'
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[models,detector,llm,onnx,ray,trackers,viewer,dev]'
	@touch $(STAMP)

demo: setup
	$(PY) -m benchmark run --models constant,retrieval,clala,rgrg,cvt2distilgpt2,r2gen,tsget --metrics lesions,meteor,rouge_l,bleu,degeneration --out results/runs/demo

reproduce: setup
	$(PY) -m benchmark reproduce all --dataset phantom --seeds 3 --publish results/published/phantom

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m pytest --numprocesses auto --maxprocesses 4 --durations 15

test: lint
	$(PYTEST) --dist loadfile -m "not slow"

test-slow: setup
	$(PYTEST) --dist load -m slow

bench: setup
	for script in tests/benchmarks/*.py; do echo "== $$script"; $(PY) $$script || exit 1; done

docs: setup
	$(PY) docs/commands.py
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache
