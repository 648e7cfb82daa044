//! The credential files that earlier hosts left in a skill's data directory.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use super::{Credential, CredentialError, CredentialKind, Credentials};
use crate::SkillId;

/// The largest such file, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// Moves the files `oauth_credential.json`, `client_key.json` and `auth_credential.json` of `dir` into the store,
/// then deletes them. What is stored already stays; a file that is not JSON stays where it is.
pub(crate) fn import_old_files(
    dir: &Path,
    skill: &SkillId,
    store: &dyn Credentials,
) -> Result<(), CredentialError> {
    let oauth = dir.join("oauth_credential.json");
    let client_key = dir.join("client_key.json");
    let key = read(&client_key);
    if let Some(mut found) = read(&oauth) {
        if let (Some(key), Some(fields)) = (
            key.as_ref().and_then(|key| key.get("clientKey")),
            found.as_object_mut(),
        ) {
            fields.insert("clientKey".to_owned(), key.clone());
        }
        keep(store, skill, CredentialKind::OAuth, found)?;
        forget(&oauth);
    }
    if key.is_some() {
        forget(&client_key);
    }
    let auth = dir.join("auth_credential.json");
    if let Some(found) = read(&auth) {
        keep(store, skill, CredentialKind::Auth, found)?;
        forget(&auth);
    }
    Ok(())
}

fn keep(
    store: &dyn Credentials,
    skill: &SkillId,
    kind: CredentialKind,
    found: Value,
) -> Result<(), CredentialError> {
    // An old host wrote an empty object or null when it cleared a credential.
    let empty = found.as_object().is_none_or(serde_json::Map::is_empty);
    if empty || store.load(skill, kind)?.is_some() {
        return Ok(());
    }
    store.store(skill, kind, &Credential::new(found))
}

/// A regular file that holds JSON; a link is not followed.
fn read(path: &Path) -> Option<Value> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return None;
    }
    let mut text = String::new();
    fs::File::open(path)
        .ok()?
        .take(MAX_FILE)
        .read_to_string(&mut text)
        .ok()?;
    serde_json::from_str(&text).ok()
}

fn forget(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "an imported credential file cannot be deleted: delete it");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::MemoryCredentials;

    #[test]
    fn old_files_are_imported_once_and_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write(
            "oauth_credential.json",
            r#"{"credentialId":"c1","provider":"notion"}"#,
        );
        write("client_key.json", r#"{"clientKey":"k1"}"#);
        write("auth_credential.json", "not json");
        let (store, skill) = (MemoryCredentials::default(), SkillId::new("a").unwrap());
        import_old_files(dir.path(), &skill, &store).unwrap();
        let found = store.load(&skill, CredentialKind::OAuth).unwrap().unwrap();
        assert_eq!(
            found.expose(),
            &json!({"credentialId": "c1", "provider": "notion", "clientKey": "k1"})
        );
        assert!(!format!("{found:?}").contains("k1"));
        let left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["auth_credential.json"]);
        // A newer credential is not replaced by a file that turns up again.
        write(
            "oauth_credential.json",
            r#"{"credentialId":"old","provider":"notion"}"#,
        );
        import_old_files(dir.path(), &skill, &store).unwrap();
        assert_eq!(store.load(&skill, CredentialKind::OAuth).unwrap().unwrap(), found);
        assert!(!dir.path().join("oauth_credential.json").exists());
    }
}
