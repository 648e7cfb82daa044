//! Delivering webhooks.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Engine;
use crate::{HookError, SkillStatus, WebhookRegistration, WebhookRequest, WebhookResponse};

/// How long a skill may take to answer.
const LIMIT: Duration = Duration::from_secs(25);
/// The largest answer, in bytes of base64.
const MAX_BODY: usize = 1024 * 1024;

impl Engine {
    /// The webhooks that skills registered.
    #[must_use]
    pub fn webhooks(&self) -> Vec<WebhookRegistration> {
        self.0.shared.webhooks.list()
    }

    /// Delivers a webhook to the skill that registered its tunnel and returns what to answer: what `onWebhookRequest`
    /// says within 25 s (status 200 unless it says another), 404 when nobody registered the tunnel, 503 when the
    /// skill does not run or is busy, 500 when it fails. The body of an error is `{"error": ".."}` in base64.
    pub async fn webhook_request(&self, request: WebhookRequest) -> WebhookResponse {
        let nobody = || WebhookResponse::error(404, "no skill answers this webhook");
        let Some(skill) = self.0.shared.webhooks.owner(&request.tunnel_uuid) else {
            return nobody();
        };
        let Some(found) = self.find(&skill) else {
            return nobody();
        };
        if found.view().status != SkillStatus::Running {
            return WebhookResponse::error(503, &format!("Skill '{skill}' is not running"));
        }
        if !self.has_hook(&found, "onWebhookRequest") {
            return nobody();
        }
        let argument = json!([{
            "correlationId": request.correlation_id, "method": request.method, "path": request.path,
            "headers": request.headers, "query": request.query, "body": request.body,
            "tunnelId": request.tunnel_id, "tunnelName": request.tunnel_name,
        }]);
        match self.call_hook(&skill, "onWebhookRequest", argument, LIMIT).await {
            Ok(answer) => response(&answer),
            Err(error @ (HookError::NotRunning { .. } | HookError::Busy { .. })) => {
                WebhookResponse::error(503, &error.to_string())
            }
            // The text of an exception is the skill's, and the answer is public.
            Err(error) => {
                tracing::warn!(%skill, %error, "a webhook failed");
                WebhookResponse::error(500, "the skill failed to answer")
            }
        }
    }
}

/// Reads `{statusCode?, headers?, body?}`. A body that is a text goes out as it is: skills encode it themselves.
fn response(answer: &Value) -> WebhookResponse {
    let status = match answer.get("statusCode") {
        None | Some(Value::Null) => Some(200),
        Some(status) => status
            .as_u64()
            .filter(|status| (100..600).contains(status))
            .and_then(|status| u16::try_from(status).ok()),
    };
    let Some(status_code) = status else {
        return WebhookResponse::error(500, "the skill answered with a status that is none");
    };
    let mut headers = BTreeMap::new();
    if let Some(Value::Object(fields)) = answer.get("headers") {
        for (name, value) in fields {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            headers.insert(name.clone(), text);
        }
    }
    let body = match answer.get("body") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => STANDARD.encode(other.to_string()),
    };
    if body.len() > MAX_BODY {
        return WebhookResponse::error(500, "the skill answered with more than 1 MB");
    }
    WebhookResponse {
        status_code,
        headers,
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_get_the_defaults() {
        assert_eq!(
            response(&Value::Null),
            WebhookResponse {
                status_code: 200,
                headers: BTreeMap::new(),
                body: String::new()
            }
        );
        let full = response(&json!({"statusCode": 201, "headers": {"x": 1}, "body": "b2s="}));
        assert_eq!(
            (full.status_code, full.headers["x"].as_str(), full.body.as_str()),
            (201, "1", "b2s=")
        );
        assert_eq!(response(&json!({"statusCode": 42})).status_code, 500);
        assert_eq!(
            STANDARD.decode(WebhookResponse::error(404, "x").body).unwrap(),
            br#"{"error":"x"}"#
        );
    }
}
