# Every target makes the virtual environment first; CI calls the same targets.
PYTHON ?= python3
BIN := .venv/bin

# Images: `make images BASE=debian:trixie-slim@sha256:... PLATFORM=linux/arm64` for another base or
# another kind of machine.
IMAGES := broker detector forwarder processor gallery enroll
# Tests run side by side: they mostly wait.
WORKERS ?= 3
# `make test-clocks CLOCKS=00:00:30 TESTS=tests/integration/gallery`
CLOCKS ?= 00:00:30 12:00:00 23:30:00
TESTS ?=
# `make fuzz MINUTES=1 TARGETS="mqtt s3"`
MINUTES ?= 10
TARGETS ?=

# `make test-upgrade FROM=<commit>`; without a release yet, before devices were given one file.
FROM ?= $(shell git describe --tags --abbrev=0 2>/dev/null || echo 3e50e09)

BASE ?= debian:trixie-slim
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' common/__init__.py)
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
SOURCE ?= https://github.com/facepipe/facepipe

.PHONY: help setup demo doctor test test-unit coverage test-clocks test-faults test-attacks fuzz test-containers \
	test-upgrade test-swarm test-arm64 images list-images check format \
	bench docs site lock clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 16

setup: .venv/.done  ## make .venv from the locked requirements, with hashes

.venv/.done: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "facepipe needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "making .venv (about 150 MB; a minute or so)"
	@$(PYTHON) -m venv --clear .venv || \
		{ echo "python3 -m venv failed; on Debian: apt install python3-venv" >&2; exit 2; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

demo: setup  ## play the bundled clip through the whole pipeline on this machine
	@$(BIN)/python -m demo

test: .venv/.browser .venv/.bench  ## run the tests, against real counterparts
	@tests/needs
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

test-unit: setup  ## run the quick tests, which need nothing but Python
	$(BIN)/python -m pytest tests/unit --numprocesses $(WORKERS) --dist worksteal

# No gate: the table shows where tests are missing. Measured code is slower, so this is no `make test`.
coverage: .venv/.browser .venv/.bench  ## show which lines the unit and integration tests run
	@tests/needs
	@mkdir -p build/coverage && rm -f build/coverage/data*
	-$(BIN)/python -m pytest $(or $(TESTS),tests/unit tests/integration) --cov --cov-report= \
		--numprocesses $(WORKERS) --dist worksteal
	$(BIN)/python -m coverage report

test-clocks: .venv/.browser .venv/.bench .venv/wallclock.so  ## run TESTS (all) just after midnight, at noon and at 23:30 UTC
	@tests/needs
	@for clock in $(CLOCKS); do \
		tests/clocked $$clock $(BIN)/python -m pytest $(TESTS) \
			--numprocesses $(WORKERS) --dist worksteal || exit 1; \
	done

test-faults: setup  ## kill, disconnect or fill up every part during capture; ALL=1 takes every pair
	@tests/needs
	$(BIN)/python -m pytest tests/faults -v -o addopts="-ra --strict-markers --strict-config"

fuzz: setup  ## mutate messages, pictures, requests and store responses: MINUTES=10 for each of TARGETS (all)
	@tests/needs
	$(BIN)/python -m tests.fuzz $(TARGETS) --minutes $(MINUTES)

# What one bad neighbour tries: at real brokers and services, then at containers with their limits.
test-attacks: .venv/.containers  ## attack every port as a stranger, a neighbour and the thief of a device
	@tests/needs containers
	$(BIN)/python -m pytest -m attack --numprocesses $(WORKERS) --dist worksteal
	$(BIN)/python -m pytest tests/containers -m attack -v -rP -o timeout=1200 \
		-o addopts="-ra --strict-markers --strict-config"

# Not by `setup`, which would make an installation's .venv anew for development.
doctor:  ## check this machine and what it is connected to, without containers; reads .env
	@test -x $(BIN)/python || $(MAKE) --no-print-directory setup
	@SETTINGS_FILE=$${SETTINGS_FILE:-$(wildcard .env)} $(BIN)/python -m doctor

images:  ## build the containers' images, facepipe/<part>:latest and :<version>
	@docker version >/dev/null
	@docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0; \
	for part in $(IMAGES); do \
		file=Dockerfile; test ! -f $$part/Dockerfile || file=$$part/Dockerfile; \
		docker build --file $$file $(if $(PLATFORM),--platform $(PLATFORM)) \
			--build-arg PART=$$part --build-arg BASE=$(BASE) --build-arg VERSION=$(VERSION) \
			--build-arg REVISION=$(REVISION) --build-arg SOURCE=$(SOURCE) \
			--tag facepipe/$$part:latest --tag facepipe/$$part:$(VERSION) . || exit 1; \
	done

list-images:
	@echo $(IMAGES)

test-containers: .venv/.containers  ## run both compose files in a Docker Engine
	@tests/needs containers
	$(BIN)/python -m pytest tests/containers -v -o timeout=1200 \
		--ignore tests/containers/test_swarm.py --ignore tests/containers/test_upgrade.py \
		-o addopts="-ra --strict-markers --strict-config"

test-upgrade: .venv/.containers  ## run old and new sides together; FROM=<commit> is the old one
	@tests/needs containers
	FROM=$(FROM) $(BIN)/python -m pytest tests/containers/test_upgrade.py -v -o timeout=2400 \
		-o addopts="-ra --strict-markers --strict-config"

test-swarm: .venv/.containers  ## run processors on Docker Swarm, kill one and replace all under load
	@tests/needs containers
	$(BIN)/python -m pytest tests/containers/test_swarm.py -v -o timeout=1800 \
		-o addopts="-ra --strict-markers --strict-config"

test-arm64: setup  ## build the detector for arm64, under emulation, and run it on the clip
	@tests/needs arm64
	$(BIN)/python -m pytest tests/arm64 -v -s -o timeout=7200 \
		-o addopts="-ra --strict-markers --strict-config"

check: .venv/.containers  ## lint, format and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/biome check --error-on-warnings
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/hadolint --config .hadolint.yaml Dockerfile broker/Dockerfile csi/Dockerfile
	shellcheck broker/start broker/healthy csi/start csi/healthy tests/clocked tests/needs requirements/lock .ci/run \
		.ci/release .ci/release-notes

.venv/.browser: requirements/browser.txt .venv/.done
	@echo "adding what drives a browser in tests to .venv (170 MB)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv/.containers: requirements/containers.txt .venv/.done
	@echo "adding Compose and a linter of Dockerfiles to .venv (90 MB)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv/wallclock.so: testing/host/wallclock.c .venv/.done
	@tests/needs clocks
	@cc -O2 -Wall -Wextra -Werror -shared -fPIC -o $@ $<

.venv/.site: requirements/site.txt .venv/.done
	@echo "adding what makes a site to .venv (40 MB)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

format: .venv/.containers  ## format, and fix what ruff and biome can fix
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/biome check --write

bench: .venv/.bench  ## measure the headline figures in 15 minutes; FULL=1 takes all of each
	@tests/needs
	$(BIN)/python -m bench $(if $(FULL),--full)

.venv/.bench: requirements/bench.txt .venv/.done
	@echo "adding what the benches compare with and draw with to .venv (100 MB)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

site: .venv/.site  ## make the docs a site in build/site, with its links checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "build/site/index.html"

docs: setup  ## write the tables of settings and metrics into docs/
	$(BIN)/python -m docs.tables

lock: setup  ## update the locked requirements, with hashes
	requirements/lock

clean:  ## remove what the targets created
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build
