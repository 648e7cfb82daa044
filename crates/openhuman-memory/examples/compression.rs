//! Shortens the corpus of tool outputs in `tests/fixtures/tool_outputs` and prints what was saved and what was kept,
//! as JSON: `cargo run --release -p openhuman-memory --example compression [-- --verbose]`.
//!
//! The atoms of each output were labelled by `label.py`, which knows nothing of the compressor.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use openhuman_memory::compress::{ToolOutput, compress};
use serde_json::{Value, json};

/// What a shortened result begins with when it comes from a memory: see `Memory::shorten`.
const NOTICE_TOKENS: usize = 24;

fn main() -> Result<(), Box<dyn Error>> {
    let verbose = std::env::args().any(|argument| argument == "--verbose");
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tool_outputs");
    let corpus: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(dir.join("corpus.json"))?)?;
    let mut families = BTreeMap::new();
    let mut saved = Vec::new();
    let (mut all, mut held_out) = (Sum::default(), Sum::default());
    let (mut bytes, mut seconds) = (0, 0.0);
    for entry in &corpus {
        let name = entry["name"].as_str().unwrap_or_default();
        let text = std::fs::read_to_string(dir.join(format!("{name}.txt")))?;
        let output = ToolOutput {
            tool: "shell",
            command: entry["command"].as_str().unwrap_or_default(),
            text: &text,
        };
        let started = Instant::now();
        let short = compress(&output);
        seconds += started.elapsed().as_secs_f64();
        bytes += text.len();
        let (rule, short, before, after) = match short {
            Some(short) => (
                short.rule,
                short.text,
                short.tokens_before,
                short.tokens_after + NOTICE_TOKENS,
            ),
            None => {
                let tokens = openhuman_memory::chunk::count_tokens(&text);
                ("none", text.clone(), tokens, tokens)
            }
        };
        let atoms: Vec<&str> = entry["atoms"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let missing: Vec<&str> = atoms
            .iter()
            .copied()
            .filter(|atom| !short.contains(atom))
            .collect();
        if verbose {
            eprintln!("=== {name} ({rule})\n{short}\nmissing: {missing:#?}\n");
        }
        let sum = Sum {
            before,
            after,
            atoms: atoms.len(),
            missing: missing.len(),
        };
        all.add(&sum);
        if entry["held_out"] == json!(true) {
            held_out.add(&sum);
        }
        saved.push(sum.saved());
        families.insert(
            name,
            json!({
                "rule": rule, "held_out": entry["held_out"], "tokens_before": before, "tokens_after": after,
                "saved": round(sum.saved()), "atoms": atoms.len(), "missing": missing.len(),
            }),
        );
    }
    saved.sort_by(f64::total_cmp);
    // Of two middle values the lower.
    let median = saved
        .get((saved.len().max(1) - 1) / 2)
        .copied()
        .unwrap_or_default();
    let report = json!({
        "tool_compression_saved": round(median.min(all.saved())),
        "atoms_kept": round(all.kept()),
        "saved_median": round(median),
        "saved_of_all_tokens": round(all.saved()),
        "held_out_saved": round(held_out.saved()),
        "held_out_atoms_kept": round(held_out.kept()),
        "mb_s": round(bytes as f64 / 1e6 / seconds),
        "families": families,
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

#[derive(Default)]
struct Sum {
    before: usize,
    after: usize,
    atoms: usize,
    missing: usize,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.before += other.before;
        self.after += other.after;
        self.atoms += other.atoms;
        self.missing += other.missing;
    }

    fn saved(&self) -> f64 {
        1.0 - self.after as f64 / self.before.max(1) as f64
    }

    fn kept(&self) -> f64 {
        1.0 - self.missing as f64 / self.atoms.max(1) as f64
    }
}

fn round(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}
