# Everything a newcomer types. `make` alone lists the targets.
# Nothing is compiled twice: demo, tests, benchmarks and lint share one target folder, one profile and one set of
# features, so that the dependencies (the long part: about half an hour on two cores) are built once.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/casewatch/target
export CARGO_TERM_COLOR ?= auto
CASEWATCH := $(CARGO_TARGET_DIR)/release/casewatch
WHOLE := --locked --release --workspace --features casewatch/embedded
SCRIPTS := .ci/run tests/install tests/room tests/servers/kafka tests/servers/registry tests/servers/connect \
  tests/servers/postgres tests/servers/prometheus tests/servers/alertmanager tests/servers/s3 tests/servers/duckdb \
  tests/servers/deploy-linters tests/servers/chromium tests/alerts tests/dashboards tests/board-assets \
  tests/browser/screenshots

.PHONY: help demo dependencies build test test-fast check-queries check-alerts check-dashboards check-board servers bench lint fmt clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  Options: make demo ARGS='--speed max', make test ARGS='--test exactly_once', CARGO_TARGET_DIR=..."

demo: build ## Watch a simulated authority in one process (ARGS='--speed 10', '--speed max', '--port 9465', ...).
	@$(CASEWATCH) demo $(ARGS)

dependencies:
	@tests/install build
	@tests/room "$(CARGO_TARGET_DIR)"
	@cargo fetch --locked --quiet --target "$$(rustc -vV | sed -n 's/^host: //p')" || \
	  { echo "make: the crates could not be fetched: is there a network, and room in $${CARGO_HOME:-$$HOME/.cargo}?" >&2; exit 1; }

build: dependencies ## Build the program (the first time takes about half an hour: it compiles DataFusion, Delta Lake and librdkafka).
	@cargo build $(WHOLE) --bins

test: build check-queries servers check-alerts check-dashboards check-board ## Run every test, those on real Kafka, PostgreSQL with Debezium, a schema registry, an S3 server and Prometheus among them.
	@cargo test $(WHOLE) $(ARGS)

test-fast: build check-queries ## Run the tests that need no server.
	@cargo test $(WHOLE) --exclude casewatch-tests $(ARGS)

check-queries: build ## Check schemas and queries, run the queries' own tests, and see that the page of metrics is up to date.
	@$(CASEWATCH) check
	@$(CASEWATCH) test
	@$(CASEWATCH) catalogue --compare queries/METRICS.md

check-alerts: ## Check alerting rules, routing and runbooks, and run the rules' own tests.
	@tests/alerts

check-dashboards: ## Check that the Grafana dashboards are what their sources build.
	@tests/dashboards

check-board: ## Check the board's page: types, unit tests, and that services/board/dist is what its sources build.
	@tests/board-assets

servers: ## Fetch what the tests start: Kafka, Kafka Connect with Debezium, a schema registry, DuckDB, and so on.
	@for server in kafka registry connect postgres prometheus alertmanager s3 duckdb chromium python-clients jdbc; do tests/servers/$$server --fetch; done

bench: build ## Measure decoding, ingest, freshness, isolation, refresh and restart (ARGS='ingest --runs 3') on a real Kafka; prints a table and writes it as JSON.
	@cargo build $(WHOLE) --bins --example bench_decode --example refresh
	@for server in kafka registry; do tests/servers/$$server --fetch; done
	@tests/install postgres
	@$(CARGO_TARGET_DIR)/release/casewatch-bench --json $(CARGO_TARGET_DIR)/bench.json $(ARGS)

lint: dependencies ## Check layout, shell scripts, the files of deploy/ and Rust (clippy, warnings denied).
	@tests/install lint
	@cargo fmt --all --check
	@shellcheck --external-sources $(SCRIPTS)
	@tests/servers/deploy-linters
	@# Not `cargo clippy`: it would compile every dependency a second time, without code.
	@RUSTC_WORKSPACE_WRAPPER="$$(rustup which clippy-driver 2>/dev/null || command -v clippy-driver)" \
	  cargo build $(WHOLE) --all-targets

fmt: ## Lay out the Rust code.
	@tests/install lint
	@cargo fmt --all

clean: ## Remove what was built (not the servers fetched for the tests).
	@rm -rf "$(CARGO_TARGET_DIR)"
