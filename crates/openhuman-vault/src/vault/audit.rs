//! The log of what was done with secrets: a sealed record file, begun anew when it is full.

use std::io;
use std::path::{Path, PathBuf};

use super::error::VaultError;
use crate::key::Key;
use crate::records::{RecordError, RecordFile};

const FILE: &str = "audit.ohr";
/// The log before this one.
const EARLIER: &str = "audit.1.ohr";
/// A log that did not authenticate.
const DAMAGED: &str = "audit.damaged.ohr";
/// Entries of a full log. Opening one authenticates all of them.
const FULL: u64 = 256;
const VERSION: u8 = 1;
const MAX_PURPOSE: usize = 256;

/// One line of the log of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEntry {
    /// When, in milliseconds since the Unix epoch, by the clock of the caller.
    pub at_ms: i64,
    /// What was done.
    pub action: AuditAction,
    /// The name of the secret; empty when all of them were meant.
    pub name: String,
    /// The version of the value; zero when all secrets were meant.
    pub version: u64,
    /// What for, as the caller said.
    pub purpose: String,
}

/// What was done with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditAction {
    /// A value was stored or replaced.
    Stored,
    /// A value was handed out.
    Revealed,
    /// The secret was removed.
    Removed,
    /// The secret was exported, or all of them where there is no name.
    Exported,
    /// Secrets were imported.
    Imported,
    /// The log before this one did not authenticate and was put aside as `audit.damaged.ohr`.
    LogReplaced,
}

impl AuditAction {
    const ALL: [AuditAction; 6] = [
        AuditAction::Stored,
        AuditAction::Revealed,
        AuditAction::Removed,
        AuditAction::Exported,
        AuditAction::Imported,
        AuditAction::LogReplaced,
    ];

    fn code(self) -> u8 {
        match self {
            AuditAction::Stored => 1,
            AuditAction::Revealed => 2,
            AuditAction::Removed => 3,
            AuditAction::Exported => 4,
            AuditAction::Imported => 5,
            AuditAction::LogReplaced => 6,
        }
    }
}

/// Used only while the lock of the vault is held.
pub(super) struct AuditLog<'a> {
    pub(super) dir: &'a Path,
    pub(super) key: Key,
}

impl AuditLog<'_> {
    /// Adds an entry; on disk when it returns.
    pub(super) fn append(&self, entry: &AuditEntry) -> Result<(), VaultError> {
        let path = self.dir.join(FILE);
        let mut log = match RecordFile::open(&path, &self.key) {
            Ok(log) if log.len() >= FULL => {
                drop(log);
                rename(&path, EARLIER)?;
                RecordFile::open(&path, &self.key)?
            }
            Ok(log) => log,
            Err(error) if is_damage(&error) => {
                // Secrets must stay usable; that something happened to the log stays visible in the next one.
                tracing::warn!(path = %path.display(), %error, "the log of secrets is damaged, a new one begins");
                rename(&path, DAMAGED)?;
                let mut log = RecordFile::open(&path, &self.key)?;
                let replaced = AuditEntry {
                    at_ms: entry.at_ms,
                    action: AuditAction::LogReplaced,
                    name: String::new(),
                    version: 0,
                    purpose: error.to_string(),
                };
                log.append(&encode(&replaced))?;
                log
            }
            Err(error) => return Err(error.into()),
        };
        log.append(&encode(entry))?;
        Ok(())
    }

    /// The earlier log and this one.
    pub(super) fn read(&self) -> Result<Vec<AuditEntry>, VaultError> {
        let mut entries = Vec::new();
        for name in [EARLIER, FILE] {
            let path = self.dir.join(name);
            if !path.exists() {
                continue;
            }
            for record in RecordFile::open(&path, &self.key)?.read_all()? {
                let entry = decode(&record).ok_or_else(|| VaultError::Damaged {
                    path: path.clone(),
                    reason: "it has an entry of an unknown form",
                })?;
                entries.push(entry);
            }
        }
        Ok(entries)
    }
}

fn rename(path: &Path, to: &str) -> Result<(), VaultError> {
    let to = path.with_file_name(to);
    match std::fs::rename(path, &to) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(VaultError::Io {
            path: PathBuf::from(path),
            source,
        }),
        _ => Ok(()),
    }
}

fn is_damage(error: &RecordError) -> bool {
    matches!(
        error,
        RecordError::NotARecordFile { .. }
            | RecordError::UnknownVersion { .. }
            | RecordError::WrongKeyOrTampered { .. }
            | RecordError::Tampered { .. }
    )
}

/// `version(1) || action(1) || at(8) || version of the secret(8) || length of the name(2) || name || purpose`.
fn encode(entry: &AuditEntry) -> Vec<u8> {
    let mut out = vec![VERSION, entry.action.code()];
    out.extend_from_slice(&entry.at_ms.to_be_bytes());
    out.extend_from_slice(&entry.version.to_be_bytes());
    out.extend_from_slice(&(entry.name.len() as u16).to_be_bytes());
    out.extend_from_slice(entry.name.as_bytes());
    let purpose = entry.purpose.floor_char_boundary(MAX_PURPOSE);
    out.extend_from_slice(&entry.purpose.as_bytes()[..purpose]);
    out
}

fn decode(record: &[u8]) -> Option<AuditEntry> {
    let (&[version, action], rest) = record.split_first_chunk::<2>()?;
    let (at_ms, rest) = rest.split_first_chunk::<8>()?;
    let (secret_version, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (name, purpose) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    if version != VERSION {
        return None;
    }
    Some(AuditEntry {
        at_ms: i64::from_be_bytes(*at_ms),
        action: AuditAction::ALL
            .into_iter()
            .find(|known| known.code() == action)?,
        name: String::from_utf8(name.to_vec()).ok()?,
        version: u64::from_be_bytes(*secret_version),
        purpose: String::from_utf8(purpose.to_vec()).ok()?,
    })
}
