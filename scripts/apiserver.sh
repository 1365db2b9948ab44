#!/bin/sh
# Prints the directory of a real kube-apiserver, etcd and kubectl for the tests: KUBEBUILDER_ASSETS if it is
# set, else a cache. The first call fills the cache. This needs Go, its module proxy, about 3 GB of disk and
# some minutes. Ends with status 77 if Go or the module proxy is not available. The last line on standard
# error says which.
#
# The module k8s.io/kubernetes is not made to be required by others: it gives its own parts (k8s.io/api, …)
# the version v0.0.0, which only the replace directives of its repository explain. The parts of v1.x.y are
# published as v0.x.y.
set -eu

version=v1.37.2
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/setup.sh"

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  echo "$KUBEBUILDER_ASSETS"
  exit
fi
parent=${XDG_CACHE_HOME:-$HOME/.cache}/kube-portal
cache=$parent/kubernetes-$version
if [ -x "$cache/bin/kubectl" ] && [ -x "$cache/bin/etcd" ] && [ -x "$cache/bin/kube-apiserver" ]; then
  echo "$cache/bin"
  exit
fi

cannot_be_had() {
  echo "the API server cannot be built here: $1; set KUBEBUILDER_ASSETS to a directory with kube-apiserver, etcd and kubectl" >&2
  exit 77
}

# Puts a Go into the search path. A Go from 1.21 on fetches the release that a module requires.
provide_go() {
  export GOTOOLCHAIN=auto
  case $(go env GOVERSION 2>/dev/null) in
    go1.2[1-9]* | go1.[3-9]?*) return 0 ;;
  esac
  (cd "$root" && install_debian_packages go) >&2 || true
  bin=$("$root/scripts/go.sh" "$parent") || cannot_be_had 'there is no Go of 1.21 or later, and PyPI gives none'
  PATH=$bin:$PATH
}

build() {
  export GOFLAGS=-mod=mod CGO_ENABLED=0
  go mod init kube-portal-test-assets
  go mod download -json "k8s.io/kubernetes@$version" >download.json || return 77
  upstream=$(sed -n 's/.*"GoMod": "\(.*\)".*/\1/p' download.json)
  sed -n 's#^[[:space:]]*\(k8s.io/[^ ]*\) v0\.0\.0$#\1#p' "$upstream" | sort -u | while read -r part; do
    go mod edit -replace "$part=$part@v0.${version#v1.}"
  done
  etcd=$(sed -n 's#^[[:space:]]*go.etcd.io/etcd/client/v3 \([^ ]*\).*#\1#p' "$upstream")
  go get "k8s.io/kubernetes@$version" "go.etcd.io/etcd/server/v3@$etcd"

  rm -rf building bin
  mkdir building
  programs='k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl'
  # shellcheck disable=SC2086 # one word per package
  packages=$(go list -deps go.etcd.io/etcd/server/v3 $programs | wc -l)
  # shellcheck disable=SC2086
  {
    go build -v -ldflags '-s -w' -o building/etcd go.etcd.io/etcd/server/v3
    go build -v -ldflags "-s -w $(stamp)" -o building/ $programs
  } 2>&1 | tell_progress "$packages"
  # The status of a pipe is that of its last command, so it does not tell whether go build failed.
  [ -x building/etcd ] && [ -x building/kube-apiserver ] && [ -x building/kubectl ] || return 1
  mv building bin
}

# Copies the names of the compiled packages from its input. Says every 30 s how many there were, and how long
# the others may take. $1: most packages. Go does not name packages that it has in its cache.
tell_progress() {
  count=0 began=$(date +%s) said=$began
  while read -r package; do
    echo "$package"
    count=$((count + 1)) now=$(date +%s)
    [ $((now - said)) -ge 30 ] || continue
    said=$now
    minutes=$(((now - began) * ($1 - count) / count / 60 + 1))
    echo "API server: $count of $1 packages are compiled; about $minutes more minutes" >&3
  done
}

# The version that the programs report. The API server chooses by it what it serves.
stamp() {
  minor=${version#v1.}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- '-X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s ' \
      "$package" "$version" "$package" "$package" "${minor%%.*}"
  done
}

mkdir -p "$cache"
cd "$cache"
exec 3>&2 9>lock
flock 9
[ -x bin/kubectl ] || {
  rm -f go.mod go.sum
  provide_go
  echo "building kube-apiserver $version, etcd and kubectl in $cache; two cores take about 8 minutes" >&2
  # Not inside a condition: there the shell would ignore failures (set -e).
  set +e
  (set -e; build) >build.log 2>&1
  status=$?
  set -e
  [ "$status" != 77 ] || cannot_be_had "the Go module proxy does not give k8s.io/kubernetes (see $cache/download.json)"
  [ "$status" = 0 ] || { tail -n 20 build.log >&2; exit 1; }
}
echo "$cache/bin"
