use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use openhuman_skills::{
    CatchUp, Engine, HostModule, ManualClock, MemoryDbOpener, ScheduleError, SkillEvent, SkillId,
    SnapshotTrigger,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::{call, engine, run, tool};

const CODE: &str = "
    function init() {
        db.exec('CREATE TABLE IF NOT EXISTS fired (id TEXT)');
        if (!cron.list().length) { cron.register('minute', '0 * * * * *'); cron.register('hour', '0 0 * * * *'); }
    }
    function onCronTrigger(id) { db.exec('INSERT INTO fired VALUES (?)', [id]); if (id === 'hour') throw new Error('on the hour'); }
    var tools = [{ name: 'run', execute(a) {
        if (a.drop) return [cron.unregister('minute'), cron.unregister('minute')];
        return [cron.list(), db.all('SELECT id FROM fired').map((row) => row.id)];
    } }];
";

#[tokio::test(flavor = "multi_thread")]
async fn schedules_fire_and_survive_a_restart() {
    let clock = Arc::new(ManualClock::new(1_000));
    let engine = Engine::builder().workers(1).clock(clock.clone()).build().unwrap();
    let id = run(&engine, "cron", CODE).await;
    assert_eq!(engine.run_schedules().await.unwrap(), 0);
    clock.advance(Duration::from_secs(60));
    assert_eq!(engine.run_schedules().await.unwrap(), 1);
    assert_eq!(engine.run_schedules().await.unwrap(), 0, "once for each moment");
    assert_eq!(
        call(&engine, &id, json!({})).await.as_deref(),
        Ok(r#"[["hour","minute"],["minute"]]"#)
    );
    engine.stop(&id).await.unwrap();
    clock.advance(Duration::from_secs(10));
    assert_eq!(
        engine.run_schedules().await.unwrap(),
        0,
        "a stopped skill is left alone"
    );
    engine.start(&id).await.unwrap();
    assert_eq!(engine.run_schedules().await.unwrap(), 0);
    clock.advance(Duration::from_secs(60));
    assert_eq!(
        engine.run_schedules().await.unwrap(),
        1,
        "armed again after the restart"
    );
    engine.stop(&id).await.unwrap();
    clock.advance(Duration::from_secs(300));
    engine.start(&id).await.unwrap();
    assert_eq!(
        engine.run_schedules().await.unwrap(),
        1,
        "missed moments are made up for once"
    );
    clock.advance(Duration::from_secs(3600));
    assert_eq!(
        engine.run_schedules().await.unwrap(),
        2,
        "a hook that throws counts and harms nobody"
    );
    let text = call(&engine, &id, json!({})).await.unwrap();
    assert_eq!(
        text,
        r#"[["hour","minute"],["minute","minute","minute","hour","minute"]]"#
    );
    assert_eq!(
        call(&engine, &id, json!({"drop": true})).await.as_deref(),
        Ok("[true,false]")
    );
    clock.advance(Duration::from_secs(120));
    assert_eq!(engine.run_schedules().await.unwrap(), 0);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_expression_throws() {
    let engine = engine();
    let body = "const out = [];
        for (const e of ['* * * * *', 'x', '']) { try { cron.register('a', e); } catch (e) { out.push(e.name); } }
        for (const o of [{ timezone: 'Mars' }, { catchUp: 'never' }, { catchUp: { all: 0 } }, { overlap: 1 }, { jitter: 5 }, [1]]) {
            try { cron.register('a', '* * * * * *', o); } catch (e) { out.push(e.name); }
        }
        return [out.length, new Set(out).size, out[0], cron.register('a', '*/10 * * * * *'), cron.list()];";
    let id = run(&engine, "bad", &tool(body)).await;
    assert_eq!(
        call(&engine, &id, json!({})).await.as_deref(),
        Ok(r#"[9,1,"TypeError",true,["a"]]"#)
    );
    engine.shutdown().await;
}

/// Counts by id what fired.
const COUNTS: &str = "
    var fired = {};
    function onCronTrigger(id) { fired[id] = (fired[id] ?? 0) + 1; state.set('fired', fired); }
    var tools = [{ name: 'run', execute(a) { for (const [id, expression, options] of a.register) cron.register(id, expression, options); } }];
";

async fn register(engine: &Engine, id: &SkillId, list: Value) {
    call(engine, id, json!({"register": list})).await.unwrap();
}

fn fired(engine: &Engine, id: &SkillId) -> Value {
    let snapshots = engine.snapshots();
    let snapshot = snapshots.iter().find(|snapshot| snapshot.skill_id == id.as_str());
    snapshot.unwrap().state["fired"].clone()
}

// Contract, row 11: cron.register must persist and fire.
#[tokio::test(flavor = "multi_thread")]
async fn row_11_cron_register_persists_and_fires() {
    let (clock, databases) = (Arc::new(ManualClock::new(0)), Arc::new(MemoryDbOpener::default()));
    let build = || {
        Engine::builder()
            .workers(1)
            .clock(clock.clone())
            .db(databases.clone())
            .build()
            .unwrap()
    };
    let engine = build();
    let id = run(&engine, "keeps", COUNTS).await;
    let list = json!([["often", "0 */20 * * * *"], ["berlin", "0 0 9 * * *", {"timezone": "Europe/Berlin", "catchUp": {"all": 3}}]]);
    register(&engine, &id, list).await;
    let mut events = engine.events();
    let hour = Duration::from_secs(3600);
    for _ in 0..3 {
        clock.advance(hour / 3);
        assert_eq!(engine.run_schedules().await.unwrap(), 1);
    }
    assert_eq!(fired(&engine, &id), json!({"often": 3}));
    let mut snapshots = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let SkillEvent::Snapshot {
            trigger: SnapshotTrigger::Cron,
            state,
            ..
        } = event
        {
            snapshots.push(state["fired"]["often"].clone());
        }
    }
    assert_eq!(snapshots, [1, 2, 3].map(Value::from));
    let before = engine.schedules(&id);
    engine.shutdown().await;

    // Another engine, four days later: the times it was to fire are known, and made up for as declared.
    clock.advance(4 * 24 * hour);
    let engine = build();
    let id = run(&engine, "keeps", COUNTS).await;
    let after = engine.schedules(&id);
    assert_eq!(after, before);
    assert_eq!(after[0].catch_up, CatchUp::All(3));
    assert_eq!(after[0].timezone, "Europe/Berlin");
    assert_eq!(after[0].next_ms, Some(8 * 3_600_000));
    assert_eq!(
        (after[1].last_ms, after[1].next_ms),
        (Some(3_600_000), Some(4_800_000))
    );
    assert_eq!(engine.run_schedules().await.unwrap(), 4);
    assert_eq!(fired(&engine, &id), json!({"berlin": 3, "often": 1}));
    assert_eq!(engine.run_schedules().await.unwrap(), 0);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_passes_in_a_moment() {
    let clock = Arc::new(ManualClock::new(0));
    let engine = Engine::builder().workers(1).clock(clock.clone()).build().unwrap();
    let id = run(&engine, "weekly", COUNTS).await;
    register(
        &engine,
        &id,
        json!([
            ["hour", "0 0 * * * *"],
            ["monday", "0 0 8 * * Mon"],
            ["never", "0 0 0 30 2 *"]
        ]),
    )
    .await;
    for _ in 0..7 * 24 {
        clock.advance(Duration::from_secs(3600));
        engine.run_schedules().await.unwrap();
    }
    assert_eq!(fired(&engine, &id), json!({"hour": 168, "monday": 1}));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_again_keeps_the_next_moment_and_another_expression_replaces_it() {
    let clock = Arc::new(ManualClock::new(0));
    let engine = Engine::builder().workers(1).clock(clock.clone()).build().unwrap();
    let id = run(&engine, "again", COUNTS).await;
    register(&engine, &id, json!([["a", "0 0 * * * *"]])).await;
    clock.set(3_599_000);
    register(&engine, &id, json!([["a", "0 0 * * * *"]])).await;
    clock.set(3_700_000);
    // Due already: another policy does not take that away.
    register(&engine, &id, json!([["a", "0 0 * * * *", {"overlap": "queue"}]])).await;
    assert_eq!(engine.schedules(&id)[0].next_ms, Some(3_600_000));
    assert_eq!(engine.run_schedules().await.unwrap(), 1);
    register(&engine, &id, json!([["a", "0 30 * * * *"]])).await;
    let info = &engine.schedules(&id)[0];
    assert_eq!((info.next_ms, info.last_ms), (Some(5_400_000), Some(3_700_000)));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_an_hour_neither_repeats_nor_stalls() {
    let noon = 20_000 * 86_400_000 + 12 * 3_600_000;
    let clock = Arc::new(ManualClock::new(noon - 3_600_000));
    let engine = Engine::builder().workers(1).clock(clock.clone()).build().unwrap();
    let id = run(&engine, "back", COUNTS).await;
    register(
        &engine,
        &id,
        json!([["often", "0 */5 * * * *"], ["daily", "0 30 11 * * *"]]),
    )
    .await;
    clock.set(noon);
    assert_eq!(engine.run_schedules().await.unwrap(), 2);
    clock.set(noon - 3_599_000);
    assert_eq!(engine.run_schedules().await.unwrap(), 0);
    for _ in 0..12 {
        clock.advance(Duration::from_secs(300));
        engine.run_schedules().await.unwrap();
    }
    assert_eq!(fired(&engine, &id), json!({"often": 13, "daily": 1}));
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(engine.run_schedules().await.unwrap(), 2);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_can_be_run_by_hand_and_tells_why_it_failed() {
    let clock = Arc::new(ManualClock::new(1_000));
    let engine = Engine::builder().workers(1).clock(clock).build().unwrap();
    let code = "function init() { cron.register('a', '0 0 * * * *'); }
        function onCronTrigger(id) { if (!state.get('ok')) throw new Error('not yet'); }
        var tools = [{ name: 'run', execute() { state.set('ok', true); } }];";
    let id = run(&engine, "byhand", code).await;
    let failed = engine.run_schedule(&id, "a").await;
    assert!(
        matches!(&failed, Err(ScheduleError::Failed { message, .. }) if message.contains("not yet")),
        "{failed:?}"
    );
    let info = engine.schedules(&id).remove(0);
    assert!(info.last_error.unwrap().contains("not yet"));
    assert_eq!(
        (info.last_ms, info.next_ms, info.running),
        (Some(1_000), Some(3_600_000), false)
    );
    call(&engine, &id, json!({})).await.unwrap();
    engine.run_schedule(&id, "a").await.unwrap();
    assert_eq!(engine.schedules(&id)[0].last_error, None);
    assert!(matches!(
        engine.run_schedule(&id, "b").await,
        Err(ScheduleError::Unknown { .. })
    ));
    engine.stop(&id).await.unwrap();
    assert!(matches!(
        engine.run_schedule(&id, "a").await,
        Err(ScheduleError::NotRunning { .. })
    ));
    engine.shutdown().await;
}

/// A host function that says that it was entered, and waits until the test lets it go on.
struct Gate {
    entered: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl HostModule for Gate {
    fn name(&self) -> &str {
        "gate"
    }
    fn functions(&self) -> &[&str] {
        &["pass"]
    }
    fn call(&self, _: &SkillId, _: &str, _: Value) -> BoxFuture<'_, Result<Value, String>> {
        Box::pin(async {
            self.entered.add_permits(1);
            self.open
                .acquire()
                .await
                .map_err(|_| "closed".to_owned())?
                .forget();
            Ok(Value::Null)
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_skill_gets_its_firing_later() {
    let (entered, open) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let clock = Arc::new(ManualClock::new(0));
    let gate = Gate {
        entered: entered.clone(),
        open: open.clone(),
    };
    let engine = Engine::builder()
        .workers(1)
        .clock(clock.clone())
        .module(Arc::new(gate))
        .build()
        .unwrap();
    let code = "function init() { cron.register('a', '0 0 * * * *', { catchUp: 'skip' }); }
        function onCronTrigger() { state.set('fired', (state.get('fired') ?? 0) + 1); }
        var tools = [{ name: 'run', execute() { gate.pass(); } }];";
    let id = run(&engine, "busy", code).await;
    let one_more = || {
        let (engine, id) = (engine.clone(), id.clone());
        tokio::spawn(async move { call(&engine, &id, json!({})).await })
    };
    let mut calls = vec![one_more()];
    entered.acquire().await.unwrap().forget();
    // One call runs; the first that ends is the one for which there is no room among those that wait.
    while !calls.iter().any(tokio::task::JoinHandle::is_finished) {
        calls.push(one_more());
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(3600));
    assert_eq!(engine.run_schedules().await.unwrap(), 0);
    assert_eq!(engine.schedules(&id)[0].waiting, 1);
    clock.advance(Duration::from_secs(600));
    assert_eq!(engine.run_schedules().await.unwrap(), 0);
    open.add_permits(calls.len());
    for call in calls {
        let _ = call.await;
    }
    assert_eq!(engine.run_schedules().await.unwrap(), 1);
    assert_eq!(fired(&engine, &id), json!(1));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_schedules_at_once_all_fire() {
    const SKILLS: usize = 250;
    const EACH: usize = 20;
    let clock = Arc::new(ManualClock::new(0));
    let engine = Engine::builder().workers(2).clock(clock.clone()).build().unwrap();
    let code =
        "var n = 0; function init() { for (let i = 0; i < 20; i++) cron.register('s' + i, '0 0 * * * *'); }
        function onCronTrigger() { n++; } var tools = [{ name: 'run', execute() { return String(n); } }];";
    let names: Vec<String> = (0..SKILLS).map(|index| format!("s{index}")).collect();
    let ids = join_all(names.iter().map(|name| run(&engine, name, code))).await;
    assert_eq!(engine.run_schedules().await.unwrap(), 0);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(engine.run_schedules().await.unwrap(), SKILLS * EACH);
    for id in &ids {
        assert_eq!(call(&engine, id, json!({})).await.as_deref(), Ok("20"));
    }
    engine.shutdown().await;
}
