#!/bin/sh
# Prints the directory of a real kube-apiserver, etcd and kubectl for the tests: KUBEBUILDER_ASSETS if it is
# set, else a cache. The first call fills the cache, see kubernetes.sh. Ends with status 77 if this machine
# cannot have them.
set -eu

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  echo "$KUBEBUILDER_ASSETS"
  exit
fi
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/kubernetes.sh"

# etcd is of the release whose client the API server has.
build() {
  etcd=go.etcd.io/etcd/server/v3
  release=$(sed -n 's#^[[:space:]]*go.etcd.io/etcd/client/v3 \([^ ]*\).*#\1#p' "$upstream")
  go get "$etcd@$release"
  programs='k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl'
  # shellcheck disable=SC2086 # one word per package
  packages=$(go list -deps $etcd $programs | wc -l)
  # shellcheck disable=SC2086
  {
    go build -v -ldflags '-s -w' -o building/etcd $etcd
    compile $programs
  } 2>&1 | tell_progress "$packages"
}

provide_programs 'the API server' 'set KUBEBUILDER_ASSETS to a directory with kube-apiserver, etcd and kubectl' \
  kube-apiserver etcd kubectl
