//! What of a conversation is trusted, and what follows from it.

use std::collections::BTreeMap;

use super::calls::CallState;
use super::types::{ApprovalRequest, Origin, Transition};
use super::{Phase, Turn};
use crate::message::{Message, Role, ToolSpec};
use crate::model::Label;
use crate::policy::Risk;
use crate::ports::Approval;

impl Turn {
    pub(super) fn risk(&self, tool: &ToolSpec) -> Risk {
        let known = self.risks.get(&tool.name).copied();
        known.unwrap_or(Risk::unknown(tool.read_only))
    }

    /// Whether somebody vouches for what a tool of this name gives.
    fn trusts(&self, tool: &str) -> bool {
        self.risks.get(tool).is_some_and(|risk| risk.trusted)
    }

    pub(super) fn gives_trusted(&self, call_id: &str) -> bool {
        let Phase::Acting { calls, .. } = &self.phase else {
            return false;
        };
        let call = calls.iter().find(|call| call.call.id == call_id);
        call.is_some_and(|call| self.trusts(&call.call.name))
    }

    /// Where untrusted text in the conversation came from, when there is any: the source that came last.
    pub fn tainted_by(&self) -> Option<String> {
        let here = self.provenance.iter().rev().find(|origin| !origin.trusted);
        if let Some(origin) = here {
            return Some(match &origin.origin {
                Origin::Memory { title, .. } => format!("memory (`{title}`)"),
                Origin::Tool { name, .. } => format!("`{name}`"),
            });
        }
        let untrusted = |message: &&Message| {
            message.role == Role::Tool && !self.name_of(message).is_some_and(|name| self.trusts(name))
        };
        let before = self.history.iter().rev().find(untrusted)?;
        Some(match self.name_of(before) {
            Some(name) => format!("`{name}`"),
            None => "an earlier tool".to_owned(),
        })
    }

    /// The tool a result came from.
    fn name_of(&self, result: &Message) -> Option<&str> {
        let id = result.tool_call_id.as_deref()?;
        let mut calls = self
            .steps
            .iter()
            .rev()
            .chain(self.history.iter().rev())
            .flat_map(|message| &message.tool_calls);
        calls.find(|call| call.id == id).map(|call| call.name.as_str())
    }

    /// Labels for all results in the conversation.
    pub(super) fn labels(&self) -> BTreeMap<String, Label> {
        let messages = || self.history.iter().chain(&self.steps);
        let label = |name: &str| Label {
            tool: name.to_owned(),
            trusted: self.trusts(name),
        };
        messages()
            .flat_map(|message| &message.tool_calls)
            .map(|call| (call.id.clone(), label(&call.name)))
            .collect()
    }

    /// Whether a URL stands word for word in the conversation.
    pub(super) fn is_known(&self, url: &str) -> bool {
        let said = |message: &Message| message.role != Role::Assistant && message.content.contains(url);
        self.prompt.contains(url)
            || self.system.contains(url)
            || self
                .context
                .iter()
                .any(|snippet| snippet.text.contains(url) || snippet.source.contains(url))
            || self.history.iter().chain(&self.steps).any(said)
    }

    pub(super) fn on_offer(&mut self, tools: Vec<(ToolSpec, Risk)>) -> Transition {
        for (tool, risk) in tools {
            if !self.tools.iter().any(|known| known.name == tool.name) {
                self.risks.insert(tool.name.clone(), risk);
                self.tools.push(tool);
            }
        }
        Transition::Milestone
    }

    /// The calls that wait for approval now.
    pub fn approvals(&self) -> Vec<ApprovalRequest> {
        let Phase::Acting { calls, .. } = &self.phase else {
            return Vec::new();
        };
        let waits = calls
            .iter()
            .filter(|call| matches!(call.state, CallState::Asking | CallState::Deferred));
        waits
            .filter_map(|call| {
                let tool = self.tools.iter().find(|tool| tool.name == call.call.name)?;
                Some(ApprovalRequest {
                    call: call.call.clone(),
                    tool: tool.clone(),
                    reason: call.ask.clone().unwrap_or_default(),
                    repeat: call.started && !call.read_only,
                })
            })
            .collect()
    }

    /// Answers a call that waits for approval in a turn read from a journal; call it before
    /// [`Agent::resume`](crate::Agent::resume). False when no call of that id waits.
    pub fn answer(&mut self, call_id: &str, approval: Approval) -> bool {
        self.on_approval(call_id, approval) != Transition::Ignored
    }

    /// True when nothing can go on before somebody answers.
    pub fn is_paused(&self) -> bool {
        let Phase::Acting { calls, .. } = &self.phase else {
            return false;
        };
        calls.iter().any(|call| call.state == CallState::Deferred)
            && !calls
                .iter()
                .any(|call| matches!(call.state, CallState::Running | CallState::Asking))
    }
}
