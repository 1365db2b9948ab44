#!/bin/sh
# debian-base.sh FILE: writes a small Debian with Node.js and npm, a base image for `docker import`, as a tar archive.
#
# For machines that cannot pull images. The Debian is of this machine's release and mirror; Node.js, npm, and how npm
# reaches its registry are this machine's own, because the release's may be too old for us. Needs root, takes a minute.
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
  # In a mount namespace, so that no /proc stays mounted in there whatever happens.
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
