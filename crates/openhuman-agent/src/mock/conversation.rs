//! What a request says, and templates filled from it.

use serde_json::Value;

use super::script::{Part, Reply, ScriptedCall, When};
use crate::context::{self, Snippet};

/// The parts of a valid request that rules and templates look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Conversation {
    user: String,
    snippets: Vec<Snippet>,
    /// Tool name and result text, oldest first.
    results: Vec<(String, String)>,
    results_follow: bool,
    tools: Vec<String>,
}

/// A finished reply.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Composed {
    pub(super) text: String,
    pub(super) calls: Vec<ScriptedCall>,
}

impl Conversation {
    /// Reads a request that was found valid.
    pub(super) fn read(body: &Value) -> Conversation {
        let messages = body
            .get("messages")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let role = |message: &Value, role: &str| message.get("role").and_then(Value::as_str) == Some(role);
        let last_user = messages.iter().rposition(|message| role(message, "user"));
        let content = last_user
            .and_then(|at| messages.get(at))
            .map(content)
            .unwrap_or_default();
        let (snippets, user) = context::parse(&content);
        let user = user.to_owned();
        let mut names: Vec<(&str, &str)> = Vec::new();
        let mut results = Vec::new();
        for message in messages {
            for call in message
                .get("tool_calls")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
                let name = call
                    .pointer("/function/name")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                names.push((id, name));
            }
            if role(message, "tool") {
                let id = message
                    .get("tool_call_id")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let name = names
                    .iter()
                    .rev()
                    .find(|(known, _)| *known == id)
                    .map_or("", |(_, name)| *name);
                let text = self::content(message);
                results.push((name.to_owned(), context::unlabelled(&text).to_owned()));
            }
        }
        let after = last_user
            .and_then(|at| messages.get(at + 1..))
            .unwrap_or_default();
        let none = body.get("tool_choice").and_then(Value::as_str) == Some("none");
        let tools = body.get("tools").and_then(Value::as_array).filter(|_| !none);
        let tool_name = |tool: &Value| {
            tool.pointer("/function/name")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Conversation {
            user,
            snippets,
            results,
            results_follow: after.iter().any(|message| role(message, "tool")),
            tools: tools.into_iter().flatten().filter_map(tool_name).collect(),
        }
    }

    pub(super) fn fits(&self, when: &When) -> bool {
        let user = self.user.to_lowercase();
        when.user_contains
            .iter()
            .all(|word| user.contains(&word.to_lowercase()))
            && when
                .tool_results
                .is_none_or(|wanted| wanted == self.results_follow)
            && when.tools.iter().all(|name| self.tools.contains(name))
    }

    /// Fills in a reply. A value that is missing is named, never guessed.
    pub(super) fn compose(&self, reply: &Reply) -> Composed {
        match reply {
            Reply::Text(parts) => Composed {
                text: parts.iter().map(|part| self.part(part)).collect(),
                calls: Vec::new(),
            },
            Reply::Calls { text, calls } => {
                let filled: Result<Vec<ScriptedCall>, String> = calls
                    .iter()
                    .map(|call| {
                        Ok(ScriptedCall {
                            name: call.name.clone(),
                            arguments: self.arguments(&call.arguments)?,
                        })
                    })
                    .collect();
                match filled {
                    Ok(calls) => {
                        let text = self.part(&Part {
                            template: text.clone(),
                            otherwise: None,
                        });
                        Composed { text, calls }
                    }
                    Err(missing) => Composed {
                        text: format!("I cannot call the tool: {missing}."),
                        calls: Vec::new(),
                    },
                }
            }
        }
    }

    fn part(&self, part: &Part) -> String {
        let missing = match self.fill(&part.template, None) {
            Ok(text) => return text,
            Err(missing) => missing,
        };
        match &part.otherwise {
            Some(otherwise) => self
                .fill(otherwise, Some(&missing))
                .unwrap_or_else(|_| format!("A value is missing: {missing}.")),
            None => format!("A value is missing: {missing}. "),
        }
    }

    fn arguments(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(template) => Value::String(self.fill(template, None)?),
            Value::Array(items) => items
                .iter()
                .map(|item| self.arguments(item))
                .collect::<Result<_, _>>()?,
            Value::Object(fields) => {
                let fill = |(key, value): (&String, &Value)| Ok((key.clone(), self.arguments(value)?));
                Value::Object(fields.iter().map(fill).collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
    }

    /// Replaces each placeholder; the error says which value is missing and why.
    fn fill(&self, template: &str, missing: Option<&str>) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                break;
            };
            out.push_str(before);
            out.push_str(&self.value(name.trim(), missing)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, name: &str, missing: Option<&str>) -> Result<String, String> {
        if let Some(path) = name.strip_prefix("tool:") {
            return self.tool_value(path);
        }
        match (name, name.strip_prefix("context:")) {
            ("user", _) => Ok(self.user.clone()),
            ("missing", _) => missing
                .map(str::to_owned)
                .ok_or_else(|| "nothing is missing here".to_owned()),
            ("context", _) => self.recalled(""),
            (_, Some(words)) => self.recalled(words),
            _ => Err(format!("`{name}` is not a placeholder of scripts")),
        }
    }

    fn recalled(&self, words: &str) -> Result<String, String> {
        let fits = |snippet: &&Snippet| {
            let text = snippet.text.to_lowercase();
            words
                .split_whitespace()
                .all(|word| text.contains(&word.to_lowercase()))
        };
        let texts: Vec<&str> = self
            .snippets
            .iter()
            .filter(fits)
            .map(|snippet| snippet.text.as_str())
            .collect();
        if texts.is_empty() {
            Err("nothing fitting was recalled".to_owned())
        } else {
            Ok(texts.join("\n"))
        }
    }

    /// The latest result of a tool decides: an older success does not hide a failure. A failed result is prose, so
    /// it is no JSON; its text is not repeated, since it might hold anything.
    fn tool_value(&self, path: &str) -> Result<String, String> {
        let (tool, field) = path.split_once('.').unwrap_or((path, ""));
        let Some((_, text)) = self.results.iter().rev().find(|(name, _)| name == tool) else {
            return Err(format!("{tool} was not called"));
        };
        if text.starts_with("Error") {
            return Err(format!("{tool} failed"));
        }
        if field.is_empty() {
            return Ok(text.clone());
        }
        let value: Value =
            serde_json::from_str(text).map_err(|_| format!("{tool} did not answer with JSON"))?;
        let steps: Vec<&str> = field.split('.').collect();
        let mut found = Vec::new();
        collect(&value, &steps, &mut found);
        if found.is_empty() {
            return Err(format!("the answer of {tool} has no `{field}`"));
        }
        Ok(found.join("; "))
    }
}

fn collect(value: &Value, steps: &[&str], found: &mut Vec<String>) {
    let Some((step, rest)) = steps.split_first() else {
        match value {
            Value::Null => {}
            Value::String(text) => found.push(text.clone()),
            other => found.push(other.to_string()),
        }
        return;
    };
    match (value, *step) {
        (Value::Array(items), "*") => items.iter().for_each(|item| collect(item, rest, found)),
        (Value::Array(items), step) => {
            if let Some(item) = step.parse::<usize>().ok().and_then(|at| items.get(at)) {
                collect(item, rest, found);
            }
        }
        (Value::Object(fields), step) => {
            if let Some(value) = fields.get(step) {
                collect(value, rest, found);
            }
        }
        _ => {}
    }
}

/// The text of a message: a string, or the text parts of a list.
fn content(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Recalled;
    use serde_json::json;

    fn conversation() -> Conversation {
        let recalled = |text: &str| Recalled {
            title: "t".to_owned(),
            source: String::new(),
            text: text.to_owned(),
            score: 0.0,
        };
        let user = context::render(&[recalled("ETH plan: stake"), recalled("roses")], "And ETH?");
        let call = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
        Conversation::read(&json!({
            "messages": [
                {"role": "user", "content": user},
                {"role": "assistant", "content": null, "tool_calls": [call("1", "p__get"), call("2", "n__find"), call("3", "b__ad")]},
                {"role": "tool", "tool_call_id": "1", "content": "{\"price\": 3456.78, \"unit\": null, \"deep\": [[1], [2]]}"},
                {"role": "tool", "tool_call_id": "2", "content": "{\"notes\": [{\"text\": \"a\"}, {\"text\": \"b\"}]}"},
                {"role": "tool", "tool_call_id": "3", "content": "Error from b__ad: {\"price\": 1}"},
            ],
            "tools": [{"type": "function", "function": {"name": "p__get"}}],
        }))
    }

    #[test]
    fn placeholders_are_filled() {
        let conversation = conversation();
        let fill = |template: &str| conversation.fill(template, None);
        assert_eq!(
            fill("{{user}} {{tool:p__get.price}}!"),
            Ok("And ETH? 3456.78!".to_owned())
        );
        assert_eq!(
            fill("{{tool:n__find.notes.*.text}} {{ tool:n__find.notes.1.text }}"),
            Ok("a; b b".to_owned())
        );
        assert_eq!(fill("{{tool:p__get.deep.*.0}}"), Ok("1; 2".to_owned()));
        assert_eq!(fill("{{context}}"), Ok("ETH plan: stake\nroses".to_owned()));
        assert_eq!(fill("{{context:PLAN eth}}"), Ok("ETH plan: stake".to_owned()));
        assert_eq!(fill("no {{end"), Ok("no {{end".to_owned()));
    }

    #[test]
    fn what_is_missing_is_named() {
        let conversation = conversation();
        let missing = |template: &str| conversation.fill(template, None).unwrap_err();
        assert_eq!(
            missing("{{tool:p__get.volume}}"),
            "the answer of p__get has no `volume`"
        );
        assert_eq!(
            missing("{{tool:p__get.unit}}"),
            "the answer of p__get has no `unit`"
        );
        assert_eq!(missing("{{tool:x__y.z}}"), "x__y was not called");
        assert_eq!(missing("{{tool:b__ad.price}}"), "b__ad failed");
        assert_eq!(missing("{{tool:b__ad}}"), "b__ad failed");
        assert_eq!(missing("{{context:tulips}}"), "nothing fitting was recalled");
        assert!(missing("{{wrong}}").contains("not a placeholder"));
        let part = Part {
            template: "{{tool:x__y.z}}".to_owned(),
            otherwise: Some("Sorry: {{missing}}.".to_owned()),
        };
        assert_eq!(conversation.part(&part), "Sorry: x__y was not called.");
        let calls = vec![ScriptedCall {
            name: "a".to_owned(),
            arguments: json!({"q": ["{{tool:x__y.z}}"]}),
        }];
        let composed = conversation.compose(&Reply::Calls {
            text: String::new(),
            calls,
        });
        assert!(composed.calls.is_empty() && composed.text.contains("x__y was not called"));
    }

    #[test]
    fn conditions_are_checked() {
        let conversation = conversation();
        let when = |words: &[&str], tool_results, tools: &[&str]| When {
            user_contains: words.iter().map(|word| (*word).to_owned()).collect(),
            tool_results,
            tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
        };
        assert!(conversation.fits(&When::default()));
        assert!(conversation.fits(&when(&["eth", "AND"], Some(true), &["p__get"])));
        assert!(
            !conversation.fits(&when(&["roses"], None, &[])),
            "context is not what the user says"
        );
        assert!(!conversation.fits(&when(&[], Some(false), &[])));
        assert!(!conversation.fits(&when(&[], None, &["n__find"])));
    }
}
