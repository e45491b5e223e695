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
TAGS := -tags=urfave_cli_no_docs
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
LINTER := dist/golangci-lint

# command=package of what the targets need besides Go, make and git.
NEED_DEMO := busybox=busybox-static iptables ip=iproute2
NEED_TEST := $(NEED_DEMO) newuidmap=uidmap setpriv=util-linux ps=procps strace runc crun podman conmon ctr=containerd
# What kind of machine the tests run on; scripts/vm.sh knows others.
PLACE ?= $(if $(filter cgroup2fs,$(shell stat -f -c %T /sys/fs/cgroup)),v2,v1)
RACE := ./commands/... ./specconv/... ./hooks/... ./libcontainer/...

# The shipped binary has no C in it, and neither has anything else but the
# tests that run under the race detector.
export CGO_ENABLED := 0

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./mocker, one static binary
	go build -trimpath $(TAGS) -ldflags '$(LDFLAGS)' -o mocker .

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
test: lint build ## run all tests (needs root); the last line counts them
	@scripts/need.sh $(NEED_TEST)
	@scripts/rootfs.sh
	@mkdir -p dist/results && go build -o dist/report ./tests/report
	@{ status=0; \
	echo '# unit'; \
	go test -json -count=1 -timeout 20m $(TAGS) $$(go list $(TAGS) ./... | grep -v /tests/) || status=1; \
	echo '# black box'; \
	go test -json -count=1 -p 1 -timeout 20m $(TAGS) ./tests/... || status=1; \
	if command -v gcc >/dev/null; then \
		echo '# race detector'; \
		CGO_ENABLED=1 go test -json -count=1 -race -timeout 20m $(TAGS) $(RACE) || status=1; \
	else \
		echo 'the race detector needs gcc, which is not here: nothing was run under it'; \
	fi; \
	exit $$status; } | tee dist/results/$(PLACE).json | dist/report

.PHONY: test-vm
test-vm: ## run the tests in a virtual machine with cgroup v2 (docs/vm.md)
	@scripts/vm.sh test

.PHONY: vm-shell
vm-shell: ## open a shell in that machine
	@scripts/vm.sh shell

.PHONY: table
table: ## compare the results of the tests on all kinds of machines
	@go build -o dist/report ./tests/report
	@dist/report -table dist/results/*.json

.PHONY: lint
lint: $(LINTER) ## check the source with go vet and the pinned linter
	go vet $(TAGS) ./...
	$(LINTER) run

# Its own module: what the linter depends on is no dependency of mocker.
$(LINTER): tools/go.mod
	@echo "building the linter pinned in tools/go.mod (a minute or two, once)"
	@cd tools && go build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# Its own module as well: a current containerd, its shim and its client, since
# a distribution's is old. Without what needs a C library or a rare file system.
CONTAINERD2 := github.com/containerd/containerd/v2/cmd
.PHONY: containerd2
containerd2: ## build the containerd that tests/engines/containerd2/go.mod pins (minutes, once)
	@cd tests/engines/containerd2 && go build -trimpath -ldflags '-s -w' -tags no_btrfs,no_devmapper,no_zfs \
		-o ../../../dist/containerd2/ $(CONTAINERD2)/containerd $(CONTAINERD2)/containerd-shim-runc-v2 $(CONTAINERD2)/ctr

.PHONY: bench
bench: build ## time mocker beside runc and crun (needs root)
	@scripts/need.sh $(NEED_DEMO) runc crun
	MOCKER=$(CURDIR)/mocker go test $(TAGS) -run '^$$' -bench . -benchtime 40x ./tests/benchmarks

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
