# A thin front: the build is Meson's, the rest is in scripts/. `make help` lists what there is.
BUILD ?= build
PREFIX ?= /usr/local
NINJA_FLAGS ?=

.PHONY: help build demo check bench lint format asan tsan coverage sim sim-mutants install clean
.DEFAULT_GOAL := build

help:
	@echo 'make build     the glis command and libglis, in $(BUILD)/'
	@echo 'make demo      shows the main job on real data'
	@echo 'make check     lint, unit tests (plain and with sanitizers), system tests'
	@echo 'make bench     the benchmarks against their peers'
	@echo 'make lint      layout and rules of the sources'
	@echo 'make format    lays the C sources out'
	@echo 'make asan      unit tests under the address and undefined-behaviour sanitizers'
	@echo 'make tsan      unit tests of what threads share, under the thread sanitizer'
	@echo 'make coverage  line coverage of the unit and system tests, in build-coverage/'
	@echo 'make sim       simulated worlds, SIM_SEEDS=N of each kind from SIM_FIRST on'
	@echo 'make sim-mutants  breaks one rule at a time until a simulated world notices'
	@echo 'make install   to PREFIX (now $(PREFIX)), below DESTDIR'

build:
	@scripts/install-deps build
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --prefix $(PREFIX)
	@ninja -C $(BUILD) $(NINJA_FLAGS)

demo: build
	@scripts/demo

check:
	@scripts/install-deps check
	@python3 scripts/run-tests

bench: build
	@scripts/install-deps check
	@bench/run

lint:
	@scripts/install-deps check
	@scripts/lint

format:
	@scripts/install-deps check
	@scripts/lint --fix

asan:
	@scripts/install-deps check
	@python3 scripts/run-tests asan

tsan:
	@scripts/install-deps check
	@python3 scripts/run-tests tsan

coverage:
	@scripts/install-deps coverage
	@scripts/coverage

SIM_SEEDS ?= 10000
SIM_FIRST ?= 1
sim: build
	@ninja -C $(BUILD) $(NINJA_FLAGS) tests/sim/sim
	@$(BUILD)/tests/sim/sim --seeds $(SIM_SEEDS) --first $(SIM_FIRST)

sim-mutants: build
	@ninja -C $(BUILD) $(NINJA_FLAGS) tests/sim/sim_mutants
	@$(BUILD)/tests/sim/sim_mutants --mutants

install: build
	@meson configure $(BUILD) --prefix $(PREFIX)
	@DESTDIR='$(DESTDIR)' meson install -C $(BUILD)

clean:
	rm -rf build build-asan build-tsan build-coverage
