use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn id(text: &str) -> SkillId {
    SkillId::new(text).unwrap()
}

fn table(definitions: &[Value]) -> HookTable {
    let mut table = HookTable::default();
    for definition in definitions {
        table.register(&id("watcher"), definition).unwrap();
    }
    table
}

fn event(kind: &str, chat: &str, at: i64) -> HookEvent {
    let value = json!({"type": kind, "entities": {"chat": {"type": "group", "id": chat}}, "data": {}});
    HookEvent::parse(&value, &id("chat"), at).unwrap()
}

fn emit(table: &mut HookTable, chat: &str, at: i64) -> Vec<(String, u64)> {
    let emitted = table.emit(&event("chat.message", chat, at), at, |_| true);
    fired(&emitted.firings)
}

fn fired(firings: &[HookFiring]) -> Vec<(String, u64)> {
    let count = |firing: &HookFiring| firing.args["eventCount"].as_u64().unwrap();
    firings
        .iter()
        .map(|firing| (firing.hook_id.clone(), count(firing)))
        .collect()
}

fn one(count: u64) -> Vec<(String, u64)> {
    vec![("h".to_owned(), count)]
}

#[test]
fn priority_then_registration_decides_the_order() {
    let mut table = table(&[
        json!({"id": "low", "filter": {}, "priority": -1}),
        json!({"id": "z", "filter": {}}),
        json!({"id": "a", "filter": {}}),
        json!({"id": "high", "filter": {}, "priority": 10.5}),
        json!({"id": "off", "filter": {}, "enabled": false}),
    ]);
    table
        .register(&id("blind"), &json!({"id": "x", "filter": {}}))
        .unwrap();
    let emitted = table.emit(&event("chat.message", "1", 1), 1, |skill| {
        skill.as_str() != "blind"
    });
    let order: Vec<_> = emitted
        .firings
        .iter()
        .map(|firing| firing.hook_id.as_str())
        .collect();
    assert_eq!((order, emitted.matched), (vec!["high", "z", "a", "low"], 4));
    assert_eq!(emitted.firings[0].args["event"]["source"], "chat");
    assert!(emitted.firings[0].args.get("groupKey").is_none());
}

#[test]
fn a_hook_switches_itself_off_after_its_last_firing() {
    let mut table = table(&[json!({"id": "h", "filter": {}, "max_fires": 2})]);
    assert_eq!([1, 2, 3].map(|at| emit(&mut table, "1", at).len()), [1, 1, 0]);
    assert_eq!(table.list(&id("watcher"))[0]["enabled"], false);
    assert_eq!(table.list(&id("watcher"))[0]["fireCount"], 2);
    assert!(table.set_enabled(&id("watcher"), "h", true));
    assert_eq!(emit(&mut table, "1", 4), one(1));
    assert!(!table.set_enabled(&id("watcher"), "missing", true));
}

#[test]
fn events_are_counted_in_groups() {
    let accumulate = json!({"count": 2, "group_by": "entities.chat.id"});
    let mut table = table(&[json!({"id": "h", "filter": {}, "accumulate": accumulate})]);
    assert_eq!(emit(&mut table, "a", 1), []);
    assert_eq!(emit(&mut table, "b", 2), []);
    let state = table.accumulation_state(&id("watcher"), "h");
    assert_eq!(
        state,
        json!({"bufferedCount": 2, "eventTimestamps": [1, 2], "groups": {"a": 1, "b": 1}})
    );
    let emitted = table.emit(&event("x", "a", 9), 9, |_| true);
    let args = &emitted.firings[0].args;
    assert_eq!(
        (&args["groupKey"], &args["firstEventAt"], &args["triggeredAt"]),
        (&json!("a"), &json!(1), &json!(9))
    );
    assert_eq!(args["events"].as_array().unwrap().len(), 2);
    assert_eq!(table.accumulation_state(&id("watcher"), "h")["bufferedCount"], 1);
    assert_eq!(table.accumulation_state(&id("watcher"), "missing"), Value::Null);
}

#[test]
fn a_window_fires_at_its_end_if_enough_came() {
    let accumulate = json!({"window_ms": 1000, "min_count": 2});
    let mut table = table(&[json!({"id": "h", "filter": {}, "accumulate": accumulate})]);
    assert_eq!(table.next_deadline(), None);
    assert_eq!(
        (emit(&mut table, "1", 0), table.next_deadline()),
        (vec![], Some(1000))
    );
    assert_eq!(fired(&table.expire(999)), []);
    assert_eq!(fired(&table.expire(1000)), [], "one event is not enough");
    emit(&mut table, "1", 2000);
    emit(&mut table, "1", 2500);
    // The event that comes after the end opens the next window.
    assert_eq!(emit(&mut table, "1", 3001), one(2));
    assert_eq!(table.next_deadline(), Some(4001));
    // The clock is set back: the window lasts no longer than it should.
    assert_eq!(fired(&table.expire(-10_000)), []);
    assert_eq!(table.next_deadline(), Some(-9_000));
}

#[test]
fn count_within_a_window() {
    let accumulate = json!({"count": 3, "window_ms": 1000});
    let mut table = table(&[json!({"id": "h", "filter": {}, "accumulate": accumulate})]);
    let at = [0, 500, 1200, 1300, 1400].map(|at| emit(&mut table, "1", at).len());
    assert_eq!(at, [0, 0, 0, 0, 1], "the first two were forgotten");
}

#[test]
fn without_reset_each_further_event_fires() {
    let accumulate = json!({"count": 2, "window_ms": 1000, "reset_on_fire": false});
    let mut table = table(&[json!({"id": "h", "filter": {}, "accumulate": accumulate})]);
    assert_eq!(
        [0, 1, 2].map(|at| emit(&mut table, "1", at)),
        [vec![], one(2), one(3)]
    );
    assert_eq!(
        fired(&table.expire(5000)),
        [],
        "nothing new since the last firing"
    );
    assert_eq!(table.accumulation_state(&id("watcher"), "h")["bufferedCount"], 0);
}

#[test]
fn a_change_replaces_whole_fields() {
    let mut table = table(&[json!({"id": "h", "filter": {"event_types": ["mail.*"]}, "max_fires": 5})]);
    assert_eq!(emit(&mut table, "1", 0), []);
    let watcher = id("watcher");
    assert_eq!(
        table.update(&watcher, "h", &json!({"filter": {}, "max_fires": null})),
        Ok(true)
    );
    assert_eq!(emit(&mut table, "1", 0), one(1));
    assert!(table.list(&watcher)[0].get("maxFires").is_none());
    assert_eq!(table.update(&watcher, "missing", &json!({})), Ok(false));
    for bad in [
        json!({"filter": null}),
        json!({"id": "other"}),
        json!({"accumulate": {}}),
        json!(1),
        json!({"x": 1}),
    ] {
        assert!(table.update(&watcher, "h", &bad).is_err(), "{bad}");
    }
    assert_eq!(
        emit(&mut table, "1", 0),
        one(1),
        "a refused change leaves it as it was"
    );
    assert!(table.unregister(&watcher, "h") && !table.unregister(&watcher, "h"));
}

#[test]
fn what_a_skill_registers_and_sends_is_limited() {
    let mut table = HookTable::default();
    let skill = id("greedy");
    for bad in [
        json!({"id": "", "filter": {}}),
        json!({"filter": {}}),
        json!({"id": "a"}),
        json!({"id": "a", "filter": {}, "max_fires": 0}),
        json!({"id": "a", "filter": {}, "accumulate": {"count": 0}}),
        json!({"id": "a", "filter": {}, "accumulate": {"window_ms": 1e12}}),
        json!({"id": "a", "filter": {}, "description": "x".repeat(40_000)}),
    ] {
        assert!(table.register(&skill, &bad).is_err(), "{bad}");
    }
    for index in 0..MAX_HOOKS {
        table
            .register(&skill, &json!({"id": format!("{index}"), "filter": {}}))
            .unwrap();
    }
    assert!(
        table
            .register(&skill, &json!({"id": "more", "filter": {}}))
            .is_err()
    );
    table.register(&skill, &json!({"id": "0", "filter": {}})).unwrap();
    table.remove_skill(&skill);
    assert_eq!(table.list(&skill), json!([]));
    for bad in [
        json!({}),
        json!({"type": ""}),
        json!({"type": "t", "data": {"x": "y".repeat(70_000)}}),
        json!([]),
    ] {
        assert!(HookEvent::parse(&bad, &skill, 0).is_err());
    }
}

proptest! {
    // Whatever comes, each event is delivered at most once with resets, and what is kept stays bounded.
    #[test]
    fn no_event_is_delivered_twice(
        count in 1u64..6, window in proptest::option::of(1u64..50), min in proptest::option::of(1u64..4),
        grouped: bool, steps in proptest::collection::vec((0i64..30, 0u8..3), 0..60),
    ) {
        let mut accumulate = json!({"count": count});
        if let Some(window) = window { accumulate["window_ms"] = json!(window); }
        if let Some(min) = min { accumulate["min_count"] = json!(min); }
        if grouped { accumulate["group_by"] = json!("entities.chat.id"); }
        let mut table = table(&[json!({"id": "h", "filter": {}, "accumulate": accumulate})]);
        let (mut now, mut delivered) = (0, 0);
        for (pause, chat) in &steps {
            now += pause;
            for (_, events) in emit(&mut table, &chat.to_string(), now) {
                prop_assert!(events <= count);
                prop_assert!(events >= min.unwrap_or(count).min(count));
                delivered += events;
            }
            let deadline = table.next_deadline();
            prop_assert!(deadline.is_none_or(|at| at > now));
        }
        let state = table.accumulation_state(&id("watcher"), "h");
        let kept = state["bufferedCount"].as_u64().unwrap();
        prop_assert!(delivered + kept <= steps.len() as u64);
        if window.is_none() { prop_assert_eq!(delivered + kept, steps.len() as u64); }
    }
}
