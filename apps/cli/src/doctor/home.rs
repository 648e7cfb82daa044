//! The home directory: there, ours, and closed to others.

use std::fs::File;

use openhuman::Home;

use super::Findings;
use crate::exit::Failure;

pub(super) fn look(home: &Home, findings: &mut Findings) -> Result<(), Failure> {
    let path = home.path();
    let shown = path.display();
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return findings.note(
                "home",
                format!("{shown} does not exist yet"),
                "`openhuman vault create` makes it",
            );
        }
        Err(error) => return findings.bad("home", format!("cannot look at {shown}: {error}")),
        Ok(found) if !found.is_dir() => {
            return findings.bad(
                "home",
                format!("{shown} is no directory; choose another one with --home"),
            );
        }
        Ok(found) => {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                if found.permissions().mode() & 0o077 != 0 {
                    findings.note(
                        "home",
                        format!("{shown} can be entered by other users of this machine"),
                        format!("what is sealed stays sealed; `chmod 700 {shown}` hides names and sizes too"),
                    )?;
                }
            }
            #[cfg(not(unix))]
            let _ = found;
        }
    }
    // What a full or read-only disk says is told here, before something is half done.
    let probe = path.join(".doctor");
    let written = File::create(&probe).and_then(|file| {
        file.sync_all()?;
        drop(file);
        std::fs::remove_file(&probe)
    });
    match written {
        Ok(()) => findings.good("home", format!("{shown} can be written")),
        Err(error) => findings.bad("home", format!("{shown} cannot be written: {error}")),
    }
}
