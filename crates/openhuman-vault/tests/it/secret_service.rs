use std::path::Path;
use std::process::{Command, Stdio};

use openhuman_vault::{
    Key, KeyStore, KeyStoreError, KeychainStore, Password, Vault, VaultError, VaultOptions,
};

const UNLOCK: &str = "printf password | gnome-keyring-daemon --unlock --components=secrets >/dev/null && ";
/// The daemon runs, and nobody has unlocked anything.
const LOCKED: &str = "gnome-keyring-daemon --start --components=secrets </dev/null >/dev/null && ";
const INSIDE: &str = "OPENHUMAN_TEST_INSIDE_SESSION";

/// Runs a test of this binary in a D-Bus session of its own, where `prepare` is executed first. Returns `None`,
/// and says so, when the programs for it are not installed; on a CI machine that is a failure.
fn in_session(test: &str, prepare: &str) -> Option<String> {
    let home = tempfile::tempdir().unwrap();
    in_session_of(home.path(), test, prepare, "1")
}

/// As [`in_session`], for a user whose keyring may be there already. `part` tells the test which part to run.
fn in_session_of(home: &Path, test: &str, prepare: &str, part: &str) -> Option<String> {
    let missing: Vec<_> = ["dbus-run-session", "gnome-keyring-daemon"]
        .into_iter()
        .filter(|program| !installed(program))
        .collect();
    if !missing.is_empty() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{missing:?} must be installed on CI"
        );
        eprintln!("NOT RUN: {test} needs {missing:?}");
        return None;
    }
    let script = format!("{prepare}exec \"$0\" \"$@\"");
    let output = Command::new("dbus-run-session")
        .args(["--", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, part)
        .envs(
            [
                "HOME",
                "XDG_DATA_HOME",
                "XDG_CONFIG_HOME",
                "XDG_CACHE_HOME",
                "XDG_RUNTIME_DIR",
            ]
            .map(|name| (name, home)),
        )
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    Some(text)
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

#[test]
fn the_keychain_keeps_a_vault_key() {
    if !inside() {
        let unlock = UNLOCK;
        if let Some(text) = in_session("secret_service::the_keychain_keeps_a_vault_key", unlock) {
            assert!(text.contains("the keychain was used"), "{text}");
        }
        return;
    }
    let store = KeychainStore::with_service("openhuman-test").unwrap();
    let key = Key::generate().unwrap();
    assert!(store.get("nobody").unwrap().is_none());
    store.set("alice", &key).unwrap();
    assert_eq!(store.get("alice").unwrap().unwrap().expose(), key.expose());
    let other = Key::generate().unwrap();
    store.set("alice", &other).unwrap();
    assert_eq!(store.get("alice").unwrap().unwrap().expose(), other.expose());
    assert!(
        KeychainStore::with_service("another-service")
            .unwrap()
            .get("alice")
            .unwrap()
            .is_none()
    );
    assert!(store.delete("alice").unwrap());
    assert!(!store.delete("alice").unwrap());

    let dir = tempfile::tempdir().unwrap();
    let dir: &Path = dir.path();
    let password = Password::from("password".to_owned());
    let mut vault = Vault::create(dir, &password, &VaultOptions::fast_for_tests()).unwrap();
    vault.remember_in(&store).unwrap();
    let opened = Vault::open_from_key_store(dir, &store).unwrap();
    assert_eq!(opened.subkey("x").expose(), vault.subkey("x").expose());
    vault.forget_in(&store).unwrap();
    assert!(matches!(
        Vault::open_from_key_store(dir, &store),
        Err(VaultError::NotRemembered)
    ));
    println!("the keychain was used");
}

/// No daemon unlocks anything: the store must answer with an error or "no entry", and it must not hang.
#[test]
fn a_locked_keychain_is_an_error_and_not_a_fresh_start() {
    if !inside() {
        if let Some(text) = in_session(
            "secret_service::a_locked_keychain_is_an_error_and_not_a_fresh_start",
            "",
        ) {
            assert!(text.contains("refused: "), "{text}");
        }
        return;
    }
    let refused = match KeychainStore::new() {
        Ok(store) => store.set("alice", &Key::from_bytes([1; 32])).unwrap_err(),
        Err(error) => error,
    };
    assert!(
        matches!(
            refused,
            KeyStoreError::Locked { .. } | KeyStoreError::Unavailable { .. } | KeyStoreError::Denied { .. }
        ),
        "{refused}"
    );
    println!("refused: {refused}");
}

/// The user logs in again and does not unlock the keychain: the vault they had is not taken for a new one, nothing
/// hangs, the password still opens it, and with the keychain unlocked all is as before.
#[test]
fn a_vault_remembered_in_a_keychain_that_is_locked_now_is_not_a_new_vault() {
    const TEST: &str =
        "secret_service::a_vault_remembered_in_a_keychain_that_is_locked_now_is_not_a_new_vault";
    let Some(part) = std::env::var_os(INSIDE) else {
        let home = tempfile::tempdir().unwrap();
        for (prepare, part) in [(UNLOCK, "remember"), (LOCKED, "locked"), (UNLOCK, "unlocked")] {
            let Some(text) = in_session_of(home.path(), TEST, prepare, part) else {
                return;
            };
            assert!(text.contains(&format!("{part}: ")), "{text}");
        }
        return;
    };
    let dir = std::path::PathBuf::from(std::env::var_os("HOME").unwrap()).join("vault");
    let password = Password::from("password".to_owned());
    let store = KeychainStore::with_service("openhuman-test").unwrap();
    match part.to_str().unwrap() {
        "remember" => {
            let mut vault = Vault::create(&dir, &password, &VaultOptions::fast_for_tests()).unwrap();
            vault.remember_in(&store).unwrap();
            println!("remember: done");
        }
        "locked" => {
            let error = Vault::open_from_key_store(&dir, &store).unwrap_err();
            assert!(
                matches!(
                    error,
                    VaultError::KeyStoreEntryMissing
                        | VaultError::KeyStore(KeyStoreError::Locked { .. } | KeyStoreError::Denied { .. })
                ),
                "{error}"
            );
            assert!(Vault::try_exists(&dir).unwrap());
            assert!(Vault::open(&dir, &password).unwrap().is_remembered());
            println!("locked: {error}");
        }
        _ => {
            Vault::open_from_key_store(&dir, &store).unwrap();
            println!("unlocked: opened");
        }
    }
}
