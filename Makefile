# What people type. Everything runs from the checkout; nothing outside of it changes except by setup (Debian packages)
# and install.

PREFIX ?= /usr/local
export PREFIX DESTDIR
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/cmd:$(PATH):/usr/sbin:/sbin

# `make soak SEEDS=100000 KILLS=1000 ROUNDS=100 FUZZ_SECONDS=600` looks longer, `make soak PARTS=seeds` at some of it.
SEEDS ?= 5000
KILLS ?= 200
ROUNDS ?= 10
FUZZ_SECONDS ?= 30
PARTS ?=

.PHONY: help setup demo check lint soak bench completions bless faults install deb try-deb clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]*:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## Debian packages and .venv, where they are missing
	@packaging/setup

demo: setup ## three hosts, real guests, a live migration, a drain, a power cut
	@tests/lab/demo.sh

check: setup ## all tests: lint, fast, commands, laboratory
	@packaging/check

lint: setup ## ruff, mypy, shellcheck, mandoc
	@pytest -q -m 'not lab and not soak' tests/house/test_lint.py

soak: setup ## the long tests: SEEDS=n KILLS=n ROUNDS=n FUZZ_SECONDS=n PARTS="seeds kills ..."
	@SEEDS=$(SEEDS) KILLS=$(KILLS) ROUNDS=$(ROUNDS) FUZZ_SECONDS=$(FUZZ_SECONDS) PARTS="$(PARTS)" packaging/soak

bench: setup ## figures of this machine
	@for each in tests/bench/*; do [ -f "$$each" ] && [ -x "$$each" ] || continue; echo "== $$each"; "$$each" </dev/null || exit; done

completions: setup ## the shells' completion scripts, anew from the commands
	@python3 -m tashi.cli.completions cmd completions

bless: setup ## the logs of tests/sim/scenes, as they are now
	@tashi-sim --bless tests/sim/scenes/*.scene

faults: setup ## tashi-faults(7), anew from the tests
	@python3 -m tests.house.faults

install: setup ## an installed copy: PREFIX=/usr/local DESTDIR=
	@packaging/install

deb: setup ## Debian packages in build/deb
	@packaging/deb

try-deb: setup ## the packages, installed, used and purged on two machines with a clean Debian 12
	@packaging/try-deb

clean: ## all that was made in the checkout
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
