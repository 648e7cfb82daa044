//! The methods a front end calls on a skill.

use serde_json::{Map, Value, json};

use super::hooks::HOOK_LIMIT;
use super::{CallOptions, Engine};
use crate::tools::Declared;
use crate::{RpcError, SkillId, ToolError, ToolInfo};

impl Engine {
    /// Answers a front end's call on one skill. A method outside this list goes to the skill's `onRpc`.
    ///
    /// | method | params | result |
    /// |---|---|---|
    /// | `skill/load` | any | `{ok: true}` after `onLoad` got them without `manifest` and `dataDir` |
    /// | `setup/start` | | `{step}`, or null |
    /// | `setup/submit` | `stepId`, `values` | `{status, nextStep?, errors?, message?}` |
    /// | `setup/cancel` | | `{ok: true}` |
    /// | `tools/list` | | `{tools}` |
    /// | `tools/call` | `name`, `arguments?` | `{content, is_error, isError}` |
    /// | `options/list` | | `{options}`, or null |
    /// | `options/set` | `name`, `value` | `{ok: true}` |
    /// | `skill/tick` | | `{ok: true}` |
    /// | `skill/sessionStart`, `skill/sessionEnd` | `sessionId` | `{ok: true}` |
    /// | `skill/shutdown` | | `{ok: true}` |
    /// | `skill/ping` | | what `onPing` says, or null |
    /// | `skill/sync` | | see [`Engine::sync`] |
    /// | `oauth/complete`, `auth/complete` | see [`Engine::oauth_complete`], [`Engine::auth_complete`] | what the skill says |
    /// | `oauth/revoked`, `auth/revoked` | see [`Engine::oauth_revoked`] | `{ok: true}` |
    ///
    /// # Errors
    /// [`RpcError`] when the skill is unknown, does not run or is busy, a parameter is missing, or a hook fails.
    pub async fn rpc(&self, skill: &SkillId, method: &str, params: Value) -> Result<Value, RpcError> {
        match method {
            "skill/load" => {
                let mut fields = match params {
                    Value::Object(fields) => fields,
                    _ => Map::new(),
                };
                fields.remove("manifest");
                fields.remove("dataDir");
                self.call_hook(skill, "onLoad", json!([fields]), HOOK_LIMIT)
                    .await?;
                done()
            }
            "setup/start" => self.setup_start(skill).await,
            "setup/submit" => {
                let step = take(&params, "stepId")?;
                let values = params.get("values").cloned().unwrap_or_else(|| json!({}));
                self.setup_submit(skill, step, values).await
            }
            "setup/cancel" => {
                self.setup_cancel(skill).await?;
                done()
            }
            "tools/list" => {
                let found = self.running(skill, "tools/list")?.0;
                let tools: Vec<ToolInfo> = found.view().tools.iter().map(Declared::info).collect();
                Ok(json!({ "tools": tools }))
            }
            "tools/call" => {
                let name = text(&params, "name")?;
                self.rpc_tool(skill, &name, params).await
            }
            "options/list" => self.list_options(skill).await,
            "options/set" => {
                let name = text(&params, "name")?;
                let value = params.get("value").cloned().unwrap_or(Value::Null);
                self.set_option(skill, &name, value).await?;
                done()
            }
            "skill/tick" => {
                self.tick(skill).await?;
                done()
            }
            "skill/sessionStart" => {
                self.session_start(skill, &text(&params, "sessionId")?).await?;
                done()
            }
            "skill/sessionEnd" => {
                self.session_end(skill, &text(&params, "sessionId")?).await?;
                done()
            }
            "skill/shutdown" => {
                self.stop(skill).await?;
                done()
            }
            "skill/ping" => Ok(self.ping(skill).await?),
            "skill/sync" => Ok(self.sync(skill).await?),
            "oauth/complete" => self.oauth_complete(skill, &params).await,
            "oauth/revoked" => self.oauth_revoked(skill, &params).await,
            "auth/complete" => self.auth_complete(skill, &params).await,
            "auth/revoked" => self.auth_revoked(skill, &params).await,
            other => {
                let args = json!([{ "method": other, "params": params }]);
                Ok(self.call_hook(skill, "onRpc", args, HOOK_LIMIT).await?)
            }
        }
    }

    /// A tool that failed is a result with both error marks, so that every client sees it failed.
    async fn rpc_tool(&self, skill: &SkillId, name: &str, params: Value) -> Result<Value, RpcError> {
        let arguments = params.get("arguments").cloned().unwrap_or(Value::Null);
        let called = self
            .call_tool(skill, name, arguments, CallOptions::default())
            .await;
        let (text, failed) = match called {
            Ok(output) => (output.text, false),
            Err(error @ (ToolError::UnknownSkill { .. } | ToolError::NotRunning { .. })) => {
                return Err(error.into());
            }
            Err(error) => (error.to_string(), true),
        };
        Ok(json!({ "content": [{ "type": "text", "text": text }], "is_error": failed, "isError": failed }))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the result of a method")]
fn done() -> Result<Value, RpcError> {
    Ok(json!({ "ok": true }))
}

fn take(params: &Value, name: &str) -> Result<Value, RpcError> {
    match params.get(name) {
        Some(value) if !value.is_null() => Ok(value.clone()),
        _ => Err(RpcError::missing(name, "the method needs it")),
    }
}

fn text(params: &Value, name: &str) -> Result<String, RpcError> {
    match params.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(RpcError::missing(name, "give it as a text")),
    }
}
