# What people run here every day. .ci/run checks everything, as root on Debian.

.PHONY: check test test-docker29 test-s3 bench man release

# Format, vet, linters and the unit tests, without real servers.
check:
	@test -z "$$(go tool gofumpt -l .)" || { go tool gofumpt -l .; echo 'not formatted: run go tool gofumpt -w .'; exit 1; }
	go mod tidy -diff
	go vet ./...
	go tool -modfile=.ci/golangci.mod golangci-lint run
	go test $$(go list ./... | grep -v /internal/realtest)

# All tests. Those that need docker, podman, skopeo, umoci, chromium or docker-registry
# skip where these are not installed.
test:
	go test ./...

# Pulls of Docker 29 through segpull serve, as root. The first build of dockerd takes
# minutes, so .ci/run does without it.
test-docker29:
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	.ci/engines "$$dir" docker29 && \
	PATH="$$dir:$$PATH" CI=true go test -count=1 -v -run 'TestEngines.*/docker_29' ./internal/realtest

# Servers that share a bucket of versitygw. It takes minutes to build, so .ci/run does
# without it; there, gofakes3 in the tests' own process is the bucket.
test-s3:
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	GOBIN="$$dir" CGO_ENABLED=0 go install github.com/versity/versitygw/cmd/versitygw@v1.8.0 && \
	PATH="$$dir:$$PATH" go test -count=1 -v -run Versitygw ./internal/realtest

# A pull from three slow mirrors on loopback, then the figures against the
# baseline.
bench:
	go run ./bench demo
	go run ./bench check

# The man page, from the help texts.
man:
	go run ./internal/release man >segpull.1

# Everything of a release, in dist: CONTRIBUTING.md says more.
release:
	go run ./internal/release
