//! Events between skills and hooks on them.

use std::rc::Rc;

use super::{HostError, Op, OpResult, give};
use crate::engine::Engine;
use crate::hooks::{HookError, HookEvent};
use crate::js::host::Host;
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "hooks.register",
        run: register,
    },
    Op {
        name: "hooks.unregister",
        run: unregister,
    },
    Op {
        name: "hooks.update",
        run: update,
    },
    Op {
        name: "hooks.setEnabled",
        run: set_enabled,
    },
    Op {
        name: "hooks.list",
        run: list,
    },
    Op {
        name: "hooks.emit",
        run: emit,
    },
    Op {
        name: "hooks.state",
        run: state,
    },
];

fn wrong(what: &str) -> impl Fn(HookError) -> HostError {
    move |error| HostError::Type(format!("hooks.{what}: {error}"))
}

fn register<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let definition = args.json(0)?;
    let registered = host.shared.hooks().register(&host.skill.id, &definition);
    registered.map_err(wrong("register"))?;
    give(args, true)
}

fn unregister<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let id = args.text(0)?;
    let there = host.shared.hooks().unregister(&host.skill.id, &id);
    give(args, there)
}

fn update<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (id, changes) = (args.text(0)?, args.json(1)?);
    let updated = host.shared.hooks().update(&host.skill.id, &id, &changes);
    give(args, updated.map_err(wrong("update"))?)
}

fn set_enabled<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (id, enabled) = (args.text(0)?, args.flag(1));
    let there = host.shared.hooks().set_enabled(&host.skill.id, &id, enabled);
    give(args, there)
}

fn list<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let all = host.shared.hooks().list(&host.skill.id);
    give(args, all.to_string())
}

fn state<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let id = args.text(0)?;
    let gathered = host.shared.hooks().accumulation_state(&host.skill.id, &id);
    give(args, gathered.to_string())
}

/// How many hooks the event matched. Other skills see it when the user lets them receive events of its type.
fn emit<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let now = host.shared.clock.now_ms();
    let event = HookEvent::parse(&args.json(0)?, &host.skill.id, now).map_err(wrong("emit"))?;
    let engine = Engine::of(&host.shared)
        .ok_or_else(|| HostError::Failed("the engine is shutting down".to_owned()))?;
    give(args, engine.emit_hook_event(&event, now) as f64)
}
