//! The credentials of a skill that runs: in memory, beside the view that the skill gets.

use std::sync::Arc;

use serde_json::Value;

use super::placeholders::{SecretTexts, auth_view, oauth_view};
use super::{Credential, CredentialKind};
use crate::skill::Skill;
use crate::{Destination, SecretValue, Secrets, SkillId};

/// One credential with what the skill sees of it.
#[derive(Default)]
struct Entry {
    raw: Option<Credential>,
    view: Value,
    secrets: SecretTexts,
}

/// Both credentials of a skill.
#[derive(Default)]
pub(crate) struct Held {
    oauth: Entry,
    auth: Entry,
}

impl Held {
    /// Replaces a credential and returns the earlier one.
    pub(crate) fn set(&mut self, kind: CredentialKind, credential: Option<Credential>) -> Option<Credential> {
        let mut secrets = SecretTexts::new();
        let view = match (kind, &credential) {
            (_, None) => Value::Null,
            (CredentialKind::OAuth, Some(credential)) => oauth_view(credential.expose(), &mut secrets),
            (CredentialKind::Auth, Some(credential)) => auth_view(credential.expose(), &mut secrets),
        };
        let entry = match kind {
            CredentialKind::OAuth => &mut self.oauth,
            CredentialKind::Auth => &mut self.auth,
        };
        let new = Entry {
            raw: credential,
            view,
            secrets,
        };
        std::mem::replace(entry, new).raw
    }

    /// The credential with placeholders; null when there is none.
    pub(crate) fn view(&self, kind: CredentialKind) -> Value {
        self.entry(kind).view.clone()
    }

    /// The raw credential, for the host's own use.
    pub(crate) fn raw(&self, kind: CredentialKind) -> Option<&Value> {
        self.entry(kind).raw.as_ref().map(Credential::expose)
    }

    /// A text field of the raw credential: of `credentials` for what the user entered.
    pub(crate) fn text(&self, kind: CredentialKind, field: &str) -> Option<&str> {
        let raw = self.raw(kind)?;
        let raw = match kind {
            CredentialKind::OAuth => raw,
            CredentialKind::Auth => raw.get("credentials")?,
        };
        raw.get(field)?.as_str().filter(|text| !text.is_empty())
    }

    fn secret(&self, handle: &str) -> Option<&str> {
        let found = self.auth.secrets.get(handle);
        found
            .or_else(|| self.oauth.secrets.get(handle))
            .map(String::as_str)
    }

    fn entry(&self, kind: CredentialKind) -> &Entry {
        match kind {
            CredentialKind::OAuth => &self.oauth,
            CredentialKind::Auth => &self.auth,
        }
    }
}

/// The secrets of one skill: its credentials, toward the hosts they belong to, before the host's own secrets.
pub(crate) struct SkillSecrets {
    pub(crate) skill: Arc<Skill>,
    pub(crate) host: Option<Arc<dyn Secrets>>,
}

impl Secrets for SkillSecrets {
    fn reveal(&self, skill: &SkillId, handle: &str, to: &Destination) -> Option<SecretValue> {
        let own = self.skill.credentials().secret(handle).map(SecretValue::from);
        match own {
            Some(value) => self
                .skill
                .credential_may_go_to(handle, to.host(), to.port())
                .then_some(value),
            None => self.host.as_ref()?.reveal(skill, handle, to),
        }
    }
}
