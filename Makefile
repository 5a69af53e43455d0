# `make demo` and `make test` need Python 3.10 or newer, make and a package index; everything else they set up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OLDEST := .venv-oldest
# Packages are compiled as they are imported, and once: most of their files never are.
PIP_INSTALL := -m pip install --quiet --no-compile
WORKERS := --numprocesses auto --maxprocesses 4 --dist worksteal
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-oldest lint format clean

# The demo's model is so small that a second thread gains little, and loses much when other work shares the cores.
demo: export OMP_NUM_THREADS ?= 1
demo: $(INSTALLED)  ## train, score and use a tagger on the built-in corpus
	$(BIN)/python scripts/train.py configs/quickstart.yaml
	printf '%s\n' $(EXAMPLES) | $(BIN)/python scripts/predict.py outputs/quickstart

test: $(INSTALLED) lint  ## style, types and tests
	$(BIN)/python -m pytest $(WORKERS)

# That version divides the gradient of accumulated steps once too often, and copies no code that code of a folder imports.
test-oldest: $(OLDEST)/.installed  ## models, checkpoints and the Hub on the oldest transformers that is allowed
	$(OLDEST)/bin/python -m pytest $(WORKERS) tests/test_checkpoints.py tests/models/test_configuration.py \
		tests/models/test_hostile_checkpoints.py tests/models/test_modeling.py tests/models/test_pipeline.py \
		tests/hub/test_pull.py tests/hub/test_push.py \
		-k "not accumulated_gradients and not travels and not processes and (models or checkpoint or same_answers or pushes or generic)"

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(OLDEST) outputs

$(INSTALLED): pyproject.toml native/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --editable ./native --editable ".[dev]"
	touch $@

$(OLDEST)/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python $(PIP_INSTALL) --constraint constraints-oldest.txt --editable . \
		hypothesis pytest pytest-timeout pytest-xdist pytorch-crf
	touch $@

EXAMPLES := "昨天上午，周晓岚在广州参加了东海大学的毕业典礼。" "今年夏天，爷爷打算和老李去黄河边钓鱼。"
