# Two commands do everything on a machine with Python 3.11+ and make:
#   make study   install, then tune a CNN that tells 700 products by their bundled titles
#   make test    install the test extras, then run every test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: study test test-docs test-system test-team test-slurm test-kubernetes test-ray test-ssh test-root test-callbacks test-gpu chaos docs lint install install-test install-docs clean

study: install
	$(BIN)/studies launch products-cnn --workers 2

# Two at a time, file by file: most of the time is spent waiting for leases to end and servers to come back.
test: install-test
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Every block of the documentation, the examples in docstrings, and the built site.
test-docs: install-test install-docs
	$(BIN)/python -m pytest -n 2 tests/docs

# The documentation as a site: build/site/index.html. A link that leads nowhere fails.
docs: install-docs
	$(BIN)/python docs/build.py
	$(BIN)/zensical build --strict --clean --config-file build/zensical.toml

# What no wheel brings: the report's page and the dashboard in a real Chromium, hundreds of workers behind a real PgBouncer.
# And a longer scan of the dashboard's API than `make test` has.
test-system: install-test build/axe/installed
	$(BIN)/python -m pytest tests/browser tests/pooler
	N_EXAMPLES=50 $(BIN)/python -m pytest tests/integration/test_dashboard_api.py

# A team's server, killed nine times under a study of 120 trials. `make test` has a short form of it.
test-team: install-test
	$(BIN)/python -m pytest tests/team

# Workers on a real Slurm of this machine alone: at their time limit, preempted, cancelled, stopped. As root.
test-slurm: install-test
	$(BIN)/python -m pytest tests/slurm

# Workers in the pods of a stand-in for a Kubernetes cluster: killed, evicted, out of memory, stopped.
# `make test` has a short form of it.
test-kubernetes: install-test
	$(BIN)/python -m pytest tests/kubernetes

# What only root may do: a full disk under the server, a worker that the kernel kills for lack of memory.
test-root: install-test
	$(BIN)/python -m pytest tests/root

# Two machines with an OpenSSH server each, made by root on this one: cut, given up, interrupted, killed.
test-ssh: install-test
	$(BIN)/python -m pytest tests/ssh

# The callbacks for Lightning, transformers and Keras with the real libraries, in an environment of their own.
test-callbacks: build/callbacks/installed
	build/callbacks/bin/python -m pytest tests/callbacks

# Everything that needs an NVIDIA GPU; without one it is skipped, and says so.
test-gpu: install-test
	$(BIN)/python -m pytest tests/gpu

# Workers on a Ray cluster of this machine: nodes are lost, one is drained, the head goes.
test-ray: install-test $(VENV)/installed-ray
	$(BIN)/python -m pytest tests/ray

# A study on two hosts is hurt for five minutes; nothing may be lost. As root with real networks and a real full disk.
# `make test` has a short form of it.
chaos: install
	$(BIN)/python benchmarks/chaos.py --minutes 5 --workers 2

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(VENV)/installed
install-test: $(VENV)/installed-test
install-docs: $(VENV)/installed-docs

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("studies needs Python 3.11 or newer; type: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@ $(VENV)/installed

$(VENV)/installed-docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@ $(VENV)/installed

$(VENV)/installed-ray: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[ray]'
	touch $@ $(VENV)/installed

build/callbacks/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m venv build/callbacks
	build/callbacks/bin/pip install --quiet --constraint constraints.txt --editable '.[test,callbacks]'
	touch $@

# axe-core, as that wheel carries it: without Playwright, which it is made for.
build/axe/installed: constraints.txt | $(VENV)/installed-test
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps --upgrade --target build/axe axe-playwright-python
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
