//! Reactions of skills to each other's events: which hooks an event matches, what they have gathered, and when
//! they fire.
//!
//! Pure: the time is an argument, nothing is spawned and nothing is stored. The owner of a [`HookTable`] calls
//! [`HookTable::emit`] with each event, [`HookTable::expire`] when [`HookTable::next_deadline`] is reached, and
//! delivers the [`HookFiring`]s it gets back.
//!
//! ```
//! use openhuman_skills::SkillId;
//! use openhuman_skills::hooks::{HookEvent, HookTable};
//! use serde_json::json;
//!
//! let (mail, watcher) = (SkillId::new("mail")?, SkillId::new("watcher")?);
//! let mut table = HookTable::default();
//! let definition = json!({
//!     "id": "urgent",
//!     "filter": {
//!         "event_types": ["mail.*"],
//!         "data_match": [{"path": "subject", "op": "regex", "value": "(?i)urgent"}],
//!     },
//! });
//! table.register(&watcher, &definition)?;
//! let event = HookEvent::parse(&json!({"type": "mail.received", "data": {"subject": "URGENT: rain"}}), &mail, 1_000)?;
//! let emitted = table.emit(&event, 1_000, |_| true);
//! assert_eq!(emitted.matched, 1);
//! assert_eq!(emitted.firings[0].hook_id, "urgent");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accumulate;
mod definition;
mod event;
mod filter;
mod table;

pub use self::definition::{HookError, MAX_REGEXES};
pub use self::event::HookEvent;
pub use self::table::{Emitted, HookFiring, HookTable, MAX_HOOKS};
