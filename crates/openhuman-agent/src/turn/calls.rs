//! The calls of one reply: which run, in what order, and what becomes of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, Origin, Phase, Provenance, Transition, Turn};
use crate::budget::cap;
use crate::event::FailureKind;
use crate::message::{Message, Role, ToolCall, ToolOutcome, ToolSpec};
use crate::policy::Effect;
use crate::ports::Approval;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CallState {
    /// Not started.
    Waiting,
    /// An approval is being asked for.
    Asking,
    /// The answer about its approval comes later.
    Deferred,
    /// Approved, not started.
    Approved,
    /// Started.
    Running,
    /// Has its result.
    Done,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) call: ToolCall,
    pub(super) read_only: bool,
    pub(super) state: CallState,
    /// Why somebody has to approve it; `None` when nobody has to.
    pub(super) ask: Option<String>,
    /// It was started at least once; true without a result means that it was interrupted.
    pub(super) started: bool,
    /// The result for the model, once done.
    pub(super) text: String,
}

impl Turn {
    /// Turns the calls of a reply into work; calls that cannot run get their answer at once.
    pub(super) fn plan(&mut self, text: String, calls: Vec<ToolCall>) {
        let mut planned = Vec::with_capacity(calls.len());
        let mut refused = Vec::new();
        let tainted_by = self.tainted_by();
        for (index, mut call) in calls.into_iter().enumerate() {
            call.id = self.unique_id(&call.id, index, &planned);
            if call.arguments.is_null() {
                call.arguments = Value::Object(serde_json::Map::new());
            }
            let times = self.repeats.entry(signature(&call)).or_default();
            *times += 1;
            let times = *times;
            if times > self.budget.repeats {
                self.fail(
                    FailureKind::Loop,
                    format!(
                        "The model asked for `{}` with the same arguments {times} times and made no progress. Rephrase \
                         the question or use another model.",
                        call.name
                    ),
                );
                return;
            }
            let tool = self.tools.iter().find(|tool| tool.name == call.name);
            let refusal = match tool {
                None => Some(unknown_tool(&call.name, &self.tools)),
                Some(_) if !call.arguments.is_object() => Some(format!(
                    "the arguments of `{}` are not a JSON object; send one object that fits the tool's schema",
                    call.name
                )),
                Some(_) if times == self.budget.repeats => Some(format!(
                    "`{}` was already called {} time(s) with these arguments; it was not called again. Use the earlier \
                     results, or answer with what you have",
                    call.name,
                    times - 1
                )),
                Some(_) if self.spent.tool_calls >= self.budget.tool_calls => Some(format!(
                    "the budget of {} tool calls is used up; answer with what you have",
                    self.budget.tool_calls
                )),
                Some(_) => None,
            };
            let decision = tool.map(|tool| {
                let risk = self.risk(tool);
                self.policy
                    .decide(&call, tool, risk, &self.origin, tainted_by.as_deref())
            });
            let forbidden = decision
                .as_ref()
                .filter(|decision| decision.effect == Effect::Deny);
            let refusal = refusal.or_else(|| {
                let reason = &forbidden?.reason;
                Some(format!("the call was not approved: {reason}"))
            });
            match refusal {
                Some(reason) => refused.push((call.id.clone(), reason)),
                None => self.spent.tool_calls += 1,
            }
            let ask = decision
                .filter(|decision| decision.effect == Effect::Ask)
                .map(|decision| decision.reason);
            let read_only = tool.is_some_and(|tool| tool.read_only);
            planned.push(Call {
                call,
                read_only,
                ask,
                state: CallState::Waiting,
                started: false,
                text: String::new(),
            });
        }
        self.phase = Phase::Acting { text, calls: planned };
        for (id, reason) in refused {
            self.finish_call(&id, ToolOutcome::error(reason), 0, true);
        }
    }

    /// Keeps the model's id when it is new in this conversation, else makes one.
    fn unique_id(&self, id: &str, index: usize, planned: &[Call]) -> String {
        let taken = |id: &str| {
            let before = self
                .history
                .iter()
                .chain(&self.steps)
                .flat_map(|message| &message.tool_calls);
            before
                .chain(planned.iter().map(|call| &call.call))
                .any(|call| call.id == id)
        };
        if !id.is_empty() && id.len() <= 256 && !taken(id) {
            return id.to_owned();
        }
        let position = self.history.len() + self.steps.len();
        let mut id = format!("call_{position}_{index}");
        while taken(&id) {
            id.push('x');
        }
        id
    }

    pub(super) fn on_result(&mut self, id: &str, outcome: ToolOutcome, millis: u64) -> Transition {
        let Phase::Acting { calls, .. } = &self.phase else {
            return Transition::Ignored;
        };
        if !calls
            .iter()
            .any(|call| call.call.id == id && call.state == CallState::Running)
        {
            return Transition::Ignored;
        }
        self.finish_call(id, outcome, millis, false);
        Transition::Milestone
    }

    pub(super) fn on_approval(&mut self, id: &str, approval: Approval) -> Transition {
        let Phase::Acting { calls, .. } = &mut self.phase else {
            return Transition::Ignored;
        };
        let asked = |call: &&mut Call| {
            call.call.id == id && matches!(call.state, CallState::Asking | CallState::Deferred)
        };
        let Some(call) = calls.iter_mut().find(asked) else {
            return Transition::Ignored;
        };
        match approval {
            Approval::Allow => call.state = CallState::Approved,
            Approval::Later => call.state = CallState::Deferred,
            Approval::Deny { reason } => {
                let text = format!("the call was not approved: {reason}");
                self.finish_call(id, ToolOutcome::error(text), 0, true);
            }
        }
        Transition::Milestone
    }

    /// Marks a call as done and keeps its capped result and provenance.
    /// `own`: the result are words of this program.
    fn finish_call(&mut self, id: &str, outcome: ToolOutcome, millis: u64, own: bool) {
        let trusted = own || self.gives_trusted(id);
        let Phase::Acting { calls, .. } = &mut self.phase else {
            return;
        };
        let Some(call) = calls.iter_mut().find(|call| call.call.id == id) else {
            return;
        };
        let bytes = outcome.text.len();
        let capped = cap(&outcome.text, self.budget.result_bytes);
        let shortened = capped.is_some();
        let text = capped.unwrap_or(outcome.text);
        let name = call.call.name.clone();
        call.text = if outcome.is_error {
            format!("Error from {name}: {text}")
        } else {
            text.clone()
        };
        call.state = CallState::Done;
        let is_error = outcome.is_error;
        self.provenance.push(Provenance {
            origin: Origin::Tool {
                id: id.to_owned(),
                name: name.clone(),
                is_error,
                millis,
            },
            bytes,
            shortened,
            trusted,
        });
        self.results
            .push_back((id.to_owned(), name, text, is_error, millis));
    }

    pub(super) fn record_calls(&mut self, text: String, calls: Vec<Call>) {
        let results: Vec<Message> = calls
            .iter()
            .map(|call| Message::tool(call.call.id.clone(), call.text.clone()))
            .collect();
        let tool_calls = calls.into_iter().map(|call| call.call).collect();
        self.steps.push(Message {
            role: Role::Assistant,
            content: text,
            tool_calls,
            tool_call_id: None,
        });
        self.steps.extend(results);
    }
}

/// Read-only calls first, up to `parallel` at once, those that need approval as soon as they have it; the others one by
/// one in the model's order, each after its approval. An approval is asked for while reads still run.
pub(super) fn next_call(calls: &mut [Call], tools: &[ToolSpec], parallel: usize) -> Option<Action> {
    let running = calls
        .iter()
        .filter(|call| call.state == CallState::Running)
        .count();
    let ready = |call: &&mut Call| {
        call.read_only
            && (call.state == CallState::Approved || call.state == CallState::Waiting && call.ask.is_none())
    };
    let start: Vec<ToolCall> = calls
        .iter_mut()
        .filter(ready)
        .take(parallel.saturating_sub(running))
        .map(|call| {
            call.state = CallState::Running;
            call.started = true;
            call.call.clone()
        })
        .collect();
    if !start.is_empty() {
        return Some(Action::CallTools(start));
    }
    let reads_done = calls
        .iter()
        .all(|call| !call.read_only || call.state == CallState::Done);
    let unasked = |call: &Call| call.read_only && call.ask.is_some() && call.state == CallState::Waiting;
    let at = match calls.iter().position(unasked) {
        Some(read) => read,
        None => calls
            .iter()
            .position(|call| !call.read_only && call.state != CallState::Done)?,
    };
    let next = calls.get_mut(at)?;
    let repeat = next.started && !next.read_only;
    if next.state == CallState::Waiting && next.ask.is_none() && !repeat {
        next.state = CallState::Approved;
    }
    match next.state {
        CallState::Waiting => {
            let tool = tools.iter().find(|tool| tool.name == next.call.name)?.clone();
            let reason = next.ask.clone().unwrap_or_default();
            next.state = CallState::Asking;
            Some(Action::AskApproval {
                call: next.call.clone(),
                tool,
                reason,
                repeat,
            })
        }
        CallState::Approved if reads_done => {
            next.state = CallState::Running;
            next.started = true;
            Some(Action::CallTools(vec![next.call.clone()]))
        }
        CallState::Approved
        | CallState::Asking
        | CallState::Deferred
        | CallState::Running
        | CallState::Done => None,
    }
}

fn unknown_tool(name: &str, tools: &[ToolSpec]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).take(50).collect();
    if names.is_empty() {
        return format!("there is no tool named `{name}`, and no other tool either; answer without tools");
    }
    format!(
        "there is no tool named `{name}`; the tools are: {}",
        names.join(", ")
    )
}

/// Name and arguments in a form in which equal calls are equal: 64 bits of FNV-1a over canonical JSON.
fn signature(call: &ToolCall) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    canonical(&call.arguments, &mut feed);
    format!("{}#{hash:016x}", call.name)
}

fn canonical(value: &Value, feed: &mut dyn FnMut(&[u8])) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            feed(b"{");
            for (key, value) in sorted {
                feed(key.as_bytes());
                feed(b"\0:");
                canonical(value, feed);
            }
            feed(b"}");
        }
        Value::Array(items) => {
            feed(b"[");
            for item in items {
                canonical(item, feed);
                feed(b",");
            }
            feed(b"]");
        }
        other => feed(other.to_string().as_bytes()),
    }
}
