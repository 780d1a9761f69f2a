# What people run here every day. .ci/run checks everything, as root on Debian.

.PHONY: check test bench

# Format, vet, linters and the unit tests, without real servers.
check:
	@test -z "$$(go tool gofumpt -l .)" || { go tool gofumpt -l .; echo 'not formatted: run go tool gofumpt -w .'; exit 1; }
	go mod tidy -diff
	go vet ./...
	go tool staticcheck ./...
	go tool -modfile=.ci/golangci.mod golangci-lint run
	go test $$(go list ./... | grep -v /internal/realtest)

# All tests. Those that need docker, podman, skopeo, umoci or docker-registry
# skip where these are not installed.
test:
	go test ./...

# A pull from three slow mirrors on loopback, then the figures against the
# baseline.
bench:
	go run ./bench demo
	go run ./bench check
