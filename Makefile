# Every target sets up what it needs. Needs Python 3.11 or newer; see tools/setup.sh.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
# some machines forbid Python to keep what it compiled: then each process of a fleet starts with that, for a second or two
unexport PYTHONDONTWRITEBYTECODE
CHAOS = $(if $(STORE),--store $(STORE)) $(if $(SEED),--seed $(SEED)) $(if $(KILLS),--kills $(KILLS)) $(if $(BROKER),--broker $(BROKER)) \
	$(if $(FAULT),--fault $(FAULT)) $(if $(INDEX),--index $(INDEX))

HYPERTABLES = tests/timescale tests/integration tests/conformance tests/migration tests/faults/test_database.py \
	tests/acceptance/test_exactly_once.py tests/acceptance/test_reversal.py tests/acceptance/test_odd_files.py

ELASTIC = $(if $(BROKER),--broker $(BROKER)) $(if $(NODES),--nodes $(NODES)) $(if $(WORKERS),--workers $(WORKERS))

.PHONY: help demo up test test-storage test-timescale conformance gold growing hosts service chaos chaos-long chaos-proof fair burst soak rolling fault-soak faults-long faults-proof real-data same upgrade fuzz fuzz-messages image-steps lint lock audit-deps docs wheel bench bench-quick bench-latency bench-memory bench-audit bench-sizing clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.has-demo: pyproject.toml tools/setup.sh requirements/demo.txt
	@sh tools/setup.sh embedded,demo

.venv/.has-dev: pyproject.toml tools/setup.sh requirements/dev.txt
	@sh tools/setup.sh embedded,dev

.venv/.has-docs: pyproject.toml tools/setup.sh requirements/docs.txt
	@sh tools/setup.sh docs

.venv/.has-bench: pyproject.toml tools/setup.sh requirements/bench.txt
	@sh tools/setup.sh embedded,dev,bench

demo: .venv/.has-demo ## the main job on real files, from dropped file to rows, in a minute
	@$(BIN)/python demo/run.py

up: .venv/.has-demo ## run the whole stack on the demo's project, with Flower; Ctrl-C stops it
	@$(BIN)/python demo/project.py
	@cd .demo && ../$(BIN)/python -m sensorflow up

test: .venv/.has-dev ## all tests, against real PostgreSQL, Valkey, RabbitMQ and Prometheus
	@sh tools/rabbitmq.sh
	@sh tools/pgbouncer.sh
	@sh tools/prometheus.sh
	@sh tools/systemd.sh
	@$(BIN)/python -m pytest -n 6 --dist loadfile $(TESTS)

test-storage: .venv/.has-dev ## acceptance and integration tests with all zones in a bucket of a real S3 server: STORE=s3 TESTS=
	@sh tools/rabbitmq.sh
	@sh tools/pgbouncer.sh
	@sh tools/prometheus.sh
	@SENSORFLOW_TEST_STORE=$(or $(STORE),s3) $(BIN)/python -m pytest -n 6 --dist loadfile $(or $(TESTS),tests/acceptance tests/integration)

test-timescale: .venv/.has-dev ## the tests with a database on a real TimescaleDB: its own, as root, or SENSORFLOW_TEST_TIMESCALE_URL
	@sh tools/rabbitmq.sh
	@sh tools/pgbouncer.sh
	@sh tools/prometheus.sh
	@root=$${SENSORFLOW_TEST_TIMESCALE_URL:-$$(sh tools/timescale.sh)} && \
		PYTHONPATH=.:tests $(BIN)/python tests/on_timescale.py "$$root" -n 4 --dist loadfile $(or $(TESTS),$(HYPERTABLES))

conformance: .venv/.has-dev ## the contracts of all ports on all adapters, a line each; Azure and Google are here alone, S3 also in make test
	@sh tools/rabbitmq.sh
	@sh tools/azurite.sh
	@PYTHONPATH=.:tests $(BIN)/python tests/conformance_report.py

faults-long: .venv/.has-dev ## the faults with outages of a minute
	@sh tools/rabbitmq.sh
	@SENSORFLOW_LONG=1 $(BIN)/python -m pytest tests/faults

faults-proof: .venv/.has-dev ## each fault's test must notice the loss of its guard; FAULTS="8 12"; half an hour
	@sh tools/rabbitmq.sh
	@sh tools/pgbouncer.sh
	@$(BIN)/python tests/faults/guards.py

chaos: .venv/.has-dev ## 200 kills on each broker, nothing lost: SEED= KILLS= BROKER= FAULT=kills|broker|database|commit|store INDEX=deferred STORE=s3
	@sh tools/rabbitmq.sh
	@PYTHONPATH=.:tests $(BIN)/python -m chaos $(CHAOS)

chaos-long: ## the same with 2,000 kills; an hour
	@$(MAKE) --no-print-directory chaos KILLS=2000

hosts: .venv/.has-dev ## each host in turn is cut off for two minutes, then killed, nothing lost: SEED= CUT=120 HOSTS="worker1 daemon" BROKER= STORE=s3; root
	@sh tools/rabbitmq.sh
	@PYTHONPATH=.:tests $(BIN)/python -m hosts

growing: .venv/.has-dev ## a logger writes 1,000 lines a second for two minutes, daemon and workers are killed ten times
	@SENSORFLOW_GROWING="1000 120 10" $(BIN)/python -m pytest tests/acceptance/test_growing_logger.py

fair: .venv/.has-dev ## 20,000 files of one source, and what a file of another one waits meanwhile: FILES= BROKER=
	@sh tools/rabbitmq.sh
	@PYTHONPATH=.:tests $(BIN)/python tests/fair.py $(if $(FILES),--files $(FILES)) $(if $(BROKER),--broker $(BROKER))

burst: .venv/.has-dev ## 2,000 files at once: how soon the pools grow and shrink, nothing lost: FILES= BROKER= NODES=1 WORKERS=4 PLOT=docs/burst.svg
	@sh tools/rabbitmq.sh
	@PYTHONPATH=.:tests $(BIN)/python -m elastic.burst $(ELASTIC) $(if $(FILES),--files $(FILES)) $(if $(PLOT),--plot $(PLOT))

soak: .venv/.has-dev ## 80 % of what the fleet can do, for MINUTES=30: what grows, and what an idle fleet costs: BROKER= WORKERS=
	@sh tools/rabbitmq.sh
	@PYTHONPATH=.:tests $(BIN)/python -m elastic.soak $(ELASTIC) $(if $(MINUTES),--minutes $(MINUTES))

rolling: .venv/.has-dev ## two autoscaled nodes under load: daemon and workers restarted, killed, cut off, nothing lost: BROKER= WORKERS=2; root
	@sh tools/rabbitmq.sh
	@PYTHONPATH=.:tests $(BIN)/python -m elastic.rolling $(ELASTIC)

fault-soak: .venv/.has-dev ## every fault of a fleet's surroundings once a minute: MINUTES=15 SEED= BROKER=; needs root
	@sh tools/rabbitmq.sh
	@PYTHONPATH=.:tests $(BIN)/python -m chaos --soak $(or $(MINUTES),15) $(CHAOS)

gold: .venv/.has-dev ## random changes and kills, and aggregates that equal the readings each time: STEPS= SEED=
	@GOLD_STEPS=$(or $(STEPS),1000) GOLD_SEED=$(or $(SEED),0) $(BIN)/python -m pytest -q -s tests/integration/test_gold.py

chaos-proof: .venv/.has-dev ## the harness finds seven bugs that are planted in copies of the code
	@PYTHONPATH=.:tests $(BIN)/python -m chaos --proof

real-data: .venv/.has-dev ## real files of real loggers through the pipeline, a line each; SNIFF=1: read by what sniff proposes
	@PYTHONPATH=tests $(BIN)/python tests/real_data/$(if $(SNIFF),sniffed,run).py

same: .venv/.has-dev ## a fixed corpus through BASE=<commit> and this tree, all compared: EXPECT="regex" declares differences; PROOF=1: planted bugs
	@PYTHONPATH=.:tests $(BIN)/python -m same $(if $(PROOF),--proof,$(BASE)) $(if $(EXPECT),--expect '$(EXPECT)')

upgrade: .venv/.has-dev ## host by host from BASE=v0.2.0 to this tree, files in flight and kills on both sides: SEED= BROKER=
	@sh tools/rabbitmq.sh
	@PYTHONPATH=.:tests $(BIN)/python -m upgrade $(if $(BASE),--base $(BASE)) $(if $(SEED),--seed $(SEED)) $(if $(BROKER),--broker $(BROKER))

fuzz: .venv/.has-dev ## ten minutes of broken files: FUZZ_SECONDS=600
	@$(BIN)/python tests/fuzz/sniffed.py --seconds $$(( $${FUZZ_SECONDS:-600} / 5 ))
	@$(BIN)/python tests/fuzz/fuzz.py --seconds $${FUZZ_SECONDS:-600}

fuzz-messages: .venv/.has-dev ## 5,000 spoiled messages on each broker, with good files in between: MESSAGES= SEED=
	@sh tools/rabbitmq.sh
	@MESSAGES=$${MESSAGES:-5000} $(BIN)/python -m pytest tests/fuzz/test_messages_fuzz.py

service: .venv/.has-dev ## a systemd of its own boots the project as a service, which is killed, stopped, booted again; root
	@sh tools/systemd.sh
	@PYTHONPATH=.:tests $(BIN)/python -m service

image-steps: .venv/.has-dev ## the steps of docker/Dockerfile without Docker, in a bare Debian; root, a few minutes
	@$(BIN)/python tools/image_steps.py

lint: .venv/.has-dev ## format, lint, types, and which way imports run
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: .venv/.has-dev ## resolve pyproject.toml anew into requirements/: UPGRADE=1 takes the newest of all
	@sh tools/lock.sh $(if $(UPGRADE),--upgrade)

audit-deps: .venv/.has-dev ## known vulnerabilities of the locked packages (pip-audit); says so where no advisory source answers
	@sh tools/audit_deps.sh

docs: .venv/.has-docs ## the documentation as a site in .build/site, with links, anchors and navigation checked
	@PYTHONPATH=tools $(BIN)/python -m manual

wheel: .venv/.has-dev ## dist/sensorflow_pipeline-*.whl, with all that is needed at run time
	@rm -rf dist
	@$(BIN)/python -m hatchling build -t wheel

bench: .venv/.has-bench ## all benchmarks, then docs/explanation/performance.md from them; hours. NAMES="throughput ledger" for these alone
	@$(BIN)/python -m benchmarks $(NAMES)
	@$(BIN)/python -m benchmarks.report

bench-quick: .venv/.has-bench ## the figures that changes are judged by, in four minutes
	@$(BIN)/python -m benchmarks --quick

bench-latency: .venv/.has-demo ## from a file's rename to its rows' commit
	@PYTHONPATH=. $(BIN)/python benchmarks/latency.py --json benchmarks/results/latency.json

bench-memory: .venv/.has-dev ## peak memory of a worker against the size of its file, to 2 GB; half an hour
	@PYTHONPATH=. $(BIN)/python benchmarks/memory.py --json benchmarks/results/memory.json

bench-audit: .venv/.has-dev ## seconds and memory of sensorflow audit over 10 million readings
	@PYTHONPATH=. $(BIN)/python benchmarks/audit.py --json benchmarks/results/audit.json

bench-sizing: .venv/.has-dev ## connections, memory and disk of a fleet on each broker: CHILDREN=4
	@sh tools/rabbitmq.sh
	@for broker in valkey rabbitmq; do PYTHONPATH=. $(BIN)/python benchmarks/sizing.py --broker $$broker \
		--children $(or $(CHILDREN),4) --json benchmarks/results/sizing.json; done

clean: ## remove what these targets made
	rm -rf .venv .demo .build dist
