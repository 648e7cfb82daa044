//! After a vault is locked, nothing in the memory of the process is its key or its password.
//!
//! A process of its own opens and locks a vault and then searches everything that it has mapped. What it looks for
//! it keeps only with every bit inverted, so that the search does not find itself.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::{KeyStore, KeyStoreError, Password, RecoveryKey, Vault, VaultOptions};
use crate::Key;

const TEST: &str = "vault::memory_scan::nothing_of_a_locked_vault_is_left_in_memory";
const FOLDER: &str = "OPENHUMAN_TEST_SCAN_FOLDER";
const INVERTED_PASSWORD: &[u8] = &[
    // "correct horse battery" with every bit inverted.
    0x9c, 0x90, 0x8d, 0x8d, 0x9a, 0x9c, 0x8b, 0xdf, 0x97, 0x90, 0x8d, 0x8c, 0x9a, 0xdf, 0x9d, 0x9e, 0x8b,
    0x8b, 0x9a, 0x8d, 0x86,
];

fn inverted(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

fn password() -> Password {
    let mut text = String::with_capacity(INVERTED_PASSWORD.len());
    text.extend(INVERTED_PASSWORD.iter().map(|byte| char::from(!byte)));
    Password::from(text)
}

/// Where in writable memory the inverse of `inverted` is.
fn find(inverted: &[u8]) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
    let mut found = Vec::new();
    // Reused for every mapping, and left out of the search itself.
    let mut buffer = vec![0_u8; 1 << 20];
    let own = buffer.as_ptr() as usize..buffer.as_ptr() as usize + buffer.len();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(mode)) = (fields.next(), fields.next()) else {
            continue;
        };
        if !mode.starts_with("rw") || line.ends_with("[vvar]") || line.ends_with("[vsyscall]") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (
            usize::from_str_radix(from, 16).unwrap(),
            usize::from_str_radix(to, 16).unwrap(),
        );
        let mut at = from;
        while at < to {
            let length = buffer.len().min(to - at);
            memory.seek(SeekFrom::Start(at as u64)).unwrap();
            if memory.read_exact(&mut buffer[..length]).is_err() {
                break;
            }
            buffer[..length].iter_mut().for_each(|byte| *byte = !*byte);
            for offset in memchr::memmem::find_iter(&buffer[..length], inverted) {
                if !own.contains(&(at + offset)) {
                    found.push(format!("{:x} in {line}", at + offset));
                }
            }
            // Overlaps, so that nothing hides on a border.
            at += if length == buffer.len() {
                length - inverted.len() + 1
            } else {
                length
            };
        }
    }
    found
}

/// Keeps the key that the vault left, inverted.
#[derive(Default)]
struct InvertingStore(std::sync::Mutex<Vec<u8>>);

impl KeyStore for InvertingStore {
    fn get(&self, _account: &str) -> Result<Option<Key>, KeyStoreError> {
        let kept = self.0.lock().unwrap();
        let mut bytes = [0; 32];
        bytes
            .iter_mut()
            .zip(&*kept)
            .for_each(|(byte, other)| *byte = !other);
        Ok((!kept.is_empty()).then(|| Key::from_bytes(bytes)))
    }
    fn set(&self, _account: &str, key: &Key) -> Result<(), KeyStoreError> {
        *self.0.lock().unwrap() = inverted(key.expose());
        Ok(())
    }
    fn delete(&self, _account: &str) -> Result<bool, KeyStoreError> {
        self.0.lock().unwrap().clear();
        Ok(true)
    }
}

#[test]
fn nothing_of_a_locked_vault_is_left_in_memory() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        scan(Path::new(&folder));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    assert!(text.contains("scanned"), "{text}");
}

fn scan(folder: &Path) {
    let options = VaultOptions::fast_for_tests();
    let store = InvertingStore::default();
    let mut needles = vec![("password", INVERTED_PASSWORD.to_vec())];
    {
        let mut vault = Vault::create(folder, &password(), &options).unwrap();
        vault.remember_in(&store).unwrap();
        vault.secrets(1).put("name", b"value", "test").unwrap();
        let recovery = vault.create_recovery_key().unwrap();
        needles.push(("recovery key", inverted(recovery.text().as_bytes())));
    }
    {
        let mut vault = Vault::open(folder, &password()).unwrap();
        vault.change_password(&password(), &options).unwrap();
        let subkey = vault.subkey("memory");
        needles.push(("key of the memory", inverted(subkey.expose())));
        needles.push(("key in the keychain", store.0.lock().unwrap().clone()));
        needles.push(("key of the vault", inverted(vault.key.expose())));
        // The positive control: what is in use is found.
        assert!(!find(&needles[2].1).is_empty(), "the subkey is alive");
        assert!(!find(&needles[4].1).is_empty(), "the key of the vault is alive");
        let typed = password();
        assert!(!find(INVERTED_PASSWORD).is_empty(), "the password is alive");
        drop(typed);
        let secret = vault.secrets(2).handle("name").unwrap().unwrap();
        vault.secrets(2).reveal(&secret, "test").unwrap();
    }
    {
        drop(Vault::open_from_key_store(folder, &store).unwrap());
        let text: String = needles[1].1.iter().map(|byte| char::from(!byte)).collect();
        let text = Zeroizing::new(text);
        let recovery = RecoveryKey::parse(&text).unwrap();
        drop(Vault::open_with_recovery_key(folder, &recovery).unwrap());
    }
    for (what, needle) in &needles {
        assert_eq!(needle.len().min(16), 16);
        assert_eq!(find(needle), Vec::<String>::new(), "{what}");
        // The beginning alone as well.
        assert_eq!(find(&needle[..16]), Vec::<String>::new(), "{what}");
    }
    println!("scanned");
    std::io::stdout().flush().unwrap();
}
