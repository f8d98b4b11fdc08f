# The front door. Everything real happens in CMake (CMakePresets.json) and in tools/.
#
#   make build    install what is missing, build the server, leave it at build/firsthand
#   make run      build, start the server with sample data; FILES="a.jpg b.mp4" to use your own
#   make test     everything CI runs
#   make lint     the house checks alone        make fmt      format the C sources
#   make fuzz     each fuzz target for FUZZ_SECONDS      make fuzz-http   the HTTP fuzzer, as long
#   make bench    the benchmarks                make bench-peers  beside Fastify, PostgreSQL and SQLite
#   make memcheck a short life of the server in valgrind
#   make clean    remove build/

FILES ?=
FUZZ_SECONDS ?= 60
# Tests that run side by side; each has ports and folders of its own.
TEST_JOBS ?= $(shell nproc)
# The sample media, made once for all tests.
SAMPLES := $(CURDIR)/build/samples
test: export FIRSTHAND_SAMPLES = $(SAMPLES)

NPM_LOCKS := $(wildcard tests/package-lock.json tests/*/package-lock.json)
NPM_DONE := $(NPM_LOCKS:package-lock.json=node_modules/.package-lock.json)

FUZZ_TARGETS := $(basename $(notdir $(wildcard tests/fuzz/fuzz_*.c)))

.PHONY: build run demo test lint fmt fuzz fuzz-http bench bench-peers memcheck clean test-deps

build:
	@tools/install-deps build
	@test -e build/release/build.ninja || cmake --preset release -DFIRSTHAND_TESTS=OFF
	cmake --build --preset release --target firsthand
	@ln -sfn release/firsthand build/firsthand

run demo:
	@tools/run $(if $(FILES),--files "$(FILES)")

# Everything runs under ASan and UBSan; what is driven over HTTP runs under TSan; and everything
# runs again in the release build, where the media sandbox is whole. The house checks run once.
test: test-deps $(NPM_DONE)
	cmake --preset dev
	cmake --preset release -DFIRSTHAND_TESTS=ON
	cmake --preset tsan
	cmake --build --preset dev
	cmake --build --preset tsan --target firsthand
	cmake --build --preset release
	@if [ -e build/release/firsthand ]; then ln -sfn release/firsthand build/firsthand; fi
	tests/media/make-samples $(SAMPLES)
	ctest --preset dev -j $(TEST_JOBS)
	ctest --preset tsan -j $(TEST_JOBS) -L 'api|clients|e2e'
	ctest --preset release -j $(TEST_JOBS) -LE lint

test-deps:
	@tools/install-deps test

%/node_modules/.package-lock.json: %/package-lock.json | test-deps
	npm ci --prefix $* --no-audit --no-fund
	@touch $@

lint: test-deps
	tools/tidy
	tests/tidy/selftest

fmt:
	git ls-files -z --cached --others --exclude-standard '*.c' '*.h' ':!tests/tidy' | \
	    xargs -0 clang-format-14 -i

fuzz: test-deps
	cmake --preset fuzz
	cmake --build --preset fuzz --target $(FUZZ_TARGETS)
	tools/fuzz $(FUZZ_SECONDS)

fuzz-http: test-deps $(NPM_DONE)
	cmake --preset dev
	cmake --build --preset dev --target firsthand
	FIRSTHAND_BIN=build/dev/firsthand node tests/fuzz/http_fuzz.mjs $(FUZZ_SECONDS)

bench: build
	@bench/run

bench-peers: build
	@bench/peers/run

memcheck: test-deps $(NPM_DONE)
	@tools/install-deps memcheck
	@tools/memcheck

clean:
	rm -rf build
