//! The desktop app: its front end, its binary, and the test of its real window.

use crate::packages::SystemPackages;
use crate::process::Invocation;
use crate::step::Step;
use crate::workspace::Workspace;

/// Builds everything from the package files up.
pub(crate) fn build(workspace: &Workspace) -> Vec<Step> {
    vec![
        system_packages(),
        front_end_packages(workspace),
        front_end_bundle(workspace),
        programs(workspace),
    ]
}

/// Builds everything, then drives the window.
pub(crate) fn test(workspace: &Workspace) -> Vec<Step> {
    let mut steps = build(workspace);
    steps.push(window(workspace));
    steps
}

/// What Debian has to provide for everything here.
pub(crate) fn system_packages() -> Step {
    Step::check("system packages", 20, SystemPackages).on_linux()
}

pub(crate) fn front_end_packages(workspace: &Workspace) -> Step {
    Step::programs("front end: packages", 15, vec![npm(workspace, &["ci"])])
}

pub(crate) fn front_end_bundle(workspace: &Workspace) -> Step {
    Step::programs("front end: build", 10, vec![npm(workspace, &["run", "build"])])
}

/// An npm call for the front end.
pub(crate) fn npm(workspace: &Workspace, arguments: &[&str]) -> Invocation {
    Invocation::new(workspace.root(), "npm", arguments.iter().copied()).within(workspace.front_end())
}

/// The command line program and the app, in one call so that they share their dependencies. The app embeds the front
/// end, so that is built before.
pub(crate) fn programs(workspace: &Workspace) -> Step {
    let packages = ["-p", "openhuman-cli", "-p", "openhuman-desktop"];
    let features = ["--features", "openhuman-desktop/custom-protocol"];
    let arguments = ["build", "--locked"].into_iter().chain(packages).chain(features);
    Step::programs(
        "desktop: programs",
        40,
        vec![Invocation::new(workspace.root(), "cargo", arguments)],
    )
}

/// Drives the window in a virtual screen on a message bus of its own.
pub(crate) fn window(workspace: &Workspace) -> Step {
    let path = |path: std::path::PathBuf| path.display().to_string();
    let arguments = [
        "--".to_string(),
        "xvfb-run".into(),
        "-a".into(),
        "-s".into(),
        "-screen 0 1280x900x24".into(),
        "node".into(),
        path(
            workspace
                .root()
                .join(workspace.front_end())
                .join("e2e/desktop.mjs"),
        ),
        path(workspace.program("debug", "openhuman-desktop")),
        path(workspace.program("debug", "openhuman")),
        path(workspace.output("desktop.png")),
    ];
    let call = Invocation::new(workspace.root(), "dbus-run-session", arguments);
    Step::programs("desktop: real window", 10, vec![call]).on_linux()
}
