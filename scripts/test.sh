#!/bin/sh
# `npm test [-- [--quick] [WORD...]]`: installs what the tests need, builds, lints, and runs the tests whose
# path has one of the words. --quick leaves out tests that take long or need a real API server.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh

install_debian_packages test
install_npm_packages
npm run --silent build
npm run --silent lint
exec node scripts/run-tests.js "$@"
