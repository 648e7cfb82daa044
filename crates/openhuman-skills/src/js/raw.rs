//! The calls of the QuickJS C API that rquickjs has no safe form of: host functions without a closure each, lazy
//! globals, compiled scripts, and exceptions a script cannot catch. One of the modules with `unsafe` code.
//!
//! Why not rquickjs' own closures: every one is a boxed object in every context, and runs rquickjs' code around
//! ours. Here one C function serves all host functions, told apart by a number, so an idle skill pays nothing for a
//! function it never looked up, and nothing in a skill's heap owns anything of the host's, so that a heap can be
//! dropped as it is. [`Control::enter_host`] is a sign of life for the watchdog; where a fiber may be suspended is decided
//! by the program counter alone (see `stall`).
//!
//! Invariants:
//! - The opaque pointer of a context is its [`Realm`], which [`attach`] was given and which outlives the context.
//! - A raw value in this module is either borrowed from its caller (arguments) or owned by exactly one [`Value`].
//!
//! [`Control::enter_host`]: crate::fiber::Control::enter_host

mod args;
pub(crate) mod intrinsics;
pub(crate) mod tools;

use std::any::Any;
use std::ffi::{CStr, CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;

use rquickjs::{Ctx, Error, Exception, Function, Value, qjs};

pub(crate) use self::args::{Args, bytes_of, text_of};
use super::library::Realm;
use super::ops::HostError;

/// Keeps one block of each size whose chunks are all full, so that the chunk the next call needs stays. `asked` says
/// how often QuickJS has asked its allocator for memory. The blocks end with the heap.
pub(super) fn keep_spare_chunks(ctx: &Ctx<'_>, asked: impl Fn() -> usize) {
    /// Larger blocks are not divided from chunks.
    const LARGEST: usize = 504;
    // SAFETY: the runtime is alive and on this thread; each block is freed at once or never used.
    unsafe {
        let runtime = qjs::JS_GetRuntime(ctx.as_raw().as_ptr());
        for size in (8..=LARGEST).step_by(8) {
            let before = asked();
            let block = qjs::js_malloc_rt(runtime, size as qjs::size_t);
            if block.is_null() {
                return;
            }
            if asked() == before {
                qjs::js_free_rt(runtime, block);
            }
        }
    }
}

/// Makes `realm` the one of this context. The caller keeps it alive longer than the context.
pub(super) fn attach(ctx: &Ctx<'_>, realm: &Rc<Realm>) {
    // SAFETY: the pointer is only read back in `enter`, while the context lives; rquickjs does not use this slot.
    unsafe { qjs::JS_SetContextOpaque(ctx.as_raw().as_ptr(), Rc::as_ptr(realm).cast_mut().cast()) };
}

/// The realm of a context.
fn realm_of<'a>(ctx: &'a Ctx<'_>) -> Option<&'a Realm> {
    // SAFETY: `attach` stored a pointer to a realm that outlives the context.
    unsafe {
        qjs::JS_GetContextOpaque(ctx.as_raw().as_ptr())
            .cast::<Realm>()
            .as_ref()
    }
}

/// A host function, by its number in the table of operations.
pub(super) fn op_function<'js>(ctx: &Ctx<'js>, name: &str, index: usize) -> Result<Function<'js>, Error> {
    function(ctx, name, op_entry, index)
}

/// The function that modules of the library look their host functions up with.
pub(crate) fn lookup_function<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>, Error> {
    function(ctx, "op", lookup_entry, 0)
}

/// The function that modules of the library use each other with.
pub(super) fn use_function<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>, Error> {
    function(ctx, "use", use_entry, 0)
}

type Entry =
    unsafe extern "C" fn(*mut qjs::JSContext, qjs::JSValue, c_int, *mut qjs::JSValue, c_int) -> qjs::JSValue;

fn function<'js>(ctx: &Ctx<'js>, name: &str, entry: Entry, magic: usize) -> Result<Function<'js>, Error> {
    let name = CString::new(name)?;
    let value = raw_function(ctx, &name, entry, magic);
    Function::from_value(value).map_err(|_| Error::Allocation)
}

fn raw_function<'js>(ctx: &Ctx<'js>, name: &CStr, entry: Entry, magic: usize) -> Value<'js> {
    // SAFETY: `generic_magic` is the calling convention of `Entry`, so the transmuted pointer is called with the
    // arguments it expects. The new value is owned by the returned `Value`.
    unsafe {
        let generic = std::mem::transmute::<
            Entry,
            unsafe extern "C" fn(*mut qjs::JSContext, qjs::JSValue, c_int, *mut qjs::JSValue) -> qjs::JSValue,
        >(entry);
        let raw = qjs::JS_NewCFunction2(
            ctx.as_raw().as_ptr(),
            Some(generic),
            name.as_ptr(),
            0,
            qjs::JSCFunctionEnum_JS_CFUNC_generic_magic,
            magic as c_int,
        );
        Value::from_raw(ctx.clone(), raw)
    }
}

/// Defines a global whose value the realm makes when it is first touched.
pub(super) fn define_lazy(ctx: &Ctx<'_>, name: &str, index: usize) -> Result<(), Error> {
    let name = CString::new(name)?;
    let accessor = raw_function(ctx, &name, global_entry, index);
    let raw_ctx = ctx.as_raw().as_ptr();
    // SAFETY: the getter and the setter are owned references, which the call takes; the atom is freed.
    let defined = unsafe {
        let atom = qjs::JS_NewAtom(raw_ctx, name.as_ptr());
        let setter = qjs::JS_DupValue(raw_ctx, accessor.as_raw());
        let getter = qjs::JS_DupValue(raw_ctx, accessor.as_raw());
        let flags = (qjs::JS_PROP_CONFIGURABLE) as c_int;
        let global = ctx.globals();
        let done = qjs::JS_DefinePropertyGetSet(raw_ctx, global.as_raw(), atom, getter, setter, flags);
        qjs::JS_FreeAtom(raw_ctx, atom);
        done
    };
    if defined < 0 {
        Err(Error::Exception)
    } else {
        Ok(())
    }
}

/// Replaces a global by a plain value.
pub(super) fn define_global<'js>(ctx: &Ctx<'js>, name: &str, value: Value<'js>) -> Result<(), Error> {
    ctx.globals().prop(
        name,
        rquickjs::object::Property::from(value).configurable().writable(),
    )
}

/// Compiles a script into bytecode without its source text, for [`load`] in any context of this process. A script of
/// the library is strict and leaves out its lines too: its frames are in no skill's errors, where they show as `<null>`.
///
/// QuickJS does not verify bytecode, so it never comes from outside this process.
pub(super) fn compile(ctx: &Ctx<'_>, source: &str, file: &str, of_library: bool) -> Result<Vec<u8>, Error> {
    let source = CString::new(source)?;
    let file = CString::new(file)?;
    let mut flags = qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_COMPILE_ONLY;
    if of_library {
        flags |= qjs::JS_EVAL_FLAG_STRICT;
    }
    let raw_ctx = ctx.as_raw().as_ptr();
    // SAFETY: the source is zero-terminated and outlives the call. The compiled function is owned by the `Value`.
    // The written buffer is valid for `length` bytes and freed with the context's allocator.
    unsafe {
        let length = source.as_bytes().len() as qjs::size_t;
        let raw = qjs::JS_Eval(raw_ctx, source.as_ptr(), length, file.as_ptr(), flags as c_int);
        if qjs::JS_VALUE_GET_NORM_TAG(raw) == qjs::JS_TAG_EXCEPTION {
            return Err(Error::Exception);
        }
        let compiled = Value::from_raw(ctx.clone(), raw);
        let mut length: qjs::size_t = 0;
        let mut flags = qjs::JS_WRITE_OBJ_BYTECODE | qjs::JS_WRITE_OBJ_STRIP_SOURCE;
        if of_library {
            flags |= qjs::JS_WRITE_OBJ_STRIP_DEBUG;
        }
        let written = qjs::JS_WriteObject(raw_ctx, &raw mut length, compiled.as_raw(), flags as c_int);
        if written.is_null() {
            return Err(Error::Exception);
        }
        let bytes = slice::from_raw_parts(written, length as usize).to_vec();
        qjs::js_free(raw_ctx, written.cast());
        Ok(bytes)
    }
}

/// Runs bytecode that [`compile`] made; returns the value of its last statement.
pub(super) fn load<'js>(ctx: &Ctx<'js>, bytecode: &[u8]) -> Result<Value<'js>, Error> {
    let raw_ctx = ctx.as_raw().as_ptr();
    // SAFETY: the bytes were written by `compile` in this process, by the same engine; they are only read.
    // `JS_EvalFunction` takes the function and returns an owned value.
    unsafe {
        let length = bytecode.len() as qjs::size_t;
        let function = qjs::JS_ReadObject(
            raw_ctx,
            bytecode.as_ptr(),
            length,
            qjs::JS_READ_OBJ_BYTECODE as c_int,
        );
        if qjs::JS_VALUE_GET_NORM_TAG(function) == qjs::JS_TAG_EXCEPTION {
            return Err(Error::Exception);
        }
        let value = qjs::JS_EvalFunction(raw_ctx, function);
        if qjs::JS_VALUE_GET_NORM_TAG(value) == qjs::JS_TAG_EXCEPTION {
            return Err(Error::Exception);
        }
        Ok(Value::from_raw(ctx.clone(), value))
    }
}

unsafe extern "C" fn op_entry(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    argc: c_int,
    argv: *mut qjs::JSValue,
    magic: c_int,
) -> qjs::JSValue {
    // SAFETY: QuickJS calls this with its own context and arguments.
    unsafe { enter(ctx, argc, argv, |realm, args| realm.call(magic as usize, args)) }
}

unsafe extern "C" fn lookup_entry(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    argc: c_int,
    argv: *mut qjs::JSValue,
    _magic: c_int,
) -> qjs::JSValue {
    // SAFETY: as above.
    unsafe { enter(ctx, argc, argv, |_, args| Realm::lookup(args)) }
}

unsafe extern "C" fn use_entry(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    argc: c_int,
    argv: *mut qjs::JSValue,
    _magic: c_int,
) -> qjs::JSValue {
    // SAFETY: as above.
    unsafe {
        enter(ctx, argc, argv, |realm, args| {
            Ok(realm.module(args.ctx, &args.text(0)?)?.into_value())
        })
    }
}

unsafe extern "C" fn global_entry(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    argc: c_int,
    argv: *mut qjs::JSValue,
    magic: c_int,
) -> qjs::JSValue {
    // SAFETY: as above. A getter is called without arguments, a setter with one.
    unsafe {
        enter(ctx, argc, argv, |realm, args| {
            if args.len() == 0 {
                return realm.global(args.ctx, magic as usize);
            }
            realm.set_global(args.ctx, magic as usize, args.value(0))?;
            Ok(Value::new_undefined(args.ctx.clone()))
        })
    }
}

/// Runs host code for a call from JavaScript: errors become exceptions, and a panic ends the activation.
///
/// # Safety
/// `ctx` is alive and was given to [`attach`]; `argv` points to `argc` live values.
unsafe fn enter(
    ctx: *mut qjs::JSContext,
    argc: c_int,
    argv: *mut qjs::JSValue,
    body: impl for<'a, 'js> FnOnce(&'a Realm, Args<'a, 'js>) -> Result<Value<'js>, HostError>,
) -> qjs::JSValue {
    // SAFETY: `attach` stored a pointer to a realm that outlives the context.
    let Some(realm) = (unsafe { qjs::JS_GetContextOpaque(ctx).cast::<Realm>().as_ref() }) else {
        return qjs::JS_EXCEPTION;
    };
    let _host = realm.host().control.enter_host();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let Some(raw_ctx) = NonNull::new(ctx) else {
            return qjs::JS_EXCEPTION;
        };
        // SAFETY: the caller runs JavaScript in this context, so the runtime is held by this thread; the
        // lifetime does not leave this closure.
        let ctx = unsafe { Ctx::from_raw(raw_ctx) };
        let raw = match usize::try_from(argc) {
            // SAFETY: promised by the caller.
            Ok(count) if count > 0 && !argv.is_null() => unsafe { slice::from_raw_parts(argv, count) },
            _ => &[],
        };
        match body(realm, Args { ctx: &ctx, raw }) {
            Ok(value) => {
                // SAFETY: the value is alive; the new reference goes to the caller.
                let raw = unsafe { qjs::JS_DupValue(raw_ctx.as_ptr(), value.as_raw()) };
                drop(value);
                raw
            }
            Err(error) => {
                throw(&ctx, error);
                qjs::JS_EXCEPTION
            }
        }
    }));
    outcome.unwrap_or_else(|panic| {
        realm.host().panicked(panic);
        // SAFETY: the context is alive.
        unsafe { throw_uncatchable(ctx) };
        qjs::JS_EXCEPTION
    })
}

/// Makes `error` the pending exception.
pub(super) fn throw(ctx: &Ctx<'_>, error: HostError) {
    match error {
        HostError::Type(text) => drop(Exception::throw_type(ctx, &text)),
        HostError::Range(text) => drop(Exception::throw_range(ctx, &text)),
        HostError::Failed(text) => drop(Exception::throw_message(ctx, &text)),
        HostError::Dom { name, message } => {
            // A zero would end the text.
            let text = |text: &str| CString::new(text.replace('\0', "")).unwrap_or_default();
            if intrinsics::throw_dom(ctx, &text(name), &text(&message)).is_err() {
                drop(Exception::throw_message(ctx, &format!("{name}: {message}")));
            }
        }
        // An exception is pending already.
        HostError::Js => {}
        // SAFETY: the context is alive.
        HostError::Ended => unsafe { throw_uncatchable(ctx.as_raw().as_ptr()) },
    }
}

/// Throws an error that no `catch` of the script sees, as the interrupt handler does.
///
/// # Safety
/// `ctx` is alive.
unsafe fn throw_uncatchable(ctx: *mut qjs::JSContext) {
    // SAFETY: the new error is owned here and given to `JS_Throw`.
    unsafe {
        let error = qjs::JS_NewError(ctx);
        qjs::JS_SetUncatchableError(ctx, error);
        qjs::JS_Throw(ctx, error);
    }
}

/// What a host function panicked with.
pub(crate) type Panic = Box<dyn Any + Send>;
