#!/bin/sh
# `npm start`: prepares a fresh checkout and serves sample Services. Without root, they exist in a user and
# network namespace only, which ends with this program.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh

install_debian_packages start
install_npm_packages
npm run --silent build

[ "$(id -u)" != 0 ] || exec node bin/kube-portal quickstart

command -v ip >/dev/null || {
  echo "error: without root this needs the program ip; install it (apt-get install iproute2), or run as root: sudo npm start" >&2
  exit 1
}
unshare --user --map-root-user --net true || {
  echo "error: this kernel gives ordinary users no network namespace; run as root: sudo npm start" >&2
  exit 1
}
exec unshare --user --map-root-user --net \
  sh -c 'ip link set lo up && exec node bin/kube-portal quickstart --namespaced'
