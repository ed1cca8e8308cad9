# make sweep: the twelve-network demo and its report.  make docs: the site (needs Quarto).  make preview: the same pages without it, in _preview.
# make test: notebooks and tests, in minutes.  make types: the type hints.  make test-all: the slow ones too.  make test-lowest and make matrix: other versions and processors.
PYTHON ?= python3
BIN = .venv/bin
READY = .venv/.installed

$(READY): constraints.txt settings.ini setup.py pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'xainb needs Python 3.10 or newer, not ' + sys.version.split()[0])"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev,oracles,browser]'
	touch $@

.PHONY: sweep types test test-all test-lowest matrix docs preview
sweep: $(READY)
	$(BIN)/xainb-sweep --profile demo

PYTEST = $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --durations 15
test: $(READY)
	$(PYTEST) -m 'not slow'

test-all: $(READY)
	$(PYTEST)

test-lowest: $(READY) # In an environment of its own, with the lowest versions that settings.ini declares
	$(BIN)/uv venv -q --clear --python $(BIN)/python .lowest
	$(BIN)/uv pip install -q --compile-bytecode --python .lowest/bin/python --resolution lowest-direct -e '.[dev]'
	.lowest/bin/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder -m 'not slow'

matrix: $(READY)
	$(BIN)/python tests/matrix.py

types: $(READY) # The hints of the code, and strictly those that a user's program meets
	$(BIN)/python -m mypy -p xainb
	$(BIN)/python -m mypy --enable-error-code attr-defined --enable-error-code arg-type --enable-error-code call-arg tests/typed_use.py

docs: $(READY)
	@command -v quarto >/dev/null || { echo 'the site needs Quarto: https://quarto.org/docs/get-started/ (make preview does without)'; exit 1; }
	PYTHONPATH=docs $(BIN)/nbdev-docs

preview: $(READY)
	$(BIN)/python docs/preview.py
