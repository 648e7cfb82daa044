//! The JavaScript library: the modules behind the globals of a skill, each loaded when it is first touched.
//!
//! A module is one expression, `(function (op, use) { ...; return { Name }; })`. `op('area.name')` finds a host
//! function, `use('module')` the exports of another module. Each is compiled once for each process and loaded as
//! bytecode, so a skill that never touches `URL` pays one accessor for it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rquickjs::{Ctx, Error, Function, IntoJs as _, Object, Persistent, Value};

use super::host::{Host, Settled};
use super::ops::{self, HostError};
use super::raw::intrinsics::{self, Group};
use super::raw::{self, Args};
use crate::inspect::{BridgeCall, preview};

/// One module of the library.
struct Module {
    name: &'static str,
    file: &'static str,
    source: &'static str,
}

/// A global and what is behind it.
struct Global {
    name: &'static str,
    source: Source,
    /// Whether this skill has it.
    when: fn(&Host) -> bool,
}

/// Where the value of a global comes from.
enum Source {
    /// An export of a module of the library.
    Export {
        module: &'static str,
        export: &'static str,
    },
    /// A built-in of the engine.
    Intrinsic(Group),
}

macro_rules! modules {
    ($($name:literal),* $(,)?) => {
        const MODULES: &[Module] = &[$(Module {
            name: $name,
            file: concat!("openhuman:", $name),
            source: include_str!(concat!("lib/", $name, ".js")),
        }),*];
    };
}

modules![
    "abort",
    "async",
    "auth",
    "base64",
    "blob",
    "body",
    "clone",
    "console",
    "cron",
    "crypto",
    "data",
    "db",
    "dispatch",
    "encoding",
    "events",
    "fetch",
    "formdata",
    "headers",
    "hooks",
    "idl",
    "memory",
    "model",
    "modules",
    "net",
    "oauth",
    "performance",
    "pipe",
    "platform",
    "request",
    "response",
    "skills",
    "state",
    "strategies",
    "streams",
    "textstreams",
    "timers",
    "transform",
    "url",
    "webhook",
    "websocket",
    "writable",
];

/// The bytecode of each module, made when any skill first needs it.
static BYTECODE: [OnceLock<Arc<[u8]>>; MODULES.len()] = [const { OnceLock::new() }; MODULES.len()];

const fn global(name: &'static str, module: &'static str) -> Global {
    Global {
        name,
        source: Source::Export { module, export: name },
        when: always,
    }
}

/// The same export under another name.
const fn alias(name: &'static str, module: &'static str, export: &'static str) -> Global {
    Global {
        name,
        source: Source::Export { module, export },
        when: always,
    }
}

/// A built-in of the engine.
const fn intrinsic(name: &'static str, group: Group) -> Global {
    Global {
        name,
        source: Source::Intrinsic(group),
        when: always,
    }
}

const fn only(when: fn(&Host) -> bool, name: &'static str, module: &'static str) -> Global {
    Global {
        name,
        source: Source::Export { module, export: name },
        when,
    }
}

fn always(_: &Host) -> bool {
    true
}

/// Every global of the library. One line each, by module.
static GLOBALS: &[Global] = &[
    global("console", "console"),
    alias("log", "console", "console"),
    global("setTimeout", "timers"),
    global("setInterval", "timers"),
    global("clearTimeout", "timers"),
    global("clearInterval", "timers"),
    global("sleep", "timers"),
    global("net", "net"),
    global("fetch", "fetch"),
    global("AbortController", "abort"),
    global("AbortSignal", "abort"),
    global("atob", "base64"),
    global("btoa", "base64"),
    global("Blob", "blob"),
    global("File", "blob"),
    global("structuredClone", "clone"),
    global("crypto", "crypto"),
    global("CryptoKey", "crypto"),
    global("TextDecoder", "encoding"),
    global("TextEncoder", "encoding"),
    global("CustomEvent", "events"),
    global("Event", "events"),
    global("EventTarget", "events"),
    global("reportError", "events"),
    global("FormData", "formdata"),
    global("Headers", "headers"),
    global("performance", "performance"),
    global("Request", "request"),
    global("Response", "response"),
    global("ByteLengthQueuingStrategy", "strategies"),
    global("CountQueuingStrategy", "strategies"),
    global("ReadableStream", "streams"),
    global("TextDecoderStream", "textstreams"),
    global("TextEncoderStream", "textstreams"),
    global("TransformStream", "transform"),
    global("URL", "url"),
    global("URLSearchParams", "url"),
    global("WritableStream", "writable"),
    only(Host::has_db, "db", "db"),
    only(Host::has_db, "cron", "cron"),
    only(Host::has_websockets, "WebSocket", "websocket"),
    only(Host::has_websockets, "MessageEvent", "websocket"),
    only(Host::has_websockets, "CloseEvent", "websocket"),
    only(Host::has_websockets, "ErrorEvent", "websocket"),
    global("state", "state"),
    alias("store", "state", "state"),
    global("platform", "platform"),
    alias("tauri", "platform", "platform"),
    global("oauth", "oauth"),
    global("auth", "auth"),
    global("skills", "skills"),
    global("webhook", "webhook"),
    global("hooks", "hooks"),
    only(Host::has_memory, "memory", "memory"),
    global("data", "data"),
    only(Host::has_models, "model", "model"),
    intrinsic("Map", Group::Collections),
    intrinsic("Set", Group::Collections),
    intrinsic("WeakMap", Group::Collections),
    intrinsic("WeakSet", Group::Collections),
    intrinsic("WeakRef", Group::Weak),
    intrinsic("FinalizationRegistry", Group::Weak),
    intrinsic("ArrayBuffer", Group::Bytes),
    intrinsic("DataView", Group::Bytes),
    intrinsic("Int8Array", Group::Bytes),
    intrinsic("Uint8Array", Group::Bytes),
    intrinsic("Uint8ClampedArray", Group::Bytes),
    intrinsic("Int16Array", Group::Bytes),
    intrinsic("Uint16Array", Group::Bytes),
    intrinsic("Int32Array", Group::Bytes),
    intrinsic("Uint32Array", Group::Bytes),
    intrinsic("BigInt64Array", Group::Bytes),
    intrinsic("BigUint64Array", Group::Bytes),
    intrinsic("Float16Array", Group::Bytes),
    intrinsic("Float32Array", Group::Bytes),
    intrinsic("Float64Array", Group::Bytes),
    intrinsic("DOMException", Group::Dom),
];

/// Globals that come with a port; a host that has no such port may add them itself.
const PORTS: [&str; 2] = ["memory", "model"];

/// Globals a skill never has.
const ABSENT: [&str; 3] = ["SharedArrayBuffer", "Atomics", "WebAssembly"];

/// Whether the library defines this global, so that a host module cannot take its name.
pub(crate) fn is_taken(name: &str) -> bool {
    const OWN: [&str; 6] = ["window", "self", "global", "globalThis", "tools", "__skill"];
    let global = || GLOBALS.iter().any(|global| global.name == name);
    OWN.contains(&name) || ABSENT.contains(&name) || (global() && !PORTS.contains(&name))
}

/// What one context of a skill has loaded. Its contents are buried with the runtime, see [`Realm::forget`].
pub(crate) struct Realm {
    host: Rc<Host>,
    /// The modules that were loaded, by index. Most skills need a few.
    loaded: RefCell<Vec<(usize, Persistent<Object<'static>>)>>,
    /// The groups of built-ins it has, a bit each.
    intrinsics: Cell<u8>,
}

impl Realm {
    pub(super) fn new(host: &Rc<Host>) -> Rc<Self> {
        Rc::new(Self {
            host: Rc::clone(host),
            loaded: RefCell::default(),
            intrinsics: Cell::new(0),
        })
    }

    /// Attaches the realm to a new context, defines the globals, and returns the functions that
    /// calls from the host go through.
    pub(super) fn install<'js>(self: &Rc<Self>, ctx: &Ctx<'js>) -> Result<Object<'js>, HostError> {
        let host = &self.host;
        raw::attach(ctx, self);
        let globals = ctx.globals();
        for name in ["window", "self", "global"] {
            raw::define_global(ctx, name, globals.clone().into_value())?;
        }
        let id = rquickjs::String::from_str(ctx.clone(), host.skill.id.as_str())?;
        raw::define_global(ctx, "__skillId", id.into_value())?;
        for (index, global) in GLOBALS.iter().enumerate() {
            if (global.when)(host) {
                raw::define_lazy(ctx, global.name, index)?;
            }
        }
        for (index, module) in host.shared.modules.iter().enumerate() {
            raw::define_lazy(ctx, module.name(), GLOBALS.len() + index)?;
        }
        self.module(ctx, "dispatch")
    }

    pub(super) fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// Lets go of every JavaScript value without touching it: the runtime is about to be buried.
    pub(super) fn forget(&self) {
        // A fiber that was abandoned while it borrowed the list leaks it.
        if let Ok(mut loaded) = self.loaded.try_borrow_mut() {
            for exports in loaded.drain(..) {
                std::mem::forget(exports);
            }
        }
    }

    /// Whether the context has a group of built-ins.
    pub(super) fn has(&self, group: Group) -> bool {
        self.intrinsics.get() & (1 << group as u8) != 0
    }

    /// Notes that it has one.
    pub(super) fn note(&self, group: Group) {
        self.intrinsics.set(self.intrinsics.get() | (1 << group as u8));
    }

    /// Calls a host function by its number.
    pub(super) fn call<'js>(&self, index: usize, args: Args<'_, 'js>) -> Result<Value<'js>, HostError> {
        let op = ops::get(index)
            .ok_or_else(|| HostError::Failed("this host function does not exist".to_owned()))?;
        let Some(inspect) = &self.host.shared.inspect else {
            return (op.run)(&self.host, args);
        };
        let shown = (0..args.len().min(8))
            .map(|index| preview(&args.value(index)))
            .collect();
        let started = Instant::now();
        let outcome = (op.run)(&self.host, args);
        inspect(&BridgeCall {
            skill: self.host.skill.id.clone(),
            op: op.name,
            args: shown,
            result: match &outcome {
                Ok(value) => Ok(preview(value)),
                Err(error) => Err(error.to_string()),
            },
            duration: started.elapsed(),
        });
        outcome
    }

    /// `op(name)`.
    pub(super) fn lookup<'js>(args: Args<'_, 'js>) -> Result<Value<'js>, HostError> {
        let name = args.text(0)?;
        let index = ops::index(&name)
            .ok_or_else(|| HostError::Failed(format!("the host function {name} does not exist")))?;
        Ok(raw::op_function(args.ctx(), &name, index)?.into_value())
    }

    /// The exports of a module; loads it first if need be.
    pub(super) fn module<'js>(&self, ctx: &Ctx<'js>, name: &str) -> Result<Object<'js>, HostError> {
        let index = MODULES
            .iter()
            .position(|module| module.name == name)
            .ok_or_else(|| HostError::Failed(format!("the module {name} does not exist")))?;
        let known = |(number, exports): &(usize, Persistent<_>)| (*number == index).then(|| exports.clone());
        let known = self.loaded.borrow().iter().find_map(known);
        if let Some(exports) = known {
            return Ok(exports.restore(ctx)?);
        }
        let make: Function<'js> = Function::from_value(raw::load(ctx, &bytecode(ctx, index)?)?)?;
        // Modules see the same `op` and `use`; each loads once, so making them anew costs nothing that lasts.
        let exports: Object<'js> = make.call((raw::lookup_function(ctx)?, raw::use_function(ctx)?))?;
        let saved = Persistent::save(ctx, exports.clone());
        self.loaded.borrow_mut().push((index, saved));
        Ok(exports)
    }

    /// The value of a lazy global, which becomes a plain property.
    pub(super) fn global<'js>(&self, ctx: &Ctx<'js>, index: usize) -> Result<Value<'js>, HostError> {
        let (name, value) = if let Some(global) = GLOBALS.get(index) {
            match global.source {
                Source::Export { module, export } => {
                    let exports = self.module(ctx, module)?;
                    (global.name, exports.get::<_, Value<'js>>(export)?)
                }
                Source::Intrinsic(group) => return self.intrinsic(ctx, global.name, group),
            }
        } else {
            let module = index
                .checked_sub(GLOBALS.len())
                .and_then(|index| self.host.shared.modules.get(index))
                .ok_or_else(|| HostError::Failed("this global does not exist".to_owned()))?;
            let make: Function<'js> = self.module(ctx, "modules")?.get("make")?;
            let functions: Vec<&str> = module.functions().to_vec();
            (module.name(), make.call((module.name(), functions))?)
        };
        if raw::define_global(ctx, name, value.clone()).is_err() {
            // The script froze its global object: the accessor stays, and gives the same exports each time.
            drop(ctx.catch());
        }
        Ok(value)
    }

    /// An assignment to a lazy global replaces it.
    pub(super) fn set_global<'js>(
        &self,
        ctx: &Ctx<'js>,
        index: usize,
        value: Value<'js>,
    ) -> Result<(), HostError> {
        let name = match GLOBALS.get(index) {
            Some(global) => global.name,
            None => index
                .checked_sub(GLOBALS.len())
                .and_then(|index| self.host.shared.modules.get(index))
                .map(|module| module.name())
                .ok_or_else(|| HostError::Failed("this global does not exist".to_owned()))?,
        };
        Ok(raw::define_global(ctx, name, value)?)
    }

    /// A built-in that was not there until now.
    fn intrinsic<'js>(&self, ctx: &Ctx<'js>, name: &str, group: Group) -> Result<Value<'js>, HostError> {
        intrinsics::add(ctx, group)?;
        if intrinsics::is_lazy(ctx, name)? {
            return Err(HostError::Type(format!(
                "{name} is not there: the global object was frozen before it was first used"
            )));
        }
        Ok(ctx.globals().get(name)?)
    }

    /// An answer of the host as the script gets it, and how it is to be read.
    pub(super) fn answer<'js>(
        &self,
        ctx: &Ctx<'js>,
        result: Result<Settled, HostError>,
    ) -> Result<(&'static str, Value<'js>), Error> {
        Ok(match result {
            Ok(Settled::Nothing) => ("value", Value::new_undefined(ctx.clone())),
            Ok(Settled::Text(text)) => ("value", text.into_js(ctx)?),
            Ok(Settled::Json(json)) => ("json", json.into_js(ctx)?),
            // A copy in the skill's heap: bytes beside it would not count against its limit.
            Ok(Settled::Bytes(bytes)) => ("value", intrinsics::byte_array(ctx, &bytes)?),
            Err(error) => ("error", self.error_value(ctx, error)),
        })
    }

    /// The exception an error becomes, as a value.
    fn error_value<'js>(&self, ctx: &Ctx<'js>, error: HostError) -> Value<'js> {
        raw::throw(ctx, error);
        ctx.catch()
    }
}

/// The bytecode of a module, compiled the first time any skill needs it.
fn bytecode(ctx: &Ctx<'_>, index: usize) -> Result<Arc<[u8]>, Error> {
    let (Some(module), Some(place)) = (MODULES.get(index), BYTECODE.get(index)) else {
        return Err(Error::Unknown);
    };
    if let Some(known) = place.get() {
        return Ok(Arc::clone(known));
    }
    let compiled: Arc<[u8]> = raw::compile(ctx, module.source, module.file, true)?.into();
    Ok(Arc::clone(place.get_or_init(|| compiled)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_global_names_what_is_behind_it() {
        for global in GLOBALS {
            let known = match global.source {
                Source::Export { module, .. } => MODULES.iter().any(|known| known.name == module),
                Source::Intrinsic(group) => group.names().iter().any(|name| name.to_str() == Ok(global.name)),
            };
            assert!(known, "{}", global.name);
        }
    }
}
