#!/bin/sh
# Installs what the bench compares with and serves from: on Debian and Ubuntu,
# as root. crane and regctl come by go install, into /usr/local/bin.
set -eu

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends aria2 curl skopeo docker.io docker-registry nginx-light iproute2
# The packages start servers of their own, which the bench does not use.
for server in nginx docker-registry docker; do
  service "$server" stop 2>/dev/null || true
done
GOBIN=/usr/local/bin go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
GOBIN=/usr/local/bin go install github.com/regclient/regclient/cmd/regctl@v0.11.7
