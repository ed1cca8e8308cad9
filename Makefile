# make sweep: the twelve-network demo and its report.  make test: notebooks and tests.  make docs: the site (needs Quarto).
PYTHON ?= python3
BIN = .venv/bin
READY = .venv/.installed

$(READY): constraints.txt settings.ini setup.py pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'xainb needs Python 3.10 or newer, not ' + sys.version.split()[0])"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[dev,oracles]'
	touch $@

.PHONY: sweep test docs
sweep: $(READY)
	$(BIN)/xainb-sweep --profile demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadgroup --durations 8

docs: $(READY)
	@command -v quarto >/dev/null || { echo 'the site needs Quarto: https://quarto.org/docs/get-started/'; exit 1; }
	$(BIN)/nbdev-docs
