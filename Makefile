# Two commands matter: `make run` and `make test`. The rest is for those who work on it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON := .venv/bin/python
PACKAGES := $(wildcard card_protocol hce sdk_mobile reader_bridge backend tools tests wsgi.py)
# Two processes on two cores; `make test WORKERS=0` runs in one, for a debugger.
WORKERS ?= 2
PYTEST_ARGS ?=

.PHONY: help run test check format story migrate lock bench-tap bench-ledger bench-payments bench-card bench-codes bench-reader chaos fuzz clean setup setup-dev

help: ## say what can be made (this list)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@scripts/setup

setup-dev:
	@scripts/setup --dev

run: setup ## start the demo city: public network on 8080, internal on 8081, worker
	@$(PYTHON) -m backend run

story: setup ## play the main story on a fresh temporary instance
	@$(PYTHON) -m tools.story

test: setup-dev ## set up, check, and run every test
	@$(MAKE) --no-print-directory check
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

check: setup-dev ## style, types, arrows between packages, the repository's own rules
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check $(PACKAGES)
	$(PYTHON) -m mypy --explicit-package-bases $(filter-out tests,$(PACKAGES))
	.venv/bin/lint-imports --no-cache
	$(PYTHON) -m tools.repo_rules

format: setup-dev ## let ruff lay out the code
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format $(PACKAGES)

migrate: setup ## bring the three databases under var/ to the newest schema
	@$(PYTHON) -m backend migrate

lock: setup ## resolve requirements*.in into requirements*.txt
	@$(PYTHON) -m tools.lock

bench-tap: setup ## 200 taps at the PC/SC terminal, card answer to printed receipt
	@$(PYTHON) -m tools.bench_tap

bench-ledger: setup-dev ## postings over pgbench, under a minute; LONG=1 has 10^7 accounts
	@$(PYTHON) -m tools.benches.ledger $(if $(LONG),--long)

bench-payments: setup-dev ## payments over HTTP against their peers, under a minute; LONG=1 has longer rounds
	@$(PYTHON) -m tools.benches.payments $(if $(LONG),--long)

bench-card: setup-dev ## commands to a card in software through pcscd, under a minute; LONG=1 has longer rounds
	@$(PYTHON) -m tools.benches.card $(if $(LONG),--long)

bench-codes: setup-dev ## codes over the bare signature or HMAC check, under a minute; LONG=1 has longer rounds
	@$(PYTHON) -m tools.benches.codes $(if $(LONG),--long)

bench-reader: setup-dev ## the reader bridge offline: taps, decisions, ride codes, kills, under a minute; LONG=1 has longer rounds
	@$(PYTHON) -m tools.benches.reader $(if $(LONG),--long)

chaos: setup-dev ## kill -9, storms, full disks: half an hour; SEED=… plays a run again, ONLY=workers a part
	@$(PYTHON) -m tools.chaos $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

fuzz: setup-dev ## 10^6 mutated commands, frames and codes each, then atheris; SEED=… again, ONLY=… a part, COUNT=…
	@$(PYTHON) -m tools.fuzz $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(if $(COUNT),--count $(COUNT))

clean: ## remove databases, caches and the environment
	rm -rf .venv var .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
