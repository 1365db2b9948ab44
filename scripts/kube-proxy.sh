#!/bin/sh
# Prints the directory of a kube-proxy for the bench. The first call builds it, see kubernetes.sh. Ends with
# status 77 if this machine cannot have it.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/kubernetes.sh"

build() {
  program=k8s.io/kubernetes/cmd/kube-proxy
  compile $program 2>&1 | tell_progress "$(go list -deps $program | wc -l)"
}

provide_programs kube-proxy '' kube-proxy
