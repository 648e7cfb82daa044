//! `cargo xtask torture skills`: the skills engine's proofs at full length, in release mode.

use crate::plan::fuzz;
use crate::process::Invocation;
use crate::step::Step;
use crate::workspace::Workspace;

/// How often the hostile corpus runs, in another order each time.
const HOSTILE_ROUNDS: &str = "40";
/// How often built-in functions are ended in the middle.
const KILL_ROUNDS: &str = "60";
const LEAK_CYCLES: &str = "10000";

/// The tests of the crate in their long versions, then the mixed load at full size.
pub(crate) fn skills(workspace: &Workspace) -> Vec<Step> {
    let test = |name: &str| {
        let arguments = [
            "test",
            "--release",
            "--locked",
            "-p",
            "openhuman-skills",
            "--test",
            "it",
            name,
        ];
        let all: Vec<&str> = arguments.into_iter().chain(["--", "--nocapture"]).collect();
        Invocation::new(workspace.root(), "cargo", all)
    };
    let bench = [
        "run",
        "--release",
        "--locked",
        "-p",
        "openhuman-skills",
        "--example",
        "bench_skills",
        "mixed",
    ];
    vec![
        Step::programs(
            "hostile corpus",
            90,
            vec![test("hostile::").with_environment("OPENHUMAN_HOSTILE_ROUNDS", HOSTILE_ROUNDS)],
        ),
        Step::programs(
            "ending built-in functions",
            60,
            vec![
                test("hostile::")
                    .with_environment("OPENHUMAN_HOSTILE", "natives")
                    .with_environment("OPENHUMAN_HOSTILE_ROUNDS", KILL_ROUNDS),
            ],
        ),
        Step::programs(
            "starting and stopping",
            60,
            vec![test("leak::").with_environment("OPENHUMAN_LEAK_CYCLES", LEAK_CYCLES)],
        ),
        Step::programs("fuzz targets", 120, vec![fuzz(workspace, "600")]).on_linux(),
        Step::programs(
            "address sanitizer",
            60,
            vec![
                sanitized(workspace, &["--lib", "--", "arena", "fiber", "stall"]),
                sanitized(
                    workspace,
                    &["--test", "it", "--", "stall::", "--skip", "leave_nothing_behind"],
                ),
            ],
        )
        .on_linux(),
        Step::programs(
            "mixed load",
            30,
            vec![Invocation::new(workspace.root(), "cargo", bench)],
        ),
    ]
}

/// Tests of the fibers, the arenas and the suspension of built-in functions under AddressSanitizer, on the stable
/// compiler. Stacks that are switched and given up are no leaks; freed memory is kept, so footprints mean nothing.
fn sanitized(workspace: &Workspace, tests: &[&str]) -> Invocation {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = workspace.output("asan").display().to_string();
    let package = ["test", "--locked", "-p", "openhuman-skills"];
    let build = [
        "--features",
        "corosensei/sanitizer",
        "--target",
        &target,
        "--target-dir",
        &folder,
    ];
    let all: Vec<&str> = package.iter().chain(&build).chain(tests).copied().collect();
    Invocation::new(workspace.root(), "cargo", all)
        .with_environment("RUSTC_BOOTSTRAP", "1")
        .with_environment("RUSTFLAGS", "-Zsanitizer=address")
        .with_environment("ASAN_OPTIONS", "detect_leaks=0:detect_stack_use_after_return=0")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::step::listing;

    #[test]
    fn what_runs_long_runs_in_release_mode() {
        let steps = skills(&Workspace::at(Path::new("somewhere")));
        let text = listing(&steps);
        // All programs but the sanitizer's two.
        assert_eq!(
            text.matches(" --release ").count() + 2,
            text.matches(" cargo ").count(),
            "{text}"
        );
        assert!(text.contains("OPENHUMAN_LEAK_CYCLES=10000"), "{text}");
    }
}
