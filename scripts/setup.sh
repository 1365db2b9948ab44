# Shell functions that prepare a machine to build and run the project. Other scripts source this file.

# Installs the missing packages of scripts/debian-packages.txt that have the given word. Prints their names
# before. Without root, or on another system than Debian, it only prints what is missing.
install_debian_packages() {
  command -v dpkg-query >/dev/null || {
    echo "This is not Debian. Make sure that these programs are installed: $(packages_for "$1" | tr '\n' ' ')"
    return 0
  }
  missing=$(missing_packages "$1")
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    echo "These Debian packages are missing, and only root can install them (going on without): $missing"
    return 0
  fi
  echo "Installing Debian packages: $missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086 # one word per package
  apt-get install -qq -y --no-install-recommends $missing >/dev/null
}

# The packages with this word that are not installed, in one line. Empty on systems without dpkg-query.
missing_packages() {
  command -v dpkg-query >/dev/null || return 0
  packages_for "$1" | while read -r package; do is_installed "$package" || printf '%s ' "$package"; done
}

packages_for() {
  sed 's/#.*//' scripts/debian-packages.txt | awk -v word="$1" '{ for (i = 2; i <= NF; i++) if ($i == word) print $1 }'
}

is_installed() {
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs the npm packages of package-lock.json, if the lock file is newer than the installed packages.
install_npm_packages() {
  installed=node_modules/.package-lock.json
  if [ -e "$installed" ] && ! [ package-lock.json -nt "$installed" ]; then return 0; fi
  echo "Installing npm packages: $(npm_packages)"
  npm ci --no-audit --no-fund --loglevel=error
}

npm_packages() {
  node -p 'const p = require("./package.json"); Object.keys({ ...p.dependencies, ...p.devDependencies }).join(" ")'
}
