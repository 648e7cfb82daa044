//! The client of the desktop is made from the typed table, so it cannot say anything else than the core does.

use std::path::Path;

use openhuman::rpc::{METHODS, typescript};

#[test]
fn the_client_of_the_desktop_is_up_to_date() {
    let desktop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps/desktop");
    if !desktop.join("package.json").is_file() {
        // The crate alone, without its repository.
        return;
    }
    let path = desktop.join("src/core/generated.ts");
    let made = typescript();
    if std::env::var_os("OPENHUMAN_WRITE_TYPESCRIPT").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        made == kept,
        "generated.ts is not what the table says: OPENHUMAN_WRITE_TYPESCRIPT=1 cargo test -p openhuman --test it schema"
    );
}

#[test]
fn every_method_of_the_table_is_answered() {
    let made = typescript();
    let names: Vec<&str> = made
        .split('\'')
        .filter(|part| part.starts_with("openhuman."))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(METHODS.contains(&name), "{name}");
    }
}
