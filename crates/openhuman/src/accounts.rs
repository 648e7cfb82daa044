//! Connecting a skill to an account that the backend holds: the user agrees in the browser, and a link comes back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use openhuman_skills::SkillId;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::bridge::{BackendRest, BackendSession};
use crate::login::LOGIN_MS;
use crate::{Core, CoreError};

/// The connections that were begun here and not finished.
pub(crate) struct Accounts {
    rest: BackendRest,
    pending: Mutex<HashMap<SkillId, Pending>>,
}

struct Pending {
    provider: String,
    started_ms: i64,
}

impl Accounts {
    pub(crate) fn new(session: BackendSession) -> Self {
        Self {
            rest: BackendRest::new(session),
            pending: Mutex::default(),
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<SkillId, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The provider of the connection that was begun for a skill, once and within five minutes.
    fn take(&self, skill: &SkillId, now_ms: i64) -> Option<String> {
        let pending = self.pending().remove(skill)?;
        let passed = now_ms.saturating_sub(pending.started_ms);
        (0..=LOGIN_MS).contains(&passed).then_some(pending.provider)
    }
}

fn failed(reason: impl Into<String>) -> CoreError {
    CoreError::Account(reason.into())
}

impl Core {
    /// Begins to connect a skill to an account, and returns the address that the user has to open in a browser. The
    /// link that comes back is taken for five minutes, once.
    ///
    /// # Errors
    /// [`CoreError::Account`] without a backend, or when it refuses.
    pub async fn start_account(&self, skill: &SkillId, provider: &str) -> Result<String, CoreError> {
        let accounts = &self.inner().accounts;
        let path = ["auth", provider, "connect"];
        let query = [("skillId", skill.as_str())];
        let sent = accounts
            .rest
            .send("a managed connection needs", Method::GET, &path, &query, None);
        let answer = sent.await.map_err(failed)?;
        let address = answer.get("oauthUrl").and_then(Value::as_str).and_then(|text| {
            let url = Url::parse(text).ok()?;
            matches!(url.scheme(), "https" | "http").then(|| url.to_string())
        });
        let address = address.ok_or_else(|| failed("the backend named no address to open in a browser"))?;
        let pending = Pending {
            provider: provider.to_owned(),
            started_ms: now_ms(),
        };
        accounts.pending().insert(skill.clone(), pending);
        Ok(address)
    }

    /// Finishes a connection with the link `openhuman://oauth/success?integrationId=..&skillId=..` and returns what the
    /// skill says.
    ///
    /// # Errors
    /// [`CoreError::Account`] for a link that was not asked for here, or that carries the provider's refusal; and when
    /// the skill does not run or refuses.
    pub async fn finish_account(&self, link: &str) -> Result<Value, CoreError> {
        let link = AccountLink::parse(link)?;
        let skill = self.skill(&link.skill)?;
        let Some(provider) = self.inner().accounts.take(&skill, now_ms()) else {
            return Err(failed(format!(
                "nobody here asked to connect '{skill}' within the last five minutes, so the link was not used; begin again"
            )));
        };
        let mut params = json!({
            "credentialId": link.integration, "provider": provider, "grantedScopes": [],
        });
        if let Some(key) = link.client_key {
            params["clientKeyShare"] = Value::from(key);
        }
        Ok(self.skills().oauth_complete(&skill, &params).await?)
    }
}

/// What a link says that comes back from the browser.
struct AccountLink {
    skill: String,
    integration: String,
    client_key: Option<String>,
}

impl AccountLink {
    fn parse(link: &str) -> Result<Self, CoreError> {
        let other = || failed("this is not the link of a connection; begin again");
        let url = Url::parse(link.trim()).map_err(|_| other())?;
        if url.scheme() != "openhuman" || url.host_str() != Some("oauth") {
            return Err(other());
        }
        let mut values: HashMap<String, String> = url.query_pairs().into_owned().collect();
        match url.path() {
            "/success" => {}
            "/error" => {
                let reason: String = values
                    .remove("error")
                    .unwrap_or_default()
                    .chars()
                    .take(200)
                    .collect();
                return Err(failed(format!("the provider refused: {reason}")));
            }
            _ => return Err(other()),
        }
        Ok(Self {
            skill: values.remove("skillId").ok_or_else(other)?,
            integration: values.remove("integrationId").ok_or_else(other)?,
            client_key: values.remove("clientKey"),
        })
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_the_skill_and_the_connection_or_why_there_is_none() {
        let link = "openhuman://oauth/success?integrationId=65f0c0ffee&skillId=notion&clientKey=k%2B1";
        let parsed = AccountLink::parse(link).unwrap();
        assert_eq!(
            (parsed.skill.as_str(), parsed.integration.as_str()),
            ("notion", "65f0c0ffee")
        );
        assert_eq!(parsed.client_key.as_deref(), Some("k+1"));
        let told = |link: &str| AccountLink::parse(link).err().unwrap().to_string();
        assert!(told("openhuman://oauth/error?error=denied&provider=notion").contains("refused: denied"));
        for other in [
            "openhuman://auth?token=oht1_x",
            "https://oauth/success?integrationId=1&skillId=a",
            "nonsense",
            "openhuman://oauth/success?skillId=a",
            "openhuman://oauth/other?integrationId=1&skillId=a",
        ] {
            assert!(told(other).contains("not the link"), "{other}");
        }
    }

    #[test]
    fn a_connection_is_finished_once_and_in_time() {
        let accounts = Accounts::new(BackendSession::default());
        let skill: SkillId = "notion".parse().unwrap();
        let begin = |started_ms| {
            let provider = "notion".to_owned();
            accounts
                .pending()
                .insert(skill.clone(), Pending { provider, started_ms });
        };
        assert_eq!(accounts.take(&skill, 0), None, "nobody asked");
        begin(1000);
        assert_eq!(accounts.take(&skill, 1000 + LOGIN_MS).as_deref(), Some("notion"));
        assert_eq!(accounts.take(&skill, 1001), None, "once");
        begin(1000);
        assert_eq!(accounts.take(&skill, 1001 + LOGIN_MS), None, "too late");
    }
}
