# The commands of the project. `make` alone lists them.
#
# A fresh Debian or Ubuntu machine needs git, make and a Rust toolchain; `make deps` installs the rest through apt, and
# every command that builds does so first. Nothing is installed where nothing is missing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps demo test test-long lint bench fmt

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

# With the MPI build of HDF5 installed as well, pkg-config may answer with that one. The default build wants the serial one.
HDF5_SERIAL := $(firstword $(wildcard /usr/lib/*-linux-gnu/hdf5/serial))
ifeq ($(origin HDF5_DIR),undefined)
ifneq ($(findstring mpi,$(shell pkg-config --libs hdf5 2>/dev/null)),)
export HDF5_DIR := $(HDF5_SERIAL)
endif
endif

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do \
		printf 'make %-12s %s\n' "$$name" "$$text"; done

deps: ## install what a build needs and this machine lacks
	@CARGO=$(CARGO) .ci/deps

demo: deps ## build gsc, then train and evaluate on the Debian archive, with and without the graph
	$(CARGO) build --release
	$(TARGET)/release/gsc run examples/debian/columns.gsl
	$(TARGET)/release/gsc run examples/debian/sections.gsl

# Tests that take minutes have names that begin with `long_`.
test: lint ## every check and every test but the long ones
	@if $(CARGO) nextest --version >/dev/null 2>&1; then set -x; $(CARGO) nextest run --workspace --no-fail-fast -E 'not test(/(^|::)long_/)'; \
	else set -x; $(CARGO) test --workspace --no-fail-fast -- --skip long_; fi

test-long: deps ## the tests that take minutes: published accuracies over many seeds
	@if $(CARGO) nextest --version >/dev/null 2>&1; then set -x; \
	$(CARGO) nextest run --workspace -E 'test(/(^|::)long_/)' --no-tests pass --no-capture --no-fail-fast; \
	else set -x; $(CARGO) test --workspace --no-fail-fast -- long_ --nocapture; fi

lint: ## formatting and clippy, warnings denied
	@CARGO=$(CARGO) .ci/deps rustfmt clippy
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

bench: deps ## construction, sampler, traversal kernels and matrix products against the ceilings of this machine
	$(CARGO) bench --workspace

fmt: ## format the Rust code
	$(CARGO) fmt --all
