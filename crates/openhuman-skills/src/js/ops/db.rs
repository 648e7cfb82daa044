//! The skill's database.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rquickjs::{FromJs as _, Value};
use serde_json::Value as Json;

use super::{HostError, Op, OpResult, give, nothing};
use crate::db::store;
use crate::js::host::Host;
use crate::js::raw::{Args, bytes_of, text_of};
use crate::{DbError, DbRows, DbValue};

const MAX_PARAMS: usize = 1000;
const MAX_ROWS: usize = 10_000;
/// The largest integer every smaller one of which a JavaScript number holds.
const MAX_SAFE: u64 = 9_007_199_254_740_991;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "db.exec",
        run: exec,
    },
    Op {
        name: "db.query",
        run: query,
    },
    Op {
        name: "db.kvGet",
        run: kv_get,
    },
    Op {
        name: "db.kvSet",
        run: kv_set,
    },
];

fn exec<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (sql, params) = (args.text(0)?, params(args, 1)?);
    let changed = host.with_db(move |db| db.execute(&sql, &params))?;
    give(args, changed as f64)
}

/// Rows as a JSON array of objects.
fn query<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (sql, params, single) = (args.text(0)?, params(args, 1)?, args.flag(2));
    let text_as_json = host.skill.package.manifest().compat.db_text_as_json;
    let json = host.with_db(move |db| {
        let found = db.query(&sql, &params, if single { 1 } else { MAX_ROWS })?;
        if found.truncated && !single {
            return Err(DbError::Quota(format!(
                "the query returns more than {MAX_ROWS} rows; use LIMIT"
            )));
        }
        Ok(rows_to_json(found, text_as_json))
    })?;
    give(args, json)
}

fn kv_get<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let key = args.text(0)?;
    give(args, host.with_db(move |db| store::get_kv(db, &key))?)
}

fn kv_set<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (key, json) = (args.text(0)?, args.text(1)?);
    host.with_db(move |db| store::put_kv(db, &key, &json))?;
    nothing(args)
}

/// Parameters of a statement: booleans become integers, objects JSON text, typed arrays of bytes BLOBs.
fn params(args: Args<'_, '_>, index: usize) -> Result<Vec<DbValue>, HostError> {
    if args.is_absent(index) {
        return Ok(Vec::new());
    }
    let wrong = || {
        HostError::Type("the parameters of a statement must be an array of at most 1000 values".to_owned())
    };
    let array = args.value(index).into_array().ok_or_else(wrong)?;
    // `Array::len` panics when the length does not fit into 31 bits.
    let length: f64 = array.as_object().get("length")?;
    if length > MAX_PARAMS as f64 {
        return Err(wrong());
    }
    array
        .iter::<Value<'_>>()
        .map(|value| parameter(args, &value?))
        .collect()
}

fn parameter<'js>(args: Args<'_, 'js>, value: &Value<'js>) -> Result<DbValue, HostError> {
    if value.is_undefined() || value.is_null() {
        return Ok(DbValue::Null);
    }
    if let Some(value) = value.as_bool() {
        return Ok(DbValue::Integer(i64::from(value)));
    }
    if let Some(value) = value.as_int() {
        return Ok(DbValue::Integer(i64::from(value)));
    }
    if let Some(value) = value.as_float() {
        let whole = value.fract() == 0.0 && value.abs() <= MAX_SAFE as f64;
        return Ok(if whole {
            DbValue::Integer(value as i64)
        } else {
            DbValue::Real(value)
        });
    }
    if value.is_string() {
        return Ok(DbValue::Text(text_of(args.ctx(), value)?));
    }
    if value.is_big_int() {
        // As text, because a conversion would wrap around silently.
        let digits = rquickjs::Coerced::<String>::from_js(args.ctx(), value.clone())?.0;
        let number = digits.parse().map_err(|_| {
            HostError::Range(format!(
                "{digits}n does not fit into the 64 bits of an SQLite integer"
            ))
        })?;
        return Ok(DbValue::Integer(number));
    }
    if let Some(bytes) = bytes_of(value) {
        return Ok(DbValue::Blob(bytes));
    }
    match args.ctx().json_stringify(value.clone())? {
        Some(json) => Ok(DbValue::Text(text_of(args.ctx(), json.as_value())?)),
        None => Err(HostError::Type(
            "a function or symbol cannot be a value of a statement".to_owned(),
        )),
    }
}

/// Rows as an array of objects whose fields keep the order of the columns. With integers that a JavaScript number
/// does not hold, or infinities: `{rows, special: [[row, column, text]]}`.
fn rows_to_json(found: DbRows, text_as_json: bool) -> String {
    let names: Vec<String> = found
        .columns
        .into_iter()
        .map(|name| Json::String(name).to_string())
        .collect();
    let mut special = Vec::new();
    let mut json = String::from("[");
    for (at, row) in found.rows.into_iter().enumerate() {
        json.push_str(if at == 0 { "{" } else { ",{" });
        for (index, (name, value)) in names.iter().zip(row).enumerate() {
            if index > 0 {
                json.push(',');
            }
            json.push_str(name);
            json.push(':');
            match beyond_json(&value) {
                Some(text) => {
                    special.push(format!("[{at},{name},\"{text}\"]"));
                    json.push_str("null");
                }
                None => json.push_str(&to_json(value, text_as_json).to_string()),
            }
        }
        json.push('}');
    }
    json.push(']');
    match special.is_empty() {
        true => json,
        false => format!("{{\"rows\":{json},\"special\":[{}]}}", special.join(",")),
    }
}

/// A value that would not survive as a JSON number, as text.
fn beyond_json(value: &DbValue) -> Option<String> {
    match value {
        DbValue::Integer(number) if number.unsigned_abs() > MAX_SAFE => Some(number.to_string()),
        DbValue::Real(number) if number.is_infinite() => {
            Some(if *number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
        }
        _ => None,
    }
}

fn to_json(value: DbValue, text_as_json: bool) -> Json {
    match value {
        DbValue::Null => Json::Null,
        DbValue::Integer(value) => Json::from(value),
        DbValue::Real(value) => Json::from(value),
        DbValue::Text(text) if text_as_json => serde_json::from_str(&text).unwrap_or(Json::String(text)),
        DbValue::Text(text) => Json::String(text),
        DbValue::Blob(bytes) => Json::String(STANDARD.encode(bytes)),
    }
}
