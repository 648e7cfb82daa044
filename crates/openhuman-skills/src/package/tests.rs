use std::fs;

use super::*;

const SMALL: &str = r#"{"id":"a","name":"A"}"#;

fn files(extra: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    let base: [(&str, &[u8]); 2] = [(MANIFEST, SMALL.as_bytes()), ("index.js", b"1")];
    let all = base.iter().chain(extra);
    all.map(|(path, content)| ((*path).to_owned(), content.to_vec()))
        .collect()
}

fn package(extra: &[(&str, &[u8])]) -> Result<SkillPackage, PackageError> {
    SkillPackage::from_files(files(extra))
}

#[test]
fn digest_covers_every_file_its_path_and_its_size() {
    let packages = [
        SkillPackage::from_parts(SMALL, "1".into()).unwrap(),
        SkillPackage::from_parts(&format!("{SMALL} "), "1".into()).unwrap(),
        SkillPackage::from_parts(SMALL, " 1".into()).unwrap(),
        package(&[("data/x.json", b"{}")]).unwrap(),
        package(&[("data/y.json", b"{}")]).unwrap(),
        package(&[("data/x.json", b"{} ")]).unwrap(),
    ];
    let digests: std::collections::BTreeSet<_> = packages.iter().map(SkillPackage::digest).collect();
    assert_eq!(digests.len(), packages.len());
    assert!(digests.iter().all(|digest| is_sha256(digest)));
}

#[test]
fn the_listing_is_what_the_format_document_says() {
    let package = package(&[("b.txt", b"hello")]).unwrap();
    let expected = format!(
        "openhuman-skill-package 1\n\
         2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 5 b.txt\n\
         6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b 1 index.js\n\
         {} 21 manifest.json\n",
        files::hex_sha256(SMALL.as_bytes())
    );
    assert_eq!(package.listing(), expected);
    assert_eq!(package.digest(), files::hex_sha256(expected.as_bytes()));
}

#[test]
fn a_package_is_loaded_from_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(MANIFEST, r#"{"id":"a","name":"A","entry":"dist/x.js"}"#);
    let missing = SkillPackage::load(dir.path()).unwrap_err();
    assert!(matches!(missing, PackageError::Missing { path } if path == "dist/x.js"));
    put("dist/x.js", "1");
    put("dist/lib/y.js", "2");
    put(".git/config", "x");
    put("node_modules/z/index.js", "x");
    let package = SkillPackage::load(dir.path()).unwrap();
    assert_eq!((package.code(), package.file("dist/lib/y.js")), ("1", Some("2")));
    let paths: Vec<_> = package.files().map(|(path, _)| path).collect();
    assert_eq!(paths, ["dist/lib/y.js", "dist/x.js", MANIFEST]);
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_cannot_leave_the_package() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.js"), "1").unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(MANIFEST), SMALL).unwrap();
    fs::write(dir.path().join("real.js"), "2").unwrap();
    symlink("real.js", dir.path().join("index.js")).unwrap();
    assert_eq!(SkillPackage::load(dir.path()).unwrap().code(), "2");
    for target in [outside.path().join("secret.js"), outside.path().to_owned()] {
        let link = dir.path().join("link");
        symlink(target, &link).unwrap();
        assert!(matches!(
            SkillPackage::load(dir.path()),
            Err(PackageError::Escapes { .. })
        ));
        fs::remove_file(link).unwrap();
    }
    symlink("..", dir.path().join("up")).unwrap();
    assert!(SkillPackage::load(dir.path()).is_err());
}

#[test]
fn binary_files_are_bytes_and_scripts_must_be_text() {
    let with_icon = package(&[("icon.png", &[0x89, 0xff])]).unwrap();
    assert_eq!(with_icon.file("icon.png"), None);
    assert_eq!(with_icon.file_bytes("icon.png"), Some(&[0x89, 0xff][..]));
    let script = SkillPackage::from_files([(MANIFEST, SMALL.into()), ("index.js", vec![0xff])]);
    assert!(matches!(script, Err(PackageError::Encoding { .. })));
}

#[test]
fn names_that_clash_somewhere_are_refused() {
    for clash in [
        &[("INDEX.js", b"1" as &[u8])][..],
        &[("a/b", b"1"), ("A/c", b"1")],
        &[("x", b"1"), ("x/y", b"1")],
        &[("\u{e9}", b"1"), ("e\u{301}", b"1")],
        &[("Signature.json", b"1")],
    ] {
        assert!(
            matches!(package(clash), Err(PackageError::Collision { .. })),
            "{clash:?}"
        );
    }
    assert!(package(&[("a/b", b"1"), ("a/c", b"1")]).is_ok());
}

#[test]
fn limits_hold() {
    let many: Vec<_> = (0..600)
        .map(|n| (format!("f{n}"), vec![]))
        .chain(files(&[]))
        .collect();
    assert!(matches!(
        SkillPackage::from_files(many),
        Err(PackageError::TooMany { .. })
    ));
    let large = package(&[("big", &vec![0; MAX_CODE + 1])]);
    assert!(matches!(large, Err(PackageError::TooLarge { .. })));
    let full = vec![0; MAX_CODE];
    let total = package(&[("1", &full), ("2", &full), ("3", &full), ("4", &full)]);
    assert!(matches!(total, Err(PackageError::TooLarge { .. })));
}

#[test]
fn archives_are_deterministic_and_keep_everything() {
    let deep = format!("{}/{}/c.js", "d".repeat(70), "e".repeat(60));
    let one = package(&[(&deep, b"x"), ("icon.png", &[0, 255])]).unwrap();
    let two =
        SkillPackage::from_files(one.files().map(|(path, bytes)| (path, bytes.to_vec())).rev_vec()).unwrap();
    let bytes = one.to_archive().unwrap();
    assert_eq!(bytes, two.to_archive().unwrap());
    let read = SkillPackage::from_archive(&bytes).unwrap();
    assert_eq!(read.listing(), one.listing());
}

trait RevVec: Iterator + Sized {
    fn rev_vec(self) -> Vec<Self::Item> {
        let mut items: Vec<_> = self.collect();
        items.reverse();
        items
    }
}
impl<I: Iterator> RevVec for I {}

#[test]
fn every_damaged_archive_is_refused_without_a_panic() {
    let key = SigningKey::from_seed(&[7; 32]);
    let signed = package(&[("data.json", b"{}")]).unwrap().signed(&key);
    let bytes = signed.to_archive().unwrap();
    for end in 0..bytes.len() {
        assert!(SkillPackage::from_archive(&bytes[..end]).is_err(), "{end}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        // Some bits of the container mean nothing; then what is read must be what was written.
        if let Ok(read) = SkillPackage::from_archive(&changed) {
            assert_eq!(
                (read.digest(), read.signature()),
                (signed.digest(), signed.signature()),
                "{at}"
            );
        }
    }
    let mut longer = bytes.clone();
    longer.extend_from_slice(&bytes);
    assert!(SkillPackage::from_archive(&longer).is_err());
}

#[test]
fn an_archive_bomb_is_stopped_early() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        std::io::Write::write_all(&mut gzip, &zeros).unwrap();
    }
    let bytes = gzip.finish().unwrap();
    assert!(bytes.len() < 1 << 17);
    assert!(matches!(
        SkillPackage::from_archive(&bytes),
        Err(PackageError::TooLarge { .. })
    ));
}

#[test]
fn a_signature_holds_for_these_files_and_this_key_only() {
    let key = SigningKey::from_seed(&[1; 32]);
    let package = package(&[]).unwrap();
    let signed = package.signed(&key);
    assert_eq!((signed.digest(), package.signature()), (package.digest(), None));
    let signature = signed.signature().unwrap();
    assert_eq!(signature.key(), key.public());
    assert_eq!(
        Signature::from_json(signature.to_json().as_bytes()).as_ref(),
        Ok(signature)
    );

    let json = signature.to_json();
    let with = |code: &[u8], json: &str| {
        SkillPackage::from_files([
            (MANIFEST, SMALL.into()),
            ("index.js", code.to_vec()),
            (SIGNATURE, json.into()),
        ])
    };
    assert!(with(b"1", &json).is_ok());
    assert!(matches!(
        with(b"2", &json),
        Err(PackageError::Signature(SignatureError::OtherPackage { .. }))
    ));
    let other = SigningKey::from_seed(&[2; 32]).public();
    let forged = json
        .replace(&key.public().to_string(), &other.to_string())
        .replace(&key.public().fingerprint(), &other.fingerprint());
    assert!(matches!(
        with(b"1", &forged),
        Err(PackageError::Signature(SignatureError::Forged { .. }))
    ));
    for broken in [
        "",
        "{}",
        &json.replace("ed25519", "none"),
        &json.replace(": 1", ": 2"),
    ] {
        assert!(with(b"1", broken).is_err(), "{broken}");
    }
}

#[test]
fn keys_survive_their_file_and_do_not_print() {
    let key = SigningKey::from_seed(&[9; 32]);
    let text = key.to_text();
    assert_eq!(SigningKey::from_text(&text).unwrap().public(), key.public());
    assert!(SigningKey::from_text("openhuman-skill-key-1:AAAA").is_err());
    let printed = format!("{key:?}");
    assert!(!printed.contains(&text.trim()[KEY_PREFIX..]), "{printed}");
    // The identity element: it would accept signatures nobody made.
    assert!(
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
            .parse::<PublicKey>()
            .is_err()
    );
}

const KEY_PREFIX: usize = "openhuman-skill-key-1:".len();

#[test]
fn an_author_goes_on_with_a_signature_that_the_last_edit_made_stale() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("manifest.json", r#"{"id":"a","name":"A"}"#);
    write("index.js", "1");
    let signed = SkillPackage::load(dir.path())
        .unwrap()
        .signed(&SigningKey::from_seed(&[1; 32]));
    write("signature.json", &signed.signature().unwrap().to_json());
    let (package, stale) = SkillPackage::load_edited(dir.path()).unwrap();
    assert!(package.signature().is_some() && stale.is_none());
    write("index.js", "2");
    assert!(SkillPackage::load(dir.path()).is_err(), "who installs it is told");
    let (package, stale) = SkillPackage::load_edited(dir.path()).unwrap();
    assert!(package.signature().is_none() && stale.is_some());
    assert_eq!(package.file("index.js"), Some("2"));
}
