#!/usr/bin/env bash
# Everything `make setup` needs besides cargo, python3, node and a C compiler:
#   setup.sh tools     the tools are there, and new enough
#   setup.sh python    .venv, with what tests/requirements.txt lists
#   setup.sh oldest    .venv-oldest, with what tests/requirements-oldest.txt lists, and the package that is in .venv
#   setup.sh servers   a redis-server, through apt-get where that is possible
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

say() { printf '%s\n' "setup: $*"; }
die() { printf '%s\n' "setup: $*" >&2; exit 1; }

# Succeeds when the dotted version $1 is at least $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# Runs a command as root: directly, or through a sudo that asks no password.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_apt() {
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null
}

apt_install() {
  say "installing $* with apt-get"
  as_root apt-get update -qq </dev/null || say "apt-get update failed; trying with the lists that are there"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
}

tools() {
  local missing=0 version
  need() { printf '%s\n' "setup: $*" >&2; missing=1; }

  if ! command -v cargo >/dev/null; then
    need "cargo is missing: install Rust 1.88 or newer (rustup.rs)"
  else
    version=$(rustc --version | awk '{print $2}')
    at_least "$version" 1.88 || need "rustc is $version, 1.88 or newer is needed: rustup update stable"
  fi
  if ! command -v "$python" >/dev/null; then
    need "$python is missing: apt-get install python3 python3-venv"
  else
    version=$("$python" -c 'import platform; print(platform.python_version())')
    at_least "$version" 3.10 || need "$python is $version, 3.10 or newer is needed; another one: make PYTHON=python3.12 …"
  fi
  if ! command -v node >/dev/null; then
    need "node is missing: install Node.js 20 or newer (nodejs.org)"
  else
    version=$(node -p process.versions.node)
    at_least "$version" 20 || need "node is $version, 20 or newer is needed"
  fi
  command -v npm >/dev/null || need "npm is missing: it comes with Node.js from nodejs.org (Debian has it apart: apt-get install npm)"
  command -v cc >/dev/null || need "no C compiler (cc): apt-get install build-essential"
  [ "$missing" -eq 0 ] || exit 1
}

python_env() {
  if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    say "making .venv with $("$python" --version)"
    if ! "$python" -m venv --clear .venv >/dev/null 2>&1; then
      # Debian keeps the pieces that venv needs in a package of their own.
      can_apt && apt_install python3-venv
      "$python" -m venv --clear .venv || die "$python cannot make a virtual environment; on Debian: apt-get install python3-venv"
    fi
  fi
  say "installing tests/requirements.txt into .venv"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
}

oldest() {
  local packages metadata
  "$python" -m venv --clear .venv-oldest >/dev/null || die "$python cannot make a virtual environment"
  say "installing tests/requirements-oldest.txt into .venv-oldest"
  .venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements-oldest.txt
  # The package as it is in .venv: where its code is, and its metadata, which names the plugin for pytest.
  packages=$(.venv-oldest/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  printf '%s\n' "$PWD/bindings-python/python" >"$packages/leaselock.pth"
  for metadata in .venv/lib/python*/site-packages/leaselock-*.dist-info; do
    ln -s "$PWD/$metadata" "$packages/"
  done
}

servers() {
  command -v redis-server >/dev/null && return
  if can_apt && apt_install redis-server && command -v redis-server >/dev/null; then
    say "installed $(redis-server --version | cut -d' ' -f1-3); the tests start their own, on ports of their own"
    return
  fi
  say "there is no redis-server and apt-get cannot install one here (not root, no sudo without a password, or no such package)"
  say "install it yourself: apt-get install redis-server"
  if [ "${CI:-}" = true ]; then die "under CI=true the tests must run on Redis too"; fi
  say "going on with the Valkey server in .venv alone; tests that need Redis are skipped, and say so"
}

case "${1:-}" in
  tools) tools ;;
  python) python_env ;;
  oldest) oldest ;;
  servers) servers ;;
  *) die "usage: scripts/setup.sh tools|python|oldest|servers" ;;
esac
