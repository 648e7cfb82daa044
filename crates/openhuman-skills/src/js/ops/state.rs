//! Published state.

use std::rc::Rc;

use serde_json::{Value, json};

use super::{HostError, Op, OpResult, give, nothing, parse_json};
use crate::db::store;
use crate::js::host::Host;
use crate::js::raw::Args;

const MAX_KEYS: usize = 1024;
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 256 * 1024;
/// All keys and values together, in bytes of JSON.
const MAX_TOTAL: usize = 4 * 1024 * 1024;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "state.get",
        run: get,
    },
    Op {
        name: "state.set",
        run: set,
    },
    Op {
        name: "state.delete",
        run: delete,
    },
    Op {
        name: "state.keys",
        run: keys,
    },
];

fn get<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let key = args.text(0)?;
    let json = host.skill.view().state.get(&key).map(Value::to_string);
    give(args, json)
}

/// Takes an object of keys and values, as JSON.
fn set<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let values = parse_json(&args.text(0)?).map_err(|error| HostError::Type(format!("state: {error}")))?;
    let Value::Object(values) = values else {
        return Err(HostError::Type("state.setPartial: needs an object".to_owned()));
    };
    host.state_set(values)?;
    nothing(args)
}

fn delete<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.state_delete(&args.text(0)?)?;
    nothing(args)
}

fn keys<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let keys: Vec<String> = host.skill.view().state.keys().cloned().collect();
    give(args, json!(keys).to_string())
}

impl Host {
    /// Keeps and publishes values, all of them or none. What is published already costs nothing.
    fn state_set(&self, values: serde_json::Map<String, Value>) -> Result<(), HostError> {
        let mut changed = Vec::new();
        {
            let view = self.skill.view();
            let (mut keys, mut size) = (view.state.len(), view.state.iter().map(weight).sum::<usize>());
            for (key, value) in values {
                let old = view.state.get_key_value(&key);
                if old.is_some_and(|(_, old)| *old == value) {
                    continue;
                }
                keys += usize::from(old.is_none());
                size = size + weight((&key, &value)) - old.map_or(0, weight);
                changed.push((key, value.to_string(), value));
            }
            check(&changed)?;
            if keys > MAX_KEYS || size > MAX_TOTAL {
                return Err(HostError::Failed(format!(
                    "state.set: at most {MAX_KEYS} keys and {MAX_TOTAL} bytes are published, not {keys} and {size}; \
                     keep the rest in the database"
                )));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        if self.has_db() {
            let rows: Vec<_> = changed
                .iter()
                .map(|(key, json, _)| (key.clone(), json.clone()))
                .collect();
            self.with_db(move |db| store::put_state(db, &rows))?;
        }
        {
            let mut view = self.skill.view();
            for (key, _, value) in changed {
                view.state.insert(key, value);
            }
        }
        self.shared.changed();
        Ok(())
    }

    fn state_delete(&self, key: &str) -> Result<(), HostError> {
        if !self.skill.view().state.contains_key(key) {
            return Ok(());
        }
        if self.has_db() {
            let stored = key.to_owned();
            self.with_db(move |db| store::delete_state(db, &stored))?;
        }
        self.skill.view().state.remove(key);
        self.shared.changed();
        Ok(())
    }
}

/// About how many bytes of JSON a published value takes.
fn weight((key, value): (&String, &Value)) -> usize {
    fn inner(value: &Value) -> usize {
        match value {
            Value::Null | Value::Bool(_) => 4,
            Value::Number(_) => 8,
            Value::String(text) => text.len() + 2,
            Value::Array(items) => items.iter().map(|item| inner(item) + 1).sum::<usize>() + 2,
            Value::Object(fields) => {
                fields
                    .iter()
                    .map(|(key, value)| key.len() + inner(value) + 4)
                    .sum::<usize>()
                    + 2
            }
        }
    }
    key.len() + inner(value)
}

fn check(changed: &[(String, String, Value)]) -> Result<(), HostError> {
    match changed
        .iter()
        .find(|(key, json, _)| key.len() > MAX_KEY || json.len() > MAX_VALUE)
    {
        Some((key, json, _)) => Err(HostError::Type(format!(
            "state.set: a key has at most {MAX_KEY} and a value {MAX_VALUE} bytes, not {} and {}",
            key.len(),
            json.len()
        ))),
        None => Ok(()),
    }
}
