use super::*;
use crate::VaultOptions;
use tempfile::TempDir;

fn password(text: &str) -> Password {
    Password::from(text.to_owned())
}

fn fast() -> VaultOptions {
    VaultOptions::fast_for_tests()
}

fn created() -> (TempDir, Vault) {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::create(dir.path(), &password("pass"), &fast()).unwrap();
    (dir, vault)
}

#[test]
fn a_handle_stands_for_one_value_only() {
    let (_dir, vault) = created();
    let at = |now| vault.secrets(now);
    let first = at(10).put("token", b"1", "connected").unwrap();
    assert_eq!(at(11).handle("token").unwrap().unwrap(), first);
    assert_eq!(at(11).reveal(&first, "a call").unwrap().expose(), b"1");
    let second = at(20).put("token", b"2", "again").unwrap();
    assert!(second.version() > first.version());
    for refused in [
        at(21).reveal(&first, "a call").map(drop),
        at(21).replace(&first, b"3", "late").map(drop),
    ] {
        assert!(matches!(refused, Err(VaultError::SecretChanged { name }) if name == "token"));
    }
    let info = &at(22).list().unwrap()[0];
    assert_eq!(info.handle, second);
    assert_eq!((info.created_ms, info.changed_ms), (Some(10), Some(20)));
    assert!(at(30).remove("token", "disconnected").unwrap());
    assert!(!at(30).remove("token", "disconnected").unwrap());
    assert!(at(31).handle("token").unwrap().is_none());
    assert!(matches!(
        at(31).reveal(&second, "a call"),
        Err(VaultError::SecretMissing { .. })
    ));
    let third = at(32).put("token", b"1", "connected").unwrap();
    assert!(third.version() > second.version(), "an old handle stays dead");
    assert!(at(32).reveal(&first, "a call").is_err());
}

#[test]
fn every_use_and_change_is_in_the_log_and_refusals_are_not() {
    let (dir, vault) = created();
    let secrets = vault.secrets(1_000);
    let handle = secrets.put("a", b"1", "connected").unwrap();
    secrets.reveal(&handle, "GET /messages").unwrap();
    let newer = secrets.replace(&handle, b"2", "refreshed").unwrap();
    assert!(secrets.reveal(&handle, "late").is_err());
    secrets.export(&password("away"), &fast()).unwrap();
    vault.secrets(2_000).remove("a", "gone").unwrap();
    drop(vault);
    let vault = Vault::open(dir.path(), &password("pass")).unwrap();
    let log = vault.secrets(0).audit().unwrap();
    let lines: Vec<_> = log
        .iter()
        .map(|entry| (entry.at_ms, entry.action, entry.version, entry.purpose.as_str()))
        .collect();
    let (old, new) = (handle.version(), newer.version());
    assert_eq!(
        lines,
        [
            (1_000, AuditAction::Stored, old, "connected"),
            (1_000, AuditAction::Revealed, old, "GET /messages"),
            (1_000, AuditAction::Stored, new, "refreshed"),
            (1_000, AuditAction::Exported, 0, "all secrets"),
            (2_000, AuditAction::Removed, new, "gone"),
        ]
    );
    let bytes = std::fs::read(dir.path().join("audit.ohr")).unwrap();
    assert!(!bytes.windows(8).any(|window| window == b"messages"));
}

#[test]
fn a_full_log_makes_room_and_keeps_the_latest_entries() {
    let (_dir, vault) = created();
    let long = "\u{e9}".repeat(200);
    for n in 0..600 {
        let secrets = vault.secrets(n);
        secrets.write_down(AuditAction::Revealed, "a", 1, &long).unwrap();
    }
    let log = vault.secrets(0).audit().unwrap();
    assert!((256..=512).contains(&log.len()), "{}", log.len());
    let times: Vec<i64> = log.iter().map(|entry| entry.at_ms).collect();
    assert_eq!(times.last(), Some(&599));
    assert!(times.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert_eq!(
        log[0].purpose,
        "\u{e9}".repeat(128),
        "a purpose has 256 bytes at most"
    );
}

#[test]
fn a_damaged_log_is_reported_put_aside_and_does_not_lock_the_secrets() {
    let (dir, vault) = created();
    let secrets = vault.secrets(1);
    let handle = secrets.put("a", b"1", "connected").unwrap();
    secrets.reveal(&handle, "one").unwrap();
    let path = dir.path().join("audit.ohr");
    let mut bytes = std::fs::read(&path).unwrap();
    // Behind the header and the two anchors.
    bytes[170] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(secrets.audit(), Err(VaultError::Audit(_))));
    assert_eq!(secrets.reveal(&handle, "two").unwrap().expose(), b"1");
    let log = secrets.audit().unwrap();
    assert_eq!(log[0].action, AuditAction::LogReplaced);
    assert_eq!(log[1].purpose, "two");
    assert_eq!(
        std::fs::read(dir.path().join("audit.damaged.ohr")).unwrap(),
        bytes
    );
}

#[test]
fn what_cannot_be_written_down_is_not_revealed() {
    let (dir, vault) = created();
    let secrets = vault.secrets(1);
    let handle = secrets.put("a", b"1", "connected").unwrap();
    let path = dir.path().join("audit.ohr");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(secrets.reveal(&handle, "x"), Err(VaultError::Audit(_))));
    assert!(secrets.put("b", b"1", "x").is_err());
    assert_eq!(vault.secret_names().unwrap(), ["a"]);
    assert!(secrets.remove("a", "x").is_err());
    assert_eq!(vault.secret_names().unwrap(), ["a"], "nothing has changed");
}

#[test]
fn secrets_move_to_another_vault_under_a_password_of_their_own() {
    let (_dir, vault) = created();
    let (_other_dir, other) = created();
    for (name, value) in [("a", &b"CANARY-1"[..]), ("b", b""), ("c", &[0, 255])] {
        vault.secrets(5).put(name, value, "test").unwrap();
    }
    let exported = vault.secrets(6).export(&password("away"), &fast()).unwrap();
    assert!(!exported.windows(6).any(|window| window == b"CANARY"));
    let import =
        |bytes: &[u8], text: &str, existing| other.secrets(7).import(bytes, &password(text), existing);
    assert!(matches!(
        import(&exported, "pass", Existing::Keep),
        Err(VaultError::WrongPassword)
    ));
    other.set_secret("a", b"mine").unwrap();
    let kept = import(&exported, "away", Existing::Keep).unwrap();
    assert_eq!((kept.added, kept.replaced, kept.kept), (2, 0, 1));
    assert_eq!(other.secret("a").unwrap().unwrap().as_slice(), b"mine");
    assert_eq!(other.secret("c").unwrap().unwrap().as_slice(), [0, 255]);
    let replaced = import(&exported, "away", Existing::Replace).unwrap();
    assert_eq!((replaced.added, replaced.replaced, replaced.kept), (0, 3, 0));
    assert_eq!(other.secret("a").unwrap().unwrap().as_slice(), b"CANARY-1");
    let log = other.secrets(0).audit().unwrap();
    assert_eq!(log.last().unwrap().action, AuditAction::Imported);
}

#[test]
fn some_secrets_are_exported_alone_and_each_is_written_down() {
    let ((_dir, from), (_other, to)) = (created(), created());
    for name in ["a", "b", "c"] {
        from.secrets(1).put(name, name.as_bytes(), "test").unwrap();
    }
    let before = from.secrets(2).audit().unwrap().len();
    let missing = from
        .secrets(2)
        .export_only(&["a", "x"], &password("export"), &fast());
    assert!(matches!(missing, Err(VaultError::SecretMissing { name }) if name == "x"));
    assert_eq!(from.secrets(2).audit().unwrap().len(), before);
    let exported = from
        .secrets(2)
        .export_only(&["a", "c", "a"], &password("export"), &fast())
        .unwrap();
    let log = from.secrets(2).audit().unwrap();
    let written: Vec<_> = log[before..].iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(written, ["a", "c"]);
    assert!(
        log[before..]
            .iter()
            .all(|entry| entry.action == AuditAction::Exported)
    );
    let imported = to
        .secrets(3)
        .import(&exported, &password("export"), Existing::Keep)
        .unwrap();
    assert_eq!(imported.added, 2);
    assert!(to.secret("b").unwrap().is_none());
    assert_eq!(to.secret("c").unwrap().unwrap().as_slice(), b"c");
}

#[test]
fn a_changed_or_cut_export_imports_nothing() {
    let (_dir, vault) = created();
    vault.set_secret("a", b"1").unwrap();
    let good = vault.secrets(1).export(&password("away"), &fast()).unwrap();
    let (_other_dir, other) = created();
    let import = |bytes: &[u8]| {
        other
            .secrets(1)
            .import(bytes, &password("away"), Existing::Replace)
    };
    for at in 0..good.len() {
        let mut bad = good.clone();
        // The high bits of the parameters ask for more than is accepted, so that no flip costs minutes.
        bad[at] ^= 0x80;
        assert!(import(&bad).is_err(), "byte {at}");
    }
    for length in (0..good.len()).filter(|length| *length < 80 || length % 7 == 0) {
        assert!(import(&good[..length]).is_err(), "cut at {length}");
    }
    assert!(other.secret_names().unwrap().is_empty());
    import(&good).unwrap();
}

#[test]
fn secrets_do_not_print() {
    let (_dir, vault) = created();
    let secrets = vault.secrets(1);
    let handle = secrets.put("a", b"CANARY", "test").unwrap();
    let secret = secrets.reveal(&handle, "test").unwrap();
    assert_eq!(secret.expose_str(), Some("CANARY"));
    assert_eq!(format!("{secret:?}"), "Secret(..)");
    assert!(!format!("{secrets:?} {handle:?}").contains("CANARY"));
}
