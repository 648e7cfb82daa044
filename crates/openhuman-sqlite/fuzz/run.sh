#!/bin/sh
# Fuzzes this crate with the script of the vault: fuzz/run.sh [TARGET|all] [SECONDS]. See README.md.
set -eu
here=$(dirname "$0")
FUZZ_FOLDER=$here exec sh "$here/../../openhuman-vault/fuzz/run.sh" "$@"
