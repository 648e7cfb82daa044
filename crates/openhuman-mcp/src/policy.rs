//! Who may call what.

use crate::context::Origin;
use crate::tool::Annotations;

/// Decides about each call before the provider hears of it. It must not block.
pub trait Policy: Send + Sync {
    /// The decision.
    fn decide(&self, call: &Asked<'_>) -> Verdict;
}

/// A call as a policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Where it comes from.
    pub origin: Origin,
    /// The toolset id.
    pub toolset: &'a str,
    /// The bare tool name.
    pub tool: &'a str,
    /// What the tool says it may do; the worst case where it says nothing.
    pub annotations: Annotations,
}

/// What a policy decides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The call goes on.
    Allow,
    /// A person decides; why, in words for that person.
    Ask(String),
    /// The call is refused; why, in words for the caller.
    Deny(String),
}

/// Everything is allowed: whoever calls has its own way of asking. The default.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Policy for AllowAll {
    fn decide(&self, _call: &Asked<'_>) -> Verdict {
        Verdict::Allow
    }
}

/// Reading is allowed; whatever may delete, overwrite or reach the outside is asked about.
#[derive(Debug, Clone, Copy, Default)]
pub struct AskBeforeChange;

impl Policy for AskBeforeChange {
    fn decide(&self, call: &Asked<'_>) -> Verdict {
        let hints = call.annotations;
        let reason = match (hints.read_only, hints.destructive, hints.open_world) {
            (true, _, false) => return Verdict::Allow,
            (true, _, true) => "it talks to parties outside this machine",
            (false, true, _) => "it may delete or overwrite",
            (false, false, _) => "it changes something",
        };
        Verdict::Ask(reason.to_owned())
    }
}

/// Rules that are tried in order `deny`, `ask`, `allow`; the first that fits decides, and nothing fits means
/// [`Verdict::Ask`]. A pattern is `*`, `toolset__*` or `toolset__tool`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Never.
    pub deny: Vec<String>,
    /// A person decides each time.
    pub ask: Vec<String>,
    /// Always.
    pub allow: Vec<String>,
}

impl Policy for Rules {
    fn decide(&self, call: &Asked<'_>) -> Verdict {
        let hit = |rules: &[String]| rules.iter().any(|rule| fits(rule, call.toolset, call.tool));
        if hit(&self.deny) {
            Verdict::Deny("a rule of this machine forbids it".into())
        } else if hit(&self.ask) {
            Verdict::Ask("a rule of this machine asks each time".into())
        } else if hit(&self.allow) {
            Verdict::Allow
        } else {
            Verdict::Ask("no rule of this machine allows it".into())
        }
    }
}

fn fits(rule: &str, toolset: &str, tool: &str) -> bool {
    match rule.split_once(crate::name::SEPARATOR) {
        None => rule == "*",
        Some((id, name)) => id == toolset && (name == "*" || name == tool),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tool: &str, annotations: Annotations) -> Asked<'_> {
        Asked {
            origin: Origin::Http,
            toolset: "mail",
            tool,
            annotations,
        }
    }

    #[test]
    fn only_local_reading_goes_without_a_question() {
        let reading = Annotations::read_only();
        let outside = Annotations {
            open_world: true,
            ..reading
        };
        let policy = AskBeforeChange;
        assert_eq!(policy.decide(&asked("x", reading)), Verdict::Allow);
        for hints in [outside, Annotations::default()] {
            assert!(matches!(policy.decide(&asked("x", hints)), Verdict::Ask(_)));
        }
    }

    #[test]
    fn deny_is_stronger_than_ask_and_ask_than_allow() {
        let rules = Rules {
            deny: vec!["mail__delete".into()],
            ask: vec!["mail__send".into()],
            allow: vec!["mail__*".into()],
        };
        let decide = |tool| rules.decide(&asked(tool, Annotations::default()));
        assert!(matches!(decide("delete"), Verdict::Deny(_)));
        assert!(matches!(decide("send"), Verdict::Ask(_)));
        assert_eq!(decide("list"), Verdict::Allow);
        let nothing = Rules::default();
        assert!(matches!(
            nothing.decide(&asked("list", Annotations::read_only())),
            Verdict::Ask(_)
        ));
        assert!(fits("*", "a", "b") && fits("a__b__c", "a", "b__c") && !fits("a__b", "a", "c"));
    }
}
