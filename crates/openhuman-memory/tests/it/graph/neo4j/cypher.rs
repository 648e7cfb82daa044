//! The statements that the imitation knows, with the types of their parameters. It has its own copy of them, so a
//! statement that changes has to be understood here again.

mod asking;
mod changing;
mod statements;

use serde_json::{Map, Value, json};

use self::asking::ask;
use self::changing::{add, forget};
use self::statements::{STATEMENTS, Statement};
use super::database::{Database, Properties, Refusal};

type Table = (Vec<String>, Vec<Vec<Value>>);

pub(super) fn execute(
    database: &mut Database,
    statement: &str,
    parameters: &Value,
    read: bool,
) -> Result<Table, Refusal> {
    if statement.starts_with("CREATE CONSTRAINT oh_")
        && statement.ends_with(" IS UNIQUE")
        && *parameters == json!({})
    {
        return Ok((Vec::new(), Vec::new()));
    }
    let known = STATEMENTS.iter().find(|known| known.text == statement);
    let known = known.ok_or_else(|| Refusal::client("Statement.SyntaxError", statement))?;
    if read && !known.reads {
        return Err(Refusal::client("Statement.AccessMode", known.name));
    }
    let parameters = checked(known, parameters)?;
    let rows = run(database, known.name, &Parameters(parameters))?;
    let columns = rows.first().map_or(0, Vec::len);
    Ok(((0..columns).map(|n| format!("c{n}")).collect(), rows))
}

fn checked<'a>(statement: &Statement, parameters: &'a Value) -> Result<&'a Map<String, Value>, Refusal> {
    let wrong = |what: &str| {
        Refusal::client(
            "Statement.ParameterMissing",
            &format!("{}: {what}", statement.name),
        )
    };
    let object = parameters.as_object().ok_or_else(|| wrong("no map"))?;
    let expected: Vec<(&str, &str)> = statement
        .parameters
        .split(' ')
        .filter_map(|one| one.split_once(':'))
        .collect();
    if object.len() != expected.len() {
        return Err(wrong("other parameters"));
    }
    for (name, kind) in expected {
        let value = object.get(name).ok_or_else(|| wrong(name))?;
        if !fits(value, kind) {
            return Err(wrong(&format!("{name} is {value}")));
        }
    }
    Ok(object)
}

fn fits(value: &Value, kind: &str) -> bool {
    if let Some(kind) = kind.strip_suffix('?') {
        return value.is_null() || fits(value, kind);
    }
    if let Some(kind) = kind.strip_prefix('l') {
        return value
            .as_array()
            .is_some_and(|values| values.iter().all(|value| fits(value, kind)));
    }
    match kind {
        "s" => value.is_string(),
        "i" => value.is_i64(),
        "b" => value.is_boolean(),
        "o" => value.as_object().is_some_and(|map| {
            // Properties are plain values or lists of them.
            map.values().all(|value| !value.is_object())
        }),
        other => panic!("no type {other}"),
    }
}

struct Parameters<'a>(&'a Map<String, Value>);

impl Parameters<'_> {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    fn int(&self, name: &str) -> i64 {
        self.0[name].as_i64().unwrap()
    }

    fn maybe(&self, name: &str) -> Option<i64> {
        self.0[name].as_i64()
    }

    fn texts(&self, name: &str) -> Vec<&str> {
        self.list(name).iter().filter_map(Value::as_str).collect()
    }

    fn list(&self, name: &str) -> &[Value] {
        self.0[name].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn map(&self, name: &str) -> &Properties {
        self.0[name].as_object().unwrap()
    }
}

fn run(database: &mut Database, name: &str, p: &Parameters<'_>) -> Result<Vec<Vec<Value>>, Refusal> {
    let none = Vec::new();
    Ok(match name {
        "lock" => {
            let next = database.spaces.entry(p.text("ns").to_owned()).or_insert(1);
            *next += p.int("count");
            vec![vec![json!(*next - p.int("count"))]]
        }
        "add_entities" | "retire" | "end" | "state" | "add_evidence" | "add_mention" | "add_alias" => {
            add(database, name, p)?;
            none
        }
        "forget_facts" | "forget_evidence" | "forget_mentions_of" | "forget_entities" | "forget_told"
        | "forget_mentions_in" | "forget_episodes" | "forget_space" => forget(database, name, p),
        _ => ask(database, name, p),
    })
}
