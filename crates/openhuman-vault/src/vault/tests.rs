use super::header_file::copy_of as backup;
use super::*;
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
fn the_password_opens_the_same_vault_again() {
    let (dir, vault) = created();
    let (id, subkey) = (vault.id().to_owned(), vault.subkey("memory"));
    assert!(Vault::exists(dir.path()));
    assert_eq!(id.len(), 32);
    drop(vault);
    let vault = Vault::open(dir.path(), &password("pass")).unwrap();
    assert_eq!(vault.id(), id);
    assert_eq!(vault.subkey("memory").expose(), subkey.expose());
    assert_ne!(vault.subkey("other").expose(), subkey.expose());
    assert_eq!(vault.password_params(), fast().argon2);
}

#[test]
fn a_wrong_password_and_a_changed_header_are_different_errors() {
    let (dir, vault) = created();
    for wrong in ["Pass", "pass ", "p"] {
        assert!(matches!(
            Vault::open(dir.path(), &password(wrong)),
            Err(VaultError::WrongPassword)
        ));
    }
    // A field that no slot depends on: only the MAC can notice.
    let path = dir.path().join(HEADER_FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    let generation = 8 + 3 + 16 + 3;
    bytes[generation + 7] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    std::fs::write(backup(&path), &bytes).unwrap();
    assert!(matches!(
        Vault::open(dir.path(), &password("pass")),
        Err(VaultError::HeaderTampered)
    ));
    drop(vault);
}

#[test]
fn creating_twice_and_opening_nothing_are_refused() {
    let (dir, _vault) = created();
    let again = Vault::create(dir.path(), &password("other"), &fast());
    assert!(matches!(again, Err(VaultError::AlreadyExists { .. })));
    let empty = tempfile::tempdir().unwrap();
    assert!(!Vault::exists(empty.path()));
    assert!(matches!(
        Vault::open(empty.path(), &password("pass")),
        Err(VaultError::NotFound { .. })
    ));
    let store = MemoryKeyStore::new();
    assert!(matches!(
        Vault::open_from_key_store(empty.path(), &store),
        Err(VaultError::NotFound { .. })
    ));
    assert!(matches!(
        Vault::create(empty.path(), &password(""), &fast()),
        Err(VaultError::EmptyPassword)
    ));
    assert!(!Vault::exists(empty.path()));
}

#[test]
fn a_key_store_remembers_and_forgets() {
    let (dir, mut vault) = created();
    let store = MemoryKeyStore::new();
    let open = || Vault::open_from_key_store(dir.path(), &store);
    assert!(matches!(open(), Err(VaultError::NotRemembered)));
    vault.remember_in(&store).unwrap();
    vault.remember_in(&store).unwrap();
    assert_eq!(open().unwrap().subkey("x").expose(), vault.subkey("x").expose());
    assert!(open().unwrap().is_remembered());
    // A locked store that answers "no entry" is not taken for a fresh start.
    let locked = MemoryKeyStore::new();
    let missing = Vault::open_from_key_store(dir.path(), &locked);
    assert!(matches!(missing, Err(VaultError::KeyStoreEntryMissing)));
    locked.set(&vault.account(), &Key::from_bytes([0; 32])).unwrap();
    let wrong = Vault::open_from_key_store(dir.path(), &locked);
    assert!(matches!(wrong, Err(VaultError::WrongKeyInStore)));
    vault.forget_in(&store).unwrap();
    assert!(store.get(&vault.account()).unwrap().is_none());
    assert!(matches!(open(), Err(VaultError::NotRemembered)));
    Vault::open(dir.path(), &password("pass")).unwrap();
}

/// A store that refuses to write.
struct Refusing;

impl KeyStore for Refusing {
    fn get(&self, _account: &str) -> Result<Option<Key>, KeyStoreError> {
        Ok(None)
    }
    fn set(&self, _account: &str, _key: &Key) -> Result<(), KeyStoreError> {
        Err(KeyStoreError::Locked {
            reason: "test".to_owned(),
        })
    }
    fn delete(&self, _account: &str) -> Result<bool, KeyStoreError> {
        Err(KeyStoreError::Locked {
            reason: "test".to_owned(),
        })
    }
}

#[test]
fn a_key_store_that_fails_leaves_the_vault_as_it_was() {
    let (dir, mut vault) = created();
    let before = std::fs::read(dir.path().join(HEADER_FILE)).unwrap();
    let refused = vault.remember_in(&Refusing);
    assert!(matches!(
        refused,
        Err(VaultError::KeyStore(KeyStoreError::Locked { .. }))
    ));
    assert_eq!(std::fs::read(dir.path().join(HEADER_FILE)).unwrap(), before);
    assert!(!vault.is_remembered());
}

#[test]
fn changing_the_password_keeps_everything_else_and_ends_the_old_one() {
    let (dir, mut vault) = created();
    let store = MemoryKeyStore::new();
    vault.remember_in(&store).unwrap();
    vault.set_secret("token", b"value").unwrap();
    let sealed = vault.seal("note", b"text").unwrap();
    vault.change_password(&password("new"), &fast()).unwrap();
    drop(vault);
    assert!(matches!(
        Vault::open(dir.path(), &password("pass")),
        Err(VaultError::WrongPassword)
    ));
    let vault = Vault::open(dir.path(), &password("new")).unwrap();
    assert_eq!(vault.secret("token").unwrap().unwrap().as_slice(), b"value");
    assert_eq!(vault.unseal("note", &sealed).unwrap(), b"text");
    Vault::open_from_key_store(dir.path(), &store).unwrap();
    // The copy of the header must not let the old password in either.
    std::fs::remove_file(dir.path().join(HEADER_FILE)).unwrap();
    assert!(matches!(
        Vault::open(dir.path(), &password("pass")),
        Err(VaultError::WrongPassword)
    ));
    Vault::open(dir.path(), &password("new")).unwrap();
}

#[test]
fn a_lost_or_unreadable_header_is_replaced_by_its_copy() {
    let (dir, vault) = created();
    let path = dir.path().join(HEADER_FILE);
    let good = std::fs::read(&path).unwrap();
    drop(vault);
    std::fs::remove_file(&path).unwrap();
    assert!(Vault::exists(dir.path()));
    Vault::open(dir.path(), &password("pass")).unwrap();
    for bad in [&b""[..], &good[..40], &[0; 200]] {
        std::fs::write(&path, bad).unwrap();
        Vault::open(dir.path(), &password("pass")).unwrap();
    }
    std::fs::remove_file(backup(&path)).unwrap();
    std::fs::write(&path, &good[..40]).unwrap();
    assert!(matches!(
        Vault::open(dir.path(), &password("pass")),
        Err(VaultError::Damaged { .. })
    ));
}

#[test]
fn a_rotten_bit_in_the_key_slot_does_not_make_the_password_wrong() {
    let (dir, vault) = created();
    let path = dir.path().join(HEADER_FILE);
    let good = std::fs::read(&path).unwrap();
    let salt = 8 + 3 + 16 + 3 + 8 + 3 + 12 + 3 + 1;
    let wrapped = salt + 16 + 12 + 30;
    for at in [salt, wrapped] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let opened = Vault::open(dir.path(), &password("pass")).unwrap();
        assert_eq!(opened.subkey("x").expose(), vault.subkey("x").expose());
        assert!(matches!(
            Vault::open(dir.path(), &password("wrong")),
            Err(VaultError::WrongPassword)
        ));
    }
}

/// Makes the next write of this file fail.
fn block(file: &Path) -> PathBuf {
    let in_the_way = files::with_suffix(file, ".tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    in_the_way
}

#[test]
fn a_change_that_fails_half_way_has_not_happened() {
    let (dir, mut vault) = created();
    let store = MemoryKeyStore::new();
    vault.remember_in(&store).unwrap();
    let header = dir.path().join(HEADER_FILE);
    for file in [header.clone(), backup(&header)] {
        let blocked = block(&file);
        let changed = vault.change_password(&password("new"), &fast());
        assert!(matches!(changed, Err(VaultError::Io { .. })));
        assert!(matches!(vault.remember_in(&store), Err(VaultError::Io { .. })));
        assert!(matches!(vault.note_database("x"), Err(VaultError::Io { .. })));
        assert!(!vault.has_database("x"));
        Vault::open(dir.path(), &password("pass")).unwrap();
        Vault::open_from_key_store(dir.path(), &store).unwrap();
        std::fs::remove_dir(blocked).unwrap();
    }
    vault.change_password(&password("new"), &fast()).unwrap();
    Vault::open(dir.path(), &password("new")).unwrap();
}

#[test]
fn a_vault_that_could_not_be_created_can_be_created_again() {
    let dir = tempfile::tempdir().unwrap();
    let header = dir.path().join(HEADER_FILE);
    let create = || Vault::create(dir.path(), &password("pass"), &fast());
    for file in [header.clone(), backup(&header)] {
        let blocked = block(&file);
        assert!(matches!(create(), Err(VaultError::Io { .. })));
        assert!(!Vault::exists(dir.path()));
        std::fs::remove_dir(blocked).unwrap();
    }
    create().unwrap();
}

#[test]
fn a_vault_with_many_long_database_names_still_opens() {
    let (dir, mut vault) = created();
    for n in 0..64 {
        vault.note_database(&format!("{n:0>256}")).unwrap();
    }
    assert!(matches!(
        vault.note_database("one more"),
        Err(VaultError::TooLarge { .. })
    ));
    let vault = Vault::open(dir.path(), &password("pass")).unwrap();
    assert!(vault.has_database(&format!("{:0>256}", 63)));
}

#[test]
fn a_header_that_could_not_be_read_again_is_not_written() {
    let (dir, mut vault) = created();
    let body = vec![0; 4];
    let added = vault.update(|header| {
        header.slots.extend((0..16).map(|_| Slot::Other {
            kind: 9,
            body: body.clone(),
        }));
        Ok(())
    });
    assert!(matches!(added, Err(VaultError::TooLarge { .. })));
    Vault::open(dir.path(), &password("pass")).unwrap();
}

#[test]
fn two_handles_do_not_undo_each_others_changes() {
    let (dir, mut a) = created();
    let mut b = Vault::open(dir.path(), &password("pass")).unwrap();
    a.note_database("memory.db").unwrap();
    b.remember_in(&MemoryKeyStore::new()).unwrap();
    a.set_secret("a", b"1").unwrap();
    b.set_secret("b", b"2").unwrap();
    let c = Vault::open(dir.path(), &password("pass")).unwrap();
    assert!(c.has_database("memory.db") && c.is_remembered() && !c.has_database("other.db"));
    assert_eq!(c.secret_names().unwrap(), ["a", "b"]);
}

#[test]
fn secrets_are_stored_replaced_listed_and_removed() {
    let (dir, vault) = created();
    assert_eq!(vault.secret("none").unwrap(), None);
    vault.set_secret("one", b"1").unwrap();
    vault.set_secret("two", b"SECRET-CANARY").unwrap();
    vault.set_secret("one", b"uno").unwrap();
    assert_eq!(vault.secret("one").unwrap().unwrap().as_slice(), b"uno");
    assert_eq!(vault.secret_names().unwrap(), ["one", "two"]);
    let file = std::fs::read(dir.path().join(SECRETS_FILE)).unwrap();
    for needle in [&b"SECRET-CANARY"[..], b"two"] {
        assert!(!file.windows(needle.len()).any(|window| window == needle));
    }
    assert!(vault.remove_secret("one").unwrap());
    assert!(!vault.remove_secret("one").unwrap());
    drop(vault);
    let vault = Vault::open(dir.path(), &password("pass")).unwrap();
    assert_eq!(vault.secret_names().unwrap(), ["two"]);
    assert!(matches!(
        vault.set_secret("", b"x"),
        Err(VaultError::BadName { .. })
    ));
    assert!(matches!(
        vault.set_secret(&"n".repeat(257), b"x"),
        Err(VaultError::BadName { .. })
    ));
    let large = vec![0; 1024 * 1024 + 1];
    assert!(matches!(
        vault.set_secret("large", &large),
        Err(VaultError::TooLarge { .. })
    ));
}

#[test]
fn every_changed_byte_of_the_secrets_file_is_noticed() {
    let (dir, vault) = created();
    vault.set_secret("name", b"value").unwrap();
    let path = dir.path().join(SECRETS_FILE);
    let older = std::fs::read(&path).unwrap();
    vault.set_secret("second", b"value").unwrap();
    let good = std::fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bad).unwrap();
        assert!(vault.secret("name").is_err(), "byte {at}");
    }
    for length in 0..good.len() {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(vault.secret("name").is_err(), "cut at {length}");
    }
    // Records of two generations do not mix.
    let mixed = [&older[..older.len() - 32], &good[good.len() - 32..]].concat();
    std::fs::write(&path, mixed).unwrap();
    assert!(matches!(
        vault.secret("name"),
        Err(VaultError::SecretsTampered { .. })
    ));
    let (_other_dir, other) = created();
    std::fs::write(&path, &good).unwrap();
    std::fs::copy(&path, other.dir.join(SECRETS_FILE)).unwrap();
    assert!(matches!(
        other.secret("name"),
        Err(VaultError::SecretsTampered { .. })
    ));
}

#[test]
fn sealed_values_are_bound_to_their_name_and_vault() {
    let (_dir, vault) = created();
    let (_other_dir, other) = created();
    let sealed = vault.seal("a", b"text").unwrap();
    assert_eq!(sealed[0], SEALED_VERSION);
    assert_eq!(vault.unseal("a", &sealed).unwrap(), b"text");
    assert!(vault.unseal("b", &sealed).is_err());
    assert!(other.unseal("a", &sealed).is_err());
    assert!(vault.unseal("a", b"").is_err());
    assert!(vault.unseal("a", &[2; 60]).is_err());
}

#[cfg(unix)]
#[test]
fn files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, vault) = created();
    vault.set_secret("a", b"1").unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.file_name());
    }
}

#[test]
fn debug_output_has_no_secrets() {
    let (_dir, vault) = created();
    let text = format!("{vault:?}");
    assert!(text.contains(vault.id()) && text.ends_with(", .. }"), "{text}");
}
