//! Links `openhuman://..` that the system hands over because somebody clicked on one.
//!
//! Where a link starts the program again, the second process hands its arguments to the first one and ends. What is done
//! with a link is the core's to decide: one that this device did not ask for is not used.

use std::path::Path;

use tauri::plugin::TauriPlugin;
use tauri::{AppHandle, Manager, Wry};

use crate::door::{Door, MAIN};

/// How a link of ours begins.
const SCHEME: &str = "openhuman://";

/// Lets one process run for each home. A further start shows the window that there is, and hands over its link.
pub(crate) fn single_instance(home: Option<&Path>) -> TauriPlugin<Wry> {
    let builder = tauri_plugin_single_instance::Builder::new().callback(|app, arguments, _| {
        show(app);
        if let Some(link) = link_of(arguments.into_iter().skip(1)) {
            opened(app, link);
        }
    });
    #[cfg(target_os = "linux")]
    let builder = builder.dbus_id(bus_name(home));
    #[cfg(not(target_os = "linux"))]
    let _ = home;
    builder.build()
}

/// Hands a link to the core; what became of it reaches the window as an event.
pub(crate) fn opened(app: &AppHandle, link: String) {
    let app = app.clone();
    // Ends with the login that it finishes, or at once.
    tauri::async_runtime::spawn(async move { app.state::<Door>().open_link(&link).await });
}

/// The link among the arguments of a start, if there is one.
fn link_of(mut arguments: impl Iterator<Item = String>) -> Option<String> {
    arguments.find(|argument| argument.starts_with(SCHEME))
}

fn show(app: &AppHandle) {
    let Some(window) = app.get_webview_window(MAIN) else {
        return;
    };
    for shown in [window.unminimize(), window.show(), window.set_focus()] {
        if let Err(error) = shown {
            tracing::debug!(%error, "the window could not be brought to the front");
        }
    }
}

/// A name on the bus for each home: two homes are two programs.
#[cfg(target_os = "linux")]
fn bus_name(home: Option<&Path>) -> String {
    // FNV-1a: both processes have to come to the same name, and nobody gains from another one.
    let hash = home.map_or(0, |home| {
        home.as_os_str()
            .as_encoded_bytes()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
            })
    });
    format!("dev.openhuman.desktop.home{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_link_of_ours_is_taken_from_the_arguments() {
        let link = |arguments: &[&str]| link_of(arguments.iter().map(|&text| text.to_owned()));
        assert_eq!(
            link(&["--flag", "openhuman://auth?token=t"]).as_deref(),
            Some("openhuman://auth?token=t")
        );
        for none in [
            &[][..],
            &["--flag"],
            &["https://auth?token=t"],
            &[" openhuman://x"],
        ] {
            assert_eq!(link(none), None, "{none:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn each_home_has_a_name_of_its_own() {
        let names = [None, Some(Path::new("/a")), Some(Path::new("/b"))].map(bus_name);
        assert!(names[0] != names[1] && names[1] != names[2], "{names:?}");
        let usable = |name: &String| {
            name.split('.')
                .all(|part| !part.is_empty() && !part.starts_with(|first: char| first.is_ascii_digit()))
        };
        assert!(names.iter().all(usable), "{names:?}");
        assert_eq!(bus_name(Some(Path::new("/a"))), names[1], "both processes agree");
    }
}
