#!/bin/sh
# Ends with status 77 if Debian packages that tests need are missing. test.sh has named them before.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh

[ -z "$(missing_packages test)" ] || {
  echo 'Debian packages are missing, see above' >&2
  exit 77
}
