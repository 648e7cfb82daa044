//! Schedules.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{HostError, Op, OpResult, give};
use crate::db::store;
use crate::js::host::Host;
use crate::js::raw::Args;
use crate::schedule::{Entry, MAX_SCHEDULES, Options, Plan};

const MAX_ID: usize = 128;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "cron.register",
        run: register,
    },
    Op {
        name: "cron.unregister",
        run: unregister,
    },
    Op {
        name: "cron.list",
        run: list,
    },
];

fn register<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let options = if args.is_absent(2) {
        Value::Null
    } else {
        args.json(2)?
    };
    host.cron_register(args.text(0)?, &args.text(1)?, options)?;
    give(args, true)
}

fn unregister<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(args, host.cron_unregister(&args.text(0)?)?)
}

fn list<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let ids: Vec<String> = host.skill.cron().entries.keys().cloned().collect();
    give(args, json!(ids).to_string())
}

impl Host {
    fn cron_register(&self, id: String, expression: &str, options: Value) -> Result<(), HostError> {
        let wrong = |reason: String| HostError::Type(format!("cron.register: {reason}"));
        if id.is_empty() || id.len() > MAX_ID {
            return Err(wrong(format!("an id has 1 to {MAX_ID} bytes")));
        }
        let options = match options {
            Value::Null => Options::default(),
            options => Options::deserialize(options).map_err(|error| wrong(error.to_string()))?,
        };
        let plan = Plan::new(expression, options).map_err(wrong)?;
        let name = [self.skill.id.as_str(), id.as_str()];
        let mut entry = Entry::new(plan, self.shared.jitter_seed, name, self.shared.clock.now_ms());
        {
            let table = self.skill.cron();
            match table.entries.get(&id) {
                Some(old) if !entry.replaces(old) => return Ok(()),
                None if table.entries.len() >= MAX_SCHEDULES => {
                    return Err(HostError::Failed(format!(
                        "cron.register: more than {MAX_SCHEDULES} schedules"
                    )));
                }
                _ => {}
            }
        }
        let row = store::CronRow::of(&id, &entry);
        self.with_db(move |db| store::put_cron(db, &row))?;
        let look_at = {
            let mut table = self.skill.cron();
            if let Some(old) = table.entries.get(&id) {
                // Its hook may have started or ended meanwhile.
                entry.running = old.running;
            }
            table.entries.insert(id, entry);
            table.look_at_ms()
        };
        self.shared.set_agenda(&self.skill.id, look_at);
        Ok(())
    }

    fn cron_unregister(&self, id: &str) -> Result<bool, HostError> {
        if !self.skill.cron().entries.contains_key(id) {
            return Ok(false);
        }
        let stored = id.to_owned();
        self.with_db(move |db| store::delete_cron(db, &stored))?;
        let (removed, look_at) = {
            let mut table = self.skill.cron();
            (table.entries.remove(id).is_some(), table.look_at_ms())
        };
        self.shared.set_agenda(&self.skill.id, look_at);
        Ok(removed)
    }
}
