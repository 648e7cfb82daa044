//! Connecting and disconnecting the account behind a skill.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Engine;
use super::hooks::HOOK_LIMIT;
use crate::clock::iso_time;
use crate::credentials::{Credential, CredentialKind, is_id};
use crate::shared::Instance;
use crate::skill::Skill;
use crate::{CredentialError, RpcError, SkillEvent, SkillId};

impl Engine {
    /// Stores a managed connection and tells the skill: `onOAuthComplete` if it has that hook, otherwise
    /// `start({.., validate: true})`. When the skill answers `{status: "error"}` or fails, the connection is taken
    /// back and an earlier one is restored; otherwise its setup is complete unless it names a next step.
    ///
    /// `params`: `{credentialId, provider, grantedScopes?, accountLabel?, clientKeyShare?, accessToken?}`.
    ///
    /// # Errors
    /// [`RpcError`] when a field is missing, the skill does not run or fails, or the store does not answer.
    pub async fn oauth_complete(&self, skill: &SkillId, params: &Value) -> Result<Value, RpcError> {
        let (found, instance) = self.running(skill, "onOAuthComplete")?;
        let id = required(params, "credentialId")?;
        if !is_id(id) {
            return Err(RpcError::Params(
                "'credentialId' holds characters no id has".to_owned(),
            ));
        }
        let provider = required(params, "provider")?;
        let scopes = params.get("grantedScopes").cloned().unwrap_or_else(|| json!([]));
        let mut raw = json!({
            "credentialId": id, "provider": provider, "scopes": scopes, "isValid": true,
            "createdAt": iso_time(self.0.shared.clock.now_ms()),
        });
        let mut argument = json!({ "credentialId": id, "provider": provider, "grantedScopes": scopes });
        if let Some(label) = params.get("accountLabel").filter(|label| label.is_string()) {
            raw["accountLabel"] = label.clone();
            argument["accountLabel"] = label.clone();
        }
        for (from, to) in [("clientKeyShare", "clientKey"), ("accessToken", "accessToken")] {
            if let Some(text) = params
                .get(from)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
            {
                raw[to] = Value::from(text);
            }
        }
        let credential = Credential::new(raw);
        self.connect(
            &found,
            &instance,
            CredentialKind::OAuth,
            credential,
            "onOAuthComplete",
            argument,
        )
        .await
    }

    /// Stores what the user entered and tells the skill: `onAuthComplete` if it has that hook, otherwise
    /// `start({.., validate: true})`. Taken back as in [`Engine::oauth_complete`]. The skill sees placeholders.
    ///
    /// `params`: `{mode, credentials}`.
    ///
    /// # Errors
    /// As [`Engine::oauth_complete`].
    pub async fn auth_complete(&self, skill: &SkillId, params: &Value) -> Result<Value, RpcError> {
        let (found, instance) = self.running(skill, "onAuthComplete")?;
        let mode = required(params, "mode")?;
        if !matches!(mode, "managed" | "self_hosted" | "text") {
            return Err(RpcError::Params(format!(
                "'mode' is '{mode}'; it must be managed, self_hosted or text"
            )));
        }
        let credentials = match params.get("credentials") {
            Some(fields @ Value::Object(_)) => fields.clone(),
            None | Some(Value::Null) => json!({}),
            Some(_) => return Err(RpcError::Params("'credentials' must be an object".to_owned())),
        };
        let credential = Credential::new(json!({ "mode": mode, "credentials": credentials }));
        let kind = CredentialKind::Auth;
        self.connect(&found, &instance, kind, credential, "onAuthComplete", Value::Null)
            .await
    }

    async fn connect(
        &self,
        skill: &Arc<Skill>,
        instance: &Instance,
        kind: CredentialKind,
        credential: Credential,
        hook: &'static str,
        argument: Value,
    ) -> Result<Value, RpcError> {
        let _one_at_a_time = skill.connecting.lock().await;
        self.keep_credential(&skill.id, kind, Some(credential.clone()))
            .await?;
        let earlier = skill.credentials().set(kind, Some(credential));
        let answer = if self.has_hook(skill, hook) {
            let argument = if argument.is_null() {
                skill.credentials().view(kind)
            } else {
                argument
            };
            self.hook_of(skill, instance, hook, json!([argument]), HOOK_LIMIT)
                .await
        } else {
            let bag = skill.start_bag(true);
            let limit = self.0.shared.limits.start;
            let answer = self.hook_of(skill, instance, "start", json!([bag]), limit).await;
            // A start that says nothing found nothing wrong.
            answer.map(|answer| {
                if answer.is_null() {
                    json!({ "status": "complete" })
                } else {
                    answer
                }
            })
        };
        let refused = match &answer {
            Ok(answer) => answer.get("status").and_then(Value::as_str) == Some("error"),
            Err(_) => true,
        };
        if refused {
            skill.credentials().set(kind, earlier.clone());
            self.keep_credential(&skill.id, kind, earlier).await?;
        } else if answer
            .as_ref()
            .is_ok_and(|answer| answer.get("nextStep").is_none_or(Value::is_null))
        {
            self.remember_setup(&skill.id, true).await?;
        }
        self.refresh(&skill.id).await;
        self.publish_state(skill, instance).await;
        Ok(answer?)
    }

    /// Forgets a managed connection and tells the skill with `onOAuthRevoked`. When the user ended it, `onDisconnect`
    /// comes first.
    ///
    /// `params`: `{credentialId? or integrationId?, reason?}`.
    ///
    /// # Errors
    /// [`RpcError`] when the skill is unknown or the store does not answer. A failing hook is logged.
    pub async fn oauth_revoked(&self, skill: &SkillId, params: &Value) -> Result<Value, RpcError> {
        self.revoked(skill, CredentialKind::OAuth, params).await
    }

    /// Forgets what the user entered and tells the skill with `onAuthRevoked`; `onDisconnect` comes first unless a
    /// reason other than the user is given.
    ///
    /// `params`: `{mode?, integrationId?, reason?}`.
    ///
    /// # Errors
    /// As [`Engine::oauth_revoked`].
    pub async fn auth_revoked(&self, skill: &SkillId, params: &Value) -> Result<Value, RpcError> {
        self.revoked(skill, CredentialKind::Auth, params).await
    }

    async fn revoked(
        &self,
        skill: &SkillId,
        kind: CredentialKind,
        params: &Value,
    ) -> Result<Value, RpcError> {
        let found = self.known(skill)?;
        let _one_at_a_time = found.connecting.lock().await;
        self.keep_credential(skill, kind, None).await?;
        let earlier = found.credentials().set(kind, None);
        let mut argument = match params {
            Value::Object(fields) => fields.clone(),
            _ => Map::new(),
        };
        let by_user = argument
            .get("reason")
            .and_then(Value::as_str)
            .is_none_or(|reason| reason == "user_disconnected");
        let instance = found.view().instance.clone();
        if let Some(instance) = instance {
            let hook = match kind {
                CredentialKind::OAuth => {
                    argument
                        .entry("reason")
                        .or_insert_with(|| Value::from("user_disconnected"));
                    if !argument.contains_key("credentialId")
                        && !argument.contains_key("integrationId")
                        && let Some(id) = earlier
                            .as_ref()
                            .and_then(|earlier| earlier.expose().get("credentialId"))
                    {
                        argument.insert("credentialId".to_owned(), id.clone());
                    }
                    "onOAuthRevoked"
                }
                CredentialKind::Auth => {
                    if let Some(mode) = earlier.as_ref().and_then(|earlier| earlier.expose().get("mode")) {
                        argument.entry("mode").or_insert_with(|| mode.clone());
                    }
                    "onAuthRevoked"
                }
            };
            let calls = [("onDisconnect", json!([])), (hook, json!([argument]))];
            for (hook, args) in calls {
                if (hook == "onDisconnect" && !by_user) || !self.has_hook(&found, hook) {
                    continue;
                }
                if let Err(error) = self.hook_of(&found, &instance, hook, args, HOOK_LIMIT).await {
                    tracing::warn!(%skill, hook, %error, "a hook failed");
                }
            }
            self.refresh(skill).await;
        }
        self.0.shared.emit(SkillEvent::Revoked {
            skill_id: skill.clone(),
            kind: kind.as_str().to_owned(),
        });
        Ok(json!({ "ok": true }))
    }

    /// Disconnects a skill by the user's wish: both credentials are forgotten, the skill is told, and its setup
    /// counts as not done.
    ///
    /// # Errors
    /// As [`Engine::oauth_revoked`].
    pub async fn disconnect(&self, skill: &SkillId) -> Result<(), RpcError> {
        let found = self.known(skill)?;
        let has = |kind| found.credentials().raw(kind).is_some();
        let (oauth, auth) = (has(CredentialKind::OAuth), has(CredentialKind::Auth));
        if auth {
            // One `onDisconnect` is enough.
            let params = if oauth {
                json!({ "reason": "disconnected" })
            } else {
                json!({})
            };
            self.auth_revoked(skill, &params).await?;
        }
        if oauth || !auth {
            self.oauth_revoked(skill, &json!({ "reason": "user_disconnected" }))
                .await?;
        }
        self.remember_setup(skill, false).await?;
        Ok(())
    }

    /// Stores or deletes a credential on a thread that may block.
    async fn keep_credential(
        &self,
        skill: &SkillId,
        kind: CredentialKind,
        credential: Option<Credential>,
    ) -> Result<(), CredentialError> {
        let (port, skill) = (Arc::clone(&self.0.shared.ports.credentials), skill.clone());
        let kept = self.0.shared.blocking.run(move || match credential {
            Some(credential) => port.store(&skill, kind, &credential),
            None => port.delete(&skill, kind),
        });
        kept.await
            .unwrap_or_else(|_| Err(CredentialError("the store ended unexpectedly".to_owned())))
    }
}

fn required<'a>(params: &'a Value, name: &str) -> Result<&'a str, RpcError> {
    params
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| RpcError::missing(name, "give it as a text"))
}
