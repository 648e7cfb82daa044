use super::*;
use crate::vault::password::RUNS;
use crate::vault::{MemoryKeyStore, Password, SECRETS_FILE, Vault, VaultOptions};
use tempfile::TempDir;

/// A vault's directory and the places in it.
struct Place {
    dir: TempDir,
    header: PathBuf,
    good: Vec<u8>,
    subkey: [u8; 32],
}

fn password(text: &str) -> Password {
    Password::from(text.to_owned())
}

fn fast() -> VaultOptions {
    VaultOptions::fast_for_tests()
}

/// A vault with the password "pass", and with a database noted so that there is a field no slot depends on.
fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = Vault::create(dir.path(), &password("pass"), &fast()).unwrap();
    vault.note_database("memory.db").unwrap();
    let header = dir.path().join(HEADER_FILE);
    let good = std::fs::read(&header).unwrap();
    Place {
        dir,
        good,
        header,
        subkey: *vault.subkey("x").expose(),
    }
}

impl Place {
    fn open(&self, text: &str) -> Result<Vault, VaultError> {
        // Each attempt comes an hour after the one before: these tests guess more often than a person may.
        thread_local!(static NOW: std::cell::Cell<i64> = const { std::cell::Cell::new(0) });
        NOW.set(NOW.get() + 3_600_000);
        Vault::open_at(self.dir.path(), &password(text), NOW.get())
    }

    /// Names and bytes of all files but the lock and the count of wrong passwords.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| !path.ends_with("vault.lock") && !path.ends_with("attempts.ohv"))
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }

    fn flipped(&self, at: usize) -> Vec<u8> {
        let mut bad = self.good.clone();
        bad[at] ^= 1;
        bad
    }
}

fn runs(work: impl FnOnce()) -> usize {
    let before = RUNS.get();
    work();
    RUNS.get() - before
}

#[test]
fn every_flipped_byte_of_the_header_is_mended_from_the_copy() {
    let place = place();
    for at in 0..place.good.len() {
        let bad = place.flipped(at);
        std::fs::write(&place.header, &bad).unwrap();
        let opened = place
            .open("pass")
            .unwrap_or_else(|error| panic!("byte {at}: {error}"));
        assert_eq!(*opened.subkey("x").expose(), place.subkey, "byte {at}");
        assert!(opened.has_database("memory.db"), "byte {at}");
        assert_eq!(std::fs::read(&place.header).unwrap(), place.good, "byte {at}");
        assert_eq!(std::fs::read(damaged(&place.header)).unwrap(), bad, "byte {at}");
    }
    for bad in [
        vec![],
        place.good[..40].to_vec(),
        vec![0; MAX_HEADER as usize + 1],
    ] {
        std::fs::write(&place.header, &bad).unwrap();
        place.open("pass").unwrap();
        assert_eq!(std::fs::read(&place.header).unwrap(), place.good);
        assert_eq!(std::fs::read(damaged(&place.header)).unwrap(), bad);
    }
    std::fs::remove_file(&place.header).unwrap();
    place.open("pass").unwrap();
    assert_eq!(std::fs::read(&place.header).unwrap(), place.good);
}

#[test]
fn a_wrong_password_is_wrong_writes_nothing_and_costs_at_most_one_more_run() {
    let place = place();
    let wrong = |most: usize, what: &str| {
        let before = place.files();
        let cost = runs(|| {
            assert!(
                matches!(place.open("guess"), Err(VaultError::WrongPassword)),
                "{what}"
            );
        });
        assert_eq!(cost, most, "{what}");
        assert_eq!(place.files(), before, "{what}");
    };
    wrong(1, "both files are good");
    let salt = 8 + 3 + 16 + 3 + 8 + 3 + 9 + 3 + 12 + 3 + 1;
    for (at, cost) in [
        (0, 1),
        (2, 1),
        (11, 2),
        (salt, 2),
        (salt + 40, 2),
        (8 + 3 + 16 + 3, 1),
    ] {
        std::fs::write(&place.header, place.flipped(at)).unwrap();
        wrong(cost, &format!("byte {at}"));
    }
    std::fs::write(&place.header, &place.good).unwrap();
    std::fs::write(copy_of(&place.header), place.flipped(salt)).unwrap();
    wrong(2, "the copy is damaged");
    std::fs::remove_file(&place.header).unwrap();
    std::fs::write(copy_of(&place.header), &place.good).unwrap();
    wrong(1, "the header is gone");
}

#[test]
fn when_the_copy_does_not_open_either_the_first_error_is_reported() {
    let place = place();
    let copy = copy_of(&place.header);
    std::fs::write(&copy, b"rubbish").unwrap();
    let generation = 8 + 3 + 16 + 3;
    for (at, expected) in [
        (0, "damaged, or written by a newer"),
        (2, "is damaged ("),
        (generation, "vault.ohv.bak"),
    ] {
        std::fs::write(&place.header, place.flipped(at)).unwrap();
        let before = place.files();
        let error = place.open("pass").unwrap_err().to_string();
        assert!(error.contains(expected), "byte {at}: {error}");
        assert_eq!(place.files(), before, "byte {at}");
    }
    std::fs::remove_file(&place.header).unwrap();
    assert!(matches!(place.open("pass"), Err(VaultError::Damaged { path, .. }) if path == copy));
    std::fs::remove_file(&copy).unwrap();
    assert!(matches!(place.open("pass"), Err(VaultError::NotFound { .. })));
}

#[test]
fn an_old_copy_does_not_let_the_old_password_in() {
    let place = place();
    let copy = copy_of(&place.header);
    let mut vault = place.open("pass").unwrap();
    vault.change_password(&password("new"), &fast()).unwrap();
    let changed = std::fs::read(&place.header).unwrap();
    assert_eq!(
        std::fs::read(&copy).unwrap(),
        changed,
        "the copy has the same slots"
    );
    // Something puts the copy of before the change back.
    std::fs::write(&copy, &place.good).unwrap();
    let before = place.files();
    assert!(matches!(place.open("pass"), Err(VaultError::WrongPassword)));
    assert_eq!(place.files(), before);
    // A damaged header must not make the old password good again either.
    let mut bad = changed.clone();
    let last_of_slot = bad.len() - 33;
    bad[last_of_slot] ^= 1;
    std::fs::write(&place.header, &bad).unwrap();
    assert!(matches!(place.open("pass"), Err(VaultError::WrongPassword)));
    assert_eq!(std::fs::read(&place.header).unwrap(), bad);
    // The next change brings both together again.
    std::fs::write(&place.header, &changed).unwrap();
    let store = MemoryKeyStore::new();
    place.open("new").unwrap().remember_in(&store).unwrap();
    assert_eq!(
        std::fs::read(&copy).unwrap(),
        std::fs::read(&place.header).unwrap()
    );
}

#[test]
fn a_copy_of_another_vault_is_not_used() {
    let (place, other) = (place(), place());
    std::fs::write(copy_of(&place.header), &other.good).unwrap();
    let last_of_slot = place.good.len() - 33;
    std::fs::write(&place.header, place.flipped(last_of_slot)).unwrap();
    assert!(matches!(place.open("pass"), Err(VaultError::WrongPassword)));
}

#[test]
fn changes_and_the_keychain_work_on_a_damaged_header_too() {
    let place = place();
    let store = MemoryKeyStore::new();
    let mut vault = place.open("pass").unwrap();
    vault.remember_in(&store).unwrap();
    let good = std::fs::read(&place.header).unwrap();
    let mut bad = good.clone();
    bad[8 + 3 + 16 + 3] ^= 1;
    std::fs::write(&place.header, &bad).unwrap();
    let opened = Vault::open_from_key_store(place.dir.path(), &store).unwrap();
    assert_eq!(*opened.subkey("x").expose(), place.subkey);
    assert_eq!(std::fs::read(&place.header).unwrap(), good);
    std::fs::write(&place.header, &bad).unwrap();
    vault.change_password(&password("new"), &fast()).unwrap();
    assert!(
        !damaged(&place.header).exists(),
        "its slots open with the old password"
    );
    assert!(matches!(place.open("pass"), Err(VaultError::WrongPassword)));
    assert!(place.open("new").unwrap().has_database("memory.db"));
}

#[test]
fn a_change_that_fails_half_way_leaves_no_slot_of_it_in_the_copy() {
    let place = place();
    let in_the_way = files::with_suffix(&place.header, ".tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    let mut vault = place.open("pass").unwrap();
    assert!(vault.change_password(&password("new"), &fast()).is_err());
    assert_eq!(std::fs::read(copy_of(&place.header)).unwrap(), place.good);
    assert!(matches!(place.open("new"), Err(VaultError::WrongPassword)));
}

#[test]
fn a_header_that_cannot_be_mended_is_used_all_the_same() {
    let place = place();
    let in_the_way = files::with_suffix(&place.header, ".tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    let bad = place.flipped(0);
    std::fs::write(&place.header, &bad).unwrap();
    place.open("pass").unwrap();
    assert_eq!(std::fs::read(&place.header).unwrap(), bad);
    std::fs::remove_dir(&in_the_way).unwrap();
    place.open("pass").unwrap();
    assert_eq!(std::fs::read(&place.header).unwrap(), place.good);
}

#[test]
fn a_directory_that_cannot_be_looked_at_is_not_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!Vault::try_exists(dir.path()).unwrap());
    assert!(!Vault::try_exists(&dir.path().join("missing")).unwrap());
    let place = place();
    assert!(Vault::try_exists(place.dir.path()).unwrap());
    std::fs::remove_file(&place.header).unwrap();
    assert!(Vault::try_exists(place.dir.path()).unwrap());
    // A name that no file system takes.
    let unreadable = dir.path().join("n".repeat(5000));
    let error = Vault::try_exists(&unreadable).unwrap_err();
    assert!(matches!(error, VaultError::Unreadable { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("nnn") && text.contains("allow this user to read"),
        "{text}"
    );
    assert!(!Vault::exists(&unreadable));
}

#[cfg(unix)]
#[test]
fn a_directory_without_permission_is_not_an_empty_one() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    let set = |mode| std::fs::set_permissions(place.dir.path(), PermissionsExt::from_mode(mode)).unwrap();
    set(0o000);
    let (asked, readable) = (
        Vault::try_exists(place.dir.path()),
        place.header.metadata().is_ok(),
    );
    set(0o700);
    match asked {
        // The superuser may read everything.
        Ok(found) => assert!(found && readable),
        Err(error) => assert!(matches!(error, VaultError::Unreadable { .. }), "{error}"),
    }
}

#[test]
fn an_unknown_first_byte_may_be_damage() {
    let place = place();
    let vault = place.open("pass").unwrap();
    vault.set_secret("a", b"1").unwrap();
    let secrets = place.dir.path().join(SECRETS_FILE);
    let mut bytes = std::fs::read(&secrets).unwrap();
    bytes[0] = 84;
    std::fs::write(&secrets, &bytes).unwrap();
    let text = vault.secret("a").unwrap_err().to_string();
    assert!(
        text.contains("secrets.ohv is damaged, or written by a newer version") && text.contains("84"),
        "{text}"
    );
    std::fs::write(&place.header, place.flipped(0)).unwrap();
    std::fs::remove_file(copy_of(&place.header)).unwrap();
    let text = place.open("pass").unwrap_err().to_string();
    assert!(
        text.contains("vault.ohv is damaged, or written by a newer version"),
        "{text}"
    );
    assert_eq!(VaultError::WrongPassword.to_string(), "the password is wrong");
}

/// Where no copy can help: every changed byte and every cut of the header is an error, never another vault.
#[test]
fn every_flipped_byte_and_every_cut_without_a_copy_is_an_error() {
    let place = place();
    let store = MemoryKeyStore::new();
    let mut vault = place.open("pass").unwrap();
    vault.remember_in(&store).unwrap();
    vault.create_recovery_key().unwrap();
    let good = std::fs::read(&place.header).unwrap();
    let open = |bytes: &[u8]| {
        std::fs::write(&place.header, bytes).unwrap();
        let _ = std::fs::remove_file(copy_of(&place.header));
        Vault::open_from_key_store(place.dir.path(), &store)
    };
    for at in 0..good.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            assert!(open(&bad).is_err(), "byte {at} with {flip:#x}");
        }
        assert!(open(&good[..at]).is_err(), "cut at {at}");
    }
    assert!(
        open(&[good.as_slice(), b"x"].concat()).is_err(),
        "more than was written"
    );
    assert_eq!(*open(&good).unwrap().subkey("x").expose(), place.subkey);
}
