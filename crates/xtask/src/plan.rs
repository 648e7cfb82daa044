//! The table behind `cargo xtask test`.

use std::path::PathBuf;

use crate::checks::{LockFiles, Tools, python};
use crate::desktop;
use crate::memory;
use crate::process::Invocation;
use crate::socketio;
use crate::step::Step;
use crate::storage;
use crate::workspace::Workspace;

/// Cheap checks first, the window last. The front end stands before everything that compiles the desktop crate,
/// because that crate embeds the built files.
pub(crate) fn test(workspace: &Workspace) -> Vec<Step> {
    let mut steps = vec![
        desktop::system_packages(),
        Step::check("tools", 1, Tools),
        Step::programs("format", 5, vec![cargo(workspace, &["fmt", "--all", "--check"])]),
        Step::check("lock files", 1, LockFiles::of(workspace)),
        Step::programs("spelling and workflows", 10, python_tools(workspace)),
        desktop::front_end_packages(workspace),
        Step::programs(
            "front end: lint",
            10,
            vec![desktop::npm(workspace, &["run", "lint"])],
        ),
        Step::programs(
            "front end: types",
            10,
            vec![desktop::npm(workspace, &["run", "typecheck"])],
        ),
        Step::programs(
            "front end: tests",
            10,
            vec![desktop::npm(workspace, &["run", "test"])],
        ),
        desktop::front_end_bundle(workspace),
    ];
    steps.extend(rust(workspace));
    steps.push(desktop::programs(workspace).on_linux());
    steps.push(desktop::window(workspace));
    steps
}

fn rust(workspace: &Workspace) -> Vec<Step> {
    let clippy = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    // Without a choice of targets cargo runs everything, doc-tests too, and builds the examples as programs, which
    // some integration tests start.
    let tests = ["test", "--locked", "--workspace"];
    let features = ["test", "--locked", "-p", "openhuman-socketio", "--all-features"];
    let documents = cargo(workspace, &["doc", "--locked", "--workspace", "--no-deps"]);
    vec![
        Step::programs("lints", 40, vec![cargo(workspace, &clippy)]),
        Step::programs("test fixtures: packages", 15, fixtures(workspace)),
        Step::programs(
            "tests and doc-tests",
            70,
            vec![
                thorough(workspace, cargo(workspace, &tests)),
                cargo(workspace, &features),
                memory::features(workspace),
            ],
        ),
        // Builds without the engine, with AddressSanitizer, in a folder of its own: a minute.
        Step::programs(
            "fuzz smoke",
            20,
            vec![
                fuzz(workspace, "2"),
                socketio::fuzz(workspace, "2"),
                storage::fuzz(workspace, "openhuman-sqlite", "2"),
                storage::fuzz(workspace, "openhuman-vault", "2"),
                storage::fuzz(workspace, "openhuman-memory", "2"),
            ],
        )
        .on_linux(),
        Step::programs(
            "documentation",
            30,
            vec![documents.with_environment("RUSTDOCFLAGS", "-D warnings")],
        ),
    ]
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Invocation {
    Invocation::new(workspace.root(), "cargo", arguments.iter().copied())
}

/// All fuzz targets of the skills engine, one after the other, each for so many seconds.
pub(crate) fn fuzz(workspace: &Workspace, seconds: &str) -> Invocation {
    Invocation::new(
        workspace.root(),
        "sh",
        ["crates/openhuman-skills/fuzz/run.sh", "all", seconds],
    )
}

fn fixtures(workspace: &Workspace) -> Vec<Invocation> {
    workspace
        .node_fixtures()
        .iter()
        .map(|folder| Invocation::new(workspace.root(), "npm", ["ci", "--ignore-scripts"]).within(folder))
        .collect()
}

/// Here nothing may skip itself because a peer is missing: the steps before have installed them all.
fn thorough(workspace: &Workspace, tests: Invocation) -> Invocation {
    let python = python_program(workspace, "python").display().to_string();
    tests
        .with_environment("OPENHUMAN_REQUIRE_NODE", "1")
        .with_environment("OPENHUMAN_REQUIRE_READER", "1")
        .with_environment("OPENHUMAN_REQUIRE_PYTHON_MCP", "1")
        .with_environment(
            "OPENHUMAN_REQUIRE_REDIS",
            if cfg!(target_os = "linux") { "1" } else { "0" },
        )
        .with_environment(
            "OPENHUMAN_REQUIRE_CONFORMANCE",
            if cfg!(target_os = "linux") { "1" } else { "0" },
        )
        .with_environment(
            "OPENHUMAN_REQUIRE_STRACE",
            if cfg!(target_os = "linux") { "1" } else { "0" },
        )
        .with_environment("OPENHUMAN_PYTHON", python)
}

/// A program of the virtual environment.
fn python_program(workspace: &Workspace, name: &str) -> PathBuf {
    let folder = workspace
        .output("python")
        .join(if cfg!(windows) { "Scripts" } else { "bin" });
    folder.join(name)
}

/// Tools from the Python package index live in a virtual environment under the target folder.
fn python_tools(workspace: &Workspace) -> Vec<Invocation> {
    let root = workspace.root();
    let environment = workspace.output("python");
    let text = |path: PathBuf| path.display().to_string();
    let program = |name: &str| text(python_program(workspace, name));
    let requirements = text(root.join("crates/xtask/python-tools.txt"));
    vec![
        Invocation::new(
            root,
            python(),
            ["-m".to_string(), "venv".into(), text(environment.clone())],
        ),
        Invocation::new(
            root,
            program("python"),
            [
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
                &requirements,
            ],
        ),
        Invocation::new(root, program("typos"), ["--config", "typos.toml"]),
        Invocation::new(
            root,
            program("zizmor"),
            ["--offline", "--no-progress", ".github/workflows"],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::step::{Action, Systems};

    fn plan() -> Vec<Step> {
        test(&Workspace::at(Path::new("somewhere")))
    }

    fn position(name: &str) -> usize {
        plan()
            .iter()
            .position(|step| step.name == name)
            .unwrap_or_else(|| panic!("a step named {name}"))
    }

    fn lines(step: &Step) -> Vec<String> {
        match &step.action {
            Action::Programs(programs) => programs.iter().map(ToString::to_string).collect(),
            Action::Check(_) => Vec::new(),
        }
    }

    #[test]
    fn names_are_unique_and_limits_are_set() {
        let plan = plan();
        assert_eq!(
            plan.iter().map(|step| step.name).collect::<BTreeSet<_>>().len(),
            plan.len()
        );
        assert!(plan.iter().all(|step| step.limit.as_secs() >= 60));
    }

    #[test]
    fn the_front_end_is_built_before_the_desktop_crate_is_compiled() {
        assert!(position("front end: build") < position("lints"));
        assert!(position("test fixtures: packages") < position("tests and doc-tests"));
    }

    #[test]
    fn the_window_comes_last_and_only_on_linux() {
        let plan = plan();
        let last = plan.last().unwrap();
        assert_eq!(
            (last.name, last.systems),
            ("desktop: real window", Systems::Linux)
        );
        assert!(
            lines(last)
                .last()
                .unwrap()
                .starts_with("dbus-run-session -- xvfb-run -a -s '-screen 0 1280x900x24' node somewhere")
        );
    }

    #[test]
    fn warnings_are_denied_by_lints_and_documentation_only() {
        let denying: Vec<&str> = plan()
            .iter()
            .filter(|step| lines(step).iter().any(|line| line.contains("warnings")))
            .map(|step| step.name)
            .collect();
        assert_eq!(denying, ["lints", "documentation"]);
        assert!(
            plan()
                .iter()
                .flat_map(lines)
                .all(|line| !line.contains("RUSTFLAGS="))
        );
    }
}
