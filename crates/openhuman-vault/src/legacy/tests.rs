use std::path::Path;

use super::*;
use crate::testing::unhex as hex;
use crate::{Vault, VaultOptions};

/// Sealed with another implementation (Python's `cryptography`, OpenSSL): key 00..1f, nonce "nonce-nonce-".
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
const ENC2: &str = "enc2:6e6f6e63652d6e6f6e63652d7a7e467d9d18ca480a00cdc33d4a6f6909e5f70deffbaf912d48e3";
/// "sk-legacy" combined with the same key by hand.
const ENC: &str = "enc:736a2f6f6162676471";
/// Argon2id of "old password" with the salt 0..15, 64 MiB, 3 passes, by OpenSSL; then "an old note" under that key.
const DERIVED: &str = "154936feec38d6d82ca8f325b0a3a83820eb74fd946f85d88096252be4ce3413";
const SEALED: &str = "0d21400dffd7c51503e80453c175d24f1fecb3978607736eb16c76";

fn key() -> LegacyKey {
    LegacyKey::parse(KEY).unwrap()
}

fn password(text: &str) -> Password {
    Password::from(text.to_owned())
}

fn key_file() -> LegacyEncryption {
    LegacyEncryption::parse(r#"{"salt":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],"version":1}"#).unwrap()
}

fn payload() -> String {
    let numbers = |bytes: &[u8]| format!("{bytes:?}");
    format!(
        r#"{{"ciphertext":{},"nonce":{},"salt":[]}}"#,
        numbers(&hex(SEALED)),
        numbers(b"nonce-nonce-")
    )
}

#[test]
fn values_of_both_kinds_are_opened() {
    assert_eq!(key().open(ENC2).unwrap().expose_str(), Some("sk-legacy-2"));
    assert_eq!(key().open(ENC).unwrap().expose_str(), Some("sk-legacy"));
    let other = LegacyKey::parse(&KEY.replace("00010203", "ff010203")).unwrap();
    assert!(matches!(other.open(ENC2), Err(LegacyError::NotAuthentic)));
    assert!(matches!(key().open("sk-plain"), Err(LegacyError::NotSealed)));
    for broken in ["enc2:", "enc2:00", "enc2:zz", "enc:0", &ENC2[..ENC2.len() - 2]] {
        assert!(
            matches!(key().open(broken), Err(LegacyError::NotAuthentic)),
            "{broken}"
        );
    }
    for at in 5..ENC2.len() {
        let mut bad = ENC2.as_bytes().to_vec();
        bad[at] = if bad[at] == b'0' { b'1' } else { b'0' };
        assert!(
            key().open(std::str::from_utf8(&bad).unwrap()).is_err(),
            "character {at}"
        );
    }
}

#[test]
fn key_files_of_another_form_are_refused() {
    for bad in ["", "00", &KEY[2..], "zz", &format!("{KEY}00")] {
        assert!(matches!(LegacyKey::parse(bad), Err(LegacyError::BadKeyFile)));
    }
    for bad in [
        "",
        "[]",
        r#"{"salt":[1],"version":1}"#,
        r#"{"salt":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,256],"version":1}"#,
        r#"{"salt":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],"version":2}"#,
    ] {
        assert!(
            matches!(LegacyEncryption::parse(bad), Err(LegacyError::BadKeyFile)),
            "{bad}"
        );
    }
}

#[test]
fn payloads_open_with_the_password_and_only_with_it() {
    let payloads = key_file().unlock(&password("old password")).unwrap();
    assert_eq!(payloads.0.expose()[..], hex(DERIVED));
    assert_eq!(
        payloads.open(&payload()).unwrap().expose_str(),
        Some("an old note")
    );
    let wrong = key_file().unlock(&password("other password")).unwrap();
    assert!(matches!(wrong.open(&payload()), Err(LegacyError::NotAuthentic)));
    assert!(matches!(payloads.open("{}"), Err(LegacyError::NotSealed)));
    assert!(matches!(
        key_file().unlock(&password("")),
        Err(LegacyError::Vault(VaultError::EmptyPassword))
    ));
    assert_eq!(
        format!("{payloads:?} {:?}", key()),
        "LegacyPayloads(..) LegacyKey(..)"
    );
}

fn import_of(files: &[(&str, &str)], check: impl FnOnce(&Path, &Vault, LegacyReport)) {
    let (old, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, content) in files {
        std::fs::write(old.path().join(name), content).unwrap();
    }
    let vault = Vault::create(dir.path(), &password("pass"), &VaultOptions::fast_for_tests()).unwrap();
    let report = import(old.path(), &vault.secrets(9)).unwrap();
    check(old.path(), &vault, report);
}

#[test]
fn a_directory_of_the_earlier_program_is_taken_over_and_left_as_it_was() {
    let config = format!(
        "# comment\napi_key = \"{ENC2}\"\nmodel = \"small\"\n[channels.telegram]\nbot_token = '{ENC}' # old\n"
    );
    let profiles = format!(
        r#"{{"schema_version":1,"profiles":{{"p:main":{{"provider":"p","token":"{ENC2}","token_set":{{"refresh":"{ENC}"}},"metadata":{{"user_id":"u"}}}}}}}}"#
    );
    let files = [
        (".secret_key", KEY),
        ("config.toml", config.as_str()),
        ("auth-profiles.json", profiles.as_str()),
    ];
    import_of(&files, |old, vault, report| {
        let names: Vec<&str> = report.stored.iter().map(SecretHandle::name).collect();
        assert_eq!(
            names,
            [
                "imported/config/api_key",
                "imported/config/channels.telegram.bot_token",
                "imported/auth-profile/p:main"
            ]
        );
        let text = |name: &str| String::from_utf8(vault.secret(name).unwrap().unwrap().to_vec()).unwrap();
        assert_eq!(text(names[0]), "sk-legacy-2");
        assert_eq!(text(names[1]), "sk-legacy");
        let profile: Value = serde_json::from_str(&text(names[2])).unwrap();
        assert_eq!(profile["token"], "sk-legacy-2");
        assert_eq!(profile["token_set"]["refresh"], "sk-legacy");
        assert_eq!(profile["metadata"]["user_id"], "u");
        assert_eq!(
            report.files,
            ["config.toml", "auth-profiles.json", ".secret_key"].map(|name| old.join(name))
        );
        assert!(report.failed.is_empty());
        for (name, content) in &files {
            assert_eq!(std::fs::read_to_string(old.join(name)).unwrap(), *content);
        }
    });
}

#[test]
fn what_does_not_open_is_named_and_the_rest_is_taken_over() {
    let config = format!("good = \"{ENC2}\"\nbad = \"enc2:0011\"\n");
    import_of(
        &[(".secret_key", KEY), ("config.toml", &config)],
        |_, vault, report| {
            assert_eq!(report.failed, ["imported/config/bad"]);
            assert_eq!(vault.secret_names().unwrap(), ["imported/config/good"]);
        },
    );
    import_of(&[("config.toml", &config)], |_, vault, report| {
        assert_eq!(report.failed.len(), 2, "without the key file nothing opens");
        assert!(vault.secret_names().unwrap().is_empty());
    });
    import_of(&[], |_, _, report| {
        assert!(report.stored.is_empty() && report.files.is_empty() && report.failed.is_empty());
    });
}
