#!/usr/bin/env bash
# The documentation as a site in site/: the pages, and below reference/ what typedoc and rustdoc make of the code. Strict: a
# warning of any of them is an error, and so is a link that leads nowhere.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf '%s\n' "docs: $*"; }

say "the pages"
NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet

say "the reference of Node"
scripts/docs/node_modules/.bin/typedoc --logLevel Warn --options scripts/docs/typedoc.json

say "the reference of Rust"
# In a folder of its own, since that of all builds has other crates in it; what is compiled for it is shared (cargo ≥ 1.91).
rm -rf target/rustdoc
CARGO_BUILD_BUILD_DIR="$PWD/target" RUSTDOCFLAGS="-D warnings" \
  cargo doc --quiet --package leaselock --no-deps --locked --target-dir target/rustdoc
mkdir -p site/reference
cp -R "target/rustdoc/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}doc" site/reference/rust

say "the links"
.venv/bin/python scripts/docs/links.py site
say "look at site/index.html (or: python3 -m http.server --directory site)"
