# Makefile -- the doors of the house.  Meson does the work (meson.build).
#
# Each door first sees to it that the Debian packages are there
# (tools/packages) and that Meson knows every file (tools/configure), so that a
# fresh clone on a bare Debian needs nothing but make.  `make help` lists them.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=

SHELL = /bin/sh
.DEFAULT_GOAL = all
MAKEFLAGS += --no-print-directory

# $(call house,FOLDER,MESON OPTIONS): configure a folder and build in it.  A
# sanitizer has a folder of its own, and makes gcc warn of what is not there.
house = tools/configure $(1) --prefix=$(PREFIX) \
		-Dwerror=$(if $(findstring sanitize,$(2)),false,true) $(2) && \
	ninja -C $(1) $(if $(filter 1,$(V)),-v,--quiet) house

# $(call suite,FOLDER,LENGTH,SUITES): run, then count.  LUGE_TEST is what tests
# look at: short, or long, or not set.
suite = rm -f $(1)/meson-logs/testlog.json; \
	LUGE_TEST=$(2) meson test -C $(1) --print-errorlogs \
		$(3) $(TESTS) </dev/null; \
	tools/results $(1)

QUICK = --suite unit --suite crash --suite fuzz --suite script

## all: the library, the command and luge-bench, in build/
all: packages
	@$(call house,$(BUILD))

## test: every test; the last line is "N passed, N failed"
test: packages-test
	@$(call house,$(BUILD))
	@$(call suite,$(BUILD),,$(QUICK))

## demo: the main job on real input: imports, three agents, a kill, a player
demo: all packages-demo
	@tools/demo $(BUILD)

## check: the short tests under ASan and UBSan, then under TSan
check: packages-test
	@$(call house,$(BUILD)/asan,-Db_sanitize=address,undefined)
	@$(call suite,$(BUILD)/asan,short,$(QUICK))
	@$(call house,$(BUILD)/tsan,-Db_sanitize=thread)
	@$(call suite,$(BUILD)/tsan,short,$(QUICK))

## hard: the tests where tiny nodes, moving maps and failing memory are usual
hard: packages-test
	@$(call house,$(BUILD)/hard,-Dhard=true)
	@$(call suite,$(BUILD)/hard,short,$(QUICK))

## crash: the long crash, kill and twin tests
crash: packages-test
	@$(call house,$(BUILD))
	@$(call suite,$(BUILD),long,--suite crash)

## fuzz: malformed files for a long time, under ASan and UBSan
fuzz: packages-test
	@$(call house,$(BUILD)/asan,-Db_sanitize=address,undefined)
	@$(call suite,$(BUILD)/asan,long,--suite fuzz)

## golden: write the database of test/data anew, after a change of the format
golden: packages-test
	@$(call house,$(BUILD))
	@ninja -C $(BUILD) --quiet test_golden
	@tools/golden $(BUILD)

## bench: luge beside its peers (BENCH="options")
bench: packages-bench
	@$(call house,$(BUILD))
	@$(BUILD)/luge-bench $(BENCH)

## bench-grow: what each row costs at 0.1, 1 and 10 million records
bench-grow: packages-bench
	@$(call house,$(BUILD))
	@$(BUILD)/luge-bench --grow 100000,1000000,10000000 --reps 3 $(BENCH)

## bench-publish: docs/bench.json and its picture from the last full run
bench-publish:
	@cp $(BUILD)/bench/results.json docs/bench.json
	@cp $(BUILD)/bench/targets.json docs/bench-targets.json
	@for f in $(wildcard $(BUILD)/bench/grow*.json); do \
		cp $$f docs/bench-$${f##*/}; done
	@tools/chart docs/bench.json $(wildcard $(BUILD)/bench/grow*.json) \
		> docs/bench.svg

## one: the single-file library, build/one/luge.c and luge.h
one: packages
	@tools/one $(BUILD)/one
	@$(CC) -std=gnu17 -O2 -c -o $(BUILD)/one/luge.o $(BUILD)/one/luge.c
	@ls -l $(BUILD)/one

## tidy: the checks of STYLE that a program can make
tidy: packages
	@tools/tidy

## install: into DESTDIR and PREFIX (default /usr/local)
install: all
	@DESTDIR='$(abspath $(DESTDIR))' meson install -C $(BUILD) --no-rebuild
	@test -n '$(DESTDIR)' || test "$$(id -u)" != 0 || ldconfig

## uninstall: what the last install put there
uninstall:
	@ninja -C $(BUILD) uninstall

## clean: away with build/
clean:
	rm -rf $(BUILD)

## help: this list
help:
	@sed -n 's/^## \([a-z-]*\): \(.*\)/make \1|\2/p' Makefile | \
		while IFS='|' read -r door text; do \
			printf '  %-18s %s\n' "$$door" "$$text"; done

packages:
	@tools/packages build
packages-test:
	@tools/packages build test
packages-bench:
	@tools/packages build bench
packages-demo:
	@tools/packages build demo

.PHONY: all test demo check hard crash fuzz golden bench bench-grow \
	bench-publish one tidy install \
	uninstall clean help packages packages-test packages-bench packages-demo
