//! The accounts of skills: credentials rest in the vault, the session of the backend is lent for managed connections.

use std::sync::{Arc, Mutex, PoisonError};

use openhuman_skills::{
    Credential, CredentialError, CredentialKind, Credentials, Login, SecretValue, Session, SkillId,
};
use openhuman_vault::{Vault, VaultError};

use crate::owners::Places;

/// Credentials as named secrets of the vault.
pub(crate) struct VaultCredentials {
    vault: Arc<Vault>,
    places: Places,
}

impl VaultCredentials {
    pub(crate) fn new(vault: &Arc<Vault>, places: Places) -> Self {
        Self {
            vault: Arc::clone(vault),
            places,
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
        vault.remove_secret(&name(place, kind))?;
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> CredentialError {
    CredentialError(error.to_string())
}

impl Credentials for VaultCredentials {
    fn load(&self, skill: &SkillId, kind: CredentialKind) -> Result<Option<Credential>, CredentialError> {
        let Some(bytes) = self.vault.secret(&self.name(skill, kind)).map_err(failed)? else {
            return Ok(None);
        };
        // The text of a JSON error would show parts of what it read.
        let json =
            serde_json::from_slice(&bytes).map_err(|_| failed("what is stored is not a credential"))?;
        Ok(Some(Credential::new(json)))
    }

    fn store(
        &self,
        skill: &SkillId,
        kind: CredentialKind,
        credential: &Credential,
    ) -> Result<(), CredentialError> {
        let bytes = serde_json::to_vec(credential.expose()).map_err(failed)?;
        self.vault
            .set_secret(&self.name(skill, kind), &bytes)
            .map_err(failed)
    }

    fn delete(&self, skill: &SkillId, kind: CredentialKind) -> Result<(), CredentialError> {
        self.vault
            .remove_secret(&self.name(skill, kind))
            .map(drop)
            .map_err(failed)
    }
}

/// The backend the core is logged in at, while it is.
#[derive(Clone, Default)]
pub(crate) struct BackendSession(Arc<Mutex<Option<(String, SecretValue)>>>);

impl BackendSession {
    /// Logged in at `backend` with this token; `None` logs out.
    pub(crate) fn set(&self, login: Option<(String, SecretValue)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = login;
    }
}

impl Session for BackendSession {
    fn login(&self) -> Option<Login> {
        let login = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (backend, token) = login.as_ref()?;
        Some(Login::new(backend, Some(SecretValue::from(token.expose()))))
    }
}
