//! The way of every tool call through a bundle, without a script of the library in between: what such a script
//! reads (its bytecode, its constants, its closure) is as much memory again as the tool itself has, and all of it
//! has left the processor's cache in a skill that was not called for a while. One of the modules with `unsafe` code.
//!
//! Invariant: a raw value here is borrowed from a [`Value`] that lives in the same function, or is made a
//! [`Value`] at once.

use std::cell::Cell;
use std::slice;

use rquickjs::{Ctx, Error, Value, qjs};

/// The names on the way, which stay in the heap until it ends.
pub(crate) struct ToolPath {
    skill: qjs::JSAtom,
    default: qjs::JSAtom,
    tools: qjs::JSAtom,
    name: qjs::JSAtom,
    execute: qjs::JSAtom,
    /// Where the last tool was found. Bundles name a tool once, so it is the first of its name.
    last: Cell<u32>,
}

/// What came of a call.
pub(crate) enum Called<'js> {
    /// What the tool returned.
    Returned(Value<'js>),
    /// An exception that may be caught.
    Threw(Value<'js>),
    /// The bundle is not shaped as bundles are, or has no such tool: the library's script knows what to do.
    Unusual,
}

impl ToolPath {
    pub(crate) fn new(ctx: &Ctx<'_>) -> Result<Self, Error> {
        let atom = |name: &str| {
            // SAFETY: the name is valid for its length. The atom is never freed: it ends with the heap.
            let atom = unsafe {
                qjs::JS_NewAtomLen(
                    ctx.as_raw().as_ptr(),
                    name.as_ptr().cast(),
                    name.len() as qjs::size_t,
                )
            };
            if atom == qjs::JS_ATOM_NULL {
                Err(Error::Allocation)
            } else {
                Ok(atom)
            }
        };
        Ok(Self {
            skill: atom("__skill")?,
            default: atom("default")?,
            tools: atom("tools")?,
            name: atom("name")?,
            execute: atom("execute")?,
            last: Cell::new(0),
        })
    }

    /// Calls a tool of the bundle with its arguments.
    ///
    /// # Errors
    /// [`Error::Exception`] when the script was ended; the exception is pending.
    pub(crate) fn call<'js>(
        &self,
        ctx: &Ctx<'js>,
        name: &str,
        args: &Value<'js>,
    ) -> Result<Called<'js>, Error> {
        match self.find_and_call(ctx, name, args) {
            Ok(Some(value)) => Ok(Called::Returned(value)),
            Ok(None) => Ok(Called::Unusual),
            Err(error) => {
                let thrown = ctx.catch();
                // SAFETY: the value is alive; the call only looks at its flag.
                if unsafe { qjs::JS_IsUncatchableError(thrown.as_raw()) } {
                    let _ = ctx.throw(thrown);
                    return Err(error);
                }
                Ok(Called::Threw(thrown))
            }
        }
    }

    /// What the tool returned; nothing if there is no plain way to it.
    fn find_and_call<'js>(
        &self,
        ctx: &Ctx<'js>,
        name: &str,
        args: &Value<'js>,
    ) -> Result<Option<Value<'js>>, Error> {
        let made = get(ctx, ctx.globals().as_value(), self.skill)?;
        if !made.is_object() {
            return Ok(None);
        }
        let inner = get(ctx, &made, self.default)?;
        let bundle = match () {
            () if inner.is_object() => inner,
            () if inner.is_undefined() || inner.is_null() => made,
            () => return Ok(None),
        };
        let tools = get(ctx, &bundle, self.tools)?;
        // SAFETY: the value is alive; the call only looks at its class.
        if !unsafe { qjs::JS_IsArray(tools.as_raw()) } {
            return Ok(None);
        }
        let last = self.last.get();
        if let Some(answer) = self.call_at(ctx, &tools, last, name, args)? {
            return Ok(Some(answer));
        }
        let mut length = 0;
        // SAFETY: the value is alive, the place for the length is valid.
        if unsafe { qjs::JS_GetLength(ctx.as_raw().as_ptr(), tools.as_raw(), &raw mut length) } < 0 {
            return Err(Error::Exception);
        }
        for index in (0..u32::try_from(length).unwrap_or(u32::MAX)).filter(|index| *index != last) {
            if let Some(answer) = self.call_at(ctx, &tools, index, name, args)? {
                self.last.set(index);
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Calls the tool at this place if it has this name.
    fn call_at<'js>(
        &self,
        ctx: &Ctx<'js>,
        tools: &Value<'js>,
        index: u32,
        name: &str,
        args: &Value<'js>,
    ) -> Result<Option<Value<'js>>, Error> {
        let raw = ctx.as_raw().as_ptr();
        // SAFETY: the array is alive; the result is owned.
        let tool = owned(ctx, unsafe {
            qjs::JS_GetPropertyUint32(raw, tools.as_raw(), index)
        })?;
        if !tool.is_object() || !is_text(ctx, &get(ctx, &tool, self.name)?, name) {
            return Ok(None);
        }
        let execute = get(ctx, &tool, self.execute)?;
        // SAFETY: all values are alive during the calls; the callee duplicates what it keeps. The result is owned.
        unsafe {
            if !qjs::JS_IsFunction(raw, execute.as_raw()) {
                return Ok(None);
            }
            let mut argument = args.as_raw();
            owned(
                ctx,
                qjs::JS_Call(raw, execute.as_raw(), tool.as_raw(), 1, &raw mut argument),
            )
            .map(Some)
        }
    }
}

fn get<'js>(ctx: &Ctx<'js>, object: &Value<'js>, name: qjs::JSAtom) -> Result<Value<'js>, Error> {
    // SAFETY: the object is alive and the atom is never freed; the result is owned.
    owned(ctx, unsafe {
        qjs::JS_GetProperty(ctx.as_raw().as_ptr(), object.as_raw(), name)
    })
}

/// A value the caller owns, or the exception that is pending.
fn owned<'js>(ctx: &Ctx<'js>, raw: qjs::JSValue) -> Result<Value<'js>, Error> {
    // SAFETY: the tag is part of the value itself. The value becomes the returned `Value`'s.
    unsafe {
        if qjs::JS_VALUE_GET_NORM_TAG(raw) == qjs::JS_TAG_EXCEPTION {
            return Err(Error::Exception);
        }
        Ok(Value::from_raw(ctx.clone(), raw))
    }
}

/// Whether a value is this string. A string of ASCII is compared where it lies.
fn is_text(ctx: &Ctx<'_>, value: &Value<'_>, text: &str) -> bool {
    if !value.is_string() {
        return false;
    }
    let raw = ctx.as_raw().as_ptr();
    let mut length: qjs::size_t = 0;
    // SAFETY: the value is a string, so no script runs; the bytes are valid until they are freed.
    unsafe {
        let bytes = qjs::JS_ToCStringLen2(raw, &raw mut length, value.as_raw(), false);
        if bytes.is_null() {
            drop(ctx.catch());
            return false;
        }
        let same = slice::from_raw_parts(bytes.cast::<u8>(), length as usize) == text.as_bytes();
        qjs::JS_FreeCString(raw, bytes);
        same
    }
}
