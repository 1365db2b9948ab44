#!/bin/sh
# `npm test [-- WORD...]`: installs what the tests need, builds, lints and runs the tests whose path has one of the words.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh

install_debian_packages test
install_npm_packages
npm run --silent build
# Here, because the first builds take longer than a test may. Without them those tests fail, and say the same as this.
case "$*" in
  '' | *apiserver* | *image*) if assets=$(scripts/apiserver.sh); then export KUBEBUILDER_ASSETS="$assets"; fi ;;
esac
case "$*" in
  '' | *image*) node dist/test/image/prepare.js || true ;;
esac
npm run --silent lint
exec node scripts/run-tests.js "$@"
