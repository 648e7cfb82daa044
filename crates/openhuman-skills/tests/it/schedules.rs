use std::sync::Arc;
use std::time::Duration;

use openhuman_skills::{Engine, ManualClock};
use serde_json::json;

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
    let body = "const out = []; for (const e of ['* * * * *', 'x', '']) { try { cron.register('a', e); } catch (e) { out.push(e.name); } } return [out, cron.register('a', '*/10 * * * * *'), cron.list()];";
    let id = run(&engine, "bad", &tool(body)).await;
    assert_eq!(
        call(&engine, &id, json!({})).await.as_deref(),
        Ok(r#"[["TypeError","TypeError","TypeError"],true,["a"]]"#)
    );
    engine.shutdown().await;
}
