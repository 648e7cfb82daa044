//! The header on disk: `vault.ohv`, its copy `vault.ohv.bak`, and what happens when one of them is damaged.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{VaultError, io_at};
use super::header::{Header, MAX_HEADER};
use super::lock;
use crate::files;
use crate::key::Key;

pub(super) const HEADER_FILE: &str = "vault.ohv";

/// A header whose MAC is right, and the key that says so.
pub(super) struct Found {
    pub(super) header: Header,
    pub(super) key: Key,
    /// What has to be mended when it came from the copy.
    mend: Option<Mend>,
}

/// Both files as they were read.
struct Mend {
    damaged: Option<Vec<u8>>,
    copy: Vec<u8>,
}

/// How far reading `vault.ohv` came.
#[derive(Default)]
struct Attempt {
    bytes: Option<Vec<u8>>,
    header: Option<Header>,
    key: Option<Key>,
}

impl Attempt {
    fn run(
        &mut self,
        path: &Path,
        key_of: &mut impl FnMut(&Header, Option<&Header>) -> Result<Key, VaultError>,
    ) -> Result<Found, VaultError> {
        let bytes = self.bytes.insert(read(path)?);
        let header = self.header.insert(Header::decode(path, bytes)?);
        let key = self.key.insert(key_of(header, None)?);
        header.verify(key, bytes)?;
        Ok(Found {
            header: header.clone(),
            key: key.duplicate(),
            mend: None,
        })
    }
}

/// Whether `dir` holds a header or its copy.
pub(super) fn try_exists(dir: &Path) -> Result<bool, VaultError> {
    let header = dir.join(HEADER_FILE);
    for path in [copy_of(&header), header] {
        let found = path.try_exists().map_err(|source| VaultError::Unreadable {
            path: dir.to_owned(),
            source,
        })?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds the header, and mends `vault.ohv` when only the copy opens.
///
/// `key_of` opens one of a header's slots. For the copy it is given the header that did not open as well, so that
/// it need not try the same slot twice.
pub(super) fn unlock(
    dir: &Path,
    key_of: impl FnMut(&Header, Option<&Header>) -> Result<Key, VaultError>,
) -> Result<Found, VaultError> {
    let mut found = find(dir, key_of)?;
    if let Some(seen) = found.mend.take() {
        let path = dir.join(HEADER_FILE);
        tracing::warn!(path = %path.display(), "the vault header is damaged, its copy was used");
        // The vault is open either way; what could not be mended now is mended the next time.
        if let Err(error) = mend(dir, &seen) {
            tracing::warn!(path = %path.display(), %error, "the vault header could not be mended");
        }
    }
    Ok(found)
}

/// Finds the header: in `vault.ohv`, or in the copy when that one does not open. Writes nothing.
///
/// The error is the one of `vault.ohv`. Only when it has nothing to say - it is gone, or unreadable while the
/// copy is fine - is it the one of the copy, so that a wrong password is a wrong password.
pub(super) fn find(
    dir: &Path,
    mut key_of: impl FnMut(&Header, Option<&Header>) -> Result<Key, VaultError>,
) -> Result<Found, VaultError> {
    let path = dir.join(HEADER_FILE);
    let mut attempt = Attempt::default();
    let first = match attempt.run(&path, &mut key_of) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    if !may_be_damage(&first) {
        return Err(first);
    }
    let gone = is_not_found(&first);
    let copy_path = copy_of(&path);
    let decoded = read(&copy_path).and_then(|bytes| Ok((Header::decode(&copy_path, &bytes)?, bytes)));
    let (copy, bytes) = match decoded {
        Ok((_, bytes)) if attempt.bytes.as_ref() == Some(&bytes) => return Err(first),
        Ok(decoded) => decoded,
        Err(second) if gone && is_not_found(&second) => {
            return Err(VaultError::NotFound { path: dir.to_owned() });
        }
        Err(second) => return Err(if gone { second } else { first }),
    };
    if attempt
        .header
        .as_ref()
        .is_some_and(|header| !may_replace(&copy, header))
    {
        tracing::warn!(path = %copy_path.display(), "the copy of the vault header is older, it is not used");
        return Err(first);
    }
    let key = match attempt.key.take() {
        Some(key) if copy.verify(&key, &bytes).is_ok() => key,
        _ => match key_of(&copy, attempt.header.as_ref()) {
            Ok(key) if copy.verify(&key, &bytes).is_ok() => key,
            Err(second) if attempt.header.is_none() => return Err(second),
            Ok(_) if gone => return Err(VaultError::HeaderTampered),
            Ok(_) | Err(_) => return Err(first),
        },
    };
    Ok(Found {
        header: copy,
        key,
        mend: Some(Mend {
            damaged: attempt.bytes,
            copy: bytes,
        }),
    })
}

/// The id of the vault as its header says, or the copy. Not authenticated.
pub(super) fn id(dir: &Path) -> Result<[u8; 16], VaultError> {
    let path = dir.join(HEADER_FILE);
    let decoded = |path: &Path| read(path).and_then(|bytes| Header::decode(path, &bytes));
    let header = decoded(&path).or_else(|first| decoded(&copy_of(&path)).map_err(|_| first))?;
    Ok(header.id)
}

/// Writes the copy of the header and then the header, so that one of them can always be read. The copy is never
/// the older one: a removed slot must not survive in it. And the header is what counts, so a change that fails
/// half-way has not happened.
pub(super) fn write(dir: &Path, bytes: &[u8], _lock: &File) -> Result<(), VaultError> {
    let path = dir.join(HEADER_FILE);
    if bytes.len() as u64 > MAX_HEADER || Header::decode(&path, bytes).is_err() {
        // Never write what could not be read again.
        return Err(VaultError::TooLarge {
            what: "the vault header",
            limit: MAX_HEADER as usize,
        });
    }
    let copy = copy_of(&path);
    files::write_atomic(&copy, bytes).map_err(io_at(&copy))?;
    let written = files::write_atomic(&path, bytes).map_err(io_at(&path));
    if written.is_err()
        && let Ok(standing) = read(&path)
    {
        // The copy must not hold slots of a change that has not happened; the first error is the one to report.
        let _ = files::write_atomic(&copy, &standing);
    }
    written
}

/// Removes what [`unlock`] kept of a damaged header: its slots open with what has been replaced since.
pub(super) fn forget_damaged(dir: &Path, _lock: &File) {
    let path = damaged(&dir.join(HEADER_FILE));
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a damaged vault header could not be removed");
    }
}

pub(super) fn copy_of(header: &Path) -> PathBuf {
    files::with_suffix(header, ".bak")
}

pub(super) fn damaged(header: &Path) -> PathBuf {
    files::with_suffix(header, ".damaged")
}

/// Puts the copy in the place of the damaged header, which is kept beside it.
fn mend(dir: &Path, seen: &Mend) -> Result<(), VaultError> {
    let _lock = lock(dir)?;
    let path = dir.join(HEADER_FILE);
    let same = read(&path).ok() == seen.damaged && read(&copy_of(&path)).is_ok_and(|copy| copy == seen.copy);
    if !same {
        // Somebody wrote since; what stands there now is theirs.
        return Ok(());
    }
    let kept = damaged(&path);
    match std::fs::rename(&path, &kept) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_at(&path)(error)),
        _ => {}
    }
    files::write_atomic(&path, &seen.copy).map_err(|error| {
        // Back to where it was; a vault without either name would still be found by its copy.
        let _ = std::fs::rename(&kept, &path);
        io_at(&path)(error)
    })
}

/// Whether damage can look like this error. A store that is locked or a missing permission is not damage.
fn may_be_damage(error: &VaultError) -> bool {
    is_not_found(error)
        || matches!(
            error,
            VaultError::Damaged { .. }
                | VaultError::UnknownVersion { .. }
                | VaultError::UnsafeParameters { .. }
                | VaultError::OutOfMemory { .. }
                | VaultError::HeaderTampered
                | VaultError::WrongPassword
                | VaultError::WrongRecoveryKey
                | VaultError::NoRecoveryKey
                | VaultError::NotRemembered
                | VaultError::KeyStoreEntryMissing
                | VaultError::WrongKeyInStore
        )
}

/// Whether the copy is not from before the last change of a slot: an old copy, put back by a program that restores
/// files, would let an old password in again. A damaged generation number alone does not matter.
fn may_replace(copy: &Header, header: &Header) -> bool {
    copy.slots == header.slots || (copy.id == header.id && copy.generation >= header.generation)
}

fn is_not_found(error: &VaultError) -> bool {
    matches!(error, VaultError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

fn read(path: &Path) -> Result<Vec<u8>, VaultError> {
    let bytes = files::read_limited(path, MAX_HEADER).map_err(io_at(path))?;
    bytes.ok_or_else(|| VaultError::Damaged {
        path: path.to_owned(),
        reason: "it is too long",
    })
}

#[cfg(test)]
mod tests;
