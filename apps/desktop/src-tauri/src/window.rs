//! Opens the main window and keeps it on its own pages.

use tauri::webview::NewWindowResponse;
use tauri::window::Color;
use tauri::{App, Theme, Url, WebviewWindowBuilder};

use crate::door::MAIN;

/// The background before the first frame, as in the light theme of the front end.
const LIGHT: Color = Color(255, 255, 255, 255);

/// The same for the dark theme.
const DARK: Color = Color(18, 22, 26, 255);

/// Opens the main window. It shows at once; the core is asked by the page.
pub(crate) fn open_main(app: &App) -> tauri::Result<()> {
    let Some(config) = app
        .config()
        .app
        .windows
        .iter()
        .find(|window| window.label == MAIN)
    else {
        return Err(tauri::Error::WindowNotFound);
    };
    let window = WebviewWindowBuilder::from_config(app, config)?
        .on_navigation(|url| is_own_page(url, tauri::is_dev()))
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .build()?;
    let background = if window.theme()? == Theme::Dark {
        DARK
    } else {
        LIGHT
    };
    window.set_background_color(Some(background))
}

/// Whether the window may show this address: its own pages, and the development server when there is one.
fn is_own_page(url: &Url, dev: bool) -> bool {
    match (url.scheme(), url.host_str()) {
        // Linux and macOS; Windows serves the same pages under an HTTP name that never leaves the process.
        ("tauri", Some("localhost")) | ("http", Some("tauri.localhost")) => url.port().is_none(),
        ("http", Some("127.0.0.1")) => dev && url.port() == Some(1420),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(url: &str, dev: bool) -> bool {
        is_own_page(&Url::parse(url).unwrap(), dev)
    }

    #[test]
    fn the_window_shows_its_own_pages() {
        assert!(own("tauri://localhost", false));
        assert!(own("tauri://localhost/index.html#x", false));
        assert!(own("http://tauri.localhost/", false));
        assert!(own("http://127.0.0.1:1420/", true));
    }

    #[test]
    fn the_window_goes_nowhere_else() {
        let elsewhere = [
            "https://example.org/",
            "http://127.0.0.1:1420/",
            "http://tauri.localhost.example.org/",
            "http://tauri.localhost:8080/",
            "https://tauri.localhost/",
            "tauri://evil/",
            "file:///etc/passwd",
            "data:text/html,hello",
            "javascript:alert(1)",
            "about:blank",
        ];
        for url in elsewhere {
            assert!(!own(url, false), "{url}");
        }
        assert!(!own("http://127.0.0.1:8080/", true));
    }
}
