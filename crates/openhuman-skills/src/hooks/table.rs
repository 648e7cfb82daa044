use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::accumulate::{Batch, Buffer};
use super::definition::{Definition, HookError, MAX_REGEXES};
use super::event::HookEvent;
use crate::SkillId;

/// The most hooks one skill may have.
pub const MAX_HOOKS: usize = 64;

/// The hooks of all skills.
#[derive(Debug, Default)]
pub struct HookTable {
    skills: BTreeMap<SkillId, BTreeMap<String, Hook>>,
    registered: u64,
}

#[derive(Debug)]
struct Hook {
    definition: Definition,
    /// Which registration this was, to keep the order of hooks of the same priority.
    order: u64,
    enabled: bool,
    fires: u64,
    last_fired: Option<i64>,
    buffer: Buffer,
}

/// What one event did.
#[derive(Debug, Default)]
pub struct Emitted {
    /// How many enabled hooks it matched.
    pub matched: usize,
    /// The hooks that fire now: higher priority first, then the earlier registered.
    pub firings: Vec<HookFiring>,
}

/// A hook that fires.
#[derive(Clone, Debug, PartialEq)]
pub struct HookFiring {
    /// Whose hook it is.
    pub skill: SkillId,
    /// Which one.
    pub hook_id: String,
    /// The argument of `onHookTriggered`: `{hookId, event, events, eventCount, groupKey?, firstEventAt, triggeredAt}`.
    pub args: Value,
    rank: (f64, u64),
}

impl HookTable {
    /// Registers a hook of `skill`, or replaces the one with the same id; what a replaced one had gathered is
    /// forgotten.
    ///
    /// # Errors
    /// [`HookError`] when the definition is wrong or the skill has [`MAX_HOOKS`] hooks or [`MAX_REGEXES`] regular
    /// expressions already.
    pub fn register(&mut self, skill: &SkillId, definition: &Value) -> Result<(), HookError> {
        let definition = Definition::parse(definition)?;
        self.check_room(skill, &definition)?;
        self.registered += 1;
        let hook = Hook {
            enabled: definition.enabled,
            order: self.registered,
            fires: 0,
            last_fired: None,
            buffer: Buffer::default(),
            definition,
        };
        self.skills
            .entry(skill.clone())
            .or_default()
            .insert(hook.definition.id.clone(), hook);
        Ok(())
    }

    /// Changes fields of a hook: each field of `changes` replaces the whole old one, null removes it. What it has
    /// counted stays; what it has gathered is forgotten when `accumulate` or `filter` changes. `false` when there
    /// is no such hook.
    ///
    /// # Errors
    /// As [`HookTable::register`]; the hook is then as before.
    pub fn update(&mut self, skill: &SkillId, id: &str, changes: &Value) -> Result<bool, HookError> {
        let Some(hook) = self.hook(skill, id) else {
            return Ok(false);
        };
        let definition = Definition::parse(&hook.definition.merged(changes)?)?;
        self.check_room(skill, &definition)?;
        if let Some(hook) = self.hook_mut(skill, id) {
            if changes.get("enabled").is_some() {
                hook.enabled = definition.enabled;
            }
            if changes.get("accumulate").is_some() || changes.get("filter").is_some() {
                hook.buffer = Buffer::default();
            }
            hook.definition = definition;
        }
        Ok(true)
    }

    /// Removes a hook; whether there was one.
    pub fn unregister(&mut self, skill: &SkillId, id: &str) -> bool {
        self.skills
            .get_mut(skill)
            .is_some_and(|hooks| hooks.remove(id).is_some())
    }

    /// Removes every hook of a skill, as when it stops.
    pub fn remove_skill(&mut self, skill: &SkillId) {
        self.skills.remove(skill);
    }

    /// Switches a hook on or off; whether there is one. Switching off forgets what it has gathered; switching on
    /// one that fired as often as it may lets it count anew.
    pub fn set_enabled(&mut self, skill: &SkillId, id: &str, enabled: bool) -> bool {
        let Some(hook) = self.hook_mut(skill, id) else {
            return false;
        };
        if enabled && hook.is_spent() {
            hook.fires = 0;
        }
        if !enabled {
            hook.buffer = Buffer::default();
        }
        hook.enabled = enabled;
        true
    }

    /// What the hooks of a skill are, as `hooks.list()` shows them.
    #[must_use]
    pub fn list(&self, skill: &SkillId) -> Value {
        let hooks = self.skills.get(skill).into_iter().flat_map(BTreeMap::values);
        hooks.map(Hook::describe).collect()
    }

    /// What a hook has gathered: `{bufferedCount, eventTimestamps, groups}`; null when there is no such hook.
    #[must_use]
    pub fn accumulation_state(&self, skill: &SkillId, id: &str) -> Value {
        self.hook(skill, id).map_or(Value::Null, |hook| {
            let rule = hook.definition.json.get("accumulate");
            hook.buffer.state(
                rule.and_then(|rule| rule.get("group_by"))
                    .is_some_and(Value::is_string),
            )
        })
    }

    /// Gives an event to every enabled hook of the skills that `may_see` accepts, the sender's own included.
    /// Windows that are over by `now_ms` are ended first.
    pub fn emit(&mut self, event: &HookEvent, now_ms: i64, may_see: impl Fn(&SkillId) -> bool) -> Emitted {
        let mut emitted = Emitted {
            matched: 0,
            firings: self.expire(now_ms),
        };
        for (skill, hooks) in self.skills.iter_mut().filter(|(skill, _)| may_see(skill)) {
            for hook in hooks.values_mut().filter(|hook| hook.enabled) {
                if !hook.definition.filter.matches(event) {
                    continue;
                }
                emitted.matched += 1;
                let batch = match &hook.definition.accumulate {
                    Some(rule) => hook.buffer.push(rule, event, now_ms),
                    None => Some(Batch {
                        group: None,
                        events: vec![event.clone()],
                        first_at: now_ms,
                    }),
                };
                emitted
                    .firings
                    .extend(batch.and_then(|batch| hook.fire(skill, &batch, now_ms)));
            }
        }
        in_order(&mut emitted.firings);
        emitted
    }

    /// Ends the windows that are over by `now_ms`.
    pub fn expire(&mut self, now_ms: i64) -> Vec<HookFiring> {
        let mut firings = Vec::new();
        for (skill, hooks) in &mut self.skills {
            for hook in hooks.values_mut().filter(|hook| hook.enabled) {
                let Some(rule) = &hook.definition.accumulate else {
                    continue;
                };
                for batch in hook.buffer.expire(rule, now_ms) {
                    firings.extend(hook.fire(skill, &batch, now_ms));
                }
            }
        }
        in_order(&mut firings);
        firings
    }

    /// When [`HookTable::expire`] has something to do next, in milliseconds since the epoch.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        let hooks = self
            .skills
            .values()
            .flat_map(BTreeMap::values)
            .filter(|hook| hook.enabled);
        hooks
            .filter_map(|hook| hook.buffer.deadline(hook.definition.accumulate.as_ref()?))
            .min()
    }

    fn hook(&self, skill: &SkillId, id: &str) -> Option<&Hook> {
        self.skills.get(skill)?.get(id)
    }

    fn hook_mut(&mut self, skill: &SkillId, id: &str) -> Option<&mut Hook> {
        self.skills.get_mut(skill)?.get_mut(id)
    }

    fn check_room(&self, skill: &SkillId, definition: &Definition) -> Result<(), HookError> {
        let hooks = self.skills.get(skill).into_iter().flat_map(BTreeMap::values);
        let others = hooks.filter(|hook| hook.definition.id != definition.id);
        let (count, regexes) = others.fold((1, definition.regexes), |(count, regexes), hook| {
            (count + 1, regexes + hook.definition.regexes)
        });
        if count > MAX_HOOKS {
            return Err(HookError::new(
                "hook",
                format!("a skill has at most {MAX_HOOKS} hooks"),
            ));
        }
        if regexes > MAX_REGEXES {
            return Err(HookError::new(
                "hook.filter",
                format!("a skill has at most {MAX_REGEXES} regular expressions"),
            ));
        }
        Ok(())
    }
}

impl Hook {
    fn is_spent(&self) -> bool {
        self.definition.max_fires.is_some_and(|most| self.fires >= most)
    }

    fn fire(&mut self, skill: &SkillId, batch: &Batch, now: i64) -> Option<HookFiring> {
        if self.is_spent() {
            return None;
        }
        self.fires += 1;
        self.last_fired = Some(now);
        if self.is_spent() {
            self.enabled = false;
        }
        let events: Vec<&Value> = batch.events.iter().map(HookEvent::json).collect();
        let mut args = json!({
            "hookId": self.definition.id,
            "event": events.last(),
            "events": events,
            "eventCount": events.len(),
            "firstEventAt": batch.first_at,
            "triggeredAt": now,
        });
        if let (Some(args), Some(group)) = (args.as_object_mut(), &batch.group) {
            args.insert("groupKey".to_owned(), json!(group));
        }
        Some(HookFiring {
            skill: skill.clone(),
            hook_id: self.definition.id.clone(),
            args,
            rank: (self.definition.priority.unwrap_or(0.0), self.order),
        })
    }

    fn describe(&self) -> Value {
        let mut shown = json!({
            "id": self.definition.id,
            "enabled": self.enabled,
            "filter": self.definition.json.get("filter"),
            "fireCount": self.fires,
            "lastFiredAt": self.last_fired,
            "hasAccumulation": self.definition.accumulate.is_some(),
        });
        if let Some(fields) = shown.as_object_mut() {
            for (name, value) in [
                ("description", self.definition.json.get("description").cloned()),
                ("maxFires", self.definition.max_fires.map(Value::from)),
                ("priority", self.definition.priority.map(Value::from)),
            ] {
                if let Some(value) = value {
                    fields.insert(name.to_owned(), value);
                }
            }
        }
        shown
    }
}

fn in_order(firings: &mut [HookFiring]) {
    firings.sort_by(|a, b| b.rank.0.total_cmp(&a.rank.0).then(a.rank.1.cmp(&b.rank.1)));
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
