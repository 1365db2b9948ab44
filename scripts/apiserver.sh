#!/bin/sh
# Prints the directory of a real kube-apiserver, etcd and kubectl for the tests: KUBEBUILDER_ASSETS where it is set, else
# a cache, which is filled at the first call. That takes Go, its module proxy, about 3 GB of disk and some minutes.
#
# The module k8s.io/kubernetes is not meant to be required: it names its own parts (k8s.io/api, …) by a version that only
# its repository's replace directives make sense of. The same parts are published as v0.x.y for its v1.x.y.
set -eu

version=v1.37.2

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  echo "$KUBEBUILDER_ASSETS"
  exit
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kube-portal/kubernetes-$version
if [ -x "$cache/bin/kubectl" ] && [ -x "$cache/bin/etcd" ] && [ -x "$cache/bin/kube-apiserver" ]; then
  echo "$cache/bin"
  exit
fi
command -v go >/dev/null || { echo 'error: install Go, or set KUBEBUILDER_ASSETS to a directory with kube-apiserver, etcd and kubectl' >&2; exit 1; }

build() {
  export GOFLAGS=-mod=mod CGO_ENABLED=0
  rm -f go.mod go.sum
  go mod init kube-portal-test-assets
  upstream=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
  sed -n 's#^[[:space:]]*\(k8s.io/[^ ]*\) v0\.0\.0$#\1#p' "$upstream" | sort -u | while read -r part; do
    go mod edit -replace "$part=$part@v0.${version#v1.}"
  done
  etcd=$(sed -n 's#^[[:space:]]*go.etcd.io/etcd/client/v3 \([^ ]*\).*#\1#p' "$upstream")
  go get "k8s.io/kubernetes@$version" "go.etcd.io/etcd/server/v3@$etcd"

  mkdir -p building
  go build -ldflags '-s -w' -o building/etcd go.etcd.io/etcd/server/v3
  go build -ldflags "-s -w $(stamp)" -o building/ k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl
  rm -rf bin
  mv building bin
}

# The version that the programs report, and by which the API server decides what it serves.
stamp() {
  minor=${version#v1.}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- '-X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s ' \
      "$package" "$version" "$package" "$package" "${minor%%.*}"
  done
}

mkdir -p "$cache"
cd "$cache"
exec 9>lock
flock 9
[ -x bin/kubectl ] || {
  echo "building kube-apiserver $version, etcd and kubectl in $cache; this takes some minutes" >&2
  build >build.log 2>&1 || { tail -n 20 build.log >&2; exit 1; }
}
echo "$cache/bin"
