//! Arguments of host functions, and strings and bytes as Rust has them.

use std::slice;

use rquickjs::{ArrayBuffer, Ctx, TypedArray, Value, qjs};

use crate::js::ops::{HostError, parse_json};

/// The arguments of a host function. Missing ones are undefined.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a, 'js> {
    pub(super) ctx: &'a Ctx<'js>,
    pub(super) raw: &'a [qjs::JSValue],
}

impl<'a, 'js> Args<'a, 'js> {
    /// The context the function runs in.
    pub(crate) fn ctx(&self) -> &'a Ctx<'js> {
        self.ctx
    }

    /// How many arguments were given.
    pub(crate) fn len(&self) -> usize {
        self.raw.len()
    }

    /// The argument as it is.
    pub(crate) fn value(&self, index: usize) -> Value<'js> {
        match self.raw.get(index) {
            // SAFETY: the value is alive while its function runs; the duplicate is owned by the `Value`.
            Some(raw) => unsafe {
                let owned = qjs::JS_DupValue(self.ctx.as_raw().as_ptr(), *raw);
                Value::from_raw(self.ctx.clone(), owned)
            },
            None => Value::new_undefined(self.ctx.clone()),
        }
    }

    fn wrong(index: usize, what: &str) -> HostError {
        HostError::Type(format!("argument {} must be {what}", index + 1))
    }

    /// A string. Lone surrogates become U+FFFD.
    pub(crate) fn text(&self, index: usize) -> Result<String, HostError> {
        let value = self.value(index);
        match value.as_string() {
            Some(_) => text_of(self.ctx, &value),
            None => Err(Self::wrong(index, "a string")),
        }
    }

    /// A string; `None` for undefined and null.
    pub(crate) fn opt_text(&self, index: usize) -> Result<Option<String>, HostError> {
        if self.is_absent(index) {
            return Ok(None);
        }
        self.text(index).map(Some)
    }

    /// A number.
    pub(crate) fn number(&self, index: usize) -> Result<f64, HostError> {
        self.value(index)
            .as_number()
            .ok_or_else(|| Self::wrong(index, "a number"))
    }

    /// A number that is an identifier the bootstrap made.
    pub(crate) fn id(&self, index: usize) -> Result<u32, HostError> {
        let number = self.number(index)?;
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            Ok(number as u32)
        } else {
            Err(Self::wrong(index, "an identifier"))
        }
    }

    /// Whether the argument is `true`.
    pub(crate) fn flag(&self, index: usize) -> bool {
        self.value(index).as_bool() == Some(true)
    }

    /// Whether the argument is undefined or null.
    pub(crate) fn is_absent(&self, index: usize) -> bool {
        let value = self.value(index);
        value.is_undefined() || value.is_null()
    }

    /// A copy of the bytes of a `Uint8Array` or an `ArrayBuffer`; empty when it is detached.
    pub(crate) fn bytes(&self, index: usize) -> Result<Vec<u8>, HostError> {
        bytes_of(&self.value(index)).ok_or_else(|| Self::wrong(index, "a Uint8Array or an ArrayBuffer"))
    }

    /// A string of JSON, parsed.
    pub(crate) fn json(&self, index: usize) -> Result<serde_json::Value, HostError> {
        parse_json(&self.text(index)?)
            .map_err(|error| HostError::Type(format!("argument {}: {error}", index + 1)))
    }
}

/// A copy of the bytes of a `Uint8Array` or an `ArrayBuffer`, empty when it is detached; `None` for anything else.
pub(crate) fn bytes_of(value: &Value<'_>) -> Option<Vec<u8>> {
    let object = value.as_object()?;
    if let Some(array) = object.as_typed_array::<u8>() {
        // SAFETY: no JavaScript runs between taking the slice and copying it.
        return Some(unsafe { TypedArray::as_bytes(array) }.map_or_else(Vec::new, <[u8]>::to_vec));
    }
    let buffer = ArrayBuffer::from_object(object.clone())?;
    // SAFETY: as above.
    Some(unsafe { buffer.as_bytes() }.map_or_else(Vec::new, <[u8]>::to_vec))
}

/// The text of a string value. Lone surrogates become U+FFFD.
pub(crate) fn text_of<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<String, HostError> {
    let mut length = 0_usize;
    // SAFETY: the value is alive; the returned pointer is valid for `length` bytes until it is freed below.
    let bytes = unsafe {
        let text = qjs::JS_ToCStringLen(ctx.as_raw().as_ptr(), &raw mut length, value.as_raw());
        if text.is_null() {
            return Err(HostError::Js);
        }
        let bytes = slice::from_raw_parts(text.cast::<u8>(), length).to_vec();
        qjs::JS_FreeCString(ctx.as_raw().as_ptr(), text);
        bytes
    };
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| well_formed(error.as_bytes())))
}

/// UTF-8 in which each encoded surrogate has become U+FFFD.
fn well_formed(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                out.push_str(text);
                break;
            }
            Err(error) => {
                let (good, bad) = rest.split_at(error.valid_up_to());
                out.push_str(&String::from_utf8_lossy(good));
                out.push('\u{FFFD}');
                // A surrogate is ED A0..BF xx; anything else cannot come from QuickJS.
                let skip = if bad.first() == Some(&0xED) { 3 } else { 1 };
                rest = bad.get(skip..).unwrap_or_default();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::well_formed;

    #[test]
    fn surrogates_become_replacement_characters() {
        assert_eq!(well_formed(b"a\xED\xA0\x80b\xED\xBF\xBF"), "a\u{FFFD}b\u{FFFD}");
        assert_eq!(well_formed("grün".as_bytes()), "grün");
        assert_eq!(well_formed(b"\xFFx"), "\u{FFFD}x");
    }
}
