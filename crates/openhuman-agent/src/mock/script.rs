//! Scripts: which answer follows which request.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a [`MockServer`](super::MockServer) does. The first rule that fits a request decides; the JSON form has the
/// same fields as the Rust one.
///
/// Templates hold placeholders:
///
/// | Placeholder | Stands for |
/// |---|---|
/// | `{{user}}` | the last user message, without the recalled context |
/// | `{{context}}` | the text of all recalled snippets |
/// | `{{context:eth plan}}` | the recalled snippets that contain all these words, in any case |
/// | `{{tool:prices__get_price}}` | the latest result of that tool in the conversation |
/// | `{{tool:prices__get_price.price}}` | a field of that result, read as JSON; `.0` is an element, `.*` all of them |
/// | `{{missing}}` | in [`Part::otherwise`]: what was missing |
///
/// ```
/// use openhuman_agent::mock::Script;
///
/// let script: Script = serde_json::from_str(r#"{
///     "model": "tiny",
///     "rules": [{
///         "when": {"user_contains": ["price"], "tool_results": false},
///         "reply": {"calls": {"calls": [{"name": "prices__get_price", "arguments": {"symbol": "ETH"}}]}}
///     }, {
///         "when": {"user_contains": ["price"]},
///         "reply": {"text": [{"template": "It is {{tool:prices__get_price.price}}."}]}
///     }]
/// }"#).unwrap();
/// assert_eq!(script.rules.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// The only model name the server accepts.
    pub model: String,
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// The template of the answer when no rule fits.
    pub fallback: String,
    /// How every reply deviates from what a careful server sends.
    pub quirks: Vec<Quirk>,
    /// When set, requests need this key: as bearer token, or as `x-api-key` in the Anthropic format.
    pub api_key: Option<String>,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            model: "scripted".to_owned(),
            rules: Vec::new(),
            fallback: "No rule of the script fits: {{user}}".to_owned(),
            quirks: Vec::new(),
            api_key: None,
        }
    }
}

impl Script {
    /// A script without rules for a model of this name.
    pub fn new(model: impl Into<String>) -> Script {
        Script {
            model: model.into(),
            ..Script::default()
        }
    }

    /// Adds a rule after the others.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Script {
        self.rules.push(rule);
        self
    }

    /// Adds a deviation.
    #[must_use]
    pub fn quirk(mut self, quirk: Quirk) -> Script {
        self.quirks.push(quirk);
        self
    }

    /// Demands a bearer token.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Script {
        self.api_key = Some(key.into());
        self
    }
}

/// When to say what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The conditions, all of which must hold.
    #[serde(default)]
    pub when: When,
    /// The reply.
    pub reply: Reply,
    /// What goes wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// How often the rule may be used; `None` is without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl Rule {
    /// A rule for user messages that contain all these words, in any case.
    pub fn when_user_says<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Rule {
        let when = When {
            user_contains: words.into_iter().map(Into::into).collect(),
            ..When::default()
        };
        Rule {
            when,
            reply: Reply::Text(Vec::new()),
            fault: None,
            times: None,
        }
    }

    /// Only once tool results follow the user message.
    #[must_use]
    pub fn after_tools(mut self) -> Rule {
        self.when.tool_results = Some(true);
        self
    }

    /// Only before any tool result follows the user message.
    #[must_use]
    pub fn before_tools(mut self) -> Rule {
        self.when.tool_results = Some(false);
        self
    }

    /// Only when all these tools are offered.
    #[must_use]
    pub fn with_tools<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Rule {
        self.when.tools.extend(names.into_iter().map(Into::into));
        self
    }

    /// Answers with a template; further calls append.
    #[must_use]
    pub fn answer(self, template: impl Into<String>) -> Rule {
        self.push(Part {
            template: template.into(),
            otherwise: None,
        })
    }

    /// Answers with a template, or with `otherwise` when one of its values is missing; further calls append.
    #[must_use]
    pub fn answer_or(self, template: impl Into<String>, otherwise: impl Into<String>) -> Rule {
        self.push(Part {
            template: template.into(),
            otherwise: Some(otherwise.into()),
        })
    }

    fn push(mut self, part: Part) -> Rule {
        match &mut self.reply {
            Reply::Text(parts) => parts.push(part),
            reply @ Reply::Calls { .. } => *reply = Reply::Text(vec![part]),
        }
        self
    }

    /// Asks for a tool; further calls ask for several in one message. Strings in `arguments` are templates.
    #[must_use]
    pub fn call(mut self, name: impl Into<String>, arguments: Value) -> Rule {
        let call = ScriptedCall {
            name: name.into(),
            arguments,
        };
        match &mut self.reply {
            Reply::Calls { calls, .. } => calls.push(call),
            reply @ Reply::Text(_) => {
                *reply = Reply::Calls {
                    text: String::new(),
                    calls: vec![call],
                }
            }
        }
        self
    }

    /// Misbehaves.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Rule {
        self.fault = Some(fault);
        self
    }

    /// Is used so many times, then skipped.
    #[must_use]
    pub fn times(mut self, times: u32) -> Rule {
        self.times = Some(times);
        self
    }
}

/// The conditions of a [`Rule`]; empty ones always hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// The last user message contains all of these, in any case.
    pub user_contains: Vec<String>,
    /// Whether tool results follow the last user message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_results: Option<bool>,
    /// All these tools are offered, and may be called.
    pub tools: Vec<String>,
}

/// What a rule answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Text, composed part by part.
    Text(Vec<Part>),
    /// One message that asks for tools.
    Calls {
        /// A template for text in the same message; may be empty.
        #[serde(default)]
        text: String,
        /// The calls.
        calls: Vec<ScriptedCall>,
    },
}

/// A part of a text, complete or replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The template.
    pub template: String,
    /// What is said instead when a value in `template` is missing or its tool failed. By default a sentence that
    /// says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
}

/// A tool call in a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedCall {
    /// The tool.
    pub name: String,
    /// The arguments; strings in it are templates.
    #[serde(default)]
    pub arguments: Value,
}

/// Something that goes wrong with one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// HTTP 429 with `Retry-After`.
    RateLimit {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// HTTP 429 with `Retry-After` as a date.
    RateLimitUntil {
        /// Seconds from now to that date.
        seconds: u64,
    },
    /// HTTP 529 with `overloaded_error` (HTTP 503 in the OpenAI format).
    Overloaded,
    /// HTTP 200 and an error event of an overloaded server before anything else.
    OverloadedEvent,
    /// HTTP 429 with the code `insufficient_quota`.
    NoCredit,
    /// HTTP 500.
    ServerError,
    /// HTTP 200 with an HTML page.
    Garbage,
    /// HTTP 200 with an event stream of broken JSON.
    BrokenEvents,
    /// The connection breaks in the middle: inside the arguments of the last tool call, or inside the text.
    Cut,
    /// The same place, but the body ends as if it were complete.
    EndEarly,
    /// A pause before each piece of the stream.
    SlowDrip {
        /// The pause in milliseconds.
        millis: u64,
    },
    /// Half the stream, then silence on an open connection.
    Stall,
    /// An error object inside the stream.
    ErrorEvent,
}

/// A deviation of real servers from the format. Where one has no meaning in the Anthropic format, it is ignored there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// `finish_reason: "stop"` together with tool calls.
    FinishStop,
    /// All parallel calls have index 0.
    ZeroIndexes,
    /// All parallel calls have index 0 and only the first piece of each has an id, or none has.
    MalformedParallel,
    /// Empty and null deltas everywhere.
    EmptyDeltas,
    /// No `[DONE]` at the end.
    NoDone,
    /// No `[DONE]`, and the connection stays open.
    HoldOpen,
    /// Arguments as an object instead of a string.
    ObjectArguments,
    /// No usage figures, even when asked for.
    NoUsage,
    /// A whole JSON document although a stream was asked for.
    Document,
    /// A new id in each piece of a call.
    FreshIds,
    /// Lines end in CR LF, with comments between.
    CarriageReturns,
    /// HTTP 400 for requests with `stream_options`.
    RejectStreamOptions,
}
