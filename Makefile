# `make rooms` and `make test` are all that a fresh machine needs: each sets up its own .venv first.
PYTHON ?= $(shell for v in 3.12 3.11 3.13; do command -v python$$v >/dev/null 2>&1 && python$$v -c 1 >/dev/null 2>&1 && echo python$$v && break; done || true)
ifeq ($(strip $(PYTHON)),)
PYTHON := python3
endif
BIN := .venv/bin
N ?= 110
OUT ?= shards/

# Corpora that a paper's data are made of; what is not given has an embedded stand-in.
LIBRISPEECH ?=
SPEECHOCEAN762 ?=
TAU ?=
ESC50 ?=
FSDNOISY18K ?=
MICIRP ?=
CORPORA = $(if $(LIBRISPEECH),--speech "$(LIBRISPEECH)") $(if $(SPEECHOCEAN762),--speech "$(SPEECHOCEAN762)") \
	$(if $(TAU),--scenes "$(TAU)") $(if $(ESC50),--events "$(ESC50)") $(if $(FSDNOISY18K),--events "$(FSDNOISY18K)") \
	$(if $(MICIRP),--dirs "$(MICIRP)")
DATA ?= data/
RUNS ?= runs/
PRESET ?= small
JOBS ?= 1

.PHONY: help rooms always test lint types pytest bench gpu format clean

help: ## list what make can do
	@grep -E '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

rooms: .venv/.installed ## simulate 110 rooms into shards/ (N=… OUT=… to change)
	$(BIN)/roomgen rooms --n $(N) --out $(OUT)

# A small transformer gains nothing from a second thread, and everything from a second process.
train-icl: JOBS = 2

train-%: .venv/.installed-train always ## a paper whole, such as train-goetz: data, every cell, the table (LIBRISPEECH=… PRESET=paper to change)
	@$(BIN)/roomtrain config $* --preset $(PRESET) > /dev/null
	$(BIN)/roomgen paper $* --out $(DATA)$* $(strip $(CORPORA))
	$(BIN)/roomtrain train $* --all --jobs $(JOBS) --data $(DATA)$* --out $(RUNS)$* --preset $(PRESET) --json > /dev/null
	$(BIN)/roomtrain table $* --runs $(RUNS)$*

test: lint types pytest ## lint, types and tests

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed-dev
	$(BIN)/mypy

pytest: .venv/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 8 --dist loadscope

bench: .venv/.installed-dev ## measure the engines, labels and writer
	$(BIN)/roomgen bench

gpu: .venv/.installed-train ## on a machine with a GPU, all that it must show, into gpu.json: ten minutes at most
	$(BIN)/roomtrain gpu --out gpu.json

format: .venv/.installed-dev ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment and caches; datasets stay
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache

# A mark file per set of packages: nothing is installed again until pyproject.toml changes.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Python {v[0]}.{v[1]} found; roomgen needs 3.11, 3.12 or 3.13: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.installed-train: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[train,tts]"
	@touch $@ .venv/.installed

.venv/.installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@ .venv/.installed .venv/.installed-train
