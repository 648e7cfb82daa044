use super::*;

const ID: [u8; 16] = [7; 16];

fn file<'a>(path: &'a Path, key: &Key) -> SecretsFile<'a> {
    SecretsFile::new(path, &ID, key)
}

/// A file of version 1, byte by byte as it was written then.
fn version_1(file: &SecretsFile<'_>, secrets: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = vec![1];
    out.extend_from_slice(b"OHSECRT");
    for (name, value) in secrets {
        let aad = |role: u8, name: &str| [&[1, role], &ID[..], name.as_bytes()].concat();
        let sealed = file.sealer.seal(&aad(b'n', ""), name.as_bytes()).unwrap();
        out.extend_from_slice(&(sealed.len() as u16).to_be_bytes());
        out.extend_from_slice(&sealed);
        let sealed = file.sealer.seal(&aad(b'v', name), value).unwrap();
        out.extend_from_slice(&(sealed.len() as u32).to_be_bytes());
        out.extend_from_slice(&sealed);
    }
    let mac = file.mac(&out).finalize().into_bytes();
    out.extend_from_slice(&mac);
    out
}

#[test]
fn a_file_of_the_first_version_is_read_and_written_as_the_second() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets.ohv");
    let file = file(&path, &Key::from_bytes([1; 32]));
    std::fs::write(&path, version_1(&file, &[("a", b"1"), ("b", b"two")])).unwrap();
    let mut records = file.load().unwrap();
    let old = records.get("b").unwrap();
    assert_eq!(old.about, About::default());
    assert_eq!(file.value("b", old).unwrap().as_slice(), b"two");
    let version = file.insert(&mut records, "c", b"3", 50).unwrap();
    assert_eq!(version, 1);
    file.store(&records).unwrap();
    assert_eq!(std::fs::read(&path).unwrap()[0], VERSION);
    let records = file.load().unwrap();
    for (name, value) in [("a", &b"1"[..]), ("b", b"two"), ("c", b"3")] {
        let record = records.get(name).unwrap();
        assert_eq!(file.value(name, record).unwrap().as_slice(), value);
    }
}

#[test]
fn a_version_is_never_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets.ohv");
    let file = file(&path, &Key::from_bytes([1; 32]));
    let mut records = Records::default();
    let first = file.insert(&mut records, "a", b"1", 10).unwrap();
    records.remove("a");
    file.store(&records).unwrap();
    let mut records = file.load().unwrap();
    let second = file.insert(&mut records, "a", b"1", 20).unwrap();
    assert!(second > first);
    file.store(&records).unwrap();
    let about = file.load().unwrap().get("a").unwrap().about;
    assert_eq!((about.created_ms, about.changed_ms), (20, 20));
}

#[test]
fn a_value_does_not_open_as_another_version_of_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets.ohv");
    let file = file(&path, &Key::from_bytes([1; 32]));
    let mut records = Records::default();
    file.insert(&mut records, "a", b"old", 10).unwrap();
    let old = records.get("a").unwrap().clone();
    file.insert(&mut records, "a", b"new", 20).unwrap();
    let mut mixed = records.get("a").unwrap().clone();
    assert_eq!(file.value("a", &mixed).unwrap().as_slice(), b"new");
    mixed.sealed = old.sealed;
    assert!(matches!(
        file.value("a", &mixed),
        Err(VaultError::SecretsTampered { .. })
    ));
}
