//! Which calls run, which are asked about and which are refused.
//!
//! Rules come first: `deny` before `ask` before `allow`, whatever their order. A call that no rule fits runs when its
//! tool is read-only and is asked about otherwise. Then taint: once text that nobody vouches for is in the
//! conversation, calls that may destroy something or reach the outside world are asked about even when a rule allows
//! them, since that text may have asked for them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::{ToolCall, ToolSpec};

/// What a call of a tool can do, beyond [`ToolSpec::read_only`]. Where nothing is known the worst is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// A call may destroy or overwrite something.
    pub destructive: bool,
    /// A call reaches beyond the user's own things: the network, other people. Also a read can carry data out.
    pub open_world: bool,
    /// What the tool gives was written by the user or by this program, never by others.
    pub trusted: bool,
}

impl Risk {
    /// What is assumed of a tool of which nothing is known.
    pub fn unknown(read_only: bool) -> Risk {
        Risk {
            destructive: !read_only,
            open_world: true,
            trusted: false,
        }
    }
}

/// What a rule says about the calls it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Refused; nobody is asked.
    Deny,
    /// Somebody is asked.
    Ask,
    /// Runs.
    Allow,
}

/// Says what happens to some calls. Every pattern that is given must fit; `*` in a pattern stands for any text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRule {
    /// What happens.
    pub effect: Effect,
    /// The tool's full name, for example `notes__*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The skill: what precedes the first `__` of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// Where the turn comes from, as [`AgentBuilder::origin`](crate::AgentBuilder::origin) says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Arguments by JSON pointer (`/path`, `/to/0`); values that are no strings are compared as JSON. A call without
    /// the argument does not fit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, String>,
}

impl PolicyRule {
    /// A rule for tools whose full name fits `tool`.
    pub fn tool(effect: Effect, tool: impl Into<String>) -> PolicyRule {
        PolicyRule {
            effect,
            tool: Some(tool.into()),
            skill: None,
            origin: None,
            arguments: BTreeMap::new(),
        }
    }

    /// Only calls whose argument at `pointer` fits `pattern`.
    #[must_use]
    pub fn argument(mut self, pointer: impl Into<String>, pattern: impl Into<String>) -> PolicyRule {
        self.arguments.insert(pointer.into(), pattern.into());
        self
    }

    /// Only turns from this origin.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> PolicyRule {
        self.origin = Some(origin.into());
        self
    }

    fn fits(&self, call: &ToolCall, origin: &str) -> bool {
        let skill = call.name.split_once("__").map_or("", |(skill, _)| skill);
        let fits =
            |pattern: &Option<String>, text: &str| pattern.as_ref().is_none_or(|pattern| glob(pattern, text));
        fits(&self.tool, &call.name)
            && fits(&self.skill, skill)
            && fits(&self.origin, origin)
            && self.arguments.iter().all(|(pointer, pattern)| {
                call.arguments.pointer(pointer).is_some_and(|value| match value {
                    Value::String(text) => glob(pattern, text),
                    other => glob(pattern, &other.to_string()),
                })
            })
    }
}

/// The rules of an agent. The default has no rules, and the taint gate and the link filter are on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// The rules; their order does not matter.
    pub rules: Vec<PolicyRule>,
    /// Whether destructive and open-world calls are asked about once untrusted text is in the conversation. Default
    /// true.
    pub taint: bool,
    /// Whether recalled snippets count as trusted. Default false: memory holds what others wrote, too.
    pub trusts_memory: bool,
    /// Whether links and images of the model are filtered once untrusted text is in the conversation. Default true.
    pub filters_links: bool,
    /// Hosts that links and images may always lead to; `*.example.org` stands for all hosts below. Default: none.
    pub link_hosts: Vec<String>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            rules: Vec::new(),
            taint: true,
            trusts_memory: false,
            filters_links: true,
            link_hosts: Vec::new(),
        }
    }
}

/// What happens to one call, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What happens.
    pub effect: Effect,
    /// Why, for the person who is asked and for the model that is refused.
    pub reason: String,
}

impl Policy {
    /// A policy without any protection, for tests that show what it is good for.
    pub fn off() -> Policy {
        Policy {
            rules: vec![PolicyRule::tool(Effect::Allow, "*")],
            taint: false,
            trusts_memory: true,
            filters_links: false,
            link_hosts: Vec::new(),
        }
    }

    /// Adds a rule.
    #[must_use]
    pub fn rule(mut self, rule: PolicyRule) -> Policy {
        self.rules.push(rule);
        self
    }

    /// Decides about a call. `tainted_by` names the source of untrusted text in the conversation, when there is any.
    pub fn decide(
        &self,
        call: &ToolCall,
        tool: &ToolSpec,
        risk: Risk,
        origin: &str,
        tainted_by: Option<&str>,
    ) -> Decision {
        let fitting = |effect: Effect| {
            let mut rules = self.rules.iter().filter(|rule| rule.effect == effect);
            rules.any(|rule| rule.fits(call, origin))
        };
        let decision = |effect, reason: String| Decision { effect, reason };
        if fitting(Effect::Deny) {
            return decision(
                Effect::Deny,
                format!("a rule forbids this call of `{}`", call.name),
            );
        }
        if fitting(Effect::Ask) {
            return decision(Effect::Ask, format!("a rule demands approval of `{}`", call.name));
        }
        let risky = (risk.destructive && !tool.read_only) || risk.open_world;
        if let Some(source) = tainted_by.filter(|_| self.taint && risky) {
            let danger = if risk.destructive && !tool.read_only {
                "may destroy something"
            } else {
                "reaches the outside world"
            };
            let reason = format!(
                "`{}` {danger}, and the conversation holds text from {source} that nobody vouches for and that may \
                 have asked for it",
                call.name
            );
            return decision(Effect::Ask, reason);
        }
        if fitting(Effect::Allow) {
            return decision(Effect::Allow, "a rule allows it".to_owned());
        }
        if tool.read_only {
            return decision(Effect::Allow, "it changes nothing".to_owned());
        }
        decision(Effect::Ask, format!("`{}` may change something", call.name))
    }

    /// Whether links to a host are always fine.
    pub(crate) fn knows_host(&self, host: &str) -> bool {
        self.link_hosts
            .iter()
            .any(|known| match known.strip_prefix("*.") {
                Some(parent) => host
                    .strip_suffix(parent)
                    .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
                None => host.eq_ignore_ascii_case(known),
            })
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any text. Linear in the text for each `*`.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(name: &str, arguments: Value) -> ToolCall {
        ToolCall {
            id: "c".to_owned(),
            name: name.to_owned(),
            arguments,
        }
    }

    fn spec(name: &str, read_only: bool) -> ToolSpec {
        ToolSpec {
            name: name.to_owned(),
            description: String::new(),
            parameters: json!({"type": "object"}),
            read_only,
        }
    }

    fn effect(policy: &Policy, name: &str, arguments: Value, read_only: bool, tainted: bool) -> Effect {
        let risk = Risk::unknown(read_only);
        let taint = tainted.then_some("a web page");
        let decision = policy.decide(
            &call(name, arguments),
            &spec(name, read_only),
            risk,
            "chat",
            taint,
        );
        decision.effect
    }

    #[test]
    fn deny_beats_ask_beats_allow_in_any_order() {
        let policy = Policy::default()
            .rule(PolicyRule::tool(Effect::Allow, "files__*"))
            .rule(PolicyRule::tool(Effect::Ask, "files__write"))
            .rule(PolicyRule::tool(Effect::Deny, "files__write").argument("/path", "/etc/*"))
            .rule(PolicyRule::tool(Effect::Deny, "*").origin("cron*"));
        let write = |path: &str| effect(&policy, "files__write", json!({"path": path}), false, false);
        assert_eq!(write("/etc/passwd"), Effect::Deny);
        assert_eq!(write("/home/x"), Effect::Ask);
        assert_eq!(
            effect(&policy, "files__move", json!({}), false, false),
            Effect::Allow
        );
        assert_eq!(
            effect(&policy, "mail__send", json!({}), false, false),
            Effect::Ask
        );
        assert_eq!(
            effect(&policy, "mail__list", json!({}), true, false),
            Effect::Allow
        );
        let from_cron = policy.decide(
            &call("mail__list", json!({})),
            &spec("mail__list", true),
            Risk::unknown(true),
            "cron:daily",
            None,
        );
        assert_eq!(from_cron.effect, Effect::Deny);
    }

    #[test]
    fn taint_asks_even_where_a_rule_allows() {
        let policy = Policy::default().rule(PolicyRule::tool(Effect::Allow, "*"));
        assert_eq!(
            effect(&policy, "mail__send", json!({}), false, false),
            Effect::Allow
        );
        assert_eq!(effect(&policy, "mail__send", json!({}), false, true), Effect::Ask);
        assert_eq!(effect(&policy, "web__fetch", json!({}), true, true), Effect::Ask);
        let closed = Risk {
            destructive: false,
            open_world: false,
            trusted: true,
        };
        let note = policy.decide(
            &call("notes__add", json!({})),
            &spec("notes__add", false),
            closed,
            "",
            Some("x"),
        );
        assert_eq!(note.effect, Effect::Allow);
        assert_eq!(
            effect(&Policy::off(), "mail__send", json!({}), false, true),
            Effect::Allow
        );
    }

    #[test]
    fn patterns_and_arguments_fit_as_documented() {
        assert!(glob("*", "") && glob("a*c", "abc") && glob("a*b*c", "a-b-b-c") && glob("abc", "abc"));
        assert!(!glob("a*c", "ab") && !glob("abc", "abcd") && !glob("*x", "xy") && !glob("aa*aa", "aaa"));
        let rule = PolicyRule::tool(Effect::Deny, "*").argument("/to/0", "*@evil.example");
        assert!(rule.fits(&call("m__s", json!({"to": ["a@evil.example"]})), ""));
        assert!(!rule.fits(&call("m__s", json!({"to": []})), ""));
        let number = PolicyRule::tool(Effect::Deny, "*").argument("/n", "7");
        assert!(number.fits(&call("m__s", json!({"n": 7})), ""));
    }

    #[test]
    fn hosts_are_compared_whole() {
        let policy = Policy {
            link_hosts: vec!["docs.rs".to_owned(), "*.example.org".to_owned()],
            ..Policy::default()
        };
        assert!(policy.knows_host("docs.rs") && policy.knows_host("a.example.org"));
        assert!(
            !policy.knows_host("evildocs.rs")
                && !policy.knows_host("example.org")
                && !policy.knows_host("xexample.org")
        );
    }
}
