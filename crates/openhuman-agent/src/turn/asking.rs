//! The model's part of a turn: when it is asked, and what its reply leads to.

use super::types::{End, Transition};
use super::{MAX_CALLS_PER_REPLY, MAX_REPLY_BYTES, Phase, Turn};
use crate::event::FailureKind;
use crate::message::{Message, ToolCall};
use crate::model::{ModelEvent, ModelRequest, Usage};
use crate::outlet::{Held, Outlet};
use crate::ports::{estimate_message, estimate_tokens};

impl Turn {
    pub(super) fn ask_model(&mut self) -> Option<ModelRequest> {
        if self.spent.model_calls >= self.budget.model_calls {
            let limit = self.budget.model_calls;
            self.fail(FailureKind::Budget, format!(
                "The turn used its budget of {limit} model call(s) without an answer. Ask for less, or raise the budget."
            ));
            return None;
        }
        if self.spent.tokens >= self.budget.tokens {
            let (spent, limit) = (self.spent.tokens, self.budget.tokens);
            self.fail(FailureKind::Budget, format!(
                "The turn used {spent} tokens of its budget of {limit} without an answer. Ask for less, or raise the budget."
            ));
            return None;
        }
        self.spent.model_calls += 1;
        self.phase = Phase::Asking {
            text: String::new(),
            held: Held::default(),
            sent: 0,
            calls: Vec::new(),
            usage: None,
        };
        Some(self.request())
    }

    pub(super) fn on_model(&mut self, event: ModelEvent) -> Transition {
        if let ModelEvent::TextDelta { text: more } = &event {
            return self.on_text(more);
        }
        if !matches!(event, ModelEvent::ReasoningDelta { .. }) {
            self.release();
        }
        let Phase::Asking {
            text, calls, usage, ..
        } = &mut self.phase
        else {
            return Transition::Ignored;
        };
        match event {
            ModelEvent::TextDelta { .. } | ModelEvent::ReasoningDelta { .. } => Transition::Progress,
            ModelEvent::ToolCall { call } => {
                calls.push(call);
                if calls.len() > MAX_CALLS_PER_REPLY {
                    return self.fail(
                        FailureKind::Model,
                        format!("The model asked for more than {MAX_CALLS_PER_REPLY} tool calls at once. Ask for less."),
                    );
                }
                Transition::Progress
            }
            ModelEvent::Usage { usage: figures } => {
                *usage = Some(figures);
                Transition::Progress
            }
            ModelEvent::Done { .. } => {
                let (text, calls, usage) = (std::mem::take(text), std::mem::take(calls), *usage);
                self.on_reply(text, calls, usage);
                Transition::Milestone
            }
        }
    }

    /// Shows more text. Once untrusted text is in the conversation it goes through the filter first.
    fn on_text(&mut self, more: &str) -> Transition {
        let filter = self.policy.filters_links && self.tainted_by().is_some();
        let Phase::Asking { text, held, sent, .. } = &mut self.phase else {
            return Transition::Ignored;
        };
        *sent = sent.saturating_add(more.len());
        if *sent > MAX_REPLY_BYTES {
            return self.fail(
                FailureKind::Model,
                format!(
                    "The model's answer is longer than the limit of {MAX_REPLY_BYTES} bytes. Ask for less."
                ),
            );
        }
        if !filter {
            text.push_str(more);
            self.shown.push_str(more);
            return Transition::Progress;
        }
        let (mut before, mut word) = (std::mem::take(text), std::mem::take(held));
        let known = |url: &str| self.is_known(url);
        let outlet = Outlet {
            policy: &self.policy,
            known: &known,
        };
        let out = outlet.push(&mut word, &before, more);
        before.push_str(&out);
        self.shown.push_str(&out);
        if let Phase::Asking { text, held, .. } = &mut self.phase {
            (*text, *held) = (before, word);
        }
        Transition::Progress
    }

    /// Shows what the filter holds back: nothing more belongs to that word.
    fn release(&mut self) {
        let Phase::Asking { text, held, .. } = &mut self.phase else {
            return;
        };
        if *held == Held::default() {
            return;
        }
        let (mut before, mut word) = (std::mem::take(text), std::mem::take(held));
        let known = |url: &str| self.is_known(url);
        let outlet = Outlet {
            policy: &self.policy,
            known: &known,
        };
        let out = outlet.finish(&mut word, &before);
        before.push_str(&out);
        self.shown.push_str(&out);
        if let Phase::Asking { text, .. } = &mut self.phase {
            *text = before;
        }
    }

    fn on_reply(&mut self, text: String, calls: Vec<ToolCall>, usage: Option<Usage>) {
        let usage = usage.unwrap_or_else(|| self.estimate(&text, &calls));
        self.spent.tokens = self.spent.tokens.saturating_add(usage.total());
        if calls.is_empty() {
            if text.trim().is_empty() {
                self.fail(
                    FailureKind::Model,
                    "The model returned an empty answer. Try again or use another model.",
                );
                return;
            }
            self.steps.push(Message::assistant(text.clone()));
            self.phase = Phase::Finished {
                end: End::Answered { answer: text },
            };
            return;
        }
        if self.must_answer() {
            let (what, limit) = if self.spent.tool_calls >= self.budget.tool_calls {
                ("tool", self.budget.tool_calls)
            } else {
                ("model", self.budget.model_calls)
            };
            self.fail(
                FailureKind::Budget,
                format!(
                    "The turn used its budget of {limit} {what} call(s), and the model asked for more tools instead of \
                     answering. Ask for less, or raise the budget."
                ),
            );
            return;
        }
        self.plan(text, calls);
    }

    /// The estimate for the reply under way.
    pub(crate) fn estimate_reply(&self) -> Usage {
        match &self.phase {
            Phase::Asking { text, calls, .. } => self.estimate(text, calls),
            _ => Usage::default(),
        }
    }

    /// The estimate used when the server does not count.
    fn estimate(&self, text: &str, calls: &[ToolCall]) -> Usage {
        let conversation = self
            .history
            .iter()
            .chain(&self.steps)
            .map(estimate_message)
            .sum::<u64>();
        let context = self
            .context
            .iter()
            .map(|snippet| estimate_tokens(&snippet.text))
            .sum::<u64>();
        let arguments = calls
            .iter()
            .map(|call| estimate_tokens(&call.arguments.to_string()))
            .sum::<u64>();
        Usage {
            prompt_tokens: conversation
                + context
                + estimate_tokens(&self.prompt)
                + estimate_tokens(&self.system),
            completion_tokens: estimate_tokens(text) + arguments,
        }
    }
}
