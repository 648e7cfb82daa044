//! The inputs of a form: asked at the terminal, or taken from `--values`.

use std::io::{self, IsTerminal};

use openhuman::skills::SetupField;
use serde_json::{Map, Value, json};

use crate::exit::{Code, Failure};
use crate::output::{clean_line, line};
use crate::prompt;
use crate::style::{DIM, ERROR};

/// Where answers come from.
pub(crate) enum Answers {
    /// From `--values`, by the names of the inputs. Whatever is missing takes its default.
    Given(Map<String, Value>),
    /// From the user at the terminal.
    Terminal,
}

impl Answers {
    /// `--values` when it is there, else the terminal, which must be one.
    pub(crate) fn new(values: Option<&str>) -> Result<Self, Failure> {
        let Some(text) = values else {
            if io::stdin().is_terminal() {
                return Ok(Self::Terminal);
            }
            return Err(Failure::new(
                Code::Denied,
                "nobody can be asked here; give the answers with --values '{\"NAME\": VALUE}'",
            ));
        };
        match serde_json::from_str(text) {
            Ok(Value::Object(values)) => Ok(Self::Given(values)),
            Ok(_) => Err(Failure::new(Code::Usage, "--values must be a JSON object")),
            Err(error) => Err(Failure::new(
                Code::Usage,
                format!("--values is not JSON: {error}"),
            )),
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal)
    }

    /// The values of a form.
    pub(super) fn fill(&self, fields: &[Field]) -> Result<Map<String, Value>, Failure> {
        let mut values = Map::new();
        for field in fields {
            let value = match self {
                Self::Given(given) => given.get(&field.name).cloned().or_else(|| field.default.clone()),
                Self::Terminal => ask(field)?,
            };
            match value {
                Some(value) => drop(values.insert(field.name.clone(), value)),
                None if field.required => {
                    let message = format!(
                        "the input '{}' ({}) is required; add it to --values",
                        field.name, field.label
                    );
                    return Err(Failure::new(Code::Usage, message));
                }
                None => {}
            }
        }
        Ok(values)
    }
}

/// One input, as the terminal needs it.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) label: String,
    pub(super) description: Option<String>,
    pub(super) required: bool,
    pub(super) default: Option<Value>,
    pub(super) options: Vec<(String, Value)>,
}

impl Field {
    /// A field as a skill describes it in its wizard.
    pub(super) fn from_step(json: &Value) -> Option<Self> {
        let text = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
        let name = text("name")?;
        // A choice is `{label, value}`, or the value alone.
        let option = |option: &Value| {
            let value = match option {
                Value::Object(fields) => fields.get("value")?.clone(),
                plain => plain.clone(),
            };
            let label = option.get("label").and_then(Value::as_str);
            Some((label.map_or_else(|| plain(&value), str::to_owned), value))
        };
        let options = json.get("options").and_then(Value::as_array);
        Some(Self {
            kind: text("type").unwrap_or_else(|| "text".to_owned()),
            label: text("label").unwrap_or_else(|| name.clone()),
            description: text("description"),
            required: json.get("required").and_then(Value::as_bool).unwrap_or(false),
            // Options carry what is set now as their value.
            default: json
                .get("default")
                .or_else(|| json.get("value"))
                .filter(|value| !value.is_null())
                .cloned(),
            options: options.into_iter().flatten().filter_map(option).collect(),
            name,
        })
    }
}

impl From<&SetupField> for Field {
    fn from(field: &SetupField) -> Self {
        Self {
            name: field.name.clone(),
            kind: field.kind.clone(),
            label: field.label.clone(),
            description: field.description.clone(),
            required: field.required,
            default: field.default.clone(),
            options: field
                .options
                .iter()
                .map(|option| (option.label.clone(), option.value.clone()))
                .collect(),
        }
    }
}

/// Asks until the answer fits the input. `None` is an empty answer without a default.
pub(super) fn ask(field: &Field) -> Result<Option<Value>, Failure> {
    if let Some(description) = &field.description {
        line(format_args!("  {DIM}{}{DIM:#}", clean_line(description)))?;
    }
    for (number, (label, _)) in field.options.iter().enumerate() {
        line(format_args!("    {}  {}", number + 1, clean_line(label)))?;
    }
    let secret = field.kind == "password";
    let hint = match (&field.default, field.kind.as_str()) {
        (_, "password") => " (not shown)".to_owned(),
        (Some(default), _) => format!(" [{}]", clean_line(&plain(default))),
        (None, "boolean") => " [y/n]".to_owned(),
        (None, _) if !field.required => " (may be empty)".to_owned(),
        (None, _) => String::new(),
    };
    let question = format!("  {}{hint}: ", clean_line(&field.label));
    loop {
        let text = if secret {
            prompt::secret(&question)?
        } else {
            prompt::line(&question)?
        };
        let text = text.trim();
        if text.is_empty() && (field.default.is_some() || !field.required) {
            return Ok(field.default.clone());
        }
        match parse(field, text) {
            Ok(value) => return Ok(Some(value)),
            Err(reason) => line(format_args!("  {ERROR}{reason}{ERROR:#}"))?,
        }
    }
}

/// What was typed, as the value of this kind of input.
pub(super) fn parse(field: &Field, text: &str) -> Result<Value, String> {
    let choice = |text: &str| {
        let by_number = text
            .parse::<usize>()
            .ok()
            .and_then(|number| field.options.get(number.checked_sub(1)?));
        let by_name = || {
            field
                .options
                .iter()
                .find(|(label, value)| label == text || plain(value) == text)
        };
        by_number.or_else(by_name).map(|(_, value)| value.clone())
    };
    match field.kind.as_str() {
        "number" => text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(|number| {
                if number.fract() == 0.0 && number.abs() < 9e15 {
                    json!(number as i64)
                } else {
                    json!(number)
                }
            })
            .ok_or_else(|| format!("'{text}' is not a number")),
        "boolean" => match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" | "on" | "1" => Ok(Value::Bool(true)),
            "n" | "no" | "false" | "off" | "0" => Ok(Value::Bool(false)),
            _ => Err("answer y or n".to_owned()),
        },
        // Options may list no choices; the skill knows what it takes.
        "select" if field.options.is_empty() => Ok(Value::String(text.to_owned())),
        "select" => {
            choice(text).ok_or_else(|| format!("'{text}' is not one of the {} choices", field.options.len()))
        }
        "multiselect" => text
            .split(',')
            .map(|one| {
                choice(one.trim()).ok_or_else(|| format!("'{}' is not one of the choices", one.trim()))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array),
        _ if text.is_empty() => Err("an answer is needed here".to_owned()),
        _ => Ok(Value::String(text.to_owned())),
    }
}

pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: &str) -> Field {
        let json =
            json!({ "name": "f", "type": kind, "options": [{ "label": "Every hour", "value": "60" }, 5] });
        Field::from_step(&json).unwrap()
    }

    #[test]
    fn answers_become_values_of_their_kind() {
        assert_eq!(parse(&field("number"), "12"), Ok(json!(12)));
        assert_eq!(parse(&field("number"), "1.5"), Ok(json!(1.5)));
        assert!(parse(&field("number"), "inf").is_err());
        assert_eq!(parse(&field("boolean"), "Yes"), Ok(json!(true)));
        assert!(parse(&field("boolean"), "maybe").is_err());
        assert_eq!(parse(&field("select"), "1"), Ok(json!("60")));
        assert_eq!(parse(&field("select"), "Every hour"), Ok(json!("60")));
        assert_eq!(parse(&field("select"), "5"), Ok(json!(5)));
        assert!(parse(&field("select"), "3").is_err());
        assert_eq!(parse(&field("multiselect"), "1, 5"), Ok(json!(["60", 5])));
        assert_eq!(parse(&field("text"), "x"), Ok(json!("x")));
    }

    #[test]
    fn given_answers_take_defaults_and_name_what_is_missing() {
        let fields: Vec<Field> = [
            json!({ "name": "url", "required": true }),
            json!({ "name": "every", "default": "10" }),
            json!({ "name": "note" }),
        ]
        .iter()
        .filter_map(Field::from_step)
        .collect();
        let given = Answers::new(Some(r#"{"url": "https://example.com"}"#)).unwrap();
        assert_eq!(
            Value::Object(given.fill(&fields).unwrap()),
            json!({ "url": "https://example.com", "every": "10" })
        );
        let none = Answers::new(Some("{}")).unwrap();
        assert!(none.fill(&fields).is_err());
        assert!(Answers::new(Some("[]")).is_err() && Answers::new(Some("{")).is_err());
    }
}
