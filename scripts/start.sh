#!/bin/sh
# `npm start`: from a fresh checkout to sample Services that answer.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh

install_debian_packages start
install_npm_packages
npm run --silent build
exec node bin/kube-portal quickstart
