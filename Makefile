# mocker: "make help" lists what can be made.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -euc
.DEFAULT_GOAL := help

VERSION ?= 0.1.0-dev
COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
PREFIX ?= /usr/local
DESTDIR ?=

# Without this tag urfave/cli brings a markdown library, whose start costs
# more than the rest of mocker's.
# MORE_TAGS is for builds that do not ship: see libcontainer/trace/kill.go.
MORE_TAGS :=
TAGS := -tags=urfave_cli_no_docs$(MORE_TAGS:%=,%)
# Entered before the Go runtime: see libcontainer/entry.
LDFLAGS := -s -w -E github.com/mocker-runtime/mocker/libcontainer/entry.Start -X main.version=$(VERSION) -X main.commit=$(COMMIT)
BINARY := mocker
LINTER := dist/golangci-lint
SUITE := dist/conformance/runtimetest

# command=package, or file=package, of what the targets need besides Go, make
# and git.
NEED_DEMO := busybox=busybox-static iptables ip=iproute2
NEED_TEST := $(NEED_DEMO) newuidmap=uidmap setpriv=util-linux ps=procps strace runc crun podman conmon ctr=containerd \
	dockerd=docker.io docker-compose buildah \
	gcc /usr/include/seccomp.h=libseccomp-dev /usr/include/stdlib.h=libc6-dev
# What kind of machine the tests run on; scripts/vm.sh knows others.
PLACE ?= $(if $(filter cgroup2fs,$(shell stat -f -c %T /sys/fs/cgroup)),v2,v1)
DEB_ARCH = $(shell dpkg --print-architecture)
RACE := ./commands/... ./specconv/... ./hooks/... ./libcontainer/...

# A current containerd, and the module that pins it.
CONTAINERD2 := dist/containerd2/containerd
CONTAINERD2_MODULE := tests/engines/containerd2

# The shipped binary has no C in it, and neither has anything else but the
# tests that run under the race detector.
export CGO_ENABLED := 0

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./mocker, one static binary
	go build -trimpath $(TAGS) -ldflags '$(LDFLAGS)' -o $(BINARY) .

# For tests. Linked statically: a process inside a container has none of
# mocker's memory but the code, so no C library that would be loaded into it.
# Without -trimpath, as the tests are built, to share with them what is compiled.
.PHONY: build-race
build-race: BINARY := dist/mocker-race
build-race: ## build dist/mocker-race, with the race detector; docs/birth.md tells how to run it
	CGO_ENABLED=1 go build -race $(TAGS) -ldflags '-linkmode external -extldflags "-static -Wl,--no-warnings"' -o $(BINARY) .

.PHONY: bundles
bundles: build ## make the root file systems of the bundles in bundles/
	@scripts/need.sh $(NEED_DEMO)
	@scripts/rootfs.sh

.PHONY: run
run: build ## open a shell in a busybox container (needs root)
	@scripts/need.sh $(NEED_DEMO)
	@scripts/shell.sh

.PHONY: demo
demo: build ## watch a container being born, live and go (needs root)
	@scripts/need.sh $(NEED_DEMO)
	@scripts/demo.sh

# Tests in tests/ drive the built binary and compare the machine before and
# after: one package at a time, and nothing else beside them.
.PHONY: test
test: lint build $(SUITE) ## run all tests (needs root); the last line counts them
	@scripts/need.sh $(NEED_TEST)
	@scripts/rootfs.sh
	@mkdir -p dist/results && go build -o dist/report ./tests/report
	@{ status=0; \
	echo '# unit'; \
	go test -json -count=1 -timeout 20m $(TAGS) $$(go list $(TAGS) ./... | grep -v /tests/) || status=1; \
	echo '# black box'; \
	go test -json -count=1 -p 1 -timeout 20m $(TAGS) ./tests/... || status=1; \
	echo '# conformance'; \
	(cd tests/conformance && MOCKER=$(CURDIR)/mocker go test -json -count=1 -parallel 4 -timeout 20m $(TAGS)) || status=1; \
	if command -v gcc >/dev/null; then \
		echo '# race detector'; \
		CGO_ENABLED=1 go test -json -count=1 -race -timeout 20m $(TAGS) $(RACE) || status=1; \
	else \
		echo 'the race detector needs gcc, which is not here: nothing was run under it'; \
	fi; \
	exit $$status; } | tee dist/results/$(PLACE).json | dist/report
	@dist/report -covered docs/spec-coverage.md dist/results/$(PLACE).json

# With RUNTIME=runc it tests runc; with RECORD=1 what comes of it is recorded.
.PHONY: conformance
conformance: build $(SUITE) ## run the OCI's validation suite (needs root)
	@scripts/need.sh $(NEED_DEMO)
	@go build -o dist/report ./tests/report
	@cd tests/conformance && MOCKER=$(CURDIR)/mocker go test -json -count=1 -parallel 4 -timeout 20m $(TAGS) | ../../dist/report

# Built from the module cache, as tests/conformance/go.mod pins it: a program
# for each part of the specification, and the root file system that they use.
$(SUITE): tests/conformance/go.mod
	@echo "building the validation suite pinned in tests/conformance/go.mod (once)"
	@mkdir -p $(@D)
	@cd tests/conformance && go build -trimpath -ldflags '-s -w' -o ../../$(@D)/ tool
	@cd tests/conformance && cp --no-preserve=mode "$$(go list -m -f '{{.Dir}}' github.com/opencontainers/runtime-tools)"/rootfs-*.tar.gz ../../$(@D)/
	@touch $@

# What makes or finds cgroups, in the cgroup v2 tree of a hybrid machine as if
# there were no other: it has no controllers, but every kernel feature that this
# machine has and the virtual one lacks.
V2_VIEW := $(addprefix ./tests/,exec hooks lifecycle mounts namespaces)

.PHONY: test-v2
test-v2: build ## run tests as on cgroup v2 alone, on a hybrid machine (needs root)
	@scripts/need.sh $(NEED_TEST)
	@scripts/rootfs.sh
	@mkdir -p dist/results && go build -o dist/report ./tests/report
	@if [[ $(PLACE) = v2 ]]; then echo 'this machine has cgroup v2 alone, and "make test" is that test'; exit; fi; \
	{ echo '# v2-view'; unshare -m sh -c 'mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup && \
		MOCKER=$(CURDIR)/mocker go test -json -short -count=1 -p 1 -timeout 20m $(TAGS) $(V2_VIEW)'; } | \
		tee dist/results/v2-view.json | dist/report

SOAK ?= 20000

.PHONY: soak
soak: build ## make and delete SOAK (20000) containers, and count what is left (needs root)
	@scripts/need.sh $(NEED_DEMO)
	MOCKER=$(CURDIR)/mocker go test -count=1 -timeout 12h $(TAGS) -v -run '^TestSoak$$' ./tests/faults -args -soak $(SOAK)

# make test runs the seeds and what was ever found, in testdata/fuzz.
FUZZ_TIME ?= 60s

.PHONY: fuzz
fuzz: ## run each fuzzer for FUZZ_TIME (60s)
	@status=0; for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' "$$file"); do \
			echo "# $$(dirname "$$file") $$name"; \
			go test $(TAGS) -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZ_TIME) "$$(dirname "$$file")" || status=1; \
		done; \
	done; exit $$status

CORPUS_TIME ?= 60s
FUZZERS ?= .

.PHONY: corpus
corpus: ## run each fuzzer for CORPUS_TIME (60s), and keep the best of what it finds in testdata/fuzz
	@TAGS=$(TAGS) CORPUS_TIME=$(CORPUS_TIME) FUZZERS='$(FUZZERS)' scripts/corpus.sh

# The published escapes tried on mocker and on Debian's runc and crun, the
# latter with cgroup v1 alone, as it does not know hybrid machines. On the other
# two the tests fail where they have to: the table says it. They get a
# /dev/null of their own: crun gives the machine's away.
# What is no published escape and would freeze the machine (crun, by a
# cgroupsPath of "/") is left out.
ESCAPES_SKIP := TestCgroupsPath|TestHostileIDs|TestRecycledPID

.PHONY: escapes
escapes: build ## try the published escapes on mocker, runc and crun, and write the table in docs/security.md
	@scripts/need.sh $(NEED_TEST)
	@mkdir -p dist/escapes && rm -f dist/escapes/*.json && go build -o dist/table ./tests/escapes
	@for runtime in mocker runc crun; do \
		[[ $$runtime = mocker ]] || export RUNTIME=$$runtime; \
		export MOCKER=$(CURDIR)/mocker ATTACKS=$(CURDIR)/dist/escapes/$$runtime.json; \
		unshare -m sh -ec "mount -t tmpfs tmpfs /mnt; cp -a /dev/null /mnt/null; mount --bind /mnt/null /dev/null; \
			if [ $$runtime = crun ] && mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; \
			exec go test -count=1 -timeout 20m $(TAGS) -skip '$(ESCAPES_SKIP)' ./tests/security" >dist/escapes/$$runtime.txt || test $$runtime != mocker; \
	done
	@dist/table docs/security.md dist/escapes/*.json

.PHONY: test-vm
test-vm: ## run the tests in a virtual machine with cgroup v2 (docs/vm.md)
	@scripts/vm.sh test

.PHONY: vm-shell
vm-shell: ## open a shell in that machine
	@scripts/vm.sh shell

# The one that Debian still has and that is too old: mocker has to say so.
.PHONY: test-vm-old
test-vm-old: ## see what mocker says on a kernel that is too old
	@KERNEL=linux-image-cloud-$(DEB_ARCH)/bullseye PLACE=v2-guest-5.10 \
		PACKAGES=tests/faults RUN='^TestOldKernel$$' scripts/vm.sh test

.PHONY: test-vm-new
test-vm-new: ## run some of the tests on the newest kernel that Debian has
	@KERNEL=linux-image-cloud-$(DEB_ARCH)/trixie-backports PLACE=v2-guest-new \
		PACKAGES='libcontainer/inside tests/lifecycle tests/mounts tests/namespaces' scripts/vm.sh test

.PHONY: test-vm-arm64
test-vm-arm64: ## run the tests of the birth and of the lifecycle on arm64
	@ARCH=arm64 PLACE=v2-guest-arm64 LIMIT=3600 \
		PACKAGES='$(addprefix libcontainer/,inside seal console nofile) tests/lifecycle' scripts/vm.sh test

.PHONY: table
table: ## compare the results of the tests on all kinds of machines
	@go build -o dist/report ./tests/report
	@dist/report -table dist/results/*.json

.PHONY: coverage
coverage: ## write docs/spec-coverage.md from the results of the tests
	@go build -o dist/report ./tests/report
	@dist/report -coverage docs/spec-coverage.md dist/results/*.json

.PHONY: lint
lint: $(LINTER) ## check the source with go vet and the pinned linter
	go vet $(TAGS) ./...
	go vet $(TAGS),killpoints ./libcontainer/trace
	$(LINTER) run
	cd tests/conformance && go vet $(TAGS) ./... && ../../$(LINTER) run

# Its own module: what the linter depends on is no dependency of mocker.
$(LINTER): tools/go.mod
	@echo "building the linter pinned in tools/go.mod (a minute or two, once)"
	@cd tools && go build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# Its daemon and its shim, since a distribution's are old, without what needs a C
# library and without what runs no container; with -trimpath they could not
# share what is built with the tests.
$(CONTAINERD2): $(CONTAINERD2_MODULE)/go.mod $(CONTAINERD2_MODULE)/daemon/main.go
	@echo "building the containerd pinned in $(CONTAINERD2_MODULE)/go.mod (two minutes, once)"
	@mkdir -p $(@D)
	@cd $(CONTAINERD2_MODULE) && go build -ldflags '-s -w' -tags no_btrfs,no_devmapper,no_zfs -o ../../../$(@D)/ tool
	@cd $(CONTAINERD2_MODULE) && go build -ldflags '-s -w' -tags no_btrfs,no_devmapper,no_zfs -o ../../../$@ ./daemon

# What takes more programs than a distribution has; "make test" has the rest of
# tests/engines.
.PHONY: engines
engines: build $(CONTAINERD2) ## run containers under a current containerd, go-runc and the CRI (needs root)
	@scripts/need.sh $(NEED_TEST)
	@go build -o dist/report ./tests/report
	@{ status=0; \
	echo '# current containerd'; \
	MOCKER=$(CURDIR)/mocker go test -json -count=1 -timeout 10m $(TAGS),containerd2 -run '^TestContainerd2$$' ./tests/engines || status=1; \
	echo '# go-runc and the CRI'; \
	(cd $(CONTAINERD2_MODULE) && MOCKER=$(CURDIR)/mocker go test -json -count=1 -timeout 10m $(TAGS)) || status=1; \
	exit $$status; } | dist/report

# Runtimes, and flags such as "-count 1000": dist/bench/bench -help lists them.
BENCH_RUNTIMES ?= mocker=./mocker crun runc
BENCH_FLAGS ?=

.PHONY: bench
bench: build $(LINTER) ## time mocker beside runc and crun, and write docs/benchmarks.md (needs root)
	@scripts/need.sh $(NEED_DEMO) runc crun gcc /usr/include/stdlib.h=libc6-dev nsenter=util-linux
	@mkdir -p dist/bench
	go build $(TAGS) -o dist/bench/bench ./tests/bench
	cd tests/bench/plot && go vet && ../../../$(LINTER) run && go build -o ../../../dist/bench/plot
	dist/bench/bench -docs docs/benchmarks.md $(BENCH_FLAGS) $(BENCH_RUNTIMES)
	dist/bench/plot dist/bench/results.json docs/benchmarks

# The budget that make test holds mocker to. What grows, grows in the commit
# that says why.
.PHONY: budget
budget: build ## count what mocker costs, and write tests/budget/testdata/budget.json (needs root)
	@scripts/need.sh $(NEED_DEMO) strace
	MOCKER=$(CURDIR)/mocker go test -count=1 $(TAGS) -run '^TestBudget$$' ./tests/budget -update
	git diff --stat tests/budget/testdata

.PHONY: install
install: build ## install below PREFIX (/usr/local) and DESTDIR
	install -D -m 0755 mocker '$(DESTDIR)$(PREFIX)/bin/mocker'
	install -D -m 0644 docs/man/mocker.8 '$(DESTDIR)$(PREFIX)/share/man/man8/mocker.8'
	./mocker completion bash | install -D -m 0644 /dev/stdin '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/mocker'
	./mocker completion zsh | install -D -m 0644 /dev/stdin '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_mocker'
	./mocker completion fish | install -D -m 0644 /dev/stdin '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/mocker.fish'

.PHONY: clean
clean: ## remove what was made
	rm -rf mocker dist bundles/*/rootfs
