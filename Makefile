# Everything here needs Go and make; the tests install what else they need.
# Run "make" for a list of targets.

GO ?= go
# Flags for "make run" and "make cluster": make run ARGS="--notification.nodes 3"
ARGS ?=
# Time for each fuzz target in "make check".
FUZZTIME ?= 5s

# The modules of the workspace. The pattern "work" names the packages of all.
MODULES := . msnp proto
# Tools are built outside the workspace, so that their versions stay out of it.
TOOL = GOWORK=off $(GO) build -C tools -o ../bin/tools/

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Targets of one run share a build cache and two stores: in order, please.
.NOTPARALLEL:

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-25s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: ## Build and start a whole network in one process; ARGS are flags of "monarch all".
	@$(GO) build -o bin/ ./cmd/...
	@exec bin/monarch all $(ARGS)

.PHONY: cluster
cluster: ## Build and start a real cluster, every role in processes of its own, on Redis and PostgreSQL; ARGS="--help" lists flags.
	@$(GO) build -o bin/ ./cmd/...
	@$(GO) build -o bin/test/ ./test/stores ./test/cluster/local
	@exec bin/test/stores -keep data/cluster bin/test/local $(ARGS)

# Three rounds of all rows take some eight minutes, on a machine that should do
# nothing else; ARGS="--rounds 1 --rows login,presence" is a part of it.
.PHONY: bench
bench: ## Measure what Monarch costs, beside a plain server in the same run; ARGS="--help" lists flags.
	@$(GO) build -o bin/ ./cmd/...
	@$(GO) build -o bin/test/ ./test/stores ./test/bench ./test/bench/stub
	@bin/test/stores bin/test/bench --write docs/performance.md $(ARGS)
	@bin/test/stores $(GO) test -run '^$$' -benchmem -benchtime 0.5s \
		-bench '^(BenchmarkRead|BenchmarkLine|BenchmarkFanOut|BenchmarkRelay|BenchmarkLogin|BenchmarkSnapshot|BenchmarkAddMember)$$' \
		./msnp ./services/notification ./services/switchboard ./services/directory/store

.PHONY: build
build: ## Build all commands into bin/.
	$(GO) build -o bin/ ./cmd/...

.PHONY: images
images: ## Build the container image into bin/images, without a registry, and load it where a Docker engine runs.
	@$(GO) run ./deploy/image
	@if docker version >/dev/null 2>&1; then docker load -q -i bin/images/monarch-$$($(GO) env GOARCH).tar; fi

.PHONY: test-compose
test-compose: ## Start deploy/compose with a Docker engine, use it, stop nodes under a crowd, take it away.
	@docker version >/dev/null 2>&1 || { echo "test-compose: no Docker engine runs here, and this test is about nothing else" >&2; exit 1; }
	@$(MAKE) --no-print-directory images
	@$(GO) build -o bin/test/ ./test/stores ./test/summary
	@$(GO) vet -tags compose ./test/compose
	@bin/test/stores bin/test/summary -tags compose -count=1 -timeout=25m ./test/compose

# The chart on a real control plane, and with nodes and pods that are simulated.
# What the cluster is made of is compiled the first time, for a quarter of an hour,
# and stays in the user's cache. The tests run in a network of their own, which
# takes root.
IN_KUBERNETES = cd test/kubernetes && GOWORK=off

.PHONY: test-kubernetes-api
test-kubernetes-api: ## Have a real API server take the Helm chart, refuse mistakes, and install it without nodes.
	@$(GO) build -o bin/ ./cmd/monarch
	@$(GO) build -o bin/test/ ./test/stores ./test/summary
	@$(IN_KUBERNETES) $(GO) vet ./lab/... ./api
	@$(IN_KUBERNETES) $(GO) run ./lab/programs control-plane
	@$(IN_KUBERNETES) ../../bin/test/stores ../../bin/test/summary -count=1 -timeout=15m ./api

.PHONY: test-kubernetes-simulated
test-kubernetes-simulated: ## Install the Helm chart on simulated nodes; drain them, roll out, scale by sessions.
	@$(GO) build -o bin/test/ ./test/summary
	@$(IN_KUBERNETES) $(GO) vet ./lab/... ./simulated
	@$(IN_KUBERNETES) $(GO) run ./lab/programs simulated
	@$(IN_KUBERNETES) ../../bin/test/summary -count=1 -timeout=15m ./simulated

# On nodes that run containers: see test/kubernetes/pods.
.PHONY: test-kubernetes
test-kubernetes: ## Run the network in pods of a real Kubernetes of two nodes; drain, kill and upgrade them under a crowd.
	@$(IN_KUBERNETES) $(GO) vet ./lab/... ./pods
	@$(IN_KUBERNETES) $(GO) run ./lab/programs real
	@$(GO) run ./deploy/image
	@$(GO) run ./test/previous/image
	@$(GO) build -o bin/test/ ./test/stores ./test/summary
	@$(IN_KUBERNETES) ../../bin/test/stores -need runc,nft ../../bin/test/summary -count=1 -timeout=40m ./pods

# The upgrade is tested from the last commit with another server, or from that
# which MONARCH_TEST_PREVIOUS names: MONARCH_TEST_PREVIOUS=v1.0 make test
# The race detector looks at Go. In the C of SQLite, which came to be Go by
# translation, it finds nothing and takes most of the time of many a test. All
# other packages are looked at: they share generic functions, and the linker takes
# one of the same for all.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false
# These wait most. They begin first, and all others fill the gaps.
LONGEST := ./test/cluster ./test/script ./internal/cluster

.PHONY: test
test: check-charts ## Run all tests against real stores, with the race detector; nothing is skipped.
	@$(GO) build -o bin/test/ ./test/stores ./test/summary
	@bin/test/stores bin/test/summary $(RACE) -count=1 -parallel=4 -timeout=25m $(LONGEST) work

# How long each of the two parts of "make soak" goes on, what repeats the choices
# of another run, and where the report goes.
SOAK ?= 20m
SEED ?=
SOAK_REPORT ?= bin/soak.log

.PHONY: soak
soak: ## Compare what clients are told with the truth for SOAK (20m), bring each fault about, and again for SOAK at random; detached, with a report.
	@$(GO) build -o bin/test/ ./test/stores ./test/summary
	@MONARCH_CONVERGENCE_TIME=$(SOAK) MONARCH_SOAK_TIME=$(SOAK) MONARCH_CONVERGENCE_SEED=$(SEED) MONARCH_CLUSTER_SEED=$(SEED) \
		nohup bin/test/stores bin/test/summary -count=1 -timeout=0 -p=1 \
		-run '^(TestEveryClientEndsUpWithTheTruth|TestTroubles|TestPostgresIsHurt|TestSentinelFailover|TestRedisClusterFailover|TestPartitions|TestSoak)$$' -skip '^TestEveryClientEndsUpWithTheTruth$$/^embedded' \
		./test/convergence ./test/cluster > $(SOAK_REPORT) 2>&1 < /dev/null &
	@echo "soaking twice for $(SOAK), and ten minutes besides, in the background, see $(SOAK_REPORT): its last line says how it ended"

.PHONY: check
check: check-format check-vet check-lint check-fences check-modules check-generated check-fuzz test ## Run what CI runs.

.PHONY: quickstart
quickstart: ## Write deploy/kubernetes/quickstart.yaml anew from the Helm chart.
	@$(GO) build -o bin/ ./cmd/monarch
	@GOWORK=off $(GO) -C test/kubernetes test -count=1 -run '^TestQuickstart$$' . -update

.PHONY: generate
generate: ## Generate Go code from proto/.
	cd proto && GOWORK=off $(GO) tool -modfile=../tools/go.mod buf generate

# The steps of check, which can be run by themselves.

.PHONY: check-format
check-format: bin/tools/gofumpt
	@echo "== format"
	@unformatted=$$(bin/tools/gofumpt -l .) || exit; \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make format:"; echo "$$unformatted"; exit 1; fi

.PHONY: format
format: bin/tools/gofumpt ## Format all Go files.
	bin/tools/gofumpt -w .

.PHONY: check-vet
check-vet:
	@echo "== vet"
	@$(GO) vet work

.PHONY: check-lint
check-lint: bin/tools/staticcheck
	@echo "== lint"
	@bin/tools/staticcheck work

.PHONY: check-fences
check-fences:
	@echo "== import fences"
	@$(GO) test -count=1 ./test/fences

# A workspace build accepts an import that the module's own go.mod lacks.
.PHONY: check-modules
check-modules:
	@for module in $(MODULES); do \
		echo "== module $$module"; \
		(cd $$module && GOWORK=off $(GO) build ./... && GOWORK=off $(GO) mod tidy -diff) || exit; \
	done

.PHONY: check-generated
check-generated:
	@echo "== generated code"
	@cd proto && GOWORK=off $(GO) tool -modfile=../tools/go.mod buf lint
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && cd proto && \
	GOWORK=off $(GO) tool -modfile=../tools/go.mod buf generate -o "$$fresh" && \
	for file in $$( (find . -name '*.pb.go'; cd "$$fresh" && find . -name '*.pb.go') | sort -u); do \
		cmp -s "$$file" "$$fresh/$$file" || { echo "proto/$$file is not what its .proto file gives, run make generate"; exit 1; }; \
	done

# Helm and Kubernetes' own packages, which are compiled the first time, in a
# module outside the workspace.
.PHONY: check-charts
check-charts:
	@echo "== charts"
	@$(GO) build -o bin/ ./cmd/monarch
	@GOWORK=off $(GO) -C test/kubernetes vet ./...
	@GOWORK=off $(GO) -C test/kubernetes test -count=1 .

.PHONY: check-fuzz
check-fuzz:
	@for target in $$($(GO) test -list '^Fuzz' ./msnp | grep '^Fuzz'); do \
		echo "== $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./msnp || exit; \
	done

bin/tools/gofumpt: tools/go.mod tools/go.sum
	@$(TOOL) mvdan.cc/gofumpt
	@touch $@

bin/tools/staticcheck: tools/go.mod tools/go.sum
	@$(TOOL) honnef.co/go/tools/cmd/staticcheck
	@touch $@
