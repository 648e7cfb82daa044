//! A process that writes, replaces, deletes and compacts is killed at random moments; afterwards index and rows are
//! equal, everything acknowledged is there, and what was under way is there as a whole or not at all.

mod model;
mod writer;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use openhuman_memory::{Query, Weights};

use self::model::{Model, Step};
use self::writer::Random;
use crate::{key, open};

/// Set in the process that is killed: the directory of its memory, and the seed of what it does.
const DIR: &str = "OPENHUMAN_MEMORY_KILL_DIR";
const SEED: &str = "OPENHUMAN_MEMORY_KILL_SEED";

/// One kill of so many falls into the opening.
const OPENINGS: u64 = 12;

#[test]
fn the_index_equals_the_rows_after_a_kill_at_any_time() {
    if let Ok(dir) = std::env::var(DIR) {
        let seed = std::env::var(SEED).unwrap().parse().unwrap();
        return writer::write_until_killed(Path::new(&dir), seed);
    }
    let kills: u64 = std::env::var("OPENHUMAN_MEMORY_KILLS").map_or(6, |kills| kills.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(0x2545_F491_4F6C_DD1D);
    let mut model = Model::default();
    let mut times = Times::default();
    let mut cut: HashMap<String, (u64, u64)> = HashMap::new();
    for kill in 0..kills {
        let (mut child, lines) = start(dir.path(), random.below(u64::MAX));
        let opening = kill % OPENINGS == OPENINGS - 1;
        if opening {
            std::thread::sleep(times.opening.mul_f64(random.share()));
        } else {
            times.wait(&lines, &mut model, &mut random);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What was written before the kill is still in the pipe.
        lines.iter().for_each(|line| drop(model.read(&line)));
        let under_way = model.under_way().cloned();
        let memory = open(dir.path(), &key()).unwrap();
        memory
            .check()
            .unwrap_or_else(|error| panic!("after kill {kill}, in {under_way:?}: {error}"));
        let applied = model
            .settle(&memory)
            .unwrap_or_else(|error| panic!("after kill {kill}, in {under_way:?}: {error}"));
        let name = under_way.map_or_else(
            || if opening { "opening" } else { "between two steps" }.to_owned(),
            |step| step.name().to_owned(),
        );
        let count = cut.entry(name).or_default();
        count.0 += 1;
        count.1 += u64::from(applied);
        // The search sees what the rows say.
        if let Some((document, word)) = model.any(&mut random) {
            let mut query = Query::new(word);
            query.weights = Weights::plain();
            (query.weights.vector, query.weights.text) = (0.0, 1.0);
            let hits = memory.search(&query).unwrap();
            assert_eq!(hits[0].key, document, "after kill {kill}");
        }
    }
    let mut cut: Vec<_> = cut.into_iter().collect();
    cut.sort();
    eprintln!(
        "{kills} kills, {} acknowledged steps, none lost, nothing half-done",
        model.acknowledged()
    );
    for (name, (kills, applied)) in cut {
        eprintln!("  {kills} in {name}, after its commit: {applied}");
    }
}

fn start(dir: &Path, seed: u64) -> (Child, Receiver<String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "kill::the_index_equals_the_rows_after_a_kill_at_any_time",
            "--exact",
            "--nocapture",
        ])
        .env(DIR, dir)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, receiver) = channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    (child, receiver)
}

/// How long things took so far, so that a kill falls into them.
struct Times {
    opening: Duration,
    steps: HashMap<&'static str, Duration>,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            opening: Duration::from_millis(100),
            steps: HashMap::new(),
        }
    }
}

impl Times {
    /// Waits for some steps to end, for another to begin, and for a random part of the time that it takes.
    fn wait(&mut self, lines: &Receiver<String>, model: &mut Model, random: &mut Random) {
        let (mut steps, mut begun) = (random.below(12), Instant::now());
        // The writer ends only when it fails, and then says why on standard error.
        while let Ok(line) = lines.recv() {
            match model.read(&line) {
                Some(Step::Ready) => self.opening = begun.elapsed(),
                Some(Step::End) => {
                    steps = steps.saturating_sub(1);
                    if let Some(step) = model.last() {
                        self.steps.insert(step.name(), begun.elapsed());
                    }
                }
                Some(step) => {
                    begun = Instant::now();
                    if steps == 0 {
                        let usual = self.steps.get(step.name()).copied();
                        let usual = usual.unwrap_or(Duration::from_millis(5));
                        std::thread::sleep(usual.mul_f64(random.share()));
                        return;
                    }
                }
                None => {}
            }
        }
        panic!("the writing process ended by itself");
    }
}
