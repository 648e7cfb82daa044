#!/bin/sh
# Builds the fuzz targets and runs one, or each in turn: fuzz/run.sh [TARGET|all] [SECONDS]. See README.md.
# Other crates call it with FUZZ_FOLDER, the folder of their targets.
set -eu
cd "${FUZZ_FOLDER:-$(dirname "$0")}"
target=${1:-all}
seconds=${2:-60}
triple=$(rustc -vV | sed -n 's/^host: //p')
out=${CARGO_TARGET_DIR:-../../../target}/fuzz
# What cargo-fuzz passes, on the stable compiler.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
-Cdebug-assertions -Ccodegen-units=1 -Zsanitizer=address"
cargo build --release --target "$triple" --target-dir "$out"
[ "$target" = all ] && target=$(cd fuzz_targets && ls ./*.rs | sed 's|^\./||; s|\.rs$||')
for name in $target; do
    echo "== $name, $seconds s"
    mkdir -p "$out/corpus/$name" "$out/artifacts/$name"
    # Found inputs go to the target directory; the seeds, where there are some, stay as they are.
    seeds=corpus/$name
    [ -d "$seeds" ] || seeds=
    # shellcheck disable=SC2086
    "$out/$triple/release/$name" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -timeout=10 \
        -artifact_prefix="$out/artifacts/$name/" -print_final_stats=1 "$out/corpus/$name" $seeds
done
