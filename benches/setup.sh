#!/usr/bin/env bash
# Installs the contestants and builds this project for `make bench`, all of it in release mode and below benches/.
# `setup.sh peers` installs only those for Node and Java, which `make jepsen` needs.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'bench: %s\n' "$*"; }

export CARGO_TARGET_DIR="$PWD/benches/target"
# Its programs are looked for in release/, not in a directory of the target's.
unset CARGO_BUILD_TARGET
python=benches/.venv/bin/python

say 'installing the Node contestants'
npm --prefix benches/node install --ignore-scripts --no-audit --no-fund --loglevel=error

if command -v mvn >/dev/null && command -v javac >/dev/null; then
  say 'building the Java contestant'
  mvn --quiet --batch-mode --file benches/java/pom.xml package
else
  say 'there is no Maven or no JDK: the rows are without Redisson'
fi
if [ "${1:-}" = peers ]; then exit; fi

say 'installing the Python contestants'
[ -x $python ] || "${PYTHON:-python3}" -m venv benches/.venv
$python -m pip install --quiet --disable-pip-version-check -r benches/requirements.txt

say 'building the Rust contestants'
cargo build --quiet --release --locked --manifest-path benches/rust/Cargo.toml

say 'building the Python package'
.venv/bin/maturin build --quiet --release --locked -i $python -o benches/target/wheels
$python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps benches/target/wheels/leaselock-*.whl

say 'building the Node package'
npx tsc -p bindings-node --outDir "$PWD/benches/target/node"
npx napi build --platform --release --no-js --manifest-path bindings-node/Cargo.toml \
  --output-dir "$PWD/benches/target/node" --dts ../../../benches/target/native.d.ts >/dev/null
printf '{ "type": "commonjs" }\n' >benches/target/node/package.json
