//! The Debian packages that building and testing need, and how they get here.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::Failure;
use crate::process::Invocation;
use crate::step::Check;

/// What a group of packages is for, and the packages.
const PACKAGES: &[(&str, &[&str])] = &[
    (
        "C compiler and build tools",
        &["build-essential", "pkg-config", "file"],
    ),
    (
        "desktop window",
        &[
            "libwebkit2gtk-4.1-dev",
            "libsoup-3.0-dev",
            "libgtk-3-dev",
            "librsvg2-dev",
            "libayatana-appindicator3-dev",
            "libxdo-dev",
        ],
    ),
    (
        "test of the real window",
        &[
            "xvfb",
            "xauth",
            "dbus",
            "dbus-x11",
            "at-spi2-core",
            "webkit2gtk-driver",
            "xdotool",
            "imagemagick",
            "fonts-dejavu-core",
            "fonts-inter",
            "fonts-noto-color-emoji",
            "desktop-file-utils",
        ],
    ),
    ("test of the keychain", &["gnome-keyring", "libsecret-tools"]),
    (
        "test of what storage writes, and its bench",
        &["strace", "sqlcipher"],
    ),
    ("test of several backends", &["redis-server"]),
    ("spell and workflow checks", &["python3-venv"]),
];

/// Sees to it that all packages of the table are installed.
#[derive(Debug)]
pub(crate) struct SystemPackages;

impl Check for SystemPackages {
    fn describe(&self) -> &'static str {
        "installs the Debian packages that are missing"
    }

    fn run(&self, limit: Duration) -> Result<(), Failure> {
        let installed = Invocation::new(
            Path::new("."),
            "dpkg-query",
            ["-W", "-f", "${Package} ${Status}\\n"],
        );
        if !installed.succeeds() {
            println!("   not a Debian system; going on with what is there. Needed, by their Debian names:");
            PACKAGES
                .iter()
                .for_each(|(purpose, names)| println!("   {purpose}: {}", names.join(" ")));
            return Ok(());
        }
        let missing = missing(&all(), &installed.read(limit)?);
        if missing.is_empty() {
            println!("   all {} packages are installed", all().len());
            return Ok(());
        }
        let Some(installer) = Installer::available() else {
            return Err(Failure::new(format!(
                "Debian packages are missing and cannot be installed without a password. Run this line, then try \
                 again:\n  {}",
                shell_line(&missing)
            )));
        };
        println!("   installing {}", missing.join(" "));
        installer
            .calls(&missing)
            .iter()
            .try_for_each(|call| call.run(limit))
    }
}

fn all() -> Vec<&'static str> {
    PACKAGES
        .iter()
        .flat_map(|(_, names)| names.iter().copied())
        .collect()
}

/// The wanted packages that a `dpkg-query` listing (name, then status) does not show as installed.
fn missing<'a>(wanted: &[&'a str], listing: &str) -> Vec<&'a str> {
    let installed: BTreeSet<&str> = listing
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, status)| status.ends_with(" installed"))
        .map(|(name, _)| name)
        .collect();
    wanted
        .iter()
        .copied()
        .filter(|name| !installed.contains(name))
        .collect()
}

fn shell_line(packages: &[&str]) -> String {
    format!(
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    )
}

/// How apt-get can be started without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Installer {
    Root,
    Sudo,
}

impl Installer {
    fn available() -> Option<Installer> {
        let here = Path::new(".");
        if Invocation::new(here, "id", ["-u"])
            .read(Duration::from_secs(60))
            .is_ok_and(|id| id.trim() == "0")
        {
            return Some(Installer::Root);
        }
        Invocation::new(here, "sudo", ["-n", "true"])
            .succeeds()
            .then_some(Installer::Sudo)
    }

    fn calls(self, packages: &[&str]) -> [Invocation; 2] {
        let install = ["install", "-y", "--no-install-recommends"];
        [vec!["update"], install.iter().chain(packages).copied().collect()].map(|arguments| {
            let prefix: &[&str] = if self == Installer::Sudo {
                &["sudo", "-n"]
            } else {
                &[]
            };
            let words = prefix
                .iter()
                .chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
                .copied();
            let mut words = words.chain(arguments);
            let program = words.next().unwrap_or("env");
            Invocation::new(Path::new("."), program, words)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_are_absent_or_only_configured_are_missing() {
        let listing =
            "xvfb install ok installed\nxauth deinstall ok config-files\nfile install ok half-installed\n";
        assert_eq!(
            missing(&["xvfb", "xauth", "file", "dbus"], listing),
            ["xauth", "file", "dbus"]
        );
        assert!(missing(&["xvfb"], listing).is_empty());
    }

    #[test]
    fn no_package_is_listed_twice() {
        let names = all();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn the_line_to_run_by_hand_is_complete() {
        assert_eq!(
            shell_line(&["xvfb", "file"]),
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends xvfb file"
        );
    }

    #[test]
    fn apt_is_updated_once_and_never_asks() {
        let calls = Installer::Sudo.calls(&["xvfb"]).map(|call| call.to_string());
        assert_eq!(
            calls,
            [
                "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get update",
                "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends xvfb",
            ]
        );
        assert!(
            Installer::Root.calls(&["xvfb"])[0]
                .to_string()
                .starts_with("env ")
        );
    }
}
