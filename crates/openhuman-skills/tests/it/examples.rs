//! The example skills, as they are shipped.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path as Param;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;
use openhuman_skills::{CallOptions, Engine, Grant, ManualClock, SkillEvent, SkillId, SkillPackage};
use serde_json::{Value, json};
use tokio::net::TcpListener;

fn load(name: &str) -> SkillPackage {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/skills")
        .join(name);
    SkillPackage::load(&dir).unwrap()
}

async fn start(engine: &Engine, name: &str, adjust: impl FnOnce(&mut Grant)) -> SkillId {
    let package = load(name);
    let mut grant = Grant::from_manifest(package.manifest());
    adjust(&mut grant);
    let id = engine.install(package, grant).await.unwrap();
    engine.start(&id).await.unwrap();
    id
}

async fn call(engine: &Engine, id: &SkillId, tool: &str, args: Value) -> Value {
    let output = engine
        .call_tool(id, tool, args, CallOptions::default())
        .await
        .unwrap();
    serde_json::from_str(&output.text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_kept_and_found() {
    let engine = Engine::builder().workers(1).build().unwrap();
    let id = start(&engine, "notes", |_| {}).await;
    for (title, text) in [
        ("Staking", "The validator pays 4 % a year"),
        ("Shopping", "Milk, 100% rye bread"),
        ("Ledger", "Validator keys are in the safe"),
    ] {
        let added = call(&engine, &id, "add_note", json!({"title": title, "text": text})).await;
        assert_eq!(
            (&added["success"], &added["note"]["title"]),
            (&json!(true), &json!(title))
        );
    }
    let titles = |found: &Value| {
        found["notes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|note| note["title"].clone())
            .collect::<Vec<_>>()
    };
    let found = call(
        &engine,
        &id,
        "find_notes",
        json!({"query": "Which validator keys?"}),
    )
    .await;
    assert_eq!(titles(&found), ["Ledger", "Staking"]);
    assert!(found["notes"][0]["created"].as_str().unwrap().ends_with('Z'));
    for query in ["100% rye", "milk's", "%", "bread' OR 1=1 --"] {
        let found = call(&engine, &id, "find_notes", json!({ "query": query })).await;
        assert_eq!(found["success"], json!(true), "{query}");
    }
    assert_eq!(
        titles(&call(&engine, &id, "find_notes", json!({"query": "elephant"})).await),
        [] as [Value; 0]
    );
    assert_eq!(
        call(&engine, &id, "find_notes", json!({})).await["count"],
        json!(3)
    );
    assert_eq!(
        call(&engine, &id, "add_note", json!({"title": ""})).await["success"],
        json!(false)
    );
    assert_eq!(engine.snapshots()[0].state, json!({"notes": 3}));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_come_from_the_granted_service() {
    let router = Router::new().route(
        "/prices/{symbol}",
        get(|Param(symbol): Param<String>| async move {
            match symbol.as_str() {
                "BTC" => json!({"symbol": symbol, "price": 64250.5, "currency": "USD", "source": "test", "as_of": "2026-01-31T12:00:00Z"}).to_string().into_response(),
                "BAD" => "not json".into_response(),
                _ => StatusCode::NOT_FOUND.into_response(),
            }
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let engine = Engine::builder()
        .workers(1)
        .env("PRICES_URL", &format!("http://{address}/"))
        .build()
        .unwrap();
    let id = start(&engine, "prices", |grant| {
        grant.allow_private("127.0.0.1", address.port());
    })
    .await;
    let price = call(&engine, &id, "get_price", json!({"symbol": " btc "})).await;
    assert_eq!(
        price,
        json!({"symbol": "BTC", "price": 64250.5, "currency": "USD", "source": "test", "as_of": "2026-01-31T12:00:00Z"})
    );
    for symbol in ["NONE", "BAD", "../x", ""] {
        assert_eq!(
            call(&engine, &id, "get_price", json!({ "symbol": symbol })).await["success"],
            json!(false),
            "{symbol}"
        );
    }
    engine.remove(&id).await.unwrap();
    let id = start(&engine, "prices", |_| {}).await;
    let refused = call(&engine, &id, "get_price", json!({"symbol": "BTC"})).await;
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("needs an explicit grant"),
        "{refused}"
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_fire_every_minute() {
    let clock = Arc::new(ManualClock::new(0));
    let engine = Engine::builder().workers(1).clock(clock.clone()).build().unwrap();
    let mut events = engine.events();
    let id = start(&engine, "alerts", |_| {}).await;
    let set = call(
        &engine,
        &id,
        "set_alert",
        json!({"name": "tea", "message": "It is ready", "at": "2020-01-01T00:00:00Z"}),
    )
    .await;
    assert_eq!(set["success"], json!(true));
    assert_eq!(
        call(
            &engine,
            &id,
            "set_alert",
            json!({"name": "x", "message": "y", "at": "soon"})
        )
        .await["success"],
        json!(false)
    );
    for _ in 0..2 {
        clock.advance(Duration::from_secs(60));
        assert_eq!(engine.run_schedules().await.unwrap(), 1);
    }
    let list = call(&engine, &id, "list_alerts", json!({})).await;
    assert_eq!(list["schedules"], json!(["every-minute"]));
    assert_eq!(list["log"].as_array().unwrap().len(), 2);
    assert_eq!(list["log"][0]["schedule"], json!("every-minute"));
    assert_eq!(list["alerts"][0]["done"], json!(true));
    let mut notified = 0;
    while let Ok(event) = events.try_recv() {
        notified +=
            usize::from(matches!(event, SkillEvent::Notification { ref title, .. } if title == "tea"));
    }
    assert_eq!(notified, 1);
    engine.shutdown().await;
}
