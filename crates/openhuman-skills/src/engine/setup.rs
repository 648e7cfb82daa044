//! The setup wizard and the options of a skill.

use serde_json::{Value, json};

use super::Engine;
use super::hooks::HOOK_LIMIT;
use crate::{RpcError, SkillId};

impl Engine {
    /// The first step of a skill's setup, as its `onSetupStart` says; null when it has none.
    ///
    /// # Errors
    /// As [`Engine::call_hook`].
    pub async fn setup_start(&self, skill: &SkillId) -> Result<Value, RpcError> {
        let step = self
            .call_hook(skill, "onSetupStart", json!([{}]), HOOK_LIMIT)
            .await?;
        self.refresh(skill).await;
        Ok(step)
    }

    /// Hands the values of a step to the skill. When it answers `{status: "complete"}` its setup is complete, which
    /// is remembered; its tools are listed again.
    ///
    /// # Errors
    /// As [`Engine::call_hook`], or when the preference cannot be stored.
    pub async fn setup_submit(
        &self,
        skill: &SkillId,
        step_id: Value,
        values: Value,
    ) -> Result<Value, RpcError> {
        let args = json!([{ "stepId": step_id, "values": values }]);
        let answer = self.call_hook(skill, "onSetupSubmit", args, HOOK_LIMIT).await?;
        if answer.get("status").and_then(Value::as_str) == Some("complete") {
            self.remember_setup(skill, true).await?;
        }
        self.refresh(skill).await;
        Ok(answer)
    }

    /// Tells the skill that its setup was given up.
    ///
    /// # Errors
    /// As [`Engine::call_hook`].
    pub async fn setup_cancel(&self, skill: &SkillId) -> Result<(), RpcError> {
        self.call_hook(skill, "onSetupCancel", json!([{}]), HOOK_LIMIT)
            .await?;
        Ok(())
    }

    /// What can be set in a skill: `{options: [...]}`; null when it has no options.
    ///
    /// # Errors
    /// As [`Engine::call_hook`].
    pub async fn list_options(&self, skill: &SkillId) -> Result<Value, RpcError> {
        Ok(self
            .call_hook(skill, "onListOptions", json!([{}]), HOOK_LIMIT)
            .await?)
    }

    /// Sets an option; the skill's tools are listed again.
    ///
    /// # Errors
    /// As [`Engine::call_hook`].
    pub async fn set_option(&self, skill: &SkillId, name: &str, value: Value) -> Result<(), RpcError> {
        let args = json!([{ "name": name, "value": value }]);
        self.call_hook(skill, "onSetOption", args, HOOK_LIMIT).await?;
        self.refresh(skill).await;
        Ok(())
    }
}
