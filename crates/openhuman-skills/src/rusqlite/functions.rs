//! Functions that SQLite implements with a loop in a loop, replaced by linear ones: a single call of the built-in
//! `instr` on two long texts takes hours, and nothing can interrupt it.

use std::borrow::Cow;
use std::collections::HashSet;

use ::rusqlite::functions::{Context, FunctionFlags};
use ::rusqlite::types::{Value, ValueRef};
use ::rusqlite::{Connection, Error as SqlError, ffi};
use memchr::memmem;

/// Functions a skill does not get: they leave the database, or take time that is not bounded by their input's length.
pub(super) const DENIED: [&str; 7] = [
    "load_extension",
    "fts3_tokenizer",
    "readfile",
    "writefile",
    "edit",
    "json_patch",
    "jsonb_patch",
];

pub(super) fn install(connection: &Connection, max_bytes: usize) -> Result<(), SqlError> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("instr", 2, flags, instr)?;
    connection.create_scalar_function("replace", 3, flags, move |context| replace(context, max_bytes))?;
    for (name, start, end) in [
        ("trim", true, true),
        ("ltrim", true, false),
        ("rtrim", false, true),
    ] {
        for arguments in [1, 2] {
            connection
                .create_scalar_function(name, arguments, flags, move |context| trim(context, start, end))?;
        }
    }
    // Its form with two arguments looks for each character in the second.
    connection.create_scalar_function("unhex", 2, flags, |_| -> Result<Option<i64>, SqlError> {
        Err(failed("unhex takes one argument in a skill's database"))
    })
}

fn failed(text: &str) -> SqlError {
    SqlError::UserFunctionError(text.into())
}

/// A value as text, as SQLite writes it; `None` for NULL.
fn text<'c>(context: &'c Context<'_>, index: usize) -> Option<Cow<'c, [u8]>> {
    match context.get_raw(index) {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(Cow::Owned(number.to_string().into_bytes())),
        ValueRef::Real(number) => Some(Cow::Owned(format!("{number:?}").into_bytes())),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(Cow::Borrowed(bytes)),
    }
}

fn instr(context: &Context<'_>) -> Result<Option<i64>, SqlError> {
    let (Some(hay), Some(needle)) = (text(context, 0), text(context, 1)) else {
        return Ok(None);
    };
    let bytes =
        matches!(context.get_raw(0), ValueRef::Blob(_)) && matches!(context.get_raw(1), ValueRef::Blob(_));
    let found = memmem::find(&hay, &needle).map(|at| match bytes {
        true => at + 1,
        // Characters, not bytes: continuation bytes do not count.
        false => hay.iter().take(at).filter(|byte| **byte & 0xC0 != 0x80).count() + 1,
    });
    Ok(Some(found.map_or(0, |at| at as i64)))
}

fn replace(context: &Context<'_>, max_bytes: usize) -> Result<Value, SqlError> {
    let (Some(text_), Some(old), Some(new)) = (text(context, 0), text(context, 1), text(context, 2)) else {
        return Ok(Value::Null);
    };
    let mut result = Vec::with_capacity(text_.len());
    let mut rest = 0;
    if !old.is_empty() {
        for at in memmem::find_iter(&text_, old.as_ref()) {
            result.extend_from_slice(text_.get(rest..at).unwrap_or_default());
            result.extend_from_slice(&new);
            rest = at + old.len();
            if result.len() > max_bytes {
                return Err(too_big());
            }
        }
    }
    result.extend_from_slice(text_.get(rest..).unwrap_or_default());
    if result.len() > max_bytes {
        return Err(too_big());
    }
    Ok(Value::Text(String::from_utf8_lossy(&result).into_owned()))
}

fn trim(context: &Context<'_>, start: bool, end: bool) -> Result<Value, SqlError> {
    let Some(bytes) = text(context, 0) else {
        return Ok(Value::Null);
    };
    let whole = String::from_utf8_lossy(&bytes);
    let set: HashSet<char> = match context.len() {
        1 => HashSet::from([' ']),
        _ => match text(context, 1) {
            Some(set) => String::from_utf8_lossy(&set).chars().collect(),
            None => return Ok(Value::Null),
        },
    };
    let mut trimmed = whole.as_ref();
    if start {
        trimmed = trimmed.trim_start_matches(|char| set.contains(&char));
    }
    if end {
        trimmed = trimmed.trim_end_matches(|char| set.contains(&char));
    }
    Ok(Value::Text(trimmed.to_owned()))
}

fn too_big() -> SqlError {
    SqlError::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_TOOBIG),
        Some("string or blob too big".to_owned()),
    )
}
