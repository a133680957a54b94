# Two commands matter: `make run` and `make test`.

PYTHON ?= python3
# What `make test` runs on: sqlite, mysql, postgresql, or several of them with commas.
DB ?= sqlite,mysql,postgresql
# Arguments for pytest, such as ARGS="-k flash".
ARGS ?=

BIN := .venv/bin
ADDRESS := 127.0.0.1:8000

# Without the servers, their drivers are of no use, and one of them needs a compiler.
ifeq ($(DB),sqlite)
needs := sqlite
test_environment := .venv/with-sqlite
else
needs := all
test_environment := .venv/with-all
endif

# `make bench` measures on one database.
bench_db := $(if $(filter file,$(origin DB)),mysql,$(DB))

# What `make run` runs on, and the driver that this takes.
run_environment := .venv/with-run
ifneq ($(findstring mysql,$(DATABASE_URL)),)
run_environment := .venv/with-run-mysql
else ifneq ($(findstring postgres,$(DATABASE_URL)),)
run_environment := .venv/with-run-postgres
endif

.PHONY: help run test test-environment test-cluster test-reliability test-redis bench lint types

help:
	@echo "make run             Snippetbox at http://$(ADDRESS)/"
	@echo "make test            every test: on SQLite, MariaDB and PostgreSQL, and in a browser"
	@echo "make test DB=sqlite  the tests that need no server"
	@echo "make test-reliability  the proofs of reliability at full size, with their figures"
	@echo "make test-redis      the proofs on Redis at full size: one server, Cluster, Sentinel"
	@echo "make test-cluster    the proofs on a Galera cluster of three nodes"
	@echo "make bench           speed beside other engines: DB=mysql, postgresql, sqlite or redis, ARGS=--quick"
	@echo "make lint            style (ruff)"
	@echo "make types           types (mypy)"

run: $(run_environment)
	@$(BIN)/python manage.py migrate --verbosity 0
	@echo
	@echo "Snippetbox: http://$(ADDRESS)/"
	@$(BIN)/python manage.py demo_data
	@echo
	@$(BIN)/python manage.py runserver $(ADDRESS)

test: test-environment
	@$(BIN)/python -X dev -m tests.run --db $(DB) $(ARGS)

test-environment: $(test_environment)
	@$(BIN)/python -m tests.machine $(needs)

test-reliability: test-environment
	@$(BIN)/python -X dev -m tests.run --db $(DB) tests/proofs/reliability --full -s $(ARGS)

test-redis: test-environment
	@$(BIN)/python -X dev -m pytest tests/proofs/redis --full -s $(ARGS)

test-cluster: test-environment
	@$(BIN)/python -X dev -m pytest tests/proofs/cluster --cluster -s $(ARGS)

bench: .venv/with-bench
	@$(BIN)/python -m tests.machine all
	@$(BIN)/python -m tests.bench --db $(bench_db) $(ARGS)

lint: $(test_environment)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(test_environment)
	$(BIN)/mypy

# The files say for what the environment was made, and so when it is older than the metadata.
.venv/with-run%: needs := run
.venv/with-run: package := .
.venv/with-run-mysql: package := .[example,mysql]
.venv/with-run-postgres: package := .[example,postgres]
.venv/with-sqlite: package := .[test]
.venv/with-bench: needs := all
.venv/with-bench: package := .[test,benchmark,mysql,postgres]
.venv/with-all: package := .[test,mysql,postgres]

.venv/with-%: setup.cfg pyproject.toml
	@$(PYTHON) -m tests.machine $(needs)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv && $(PYTHON) -m venv .venv; }
	$(BIN)/python -m pip install --quiet --editable '$(package)'
	@touch $@
