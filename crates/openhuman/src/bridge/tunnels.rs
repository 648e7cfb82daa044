//! Public addresses that lead to the webhooks of skills, as the backend keeps them.

use futures_util::future::BoxFuture;
use openhuman_skills::{SkillId, Tunnels};
use reqwest::Method;
use serde_json::{Value, json};

use super::BackendRest;

/// Where the backend keeps tunnels.
const TUNNELS: [&str; 2] = ["webhooks", "core"];

/// What is said without a backend.
const NEED: &str = "a public address for webhooks needs";

/// Tunnels of the backend that the user is logged in at.
pub(crate) struct BackendTunnels(BackendRest);

impl BackendTunnels {
    pub(crate) fn new(rest: BackendRest) -> Self {
        Self(rest)
    }
}

impl Tunnels for BackendTunnels {
    fn create(
        &self,
        _skill: &SkillId,
        name: String,
        description: Option<String>,
    ) -> BoxFuture<'_, Result<Value, String>> {
        let mut body = json!({ "name": name });
        if let Some(description) = description {
            body["description"] = Value::from(description);
        }
        Box::pin(self.0.send(NEED, Method::POST, &TUNNELS, &[], Some(body)))
    }

    fn list(&self, _skill: &SkillId) -> BoxFuture<'_, Result<Value, String>> {
        Box::pin(async move {
            let mut answer = self.0.send(NEED, Method::GET, &TUNNELS, &[], None).await?;
            let listed = answer.get_mut("tunnels").map(Value::take);
            match listed.unwrap_or(answer) {
                tunnels @ Value::Array(_) => Ok(tunnels),
                _ => Err("the backend did not answer with a list of tunnels".to_owned()),
            }
        })
    }

    fn delete(&self, _skill: &SkillId, id: String) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let path = [TUNNELS[0], TUNNELS[1], id.as_str()];
            // An empty segment would be the list itself.
            if id.trim().is_empty() || id == "." || id == ".." {
                return Err("the id of the tunnel is empty".to_owned());
            }
            self.0
                .send(NEED, Method::DELETE, &path, &[], None)
                .await
                .map(drop)
        })
    }
}
