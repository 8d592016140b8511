# One place for everything: `make setup | demo | test | check | bench | dist | dist-test | clean`.
# CI runs what you run. `make test ONLY=python` and `make check ONLY=clippy` run one suite alone.

PYTHON ?= python3
export PYTHON
VENV := .venv/bin
ONLY ?=
TARGET ?=
COUNT ?= 100000
SEED ?= 1
V ?=
WORDS ?=
ROUNDS ?=
SECONDS ?=
WRITE ?=
RUNTIME ?=
PAUSES ?= 20
CREWS ?= 1

# The Node addon's builder names its target even where that is this machine; where all builds do, they share artefacts.
CARGO_BUILD_TARGET ?= $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
export CARGO_BUILD_TARGET

# What the Python and the Node package are built from.
CARGO_FILES := Cargo.toml $(wildcard Cargo.lock) $(wildcard */Cargo.toml)
CORE := $(CARGO_FILES) $(shell find core/src cli/src -type f 2>/dev/null)
PYTHON_SOURCES := $(CORE) pyproject.toml $(shell find bindings-python/src -type f 2>/dev/null)
NODE_SOURCES := $(CORE) package.json $(shell find bindings-node/src bindings-node/src-ts bindings-node/*.rs bindings-node/*.json -type f 2>/dev/null)

.PHONY: help setup servers rust demo test fuzz check chaos bench jepsen sanitize dist dist-test version docs docs-look clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo    build, then watch three workers of two languages share one lock'
	@echo 'make test    every test of every language   (one suite: make test ONLY=python)'
	@echo 'make check   formatters, linters, type checkers   (one: make check ONLY=clippy)'
	@echo 'make chaos   every fault on every topology in every language   (some: make chaos WORDS="reply cluster"; an hour: SECONDS=3600)'
	@echo 'make bench   this project beside its peers (some rows: make bench ROWS=rust_sync,node; in short: BENCH_QUICK=1)'
	@echo 'make jepsen  what paused programs lose, with this lock and with its peers   (longer: PAUSES=500 CREWS=12; some rows: ONLY=redlock)'
	@echo 'make sanitize   the tests of all languages under AddressSanitizer   (one: make sanitize WORDS=Node)'
	@echo 'make dist    what a release is made of, into dist/   (some: make dist ONLY=wheel TARGET=x86_64-unknown-linux-gnu)'
	@echo 'make dist-test   installs what is in dist/ into clean places, and runs it there   (some: ONLY=wheel RUNTIME="CPython 3.12")'
	@echo 'make docs    build the pages and the references of all languages into site/   (in a browser: make docs-look)'
	@echo 'make setup   only install and build what the others need'
	@echo 'make clean   remove what all of these made'

setup: servers .venv/.stamp-leaselock .venv-oldest/.stamp node_modules/.stamp-leaselock rust

.venv/.stamp-requirements: tests/requirements.txt scripts/setup.sh
	@scripts/setup.sh tools
	@scripts/setup.sh python
	@touch $@

# The Python package, editable, with its extension built in the dev profile.
.venv/.stamp-leaselock: .venv/.stamp-requirements $(PYTHON_SOURCES)
	@echo 'setup: building the Python package (the first build compiles everything and takes some minutes)'
	@env -u CONDA_PREFIX VIRTUAL_ENV=$(CURDIR)/.venv $(VENV)/maturin develop --locked
	@touch $@

# The oldest versions of the frameworks that the package has modules for.
.venv-oldest/.stamp: tests/requirements-oldest.txt scripts/setup.sh pyproject.toml | .venv/.stamp-leaselock
	@scripts/setup.sh oldest
	@touch $@

node_modules/.stamp-packages: package.json $(wildcard package-lock.json) | .venv/.stamp-requirements
	@echo 'setup: installing the Node packages'
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# The Node package, with its addon built in the dev profile.
node_modules/.stamp-leaselock: node_modules/.stamp-packages $(NODE_SOURCES)
	@echo 'setup: building the Node package'
	@npm run --silent build:debug
	@touch $@

# Every Rust program and test, so that the tests themselves build nothing.
rust: .venv/.stamp-requirements
	@echo 'setup: building the Rust programs and tests'
	@cargo build --locked --workspace --all-targets

servers: .venv/.stamp-requirements
	@scripts/setup.sh servers

demo: .venv/.stamp-leaselock node_modules/.stamp-leaselock
	@$(VENV)/python examples/demo/demo.py

test: setup
	@$(VENV)/python scripts/suites.py test $(ONLY)

# Bytes, URLs, names and servers that nobody would make: `make fuzz COUNT=5000000 SEED=2 TARGET=replies`.
fuzz:
	@cargo run --locked -p leaselock-fuzz --features targets -- --count $(COUNT) --seed $(SEED) $(TARGET)

check: .venv/.stamp-leaselock node_modules/.stamp-leaselock .venv/.stamp-docs .venv/.stamp-supply scripts/docs/node_modules/.stamp
	@$(VENV)/python scripts/suites.py check $(if $(ONLY),'$(ONLY)')

# Each fault on each topology in each language; docs/chaos.md says more. `WRITE=1` writes its table there.
chaos: setup
	@$(VENV)/python tests/chaos/run.py $(if $(WRITE),--write) $(addprefix --rounds=,$(ROUNDS)) $(addprefix --seconds=,$(SECONDS)) $(WORDS)

# The results are in benches/RESULTS.md. `ROWS=core` runs the core alone, for regressions.
bench: servers node_modules/.stamp-packages
	@benches/setup.sh
	@benches/.venv/bin/python benches/run.py $(ROWS)

# What paused programs lose with this lock and with others: docs/jepsen.md. `ONLY=redlock` runs the rows with that word.
jepsen: setup
	@benches/setup.sh peers
	@$(VENV)/python tests/jepsen/run.py --pauses $(PAUSES) --crews $(CREWS) --only '$(ONLY)'

# The unsafe code and SQLite, under a sanitizer that is built into everything: Rust, Python, Node. Some words choose rows.
sanitize: servers .venv/.stamp-leaselock node_modules/.stamp-leaselock
	@$(VENV)/python tests/sanitizers/run.py $(WORDS)

# What registries get: wheels, sdist, crates, npm packages, the command line. Its tools go into .venv-dist and .dist.
dist:
	@$(PYTHON) scripts/dist build $(ONLY) $(addprefix --target=,$(TARGET))

# Installs each into a clean place, and runs the quickstarts on every store.
dist-test:
	@scripts/setup.sh servers
	@$(PYTHON) scripts/dist test $(ONLY) $(if $(RUNTIME),--runtime='$(value RUNTIME)')

# `make version V=0.2.0` sets it wherever it stands, and begins its section of the changelog.
version:
	@$(PYTHON) scripts/version.py $(if $(V),set $(V),check)

# The pages, and the reference of each language, in site/.
.venv/.stamp-docs: scripts/docs/requirements.txt .venv/.stamp-requirements
	@$(VENV)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# What looks at the packages of others.
.venv/.stamp-supply: scripts/supply/requirements.txt .venv/.stamp-requirements
	@$(VENV)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

scripts/docs/node_modules/.stamp: scripts/docs/package-lock.json scripts/docs/package.json
	@npm ci --prefix scripts/docs --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

docs: .venv/.stamp-docs scripts/docs/node_modules/.stamp node_modules/.stamp-packages
	@scripts/docs/build.sh

# Every page in a browser, wide and narrow, light and dark: CHROMIUM says where one is.
docs-look: docs
	@node scripts/docs/look.mjs

clean:
	rm -rf target dist site .dist .venv-dist .venv-oldest .venv node_modules scripts/docs/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis benches/target benches/.venv benches/node/node_modules tests/toolchains/node_modules tests/toolchains/build tests/frameworks/node/build tests/frameworks/node/*/build tests/frameworks/node/*/node_modules
