//! The accounts of skills: credentials rest in the vault, which writes down each use; the session of the backend is
//! lent for managed connections.

use std::sync::{Arc, Mutex, PoisonError};

use openhuman_skills::{
    Credential, CredentialError, CredentialKind, Credentials, Login, SecretValue, Session, SkillId,
};
use openhuman_vault::{Secret, Vault, VaultError};

use super::Destinations;
use crate::network::Network;
use crate::owners::Places;

/// Credentials as named secrets of the vault.
pub(crate) struct VaultCredentials {
    vault: Arc<Vault>,
    places: Places,
    destinations: Destinations,
}

impl VaultCredentials {
    pub(crate) fn new(vault: &Arc<Vault>, places: Places, destinations: Destinations) -> Self {
        Self {
            vault: Arc::clone(vault),
            places,
            destinations,
        }
    }

    fn name(&self, skill: &SkillId, kind: CredentialKind) -> String {
        name(&self.places.of(skill), kind)
    }
}

fn name(place: &str, kind: CredentialKind) -> String {
    format!("skill-credential/{place}/{}", kind.as_str())
}

/// Deletes every credential of a place.
pub(crate) fn forget_credentials(vault: &Vault, place: &str) -> Result<(), VaultError> {
    for kind in [CredentialKind::OAuth, CredentialKind::Auth] {
        let purpose = "the accounts of the skill are forgotten";
        vault.secrets(now_ms()).remove(&name(place, kind), purpose)?;
    }
    Ok(())
}

/// Stores a credential that an earlier program left, unless there is one already; whether it was stored.
pub(crate) fn keep_if_absent(
    vault: &Vault,
    place: &str,
    kind: CredentialKind,
    json: &serde_json::Value,
) -> Result<bool, VaultError> {
    let (secrets, name) = (vault.secrets(now_ms()), name(place, kind));
    if secrets.handle(&name)?.is_some() {
        return Ok(false);
    }
    let purpose = "an account was taken over from an earlier program";
    secrets.put(&name, json.to_string().as_bytes(), purpose)?;
    Ok(true)
}
/// The latest value under a name. Where it is replaced in the meantime, the newer one is taken.
fn reveal(vault: &Vault, name: &str, purpose: &str) -> Result<Option<Secret>, VaultError> {
    let secrets = vault.secrets(now_ms());
    loop {
        let Some(handle) = secrets.handle(name)? else {
            return Ok(None);
        };
        match secrets.reveal(&handle, purpose) {
            Ok(secret) => return Ok(Some(secret)),
            Err(VaultError::SecretChanged { .. } | VaultError::SecretMissing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// For the log of the vault, which tells a person when something was done.
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn failed(error: impl std::fmt::Display) -> CredentialError {
    CredentialError(error.to_string())
}

impl Credentials for VaultCredentials {
    fn load(&self, skill: &SkillId, kind: CredentialKind) -> Result<Option<Credential>, CredentialError> {
        let hosts = self.destinations.named(skill, kind);
        let purpose = format!("the skill {skill} uses its account {hosts}");
        let Some(secret) = reveal(&self.vault, &self.name(skill, kind), &purpose).map_err(failed)? else {
            return Ok(None);
        };
        // The text of a JSON error would show parts of what it read.
        let json = serde_json::from_slice(secret.expose())
            .map_err(|_| failed("what is stored is not a credential"))?;
        Ok(Some(Credential::new(json)))
    }

    fn store(
        &self,
        skill: &SkillId,
        kind: CredentialKind,
        credential: &Credential,
    ) -> Result<(), CredentialError> {
        let bytes = serde_json::to_vec(credential.expose()).map_err(failed)?;
        let purpose = format!("an account of the skill {skill} was connected or renewed");
        let stored = self
            .vault
            .secrets(now_ms())
            .put(&self.name(skill, kind), &bytes, &purpose);
        stored.map(drop).map_err(failed)
    }

    fn delete(&self, skill: &SkillId, kind: CredentialKind) -> Result<(), CredentialError> {
        let purpose = format!("an account of the skill {skill} was disconnected");
        let removed = self
            .vault
            .secrets(now_ms())
            .remove(&self.name(skill, kind), &purpose);
        removed.map(drop).map_err(failed)
    }
}

/// The backend the core is logged in at, while it is, and the way there.
#[derive(Clone, Default)]
pub(crate) struct BackendSession {
    login: Arc<Mutex<Option<(String, SecretValue)>>>,
    network: Arc<Network>,
}

impl BackendSession {
    pub(crate) fn new(network: Network) -> Self {
        Self {
            network: Arc::new(network),
            ..Self::default()
        }
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Logged in at `backend` with this token; `None` logs out.
    pub(crate) fn set(&self, login: Option<(String, SecretValue)>) {
        *self.login.lock().unwrap_or_else(PoisonError::into_inner) = login;
    }

    /// The backend and the token of the session there.
    pub(crate) fn current(&self) -> Option<(String, SecretValue)> {
        let login = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        let (backend, token) = login.as_ref()?;
        Some((backend.clone(), SecretValue::from(token.expose())))
    }
}

impl Session for BackendSession {
    fn login(&self) -> Option<Login> {
        let (backend, token) = self.current()?;
        Some(Login::new(backend, Some(token)))
    }
}

#[cfg(test)]
mod tests {
    use openhuman_vault::{AuditAction, Password, VaultOptions};

    use super::*;

    #[test]
    fn every_use_of_an_account_is_written_down_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let password = Password::from("a password for tests".to_owned());
        let vault = Arc::new(Vault::create(dir.path(), &password, &VaultOptions::fast_for_tests()).unwrap());
        let credentials = VaultCredentials::new(&vault, Places::default(), Destinations::default());
        let (mail, kind) = ("mail".parse::<SkillId>().unwrap(), CredentialKind::Auth);
        assert!(credentials.load(&mail, kind).unwrap().is_none());
        let token = Credential::new(serde_json::json!({ "token": "t-1" }));
        credentials.store(&mail, kind, &token).unwrap();
        let loaded = credentials.load(&mail, kind).unwrap().unwrap();
        assert_eq!(loaded.expose()["token"], "t-1");
        credentials.delete(&mail, kind).unwrap();
        forget_credentials(&vault, "mail").unwrap();

        let log = vault.secrets(0).audit().unwrap();
        let actions: Vec<AuditAction> = log.iter().map(|entry| entry.action).collect();
        use AuditAction::{Removed, Revealed, Stored};
        assert_eq!(actions, [Stored, Revealed, Removed]);
        assert!(
            log.iter().all(|entry| entry.name == "skill-credential/mail/auth"),
            "{log:?}"
        );
        assert!(
            log[1].purpose.contains("mail") && log[1].at_ms > 1_700_000_000_000,
            "{log:?}"
        );
        assert!(log.iter().all(|entry| !entry.purpose.contains("t-1")));
    }
}
