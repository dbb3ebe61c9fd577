#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, tests, documents, page, real clients.
# Needs Rust, Node with npm, Python 3.11 with venv, psql, and Chromium (or CHROMIUM=/path). Faults of disks are tested where it
# runs as root and strace is installed. Ends non-zero at the first failure.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
target=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR=$target

say() { printf '\n== %s\n' "$*"; }
need() { command -v "$1" >/dev/null || { echo "check: $1 is missing: $2" >&2; exit 2; }; }
need cargo "install Rust 1.95 with rustup"
need npm "install Node.js 20 or newer"
need python3 "install Python 3.11 or newer"
need psql "install Debian's package postgresql-client"
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || true)}
[ -n "$chromium" ] || { echo "check: chromium is missing: install Debian's package chromium, or set CHROMIUM" >&2; exit 2; }
export CHROMIUM=$chromium

say "format"
cargo fmt --all --check

say "page: types, rules, unit tests"
# A build of the server installs what the page is made of, without the tools of its tests.
(cd web/ui && { [ -d node_modules/typescript ] || npm ci --include=dev --ignore-scripts --no-audit --no-fund; } && npm run --silent check && npm test --silent)

say "lints"
cargo clippy --workspace --all-targets -- -D warnings

say "tests"
cargo test --workspace

say "documents"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet

say "page in a browser"
(cd web/ui && npm run --silent test:browser -- --server-binary "$target/debug/spanlake")

say "real clients: OpenTelemetry SDK, DuckDB, deltalake, Polars, pandas, chDB, S3, psql, psycopg, SQLAlchemy, ADBC"
venv=$target/clients-venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
(cd tests/clients/sampler && { [ -d node_modules ] || npm ci --ignore-scripts --no-audit --no-fund --silent; })
SPANLAKE_BINARY="$target/debug/spanlake" "$venv/bin/python" -m pytest -q tests/clients

say "faults: power cut, failing and full disks, kills, damage, lying object store, in their short forms"
SPANLAKE_BINARY="$target/debug/spanlake" "$venv/bin/python" -m pytest -q -rs tests/faults

say "spelling"
"$venv/bin/codespell" README.md ARCHITECTURE.md CHANGELOG.md docs storage ingest query server/src web/src tests

say "all good"
