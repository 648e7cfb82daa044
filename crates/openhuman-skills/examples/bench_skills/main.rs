//! Measures the skills engine. `cargo xtask bench skills` runs every measurement in a process of its own:
//!
//! `cargo run --release -p openhuman-skills --example bench_skills -- MEASUREMENT`
//!
//! prints one JSON object. The engine is the one a product builds: defaults, every bridge, databases, egress.

mod blocking;
mod calls;
mod fetch;
mod memory;
mod meter;
#[path = "../../tests/it/mixed_load/load.rs"]
mod mixed;
mod node;
mod skills;
mod stall;

use std::error::Error;

use serde_json::{Map, Value};

type Outcome<T = Figures> = Result<T, Box<dyn Error + Send + Sync>>;
type Figures = Map<String, Value>;

const USAGE: &str = "usage: bench_skills \
    idle|idle-db|boot|bundle|calls|round-trip|hostile|blocked|fetch|stall|mixed|node|server";

#[tokio::main]
async fn main() -> Outcome<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let figures = match name.as_str() {
        "idle" => memory::idle().await?,
        "idle-db" => memory::idle_with_databases().await?,
        "boot" => memory::boot().await?,
        "bundle" => memory::bundle().await?,
        "calls" => calls::cost().await?,
        "round-trip" => calls::round_trip().await?,
        "hostile" => calls::hostile().await?,
        "blocked" => blocking::blocked().await?,
        "fetch" => fetch::fetch().await?,
        "server" => return fetch::serve().await,
        "stall" => stall::native().await?,
        "mixed" => mixed_load().await?,
        "node" => node::worker()?,
        _ => return Err(USAGE.into()),
    };
    println!("{}", Value::Object(figures));
    // What is measured may hold a thread; the figures are out.
    std::process::exit(0)
}

async fn mixed_load() -> Outcome {
    let report = mixed::run(&mixed::Size::full()).await?;
    let mut figures = Figures::new();
    figures.insert(
        "mixed_wall_ms".into(),
        meter::number(report.wall.as_secs_f64() * 1e3),
    );
    figures.insert("mixed_threads_before".into(), report.threads_before.into());
    figures.insert("mixed_threads_most".into(), report.threads_most.into());
    figures.insert("mixed_calls_answered".into(), report.calls.into());
    figures.insert("mixed_calls_busy".into(), report.calls_busy.into());
    figures.insert("mixed_cron_fired".into(), report.cron.into());
    figures.insert("mixed_events_handled".into(), report.events.into());
    figures.insert("mixed_events_refused".into(), report.events_refused.into());
    Ok(figures)
}
