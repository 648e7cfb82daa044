use std::time::Duration;

use rquickjs::Value;

use crate::SkillId;

/// How much of one argument or result is shown, in characters.
const MAX_PREVIEW: usize = 200;

/// One call of a host function, for a log of what a skill does. See
/// [`EngineBuilder::inspect`](crate::EngineBuilder::inspect).
///
/// Values of secrets are not in it: a skill handles placeholders only.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BridgeCall {
    /// The skill.
    pub skill: SkillId,
    /// The host function, as `area.name`.
    pub op: &'static str,
    /// The beginning of each argument; at most eight.
    pub args: Vec<String>,
    /// The beginning of the result, or the message of the exception.
    pub result: Result<String, String>,
    /// How long it took, waiting included.
    pub duration: Duration,
}

/// What is called for every host function a skill uses.
pub(crate) type Inspect = dyn Fn(&BridgeCall) + Send + Sync;

/// The beginning of a value: strings as they are, objects by their kind. Never runs JavaScript.
pub(crate) fn preview(value: &Value<'_>) -> String {
    if let Some(text) = value.as_string() {
        return match text.to_string() {
            Ok(text) => clip(&text),
            Err(_) => "[text]".to_owned(),
        };
    }
    if let Some(number) = value.as_number() {
        return number.to_string();
    }
    if let Some(flag) = value.as_bool() {
        return flag.to_string();
    }
    format!("[{}]", value.type_of().as_str())
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(MAX_PREVIEW) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
