//! `cargo xtask torture skills`: the skills engine's proofs at full length, in release mode.

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
        Step::programs(
            "mixed load",
            30,
            vec![Invocation::new(workspace.root(), "cargo", bench)],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::step::listing;

    #[test]
    fn every_step_runs_in_release_mode() {
        let steps = skills(&Workspace::at(Path::new("somewhere")));
        let text = listing(&steps);
        assert_eq!(
            text.matches("--release").count(),
            text.matches("cargo ").count(),
            "{text}"
        );
        assert!(text.contains("OPENHUMAN_LEAK_CYCLES=10000"), "{text}");
    }
}
