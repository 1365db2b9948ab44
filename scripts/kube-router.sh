#!/bin/sh
# Prints the directory of a kube-router, whose engine of NetworkPolicies the tests need. The first call builds
# it, as kubernetes.sh does. Ends with status 77 if this machine cannot have it.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/kubernetes.sh"

version=v2.1.0
cache=$parent/kube-router-$version
module=github.com/cloudnativelabs/kube-router/v2
package=$module/cmd/kube-router

# In the place of that of kubernetes.sh.
require_module() {
  export GOFLAGS=-mod=mod CGO_ENABLED=0
  go mod init kube-portal-test-assets
  go mod download -json "$module@$version" >download.json || return 77
  go get "$package@$version"
}

build() {
  go build -v -ldflags '-s -w' -o building/ $package 2>&1 | tell_progress "$(go list -deps $package | wc -l)"
}

provide_programs kube-router '' kube-router
