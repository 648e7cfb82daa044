//! Standard built-ins that a context gets when they are first touched: together they are a tenth of an idle skill's
//! memory, and most skills use few of them.
//!
//! QuickJS adds them in groups, each by one call that defines the group's globals as plain properties. Until then each
//! of those globals is a lazy one ([`super::define_lazy`]). What a script made of a name in the meantime (assigned,
//! redefined, deleted) is put back afterwards, as if the built-ins had been there from the start.
//!
//! QuickJS expects a new global object: it aborts the process when `Atomics` exists already, and reads `Uint8Array`
//! back. Where a script made that impossible (it froze its global object, or made one of the two permanent), the group
//! is refused with a `TypeError` and nothing changes.

use std::ffi::{CStr, CString, c_int};
use std::ptr;

use rquickjs::{Context, Ctx, Error, Exception, Object, Runtime, TypedArray, Value, qjs};

/// Built-ins that are added together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::js) enum Group {
    Collections,
    Weak,
    Bytes,
    Dom,
}

impl Group {
    /// The globals of this group.
    pub(in crate::js) fn names(self) -> &'static [&'static CStr] {
        match self {
            Self::Collections => &[c"Map", c"Set", c"WeakMap", c"WeakSet"],
            Self::Weak => &[c"WeakRef", c"FinalizationRegistry"],
            Self::Bytes => &[
                c"ArrayBuffer",
                c"DataView",
                c"Int8Array",
                c"Uint8Array",
                c"Uint8ClampedArray",
                c"Int16Array",
                c"Uint16Array",
                c"Int32Array",
                c"Uint32Array",
                c"BigInt64Array",
                c"BigUint64Array",
                c"Float16Array",
                c"Float32Array",
                c"Float64Array",
            ],
            Self::Dom => &[c"DOMException"],
        }
    }

    /// # Safety
    /// `ctx` is alive and does not have this group; for [`Group::Bytes`], see [`make_way`].
    unsafe fn add(self, ctx: *mut qjs::JSContext) -> c_int {
        // SAFETY: promised by the caller.
        unsafe {
            match self {
                Self::Collections => qjs::JS_AddIntrinsicMapSet(ctx),
                Self::Weak => qjs::JS_AddIntrinsicWeakRef(ctx),
                Self::Bytes => qjs::JS_AddIntrinsicTypedArrays(ctx),
                Self::Dom => qjs::JS_AddIntrinsicDOMException(ctx),
            }
        }
    }
}

/// More than any group takes, in bytes.
const ROOM: qjs::size_t = 64 * 1024;

/// A context with the built-ins that are not in a [`Group`].
pub(in crate::js) fn context(runtime: &Runtime) -> Result<Context, Error> {
    let context = Context::base(runtime)?;
    context.with(|ctx| {
        let raw = ctx.as_raw().as_ptr();
        // SAFETY: the context is alive and new.
        let added = unsafe {
            qjs::JS_AddIntrinsicDate(raw) == 0
                && qjs::JS_AddIntrinsicEval(raw) == 0
                && qjs::JS_AddIntrinsicRegExp(raw) == 0
                && qjs::JS_AddIntrinsicJSON(raw) == 0
                && qjs::JS_AddIntrinsicProxy(raw) == 0
                && qjs::JS_AddIntrinsicPromise(raw) == 0
        };
        if added { Ok(()) } else { Err(Error::Allocation) }
    })?;
    Ok(context)
}

/// Adds a group, once. Whatever a script made of its names stays.
pub(in crate::js) fn add(ctx: &Ctx<'_>, group: Group) -> Result<(), Error> {
    let Some(realm) = super::realm_of(ctx) else {
        return Err(Error::Unknown);
    };
    if realm.has(group) {
        return Ok(());
    }
    let globals = ctx.globals();
    let mut kept = Vec::new();
    for name in group.names() {
        let name = Name::new(ctx, name);
        let property = Property::of(ctx, &globals, &name)?;
        if !property.as_ref().is_some_and(Property::is_lazy) {
            kept.push((name, property));
        }
    }
    if group == Group::Bytes {
        make_way(ctx, &globals, &mut kept)?;
    }
    let raw = ctx.as_raw().as_ptr();
    // QuickJS does not check each of its allocations here, so there must be room for all of them.
    // SAFETY: the context is alive; the realm knows that the group was not added, and the way is made.
    let added = unsafe {
        let room = qjs::js_malloc(raw, ROOM);
        qjs::js_free(raw, room);
        if room.is_null() { -1 } else { group.add(raw) }
    };
    if added == 0 {
        realm.note(group);
        return put_back(&globals, kept);
    }
    // What went wrong stays the pending exception.
    let exception = ctx.catch();
    let restored = put_back(&globals, kept);
    let thrown = ctx.throw(exception);
    restored.and(Err(thrown))
}

/// Makes sure that QuickJS can define `Atomics` and `Uint8Array` and read the latter back.
fn make_way<'js>(ctx: &Ctx<'js>, globals: &Object<'js>, kept: &mut Kept<'js>) -> Result<(), Error> {
    // SAFETY: the object is alive.
    let extensible = unsafe { qjs::JS_IsExtensible(ctx.as_raw().as_ptr(), globals.as_raw()) } == 1;
    let refused = || {
        let text = "typed arrays are not there: the global object was frozen before they were first used";
        Err(Exception::throw_type(ctx, text))
    };
    match Property::of(ctx, globals, &Name::new(ctx, c"Uint8Array"))? {
        Some(property) if property.flags & qjs::JS_PROP_CONFIGURABLE as c_int != 0 => {}
        None if extensible => {}
        _ => return refused(),
    }
    for name in [c"SharedArrayBuffer", c"Atomics"] {
        let name = Name::new(ctx, name);
        let property = Property::of(ctx, globals, &name)?;
        // Without an extensible object it could not be put back.
        if property.is_some() && !(extensible && name.delete(globals)?) {
            return refused();
        }
        kept.push((name, property));
    }
    Ok(())
}

/// Makes the properties what they were. One that cannot be changed was not changed.
fn put_back<'js>(globals: &Object<'js>, kept: Kept<'js>) -> Result<(), Error> {
    for (name, property) in kept {
        match property {
            Some(property) if property.flags & qjs::JS_PROP_CONFIGURABLE as c_int == 0 => {}
            Some(property) => property.put_back(globals, &name)?,
            None => drop(name.delete(globals)?),
        }
    }
    Ok(())
}

/// Names, and what was behind them.
type Kept<'js> = Vec<(Name<'js>, Option<Property<'js>>)>;

/// Whether a global still waits for its first touch.
pub(in crate::js) fn is_lazy(ctx: &Ctx<'_>, name: &str) -> Result<bool, Error> {
    let name = Name::new(ctx, &CString::new(name)?);
    let property = Property::of(ctx, &ctx.globals(), &name)?;
    Ok(property.is_some_and(|property| property.is_lazy()))
}

/// Bytes as a `Uint8Array` in the skill's heap.
pub(crate) fn byte_array<'js>(ctx: &Ctx<'js>, bytes: &[u8]) -> Result<Value<'js>, Error> {
    add(ctx, Group::Bytes)?;
    Ok(TypedArray::new_copy(ctx.clone(), bytes)?.into_value())
}

/// Makes a `DOMException` with this name the pending exception.
pub(super) fn throw_dom(ctx: &Ctx<'_>, name: &CStr, message: &CStr) -> Result<(), Error> {
    add(ctx, Group::Dom)?;
    // SAFETY: the context is alive and has the class; both strings end in a zero, and the format takes one of them.
    unsafe {
        qjs::JS_ThrowDOMException(
            ctx.as_raw().as_ptr(),
            name.as_ptr(),
            c"%s".as_ptr(),
            message.as_ptr(),
        )
    };
    Ok(())
}

/// The name of a property, owned.
struct Name<'js> {
    ctx: Ctx<'js>,
    atom: qjs::JSAtom,
}

impl<'js> Name<'js> {
    fn new(ctx: &Ctx<'js>, name: &CStr) -> Self {
        // SAFETY: the context is alive, and the name ends in a zero.
        let atom = unsafe { qjs::JS_NewAtom(ctx.as_raw().as_ptr(), name.as_ptr()) };
        Self {
            ctx: ctx.clone(),
            atom,
        }
    }

    /// Whether it is gone now.
    fn delete(&self, of: &Object<'js>) -> Result<bool, Error> {
        let raw = self.ctx.as_raw().as_ptr();
        // SAFETY: the object is alive.
        match unsafe { qjs::JS_DeleteProperty(raw, of.as_raw(), self.atom, 0) } {
            deleted @ 0.. => Ok(deleted == 1),
            _ => Err(Error::Exception),
        }
    }
}

impl Drop for Name<'_> {
    fn drop(&mut self) {
        // SAFETY: the atom is owned.
        unsafe { qjs::JS_FreeAtom(self.ctx.as_raw().as_ptr(), self.atom) };
    }
}

/// A property as a script left it.
struct Property<'js> {
    flags: c_int,
    value: Value<'js>,
    getter: Value<'js>,
    setter: Value<'js>,
}

impl<'js> Property<'js> {
    fn of(ctx: &Ctx<'js>, object: &Object<'js>, name: &Name<'js>) -> Result<Option<Self>, Error> {
        let mut raw = qjs::JSPropertyDescriptor {
            flags: 0,
            value: qjs::JS_UNDEFINED,
            getter: qjs::JS_UNDEFINED,
            setter: qjs::JS_UNDEFINED,
        };
        // SAFETY: the object is alive; the values that come back are owned by the caller.
        unsafe {
            match qjs::JS_GetOwnProperty(
                ctx.as_raw().as_ptr(),
                ptr::from_mut(&mut raw),
                object.as_raw(),
                name.atom,
            ) {
                0 => Ok(None),
                1 => Ok(Some(Self {
                    flags: raw.flags,
                    value: Value::from_raw(ctx.clone(), raw.value),
                    getter: Value::from_raw(ctx.clone(), raw.getter),
                    setter: Value::from_raw(ctx.clone(), raw.setter),
                })),
                _ => Err(Error::Exception),
            }
        }
    }

    /// Whether it is what [`super::define_lazy`] made: one function that gets and sets.
    fn is_lazy(&self) -> bool {
        self.getter.is_function() && self.getter == self.setter
    }

    fn put_back(self, object: &Object<'js>, name: &Name<'js>) -> Result<(), Error> {
        const HAS: u32 = qjs::JS_PROP_HAS_CONFIGURABLE | qjs::JS_PROP_HAS_ENUMERABLE;
        let kind = if self.getter.is_undefined() && self.setter.is_undefined() {
            qjs::JS_PROP_HAS_VALUE | qjs::JS_PROP_HAS_WRITABLE
        } else {
            qjs::JS_PROP_HAS_GET | qjs::JS_PROP_HAS_SET
        };
        let flags = self.flags | (HAS | kind) as c_int;
        // SAFETY: all values are alive during the call, which takes none of them.
        let done = unsafe {
            qjs::JS_DefineProperty(
                name.ctx.as_raw().as_ptr(),
                object.as_raw(),
                name.atom,
                self.value.as_raw(),
                self.getter.as_raw(),
                self.setter.as_raw(),
                flags,
            )
        };
        if done < 0 { Err(Error::Exception) } else { Ok(()) }
    }
}
