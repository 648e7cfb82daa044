//! The measurements of `cargo xtask bench memory`. Prints one JSON object on the last line of standard output.
//!
//! ```sh
//! cargo run --release -p openhuman-memory --example bench_memory -- [--locomo FILE] [--chunks N] [--million]
//! OPENHUMAN_MINILM_WEIGHTS=model.safetensors cargo run --release --features minilm ...  # MiniLM too
//! ```
//!
//! Everything runs on one thread. Times are of its processor time, the least of several runs, so that what else the
//! machine does counts as little as possible. The sealed database is measured by the clock on the wall; there the
//! processor time is printed beside it, under a key that says so.

#[path = "../locomo/mod.rs"]
mod locomo;
mod minilm;
mod quality;
mod store;
mod texts;
mod vectors;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// What is measured, by key.
type Report = Map<String, Value>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut locomo: Option<PathBuf> = std::env::var_os("LOCOMO_FILE").map(Into::into);
    let (mut chunks, mut million) = (100_000, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--locomo" => locomo = arguments.next().map(Into::into),
            "--chunks" => chunks = arguments.next().ok_or("--chunks needs a number")?.parse()?,
            "--million" => million = true,
            // This program again, in a process of its own.
            "--open" => return store::open(&arguments.next().ok_or("--open needs a folder")?),
            other => return Err(format!("unknown argument {other:?}").into()),
        }
    }
    let mut report = Report::new();
    vectors::measure(&mut report, million);
    match &locomo {
        Some(file) => quality::measure(&mut report, file)?,
        None => quality::missing(&mut report),
    }
    minilm::measure(&mut report, locomo.as_deref())?;
    store::measure(&mut report, chunks)?;
    println!("{}", Value::Object(report));
    Ok(())
}

fn put(report: &mut Report, key: &str, value: f64) {
    // Four digits are more than the machine gives.
    let rounded = if value == 0.0 {
        0.0
    } else {
        let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
        (value * scale).round() / scale
    };
    eprintln!("{key:32} {rounded}");
    report.insert(key.to_owned(), json!(rounded));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The shortest of several runs, in processor time.
fn shortest(runs: usize, mut run: impl FnMut()) -> Duration {
    (0..runs)
        .map(|_| {
            let started = processor_time();
            run();
            processor_time() - started
        })
        .min()
        .unwrap_or_default()
}

/// What this thread has computed so far.
fn processor_time() -> Duration {
    clock(rustix::time::ClockId::ThreadCPUTime)
}

/// What all threads have computed so far.
fn all_processor_time() -> Duration {
    clock(rustix::time::ClockId::ProcessCPUTime)
}

fn clock(clock: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    )
}
