#!/bin/sh
# `npm test [-- WORD...]`: installs what the tests need, builds, lints and runs the tests whose path has one of the words.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh

install_debian_packages test
install_npm_packages
npm run --silent build
# Here, because the first build takes longer than a test may. Without it those tests fail, and say the same as this.
case "$*" in
  '' | *apiserver*) if assets=$(scripts/apiserver.sh); then export KUBEBUILDER_ASSETS="$assets"; fi ;;
esac
npm run --silent lint
exec node scripts/run-tests.js "$@"
