# make demo | test | lint | bench | docs
#
# Each target makes a virtual environment in $(VENV) if there is none and installs what it needs, once for each state of
# pyproject.toml. Another interpreter: make test PYTHON=python3.13. More test processes: make test WORKERS=8.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
OUT ?= out
SUITES ?=

bin := $(VENV)/bin
install := $(bin)/python -m pip install --quiet --quiet --disable-pip-version-check --editable

.DELETE_ON_ERROR:
.PHONY: demo test lint bench docs

# Train a small net on handwritten digits; the results are in out/demo/.
demo: $(VENV)/demo.stamp
	@$(bin)/autodiff demo

test: $(VENV)/dev.stamp
	$(bin)/python -m pytest -n $(WORKERS) --dist worksteal

lint: $(VENV)/dev.stamp
	$(bin)/ruff check
	$(bin)/mypy
	$(bin)/python -m pytest tests/test_floors.py tests/test_docstrings.py -k "not examples"

# All suites take hours; make bench SUITES=--quick looks at each and takes five minutes.
bench: $(VENV)/dev.stamp
	$(bin)/python -m benchmarks $(SUITES) --out $(OUT)/benchmarks

# The reference of both packages, from their docstrings.
docs: $(VENV)/docs.stamp
	$(bin)/pdoc --docformat google --math --output-directory $(OUT)/docs autodiff autodiff_kernels

$(VENV)/pyvenv.cfg:
	@echo "Making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "Installing autodiff and what the demo needs into $(VENV)"
	@$(install) ".[draw,data,plots]"
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "Installing autodiff and the development tools into $(VENV)"
	@$(install) ".[dev]"
	@touch $@ $(VENV)/demo.stamp

$(VENV)/docs.stamp: pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "Installing autodiff and the documentation tools into $(VENV)"
	@$(install) ".[docs]"
	@touch $@
