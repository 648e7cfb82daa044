//! Which skill answers which webhook.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::SkillId;

/// The most webhooks of one skill.
const MAX_WEBHOOKS: usize = 64;

/// A webhook a skill registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WebhookRegistration {
    /// The tunnel it comes through.
    pub tunnel_uuid: String,
    /// Who answers it.
    pub skill_id: SkillId,
    /// The skill's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel_name: Option<String>,
    /// The backend's id of the tunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_tunnel_id: Option<String>,
}

/// A request that came in through a tunnel: the payload of `webhook:request`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct WebhookRequest {
    /// The sender's number of the request.
    pub correlation_id: String,
    /// The backend's id of the tunnel.
    pub tunnel_id: String,
    /// The tunnel's public id, which skills register.
    pub tunnel_uuid: String,
    /// The tunnel's name.
    pub tunnel_name: String,
    /// The method.
    pub method: String,
    /// The path behind the tunnel's address.
    pub path: String,
    /// The headers.
    pub headers: Map<String, Value>,
    /// The query parameters.
    pub query: Map<String, Value>,
    /// The body in base64.
    pub body: String,
}

/// The answer to a [`WebhookRequest`]: the payload of `webhook:response` without its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WebhookResponse {
    /// The HTTP status.
    pub status_code: u16,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body in base64.
    pub body: String,
}

impl WebhookResponse {
    /// An answer that reports an error: its body is `{"error": text}` in base64.
    #[must_use]
    pub fn error(status_code: u16, text: &str) -> Self {
        Self {
            status_code,
            headers: BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]),
            body: STANDARD.encode(json!({ "error": text }).to_string()),
        }
    }
}

/// The registrations of all skills, by tunnel.
#[derive(Default)]
pub(crate) struct Webhooks(Mutex<BTreeMap<String, WebhookRegistration>>);

impl Webhooks {
    /// Registers or renames a webhook. One that belongs to another skill is not taken over.
    pub(crate) fn register(&self, registration: WebhookRegistration) -> Result<bool, String> {
        let mut all = self.all();
        match all.get(&registration.tunnel_uuid) {
            Some(known) if known.skill_id != registration.skill_id => {
                return Err(format!(
                    "the tunnel `{}` belongs to another skill",
                    registration.tunnel_uuid
                ));
            }
            Some(_) => {}
            None => {
                let mine = all
                    .values()
                    .filter(|known| known.skill_id == registration.skill_id);
                if mine.count() >= MAX_WEBHOOKS {
                    return Err(format!("more than {MAX_WEBHOOKS} webhooks"));
                }
            }
        }
        let known = all.insert(registration.tunnel_uuid.clone(), registration);
        Ok(known.is_none())
    }

    /// Forgets a webhook of a skill; whether there was one.
    pub(crate) fn unregister(&self, skill: &SkillId, tunnel: &str) -> bool {
        let mut all = self.all();
        let mine = all.get(tunnel).is_some_and(|known| known.skill_id == *skill);
        mine && all.remove(tunnel).is_some()
    }

    /// Forgets every webhook of a skill.
    pub(crate) fn forget(&self, skill: &SkillId) {
        self.all().retain(|_, known| known.skill_id != *skill);
    }

    /// Who answers a tunnel.
    pub(crate) fn owner(&self, tunnel: &str) -> Option<SkillId> {
        self.all().get(tunnel).map(|known| known.skill_id.clone())
    }

    pub(crate) fn list(&self) -> Vec<WebhookRegistration> {
        self.all().values().cloned().collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, WebhookRegistration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
