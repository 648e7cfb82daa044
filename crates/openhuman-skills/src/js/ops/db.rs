//! The skill's database.

use std::rc::Rc;

use rquickjs::Value;

use super::{HostError, Op, OpResult, give, nothing};
use crate::DbValue;
use crate::js::host::Host;
use crate::js::raw::{Args, bytes_of, text_of};

const MAX_PARAMS: usize = 1000;

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
    let params = params(args, 1)?;
    give(args, host.db_exec(args.text(0)?, params)? as f64)
}

fn query<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let params = params(args, 1)?;
    give(args, host.db_query(args.text(0)?, params, args.flag(2))?)
}

fn kv_get<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(args, host.kv_get(args.text(0)?)?)
}

fn kv_set<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.kv_set(args.text(0)?, args.text(1)?)?;
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
        let whole = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_991.0;
        return Ok(if whole {
            DbValue::Integer(value as i64)
        } else {
            DbValue::Real(value)
        });
    }
    if value.is_string() {
        return Ok(DbValue::Text(text_of(args.ctx(), value)?));
    }
    if let Some(number) = value.as_big_int() {
        return Ok(DbValue::Integer(number.clone().to_i64()?));
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
