//! What a skill that waits for calls costs, and what it takes to get there.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use openhuman_skills::Grant;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::meter::{cpu, median, micros, millis, number, quantile, resident_kb};
use crate::skills::{SMALL, call, engine, install, start};
use crate::{Figures, Outcome};

const COUNT: usize = 1000;

/// 1,000 skills of the same bundle, started one after the other and then left alone. Each was started and stopped
/// before, so that its bytecode is known.
pub(crate) async fn idle() -> Outcome {
    let boots = Boots::default();
    tracing::subscriber::set_global_default(boots.clone())?;
    let engine = engine(Arc::default()).build()?;
    start(&engine, "warm-up", SMALL).await?;
    boots.take();
    let before = resident_kb();
    let mut ids = Vec::with_capacity(COUNT);
    for index in 0..COUNT {
        let id = start(&engine, &format!("small-{index}"), SMALL).await?;
        engine.stop(&id).await?;
        ids.push(id);
    }
    let mut compiled = boots.take();
    let cpu_before = cpu();
    let mut starts = Vec::with_capacity(COUNT);
    for id in &ids {
        let started = Instant::now();
        engine.start(id).await?;
        starts.push(micros(started.elapsed()));
    }
    let spent = cpu() - cpu_before;
    // What an idle skill gives back, it gives back within the engine's next look at it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let grown = resident_kb() - before;
    let mut created = boots.take();
    let mut figures = Figures::new();
    figures.insert("idle_rss_kb_1000".into(), number(grown / COUNT as f64));
    for (name, times) in [("create", &mut created), ("create_source", &mut compiled)] {
        if times.len() != COUNT {
            return Err(format!("{} of {COUNT} boots were logged", times.len()).into());
        }
        figures.insert(format!("{name}_p50_us"), number(median(times)));
        figures.insert(format!("{name}_p99_us"), number(quantile(times, 0.99)));
    }
    figures.insert("start_p50_us".into(), number(median(&mut starts)));
    figures.insert("start_cpu_us".into(), number(micros(spent) / COUNT as f64));
    Ok(figures)
}

/// The same after each skill has used its database once.
pub(crate) async fn idle_with_databases() -> Outcome {
    let engine = engine(Arc::default()).build()?;
    let id = start(&engine, "warm-up", SMALL).await?;
    call(&engine, &id, "note", json!({"text": "first"})).await?;
    let before = resident_kb();
    for index in 0..COUNT {
        let id = start(&engine, &format!("small-{index}"), SMALL).await?;
        call(&engine, &id, "note", json!({"text": "first"})).await?;
    }
    let grown = resident_kb() - before;
    Ok(Figures::from_iter([(
        "idle_db_rss_kb_1000".into(),
        number(grown / COUNT as f64),
    )]))
}

/// 1,000 skills started at once, their bytecode known from an earlier start.
pub(crate) async fn boot() -> Outcome {
    let engine = engine(Arc::default()).build()?;
    start(&engine, "warm-up", SMALL).await?;
    let installed = (0..COUNT).map(|index| install_small(&engine, index));
    let ids = try_join_all(installed).await?;
    for id in &ids {
        engine.start(id).await?;
        engine.stop(id).await?;
    }
    let (started, cpu_before) = (Instant::now(), cpu());
    try_join_all(ids.iter().map(|id| engine.start(id))).await?;
    let mut figures = Figures::new();
    figures.insert("boot_1000_ms".into(), number(millis(started.elapsed())));
    figures.insert("boot_1000_cpu_ms".into(), number(millis(cpu() - cpu_before)));
    Ok(figures)
}

async fn install_small(
    engine: &openhuman_skills::Engine,
    index: usize,
) -> Outcome<openhuman_skills::SkillId> {
    install(engine, &format!("small-{index}"), SMALL, Grant::none()).await
}

/// Skills with large bundles: a generated one of 360 KB, and the largest of the fixtures.
pub(crate) async fn bundle() -> Outcome {
    let mut figures = Figures::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/skills/gmail/index.js");
    for (name, code) in [
        ("bundle_360k", large_bundle(360 * 1024)),
        ("bundle_fixture", std::fs::read_to_string(&fixture)?),
    ] {
        let engine = engine(Arc::default()).build()?;
        let mut ids = Vec::new();
        for index in 0..=40 {
            ids.push(install(&engine, &format!("large-{index}"), &code, Grant::none()).await?);
        }
        engine.start(&ids[0]).await?;
        let before = resident_kb();
        let mut starts = Vec::new();
        for id in &ids[1..] {
            let started = Instant::now();
            engine.start(id).await?;
            starts.push(millis(started.elapsed()));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let grown = resident_kb() - before;
        figures.insert(format!("{name}_rss_kb"), number(grown / starts.len() as f64));
        figures.insert(format!("{name}_start_ms"), number(median(&mut starts)));
        figures.insert(format!("{name}_bytes"), code.len().into());
        engine.shutdown().await;
    }
    Ok(figures)
}

/// Many small objects with a function each, as bundled libraries are.
fn large_bundle(bytes: usize) -> String {
    let mut code = String::from("var __skill_bundle = (() => {\n");
    for n in 0.. {
        if code.len() > bytes - 250 {
            break;
        }
        code.push_str(&format!(
            "  var part{n} = {{ name: 'part{n}', defaults: {{ size: {n}, label: 'Part {n}', flags: [true, false, null] }},\n    \
             run: function (input, options) {{ var total = {n}; for (var i = 0; i < input.length; i++) {{ \
             if (options && options.skip === i) continue; total += input[i].length * {n}; }} return 'part{n}:' + total; }} }};\n"
        ));
    }
    code.push_str("  return { default: { tools: [{ name: 'add', description: 'd', execute: (a) => part7.run([String(a.n)]) }] } };\n})();\n");
    code.push_str("globalThis.__skill = { default: __skill_bundle.default };\n");
    code
}

/// Collects the times the engine logs when a runtime is ready: new runtime, context, bridges and bundle.
#[derive(Clone, Default)]
struct Boots(Arc<Mutex<Vec<f64>>>);

impl Boots {
    fn take(&self) -> Vec<f64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct BootTime(Option<u64>);

impl Visit for BootTime {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "boot_us" {
            self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl Subscriber for Boots {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.fields().field("boot_us").is_some()
    }

    fn event(&self, event: &Event<'_>) {
        let mut time = BootTime(None);
        event.record(&mut time);
        if let Some(time) = time.0 {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(time as f64);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
