//! Hands the host functions to the bootstrap script. They are never globals themselves.

use std::rc::Rc;

use rquickjs::prelude::Opt;
use rquickjs::{Ctx, Error, Exception, Function, Object, Result, TypedArray, Value};

use super::host::{Host, HostError};
use crate::DbValue;
use crate::fiber::copy_bytes;
use crate::manifest::platform_name;

const MAX_PARAMS: usize = 1000;
const MAX_RANDOM: usize = 65_536;

/// Builds the object the bootstrap script is called with.
pub(super) fn host_object<'js>(ctx: &Ctx<'js>, host: &Rc<Host>) -> Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    object.set("skillId", host.skill.id.as_str())?;
    object.set("os", platform_name())?;
    object.set("hasDb", host.has_db())?;
    object.set("modules", host.modules())?;
    calls_and_logs(ctx, &object, host)?;
    timers_and_network(ctx, &object, host)?;
    storage(ctx, &object, host)?;
    bytes(ctx, &object)?;
    Ok(object)
}

fn calls_and_logs<'js>(ctx: &Ctx<'js>, object: &Object<'js>, host: &Rc<Host>) -> Result<()> {
    let h = Rc::clone(host);
    let settled = move |id: f64, how: String, text: String| h.settled(id as u64, &how, text);
    object.set("settled", Function::new(ctx.clone(), settled)?)?;
    let h = Rc::clone(host);
    object.set(
        "log",
        Function::new(ctx.clone(), move |level: String, text: String| {
            h.log(&level, &text);
        })?,
    )?;
    let h = Rc::clone(host);
    object.set(
        "env",
        Function::new(ctx.clone(), move |name: String| h.env(&name))?,
    )?;
    let h = Rc::clone(host);
    let notify = move |ctx: Ctx<'js>, title: String, body: String| throw(&ctx, h.notify(&title, &body));
    object.set("notify", Function::new(ctx.clone(), notify)?)?;
    let h = Rc::clone(host);
    let module = move |ctx: Ctx<'js>, name: String, function: String, args: String| {
        throw(&ctx, h.call_module(&name, function, &args))
    };
    object.set("module", Function::new(ctx.clone(), module)?)
}

fn timers_and_network<'js>(ctx: &Ctx<'js>, object: &Object<'js>, host: &Rc<Host>) -> Result<()> {
    let h = Rc::clone(host);
    let timer_set =
        move |ctx: Ctx<'js>, id: f64, ms: f64, repeat: bool| throw(&ctx, h.timer_set(id as u32, ms, repeat));
    object.set("timerSet", Function::new(ctx.clone(), timer_set)?)?;
    let h = Rc::clone(host);
    object.set(
        "timerClear",
        Function::new(ctx.clone(), move |id: f64| h.timer_clear(id as u32))?,
    )?;
    let h = Rc::clone(host);
    object.set(
        "sleep",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>, ms: f64| {
            throw(&ctx, h.sleep(ms))
        })?,
    )?;
    let h = Rc::clone(host);
    let fetch = move |ctx: Ctx<'js>, request: String| throw(&ctx, h.fetch(&request));
    object.set("fetch", Function::new(ctx.clone(), fetch)?)?;
    let h = Rc::clone(host);
    let start =
        move |ctx: Ctx<'js>, id: f64, request: String| throw(&ctx, h.fetch_start(id as u32, &request));
    object.set("fetchStart", Function::new(ctx.clone(), start)?)
}

fn storage<'js>(ctx: &Ctx<'js>, object: &Object<'js>, host: &Rc<Host>) -> Result<()> {
    let h = Rc::clone(host);
    let exec = move |ctx: Ctx<'js>, sql: String, params: Opt<Value<'js>>| {
        let params = db_params(&ctx, params.0)?;
        throw(&ctx, h.db_exec(sql, params)).map(|changed| changed as f64)
    };
    object.set("dbExec", Function::new(ctx.clone(), exec)?)?;
    let h = Rc::clone(host);
    let query = move |ctx: Ctx<'js>, sql: String, params: Value<'js>, single: bool| {
        let params = db_params(&ctx, Some(params))?;
        throw(&ctx, h.db_query(sql, params, single))
    };
    object.set("dbQuery", Function::new(ctx.clone(), query)?)?;
    let h = Rc::clone(host);
    object.set(
        "kvGet",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>, key: String| {
            throw(&ctx, h.kv_get(key))
        })?,
    )?;
    let h = Rc::clone(host);
    let kv_set = move |ctx: Ctx<'js>, key: String, json: String| throw(&ctx, h.kv_set(key, json));
    object.set("kvSet", Function::new(ctx.clone(), kv_set)?)?;
    let h = Rc::clone(host);
    object.set(
        "stateGet",
        Function::new(ctx.clone(), move |key: String| h.state_get(&key))?,
    )?;
    let h = Rc::clone(host);
    let state_set = move |ctx: Ctx<'js>, key: String, json: String| throw(&ctx, h.state_set(key, json));
    object.set("stateSet", Function::new(ctx.clone(), state_set)?)?;
    let h = Rc::clone(host);
    let state_delete = move |ctx: Ctx<'js>, key: String| throw(&ctx, h.state_delete(&key));
    object.set("stateDelete", Function::new(ctx.clone(), state_delete)?)?;
    let h = Rc::clone(host);
    object.set("stateKeys", Function::new(ctx.clone(), move || h.state_keys())?)?;
    let h = Rc::clone(host);
    let register =
        move |ctx: Ctx<'js>, id: String, expression: String| throw(&ctx, h.cron_register(id, &expression));
    object.set("cronRegister", Function::new(ctx.clone(), register)?)?;
    let h = Rc::clone(host);
    let unregister = move |ctx: Ctx<'js>, id: String| throw(&ctx, h.cron_unregister(&id));
    object.set("cronUnregister", Function::new(ctx.clone(), unregister)?)?;
    let h = Rc::clone(host);
    object.set("cronList", Function::new(ctx.clone(), move || h.cron_list())?)
}

fn bytes<'js>(ctx: &Ctx<'js>, object: &Object<'js>) -> Result<()> {
    let random = |ctx: Ctx<'js>, length: f64| {
        let length = length as usize;
        if length > MAX_RANDOM {
            return Err(Exception::throw_range(&ctx, "at most 65536 random bytes at once"));
        }
        let mut bytes = vec![0; length];
        getrandom::fill(&mut bytes).map_err(|error| Exception::throw_message(&ctx, &error.to_string()))?;
        TypedArray::new(ctx, bytes)
    };
    object.set("random", Function::new(ctx.clone(), random)?)?;
    let encode = |ctx: Ctx<'js>, text: String| TypedArray::new(ctx, text.into_bytes());
    object.set("utf8Encode", Function::new(ctx.clone(), encode)?)?;
    let decode = |ctx: Ctx<'js>, array: TypedArray<'js, u8>, fatal: bool| {
        let bytes = copy_bytes(&array).unwrap_or_default();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) if fatal => Err(Exception::throw_type(&ctx, "the bytes are not UTF-8")),
            Err(_) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        }
    };
    object.set("utf8Decode", Function::new(ctx.clone(), decode)?)
}

fn throw<T>(ctx: &Ctx<'_>, result: std::result::Result<T, HostError>) -> Result<T> {
    result.map_err(|error| match error {
        HostError::Type(text) => Exception::throw_type(ctx, &text),
        HostError::Failed(text) => Exception::throw_message(ctx, &text),
        HostError::Ended => Exception::throw_message(ctx, "the call was ended"),
    })
}

/// Parameters of a statement: booleans become integers, objects JSON text, typed arrays of bytes BLOBs.
fn db_params<'js>(ctx: &Ctx<'js>, params: Option<Value<'js>>) -> Result<Vec<DbValue>> {
    let Some(params) = params.filter(|params| !params.is_undefined() && !params.is_null()) else {
        return Ok(Vec::new());
    };
    let wrong = || {
        Exception::throw_type(
            ctx,
            "the parameters of a statement must be an array of at most 1000 values",
        )
    };
    let array = params.into_array().ok_or_else(wrong)?;
    // `Array::len` panics when the length does not fit into 31 bits.
    let length: f64 = array.as_object().get("length")?;
    if length > MAX_PARAMS as f64 {
        return Err(wrong());
    }
    array
        .iter::<Value<'js>>()
        .map(|value| db_value(ctx, value?))
        .collect()
}

fn db_value<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<DbValue> {
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
    if let Some(text) = value.as_string() {
        return Ok(DbValue::Text(text.to_string()?));
    }
    if let Some(number) = value.as_big_int() {
        return number.clone().to_i64().map(DbValue::Integer);
    }
    if let Some(array) = value.as_object().and_then(|object| object.as_typed_array::<u8>()) {
        return Ok(copy_bytes(array).map_or(DbValue::Null, DbValue::Blob));
    }
    match ctx.json_stringify(value)? {
        Some(json) => Ok(DbValue::Text(json.to_string()?)),
        None => Err(Error::new_from_js("value", "a value of a statement")),
    }
}
