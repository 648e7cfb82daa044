//! The accounts of skills that an earlier program kept as files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use openhuman_skills::{CredentialKind, SkillId};
use serde_json::Value;

use crate::bridge::keep_if_absent;
use crate::{Core, CoreError};

/// The largest such file, in bytes.
const LARGEST: u64 = 256 * 1024;

/// What became of the accounts of an earlier program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegacyAccounts {
    /// The skills whose accounts are in the vault now, each once.
    pub taken: Vec<SkillId>,
    /// Skills that have an account in the vault already; theirs were left.
    pub kept: Vec<SkillId>,
    /// Folders of skills that are not here: their accounts can be taken over when they are.
    pub unknown: Vec<String>,
    /// The files that are not needed any more.
    pub files: Vec<PathBuf>,
}

impl Core {
    /// Takes over the accounts that an earlier program left in `DIR/skills_data/<skill>/`, for skills that are here:
    /// `oauth_credential.json` with `client_key.json`, and `auth_credential.json`. Nothing is deleted. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// When the folder cannot be read or the vault cannot be written. A folder that is not there has no accounts.
    pub fn import_legacy_accounts(&self, dir: &Path) -> Result<LegacyAccounts, CoreError> {
        let mut report = LegacyAccounts::default();
        let data = dir.join("skills_data");
        let entries = match fs::read_dir(&data) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(report),
            Err(error) => return Err(CoreError::io("read", data, error)),
        };
        let folders: BTreeMap<String, PathBuf> = entries
            .flatten()
            .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
            .collect();
        for (name, folder) in folders {
            let found = accounts_in(&folder);
            if found.is_empty() {
                continue;
            }
            let Ok(skill) = self.skill(&name) else {
                report.unknown.push(name);
                continue;
            };
            let place = self.inner().places.of(&skill);
            let mut taken = false;
            for (kind, json, files) in found {
                taken |= keep_if_absent(self.vault(), &place, kind, &json)?;
                report.files.extend(files);
            }
            if taken {
                report.taken.push(skill);
            } else {
                report.kept.push(skill);
            }
        }
        Ok(report)
    }
}

type Account = (CredentialKind, Value, Vec<PathBuf>);

fn accounts_in(folder: &Path) -> Vec<Account> {
    let mut found = Vec::new();
    let file = |name: &str| {
        let path = folder.join(name);
        read(&path).map(|json| (json, path))
    };
    if let Some((mut json, path)) = file("oauth_credential.json") {
        let mut files = vec![path];
        if let Some((key, path)) = file("client_key.json") {
            if let (Some(key), Some(fields)) = (key.get("clientKey"), json.as_object_mut()) {
                fields.insert("clientKey".to_owned(), key.clone());
            }
            files.push(path);
        }
        found.push((CredentialKind::OAuth, json, files));
    }
    if let Some((json, path)) = file("auth_credential.json") {
        found.push((CredentialKind::Auth, json, vec![path]));
    }
    found
}

/// A regular file that holds a JSON object with something in it; the earlier program wrote an empty one to clear it.
fn read(path: &Path) -> Option<Value> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return None;
    }
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(LARGEST)
        .read_to_string(&mut text)
        .ok()?;
    let json: Value = serde_json::from_str(&text).ok()?;
    json.as_object()
        .is_some_and(|fields| !fields.is_empty())
        .then_some(json)
}
