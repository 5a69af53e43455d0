# `make demo` and `make test` need Python 3.10 or newer, make and a package index; everything else they set up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint format clean

# The demo's model is so small that a second thread gains little, and loses much when other work shares the cores.
demo: export OMP_NUM_THREADS ?= 1
demo: $(INSTALLED)  ## train, score and use a tagger on the built-in corpus
	$(BIN)/python scripts/train.py configs/quickstart.yaml
	printf '%s\n' $(EXAMPLES) | $(BIN)/python scripts/predict.py outputs/quickstart

test: $(INSTALLED) lint  ## style, types and tests
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) outputs

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

EXAMPLES := "昨天上午，周晓岚在广州参加了东海大学的毕业典礼。" "今年夏天，爷爷打算和老李去黄河边钓鱼。"
