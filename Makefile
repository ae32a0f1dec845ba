# Two commands do all the set-up on a fresh machine:  make ground  and  make test.
# Each makes an environment in .venv, installs into it, and does its job. PYTHON chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: ground test lint check test-web demo docs clean

# A stamp per set of packages, so that a second run installs nothing.
$(VENV)/base.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	touch $(VENV)/base.stamp $@

ground: $(VENV)/base.stamp  ## find three sentences in the sample video
	$(BIN)/hawkeye ground examples/space_cat_coffee.mp4 "A cat looks into the camera." \
	  "A rocket lifts off from the launch pad." "A cup of coffee on a wooden table." --picture out/ground.png

lint: $(VENV)/dev.stamp  ## style, spelling, types, layers
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/codespell src tests benchmarks examples docs README.md CHANGELOG.md CONTRIBUTING.md configs
	$(BIN)/lint-imports
	$(BIN)/pyright

check: $(VENV)/dev.stamp  ## the tests alone
	$(BIN)/python -m pytest -n 2 --dist loadfile

test: lint check  ## everything that CI runs

test-web: $(VENV)/dev.stamp  ## the page in a real browser; needs to be root where chromium is not installed yet
	command -v chromedriver chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium chromium-driver; }
	$(BIN)/python -m pytest -m web tests/integration/demo

docs: $(VENV)/dev.stamp  ## the documentation site, in site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

demo: $(VENV)/dev.stamp  ## the web page
	$(BIN)/hawkeye demo

clean:
	rm -rf $(VENV) build dist out
