#!/bin/sh
# debian-base.sh FILE: writes a small Debian with Node.js and npm as a tar archive, a base image for `docker
# import`.
#
# For machines that cannot pull images. The Debian has this machine's release and mirror. Node.js, npm and
# npm's settings are copied from this machine, because those of the release may be too old. Needs root, takes
# a minute.
set -eu
[ $# = 1 ] || { echo "usage: $0 FILE" >&2; exit 2; }
. /etc/os-release
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

install_debian() {
  # shellcheck disable=SC2016 # apt-get replaces these names
  mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' "Codename: $VERSION_CODENAME" 'Component: main' | head -n 1)
  [ -n "$mirror" ] || { echo "error: apt knows no mirror of $VERSION_CODENAME; run: apt-get update" >&2; exit 1; }
  # In a mount namespace, so that no /proc stays mounted below the directory, whatever happens.
  unshare --mount debootstrap --variant=minbase "$VERSION_CODENAME" "$root" "$mirror"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
}

install_node() {
  npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
  mkdir -p "$root/usr/local/lib/node_modules"
  cp -a "$npm" "$root/usr/local/lib/node_modules/npm"
  for name in npm npx; do ln -s "../lib/node_modules/npm/bin/$name-cli.js" "$root/usr/local/bin/$name"; done
  cp "$(readlink -f "$(command -v node)")" "$root/usr/local/bin/node"
  env -u NODE_EXTRA_CA_CERTS chroot "$root" node --version
}

configure_npm() {
  registry=$(npm config get registry)
  authorities=$(npm config get cafile)
  mkdir -p "$root/usr/local/etc"
  echo "registry=$registry" >"$root/usr/local/etc/npmrc"
  [ -f "$authorities" ] || return 0
  install -D --mode=644 "$authorities" "$root$authorities"
  echo "cafile=$authorities" >>"$root/usr/local/etc/npmrc"
}

{
  install_debian
  install_node
  configure_npm
} >&2
tar --directory "$root" --create --file "$1" .
