//! What holds of the source itself: how far `unsafe` reaches, that no panic unwinds into C, and that no call of one
//! system is outside of its `cfg`.

use std::path::{Path, PathBuf};

/// Every source file of the crate with its path inside of `src`.
fn sources() -> Vec<(PathBuf, String)> {
    fn collect(dir: &Path, root: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, root, found);
            } else {
                let inside = path.strip_prefix(root).unwrap().to_owned();
                found.push((inside, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 20, "{}", found.len());
    found
}

#[test]
fn unsafe_code_is_only_in_the_vfs() {
    for (path, text) in sources() {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let found = code.filter(|line| {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.any(|word| word == "unsafe")
        });
        assert!(
            path.starts_with("vfs") || found.count() == 0,
            "{}: unsafe outside of the vfs module",
            path.display()
        );
    }
}

/// The body of each function that C calls begins with the guard that turns a panic into an error, or with the
/// function that has it inside.
#[test]
fn every_callback_catches_panics() {
    let mut callbacks = 0;
    for (path, text) in sources() {
        for (at, _) in text.match_indices("extern \"C\" fn ") {
            let body = &text[at..];
            let body = &body[..body.find("\n}\n").expect("a function ends")];
            callbacks += 1;
            // These answer with a constant.
            let constant = ["dl_open", "dl_sym", "dl_close"].iter().any(|name| {
                let signature = body.trim_start_matches("extern \"C\" fn ");
                signature.starts_with(name)
            });
            assert!(
                constant || body.contains("guarded(") || body.contains("with(file, "),
                "{}: {}",
                path.display(),
                body.lines().next().unwrap_or_default()
            );
        }
    }
    assert!(callbacks > 30, "{callbacks} callbacks");
}

#[test]
fn calls_of_one_system_stand_behind_their_cfg() {
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            for (call, guard) in [
                ("std::os::unix", "unix"),
                ("libc::", "unix"),
                ("std::os::windows", "windows"),
                ("/proc/", "linux"),
            ] {
                if line.trim_start().starts_with("//") || !line.contains(call) {
                    continue;
                }
                let before = &lines[n.saturating_sub(2)..=n];
                assert!(
                    before
                        .iter()
                        .any(|line| line.contains("cfg(") && line.contains(guard)),
                    "{}, line {}: {line}",
                    path.display(),
                    n + 1
                );
            }
        }
    }
}
