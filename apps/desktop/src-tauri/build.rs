//! Generates the window's context: configuration, permissions, and the front end as assets.

use std::path::Path;
use std::{fs, io};

/// The commands that the window may be granted; each gets an `allow-` permission.
const COMMANDS: &[&str] = &["core_rpc", "core_stream", "core_subscribe", "painted"];

/// What the window shows when the front end was not built.
const PLACEHOLDER: &str = r#"<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>OpenHuman</title>
  </head>
  <body>
    <h1>The front end is not built</h1>
    <p>Run <code>npm ci</code> and <code>npm run build</code> in apps/desktop, then build the app again.</p>
  </body>
</html>
"#;

fn main() {
    let dist = Path::new("../dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    if let Err(error) = ensure_front_end(dist) {
        panic!(
            "cannot write a placeholder for the front end into {}: {error}",
            dist.display()
        );
    }
    let commands = tauri_build::AppManifest::new().commands(COMMANDS);
    if let Err(error) = tauri_build::try_build(tauri_build::Attributes::new().app_manifest(commands)) {
        panic!("the Tauri build step failed: {error:#}");
    }
}

/// A fresh clone has no built front end, and the assets are read at compile time: a page that says so takes its place.
fn ensure_front_end(dist: &Path) -> io::Result<()> {
    let index = dist.join("index.html");
    if index.exists() {
        return Ok(());
    }
    println!("cargo:warning=the front end is not built: run `npm ci` and `npm run build` in apps/desktop");
    fs::create_dir_all(dist)?;
    fs::write(index, PLACEHOLDER)
}
