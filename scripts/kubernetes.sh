# Shell functions that build programs of Kubernetes from its Go module and keep them in a cache. This needs Go,
# the Go module proxy, about 3 GB of disk and some minutes. Other scripts source this file. They set `root` to
# the directory of the checkout before.
#
# The module k8s.io/kubernetes is not made to be required by others: it gives its own parts (k8s.io/api, …)
# the version v0.0.0, which only the replace directives of its repository explain. The parts of v1.x.y are
# published as v0.x.y.

version=v1.37.2
parent=${XDG_CACHE_HOME:-$HOME/.cache}/kube-portal
cache=$parent/kubernetes-$version

. "$root/scripts/setup.sh"

# Prints the directory of programs. If one of them is missing there, the function `build` of the calling
# script makes them in the directory `building` before. Ends with status 77 if Go or its module proxy is not
# available. The last line on standard error says which.
# $1: what they are. $2: what else the user can do, or nothing. $3…: their names.
provide_programs() {
  title=$1 otherwise=$2
  shift 2
  mkdir -p "$cache"
  cd "$cache"
  exec 3>&2 9>lock
  has_programs "$@" || {
    flock 9
    has_programs "$@" || build_programs
  }
  # The status of a pipe is that of its last command, so it does not tell whether go build failed.
  has_programs "$@" || {
    tail -n 20 build.log >&2
    exit 1
  }
  echo "$cache/bin"
}

has_programs() {
  for program; do [ -x "$cache/bin/$program" ] || return 1; done
}

build_programs() {
  provide_go
  echo "building $title $version in $cache; two cores take about 8 minutes the first time" >&2
  rm -rf building go.mod go.sum
  mkdir -p building bin
  # Not inside a condition: there the shell would ignore failures (set -e).
  set +e
  (set -e; require_module; build) >build.log 2>&1
  status=$?
  set -e
  [ "$status" != 77 ] || cannot_be_had "the Go module proxy does not give its module (see $cache/download.json)"
  [ "$status" != 0 ] || mv building/* bin/ || true
}

cannot_be_had() {
  echo "$title cannot be built here: $1${otherwise:+; $otherwise}" >&2
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

# Makes a module that requires Kubernetes. Sets `upstream` to the path of Kubernetes' own go.mod.
require_module() {
  export GOFLAGS=-mod=mod CGO_ENABLED=0
  go mod init kube-portal-test-assets
  go mod download -json "k8s.io/kubernetes@$version" >download.json || return 77
  upstream=$(sed -n 's/.*"GoMod": "\(.*\)".*/\1/p' download.json)
  sed -n 's#^[[:space:]]*\(k8s.io/[^ ]*\) v0\.0\.0$#\1#p' "$upstream" | sort -u | while read -r part; do
    go mod edit -replace "$part=$part@v0.${version#v1.}"
  done
  go get "k8s.io/kubernetes@$version"
}

# Compiles programs of Kubernetes, and names the packages that this takes. $1…: the programs' own packages.
compile() {
  go build -v -ldflags "-s -w $(stamp)" -o building/ "$@"
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
    echo "$title: $count of $1 packages are compiled; about $minutes more minutes" >&3
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
