//! Checks of the machine and of the lock files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Failure;
use crate::process::Invocation;
use crate::step::Check;
use crate::workspace::Workspace;

/// The oldest node that the front end's tools run on.
const OLDEST_NODE: (u32, u32) = (20, 19);

/// Packages that must not enter the product: TLS is rustls with ring.
const FORBIDDEN: [&str; 2] = ["openssl-sys", "aws-lc-sys"];

/// The programs that the steps start, named at once instead of halfway through.
#[derive(Debug)]
pub(crate) struct Tools;

impl Check for Tools {
    fn describe(&self) -> &'static str {
        "looks for clippy, rustfmt, node, npm and python"
    }

    fn run(&self, limit: Duration) -> Result<(), Failure> {
        let here = Path::new(".");
        for component in ["clippy", "fmt"] {
            if !Invocation::new(here, "cargo", [component, "--version"]).succeeds() {
                return Err(Failure::new(format!(
                    "cargo {component} is missing: run `rustup component add clippy rustfmt`"
                )));
            }
        }
        let (major, minor) = OLDEST_NODE;
        let advice = format!("install node {major}.{minor} or newer with npm");
        let node = Invocation::new(here, "node", ["--version"]).read(limit);
        let node = node.map_err(|failure| Failure::new(format!("{failure}\n{advice}")))?;
        if node_version(&node).is_none_or(|version| version < OLDEST_NODE) {
            return Err(Failure::new(format!("node is {}: {advice}", node.trim())));
        }
        if !Invocation::new(here, "npm", ["--version"]).succeeds() {
            return Err(Failure::new(format!("npm is missing: {advice}")));
        }
        if !Invocation::new(here, python(), ["-c", "import ensurepip, venv"]).succeeds() {
            return Err(Failure::new(format!(
                "`{}` with its venv module is missing: install Python 3",
                python()
            )));
        }
        println!("   node {}", node.trim());
        Ok(())
    }
}

/// The name of the Python 3 interpreter.
pub(crate) fn python() -> &'static str {
    if cfg!(windows) { "python" } else { "python3" }
}

/// Major and minor number of a text like `v20.19.1`.
fn node_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// What must not stand in Cargo.lock and in the package-lock.json files.
#[derive(Debug)]
pub(crate) struct LockFiles {
    cargo: PathBuf,
    npm: Vec<PathBuf>,
}

impl LockFiles {
    pub(crate) fn of(workspace: &Workspace) -> LockFiles {
        LockFiles {
            cargo: workspace.root().join("Cargo.lock"),
            npm: workspace.package_locks(),
        }
    }
}

impl Check for LockFiles {
    fn describe(&self) -> &'static str {
        "looks for unwanted packages in Cargo.lock and for registry hosts in package-lock.json"
    }

    fn run(&self, _: Duration) -> Result<(), Failure> {
        if let Some(package) = forbidden_package(&read(&self.cargo)?) {
            return Err(Failure::new(format!(
                "Cargo.lock names {package}: run `cargo tree -i {package} --target all` and switch that dependency \
                 to rustls with ring"
            )));
        }
        for path in &self.npm {
            if names_a_host(&read(path)?) {
                return Err(Failure::new(format!(
                    "{} names registry hosts: run `npm config set omit-lockfile-registry-resolved true`, delete the \
                     file and run `npm install` again",
                    path.display()
                )));
            }
        }
        println!("   Cargo.lock and {} package-lock.json are clean", self.npm.len());
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

fn forbidden_package(cargo_lock: &str) -> Option<&'static str> {
    FORBIDDEN.into_iter().find(|package| {
        let line = format!("name = \"{package}\"");
        cargo_lock.lines().any(|found| found == line)
    })
}

fn names_a_host(package_lock: &str) -> bool {
    package_lock.contains("\"resolved\":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_are_compared_by_number() {
        assert_eq!(node_version("v20.19.1\n"), Some((20, 19)));
        assert!(node_version("v9.99.0").unwrap() < OLDEST_NODE);
        assert!(node_version("v24.0.0").unwrap() > OLDEST_NODE);
        assert_eq!(node_version("20.19.1"), None);
    }

    #[test]
    fn forbidden_packages_are_found_by_their_whole_name() {
        let clean = "[[package]]\nname = \"openssl-probe\"\nversion = \"0.1.6\"\n";
        assert_eq!(forbidden_package(clean), None);
        assert_eq!(
            forbidden_package(&format!("{clean}name = \"aws-lc-sys\"\n")),
            Some("aws-lc-sys")
        );
    }

    #[test]
    fn an_address_in_a_package_lock_is_found() {
        assert!(names_a_host("{\"resolved\": \"https://registry.example/a.tgz\"}"));
        assert!(!names_a_host("{\"version\": \"1.0.0\"}"));
    }
}
