//! The failures of an earlier system that this crate has to rule out, by their number in the project's list.

use std::path::Path;

use openhuman_vault::records::RecordFile;
use openhuman_vault::tokens::{LoginLinkError, LoginRequests, LoginTokens, MemoryTokenStore, TTL_MS};
use openhuman_vault::{Key, MemoryKeyStore, Password, Vault, VaultOptions};

/// Every file below `dir`.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(path).unwrap()));
        }
    }
    found
}

/// The needle itself, in hexadecimal of both cases, in base64 of both alphabets, and as a JSON array of numbers.
fn forms(needle: &[u8]) -> Vec<Vec<u8>> {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let hex: String = needle.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers: Vec<String> = needle.iter().map(ToString::to_string).collect();
    vec![
        needle.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        STANDARD_NO_PAD.encode(needle).into_bytes(),
        URL_SAFE_NO_PAD.encode(needle).into_bytes(),
        numbers.join(",").into_bytes(),
    ]
}

fn hits(dir: &Path, needle: &[u8]) -> Vec<String> {
    let forms = forms(needle);
    let holds = |bytes: &[u8]| {
        let held = |form: &Vec<u8>| bytes.windows(form.len()).any(|window| window == form);
        forms.iter().any(held)
    };
    files(dir)
        .into_iter()
        .filter(|(_, bytes)| holds(bytes))
        .map(|(name, _)| name)
        .collect()
}

/// Row 5: what is stored is encrypted on disk, and a search of the files finds nothing of it.
#[test]
fn row_5_nothing_stored_can_be_read_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let password = Password::from("CANARY-password".to_owned());
    let mut vault = Vault::create(dir.path(), &password, &VaultOptions::fast_for_tests()).unwrap();
    vault.set_secret("CANARY-name", b"CANARY-value").unwrap();
    let secrets = vault.secrets(1);
    let handle = secrets
        .put("CANARY-name", b"CANARY-newer", "CANARY-purpose")
        .unwrap();
    secrets.reveal(&handle, "CANARY-purpose").unwrap();
    let exported = secrets
        .export(&password, &VaultOptions::fast_for_tests())
        .unwrap();
    std::fs::write(dir.path().join("export"), exported).unwrap();
    let sealed = vault.seal("CANARY-name", b"CANARY-sealed").unwrap();
    std::fs::write(dir.path().join("sealed"), sealed).unwrap();
    let mut log = RecordFile::open(dir.path().join("log.ohr"), &vault.subkey("log")).unwrap();
    log.append(b"CANARY-record").unwrap();
    vault
        .change_password(
            &Password::from("CANARY-again".to_owned()),
            &VaultOptions::fast_for_tests(),
        )
        .unwrap();
    let _ = Vault::open_at(dir.path(), &Password::from("CANARY-wrong".to_owned()), 0);
    assert!(files(dir.path()).len() >= 7);
    assert_eq!(hits(dir.path(), b"CANARY"), Vec::<String>::new());
    // The search finds what is there.
    std::fs::write(dir.path().join("control"), b"...4341..Q0FOQVJZ").unwrap();
    assert_eq!(hits(dir.path(), b"CANARY").len(), 1);
}

/// Row 7: a login belongs to a request that this device made, and only login tokens are accepted from a link.
#[test]
fn row_7_a_link_logs_in_only_who_asked_and_never_with_a_session() {
    let tokens = LoginTokens::new(MemoryTokenStore::new(), &Key::from_bytes([1; 32]));
    let mut device = LoginRequests::default();
    let token = tokens.issue("mallory", "desktop", 0).unwrap();
    let link = |token: &str| format!("openhuman://auth?token={token}");

    // Nobody asked: a link from somebody else is refused, however good its token is.
    let refused = device.accept(&link(token.expose()), 0).unwrap_err();
    assert_eq!(refused, LoginLinkError::NotAskedFor);

    // Somebody asked: a token for another request does not work, one for this request does.
    let challenge = device.start(1_000).unwrap();
    let proof = device.accept(&link(token.expose()), 1_500).unwrap();
    assert!(
        tokens
            .redeem_with(proof.token(), "desktop", proof.verifier(), 1_500)
            .is_err()
    );
    let again = device.accept(&link(token.expose()), 1_500).unwrap_err();
    assert_eq!(again, LoginLinkError::NotAskedFor, "one link for one request");
    let mine = tokens.issue_for("ada", "desktop", &challenge, 1_600).unwrap();
    let challenge = device.start(1_700).unwrap();
    let proof = device.accept(&link(mine.expose()), 1_800).unwrap();
    assert!(
        tokens
            .redeem_with(proof.token(), "desktop", proof.verifier(), 1_800)
            .is_err(),
        "the request it was for has ended"
    );
    let mine = tokens.issue_for("ada", "desktop", &challenge, 1_900).unwrap();
    device.cancel();
    assert!(device.accept(&link(mine.expose()), 1_900).is_err());
    let challenge = device.start(2_000).unwrap();
    let mine = tokens.issue_for("ada", "desktop", &challenge, 2_000).unwrap();

    // Sessions and broken links are refused and do not end the request.
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtYWxsb3J5In0.c2lnbmF0dXJl";
    for (link, error) in [
        (link(jwt), LoginLinkError::NotALoginToken),
        (format!("{}&key=auth", link(jwt)), LoginLinkError::NotALoginToken),
        (
            format!("{}&key=auth", link(mine.expose())),
            LoginLinkError::NotALoginToken,
        ),
        (link(""), LoginLinkError::NotALoginToken),
        ("openhuman://auth?".to_owned(), LoginLinkError::NotALoginLink),
        (
            format!("{}&token={}", link(mine.expose()), mine.expose()),
            LoginLinkError::NotALoginLink,
        ),
        (
            format!("https://auth?token={}", mine.expose()),
            LoginLinkError::NotALoginLink,
        ),
    ] {
        let refused = device.accept(&link, 2_000).unwrap_err();
        assert_eq!(refused, error, "{link}");
        assert!(!refused.to_string().contains("eyJ"));
    }
    let proof = device.accept(&link(mine.expose()), 2_000 + TTL_MS).unwrap();
    let redeemed = tokens.redeem_with(proof.token(), "desktop", proof.verifier(), 2_000 + TTL_MS);
    assert_eq!(redeemed.unwrap(), "ada");

    // A request is forgotten after five minutes, and when the clock jumps back.
    for (then, now) in [(0, TTL_MS + 1), (1_000_000, 0)] {
        device.start(then).unwrap();
        assert!(!device.is_pending(now));
        let late = device.accept(&link(token.expose()), now).unwrap_err();
        assert_eq!(late, LoginLinkError::NotAskedFor);
    }
}

/// Row 8: no key is written in plaintext, in no file and in no form.
#[test]
fn row_8_no_key_is_written_in_plaintext() {
    let dir = tempfile::tempdir().unwrap();
    let store = MemoryKeyStore::new();
    let password = Password::from("a password".to_owned());
    let mut vault = Vault::create(dir.path(), &password, &VaultOptions::fast_for_tests()).unwrap();
    vault.remember_in(&store).unwrap();
    let recovery = vault.create_recovery_key().unwrap();
    vault.note_database("memory.db").unwrap();
    vault.secrets(1).put("a", b"1", "test").unwrap();
    vault
        .change_password(&password, &VaultOptions::fast_for_tests())
        .unwrap();
    let account = format!("vault-{}", vault.id());
    let wrapping = openhuman_vault::KeyStore::get(&store, &account)
        .unwrap()
        .expect("the vault is remembered");
    for key in [&wrapping, &vault.subkey("memory"), &vault.subkey("audit")] {
        assert_eq!(hits(dir.path(), key.expose()), Vec::<String>::new());
    }
    let text = recovery.text();
    for needle in [text.as_bytes(), text.replace('-', "").as_bytes(), b"a password"] {
        assert_eq!(hits(dir.path(), needle), Vec::<String>::new());
    }
    let hex: String = wrapping
        .expose()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    std::fs::write(dir.path().join("control"), hex).unwrap();
    assert_eq!(hits(dir.path(), wrapping.expose()).len(), 1);
}
