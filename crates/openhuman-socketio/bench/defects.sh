#!/bin/sh
# Runs the scenarios of tests/DEFECTS.md against rust_socketio 0.6 and says which of them it gets wrong.
set -eu
cd "$(dirname "$0")"
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-../../../target}/socketio-bench exec cargo run --release --locked --bin defects
