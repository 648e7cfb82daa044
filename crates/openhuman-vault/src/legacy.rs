//! Reading what an earlier program of the same name left behind, once, to put it into a vault.
//!
//! Three forms are known: values `enc2:` and `enc:` under a key file `.secret_key`, and payloads under a password
//! with a key file `encryption.key`. Nothing is ever written in them, and nothing is deleted here: the report names
//! the files, and the program asks its user.
//!
//! ```no_run
//! # use std::path::Path;
//! # use openhuman_vault::{Password, Vault};
//! # let vault = Vault::open(Path::new("vault"), &Password::from("p".to_owned()))?;
//! let old = Path::new("/home/ada/.openhuman");
//! let report = openhuman_vault::legacy::import(old, &vault.secrets(1_700_000_000_000))?;
//! println!("{} secrets were taken over from {:?}", report.stored.len(), report.files);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ring::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use crate::files;
use crate::key::Key;
use crate::vault::{Argon2Params, Password, Secret, SecretHandle, Secrets, VaultError, argon2id};

const KEY_FILE: &str = ".secret_key";
const PROFILES: &str = "auth-profiles.json";
const CONFIG: &str = "config.toml";
const MAX_FILE: u64 = 4 * 1024 * 1024;
const NONCE: usize = 12;
/// What the old key file `encryption.key` implies.
const PASSWORD_PARAMS: Argon2Params = Argon2Params {
    memory_kib: 64 * 1024,
    passes: 3,
    lanes: 1,
};

/// What [`import`] did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LegacyReport {
    /// What is in the vault now: `imported/auth-profile/ID` (the JSON of a profile, its tokens opened) and
    /// `imported/config/NAME` (a value of `config.toml`).
    pub stored: Vec<SecretHandle>,
    /// The files that held something. They can be deleted when the user agrees; the key file is the last of them.
    pub files: Vec<PathBuf>,
    /// Names of what was there but did not open, for instance because the key file is not the one it was sealed with.
    pub failed: Vec<String>,
}

/// Puts the sealed values of `config.toml` and the profiles of `auth-profiles.json` in `dir` into the vault. A
/// directory without such files gives an empty report. Running it again stores the same values again.
///
/// # Errors
/// [`LegacyError`] when a file cannot be read or is not what its name says, or the vault cannot be written. What was
/// stored until then stays.
pub fn import(dir: &Path, secrets: &Secrets<'_>) -> Result<LegacyReport, LegacyError> {
    let mut report = LegacyReport::default();
    let key_file = dir.join(KEY_FILE);
    let key = read(&key_file)?.map(|text| LegacyKey::parse(&text)).transpose()?;
    let mut store = |name: String, value: Result<Zeroizing<Vec<u8>>, LegacyError>| {
        match value {
            Ok(value) => {
                let handle = secrets.put(&name, &value, "imported from an earlier program")?;
                report.stored.push(handle);
            }
            Err(error) => {
                tracing::warn!(name, %error, "a value of an earlier program was left out");
                report.failed.push(name);
            }
        }
        Ok::<(), LegacyError>(())
    };
    let mut used = Vec::new();
    let path = dir.join(CONFIG);
    if let Some(text) = read(&path)? {
        let mut sealed = 0;
        for (name, value) in sealed_values(&text) {
            sealed += 1;
            let opened = open(key.as_ref(), value).map(|secret| Zeroizing::new(secret.expose().to_vec()));
            store(format!("imported/config/{name}"), opened)?;
        }
        if sealed > 0 {
            used.push(path);
        }
    }
    let path = dir.join(PROFILES);
    if let Some(text) = read(&path)? {
        let mut json: Value = serde_json::from_str(&text).map_err(|_| LegacyError::Malformed {
            path: path.clone(),
            reason: "it is not JSON",
        })?;
        if let Some(profiles) = json.get_mut("profiles").and_then(Value::as_object_mut) {
            for (id, profile) in profiles.iter_mut() {
                let opened = open_strings(key.as_ref(), profile).and_then(|()| {
                    let bytes = serde_json::to_vec(profile).map_err(|_| LegacyError::NotAuthentic)?;
                    Ok(Zeroizing::new(bytes))
                });
                wipe(profile);
                store(format!("imported/auth-profile/{id}"), opened)?;
            }
        }
        used.push(path);
    }
    if key.is_some() && !used.is_empty() {
        used.push(key_file);
    }
    report.files = used;
    Ok(report)
}

/// The key of `.secret_key`, 64 hexadecimal digits.
pub struct LegacyKey(Key);

impl LegacyKey {
    /// Reads the content of the file.
    ///
    /// # Errors
    /// [`LegacyError::BadKeyFile`].
    pub fn parse(text: &str) -> Result<LegacyKey, LegacyError> {
        let bytes = unhex(text.trim()).ok_or(LegacyError::BadKeyFile)?;
        let mut key = Key::zeroed();
        if bytes.len() != key.expose().len() {
            return Err(LegacyError::BadKeyFile);
        }
        key.bytes_mut().copy_from_slice(&bytes);
        Ok(LegacyKey(key))
    }

    /// Opens a value: `enc2:` and hexadecimal of nonce(12), ciphertext and tag(16) under ChaCha20-Poly1305, or
    /// `enc:` and hexadecimal of bytes combined with the key by exclusive or. Nothing proves that the latter was
    /// opened with the right key.
    ///
    /// # Errors
    /// [`LegacyError::NotSealed`] without either prefix, [`LegacyError::NotAuthentic`] when it does not open.
    pub fn open(&self, value: &str) -> Result<Secret, LegacyError> {
        if let Some(hex) = value.strip_prefix("enc2:") {
            let bytes = unhex(hex).ok_or(LegacyError::NotAuthentic)?;
            let (nonce, sealed) = bytes
                .split_first_chunk::<NONCE>()
                .ok_or(LegacyError::NotAuthentic)?;
            return aead_open(&CHACHA20_POLY1305, &self.0, *nonce, sealed);
        }
        let hex = value.strip_prefix("enc:").ok_or(LegacyError::NotSealed)?;
        let mut bytes = unhex(hex).ok_or(LegacyError::NotAuthentic)?;
        for (byte, key) in bytes.iter_mut().zip(self.0.expose().iter().cycle()) {
            *byte ^= key;
        }
        Ok(Secret::new(bytes))
    }
}

impl fmt::Debug for LegacyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegacyKey(..)")
    }
}

/// The key file `encryption.key`: `{"salt": [16 numbers], "version": 1}`. It has no verifier: any password makes a
/// key, and only a payload shows whether it is the right one.
#[derive(Clone, Debug)]
pub struct LegacyEncryption {
    salt: [u8; 16],
}

impl LegacyEncryption {
    /// Reads the content of the file.
    ///
    /// # Errors
    /// [`LegacyError::BadKeyFile`].
    pub fn parse(json: &str) -> Result<LegacyEncryption, LegacyError> {
        let json: Value = serde_json::from_str(json).map_err(|_| LegacyError::BadKeyFile)?;
        let salt = json
            .get("salt")
            .and_then(numbers)
            .ok_or(LegacyError::BadKeyFile)?;
        if json.get("version").and_then(Value::as_u64) != Some(1) {
            return Err(LegacyError::BadKeyFile);
        }
        Ok(LegacyEncryption {
            salt: salt.as_slice().try_into().map_err(|_| LegacyError::BadKeyFile)?,
        })
    }

    /// Makes the key of a password: Argon2id with 64 MiB, 3 passes and 1 lane. Takes some hundred milliseconds.
    ///
    /// # Errors
    /// [`LegacyError::Vault`] for an empty password or without the memory for it.
    pub fn unlock(&self, password: &Password) -> Result<LegacyPayloads, LegacyError> {
        // The earlier program did not bring passwords into a normal form.
        Ok(LegacyPayloads(argon2id(
            password.as_typed()?,
            &self.salt,
            PASSWORD_PARAMS,
        )?))
    }
}

/// Opens payloads of an earlier program; made by [`LegacyEncryption::unlock`].
pub struct LegacyPayloads(Key);

impl LegacyPayloads {
    /// Opens `{"ciphertext": [numbers], "nonce": [12 numbers], "salt": []}`, AES-256-GCM.
    ///
    /// # Errors
    /// [`LegacyError::NotSealed`] when the text has another form, [`LegacyError::NotAuthentic`] when the password was
    /// wrong or the payload was changed.
    pub fn open(&self, payload: &str) -> Result<Secret, LegacyError> {
        let json: Value = serde_json::from_str(payload).map_err(|_| LegacyError::NotSealed)?;
        let part = |name| json.get(name).and_then(numbers).ok_or(LegacyError::NotSealed);
        let (sealed, nonce) = (part("ciphertext")?, part("nonce")?);
        let nonce = <[u8; NONCE]>::try_from(nonce.as_slice()).map_err(|_| LegacyError::NotSealed)?;
        aead_open(&AES_256_GCM, &self.0, nonce, &sealed)
    }
}

impl fmt::Debug for LegacyPayloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegacyPayloads(..)")
    }
}

/// Why something of an earlier program could not be taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LegacyError {
    /// A key file of another form.
    #[error("this is not a key file of an earlier program; look for another one")]
    BadKeyFile,
    /// A sealed value without the key file beside it.
    #[error("there are sealed values but no key file {KEY_FILE} beside them; put it back and import again")]
    NoKeyFile,
    /// Not in a form that this module knows.
    #[error("this value was not sealed by an earlier program; enter it again by hand")]
    NotSealed,
    /// The key or the password does not fit, or the value was changed.
    #[error("the value does not open: another key or password, or it was changed; enter it again by hand")]
    NotAuthentic,
    /// A file that is not what its name says.
    #[error("{} cannot be imported: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: &'static str,
    },
    /// The file system failed.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The vault, or making a key from the password, failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, LegacyError> {
    match files::read_limited(path, MAX_FILE) {
        Ok(Some(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(LegacyError::Malformed {
                    path: path.to_owned(),
                    reason: "it is not text",
                })
            }
        },
        Ok(None) => Err(LegacyError::Malformed {
            path: path.to_owned(),
            reason: "it is too long",
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LegacyError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// `name = "enc2:..."` of a TOML file, the name with the tables it is in.
fn sealed_values(text: &str) -> Vec<(String, &str)> {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_matches(['[', ']']).trim().to_owned();
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim_start();
        let Some(quote) = value.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else {
            continue;
        };
        let Some((value, _)) = value[1..].split_once(quote) else {
            continue;
        };
        if is_sealed(value) {
            let name = name.trim().trim_matches('"');
            let prefix = if table.is_empty() { "" } else { "." };
            found.push((format!("{table}{prefix}{name}"), value));
        }
    }
    found
}

fn is_sealed(value: &str) -> bool {
    value.starts_with("enc2:") || value.starts_with("enc:")
}

fn open(key: Option<&LegacyKey>, value: &str) -> Result<Secret, LegacyError> {
    key.ok_or(LegacyError::NoKeyFile)?.open(value)
}

/// Opens every sealed string in a JSON value, in place.
fn open_strings(key: Option<&LegacyKey>, json: &mut Value) -> Result<(), LegacyError> {
    match json {
        Value::String(text) if is_sealed(text) => {
            let opened = open(key, text)?;
            *text = opened.expose_str().ok_or(LegacyError::NotAuthentic)?.to_owned();
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| open_strings(key, item)),
        Value::Object(fields) => fields.values_mut().try_for_each(|field| open_strings(key, field)),
        _ => Ok(()),
    }
}

fn wipe(json: &mut Value) {
    match json {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        _ => {}
    }
}

fn aead_open(
    algorithm: &'static Algorithm,
    key: &Key,
    nonce: [u8; NONCE],
    sealed: &[u8],
) -> Result<Secret, LegacyError> {
    let key = UnboundKey::new(algorithm, key.expose()).map_err(|_| LegacyError::NotAuthentic)?;
    let mut buf = Zeroizing::new(sealed.to_vec());
    let length = LessSafeKey::new(key)
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut buf)
        .map_err(|_| LegacyError::NotAuthentic)?
        .len();
    buf.truncate(length);
    Ok(Secret::new(buf))
}

/// An array of bytes written as numbers.
fn numbers(json: &Value) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = json
        .as_array()?
        .iter()
        .map(|number| u8::try_from(number.as_u64()?).ok());
    bytes.collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok());
    bytes.collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
