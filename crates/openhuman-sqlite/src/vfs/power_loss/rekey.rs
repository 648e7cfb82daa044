//! Power cuts while the key of a database is changed: at every point exactly one of the two keys opens it, nothing is
//! missing, and the next call goes on to the end. Interrupted changes are interrupted again.

use std::path::Path;
use std::sync::{Arc, Mutex};

use openhuman_vault::Key;

use super::disk::{Disk, Random};
use super::{key, read};
use crate::vfs::trace::{self, Op, Which, record};
use crate::{Anchor, AnchorError, Error, Options, open, opens_with, rekey};

const ROWS: u32 = 40;

fn new_key() -> Key {
    Key::from_bytes([9; 32])
}

/// Keeps a seal and records when it is replaced.
#[derive(Debug)]
struct Kept {
    database: String,
    seal: Mutex<Option<Vec<u8>>>,
}

impl Anchor for Kept {
    fn load(&self) -> Result<Option<Vec<u8>>, AnchorError> {
        Ok(self.seal.lock().unwrap().clone())
    }

    fn store(&self, seal: &[u8]) -> Result<(), AnchorError> {
        *self.seal.lock().unwrap() = Some(seal.to_vec());
        record(&self.database, Which::Main, Op::Seal(seal.to_vec()));
        Ok(())
    }
}

/// A directory with the files of `disk`, and options with its seal, if it is anchored.
fn restore(disk: &Disk, anchored: bool) -> (tempfile::TempDir, std::path::PathBuf, Options) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("test.db");
    for (suffix, content) in [("", &disk.main), ("-wal", &disk.log), ("-rekey", &disk.work)] {
        if !content.is_empty() {
            std::fs::write(crate::files::with_suffix(&path, suffix), content).unwrap();
        }
    }
    let anchor: Arc<dyn Anchor> = Arc::new(Kept {
        database: path.to_str().unwrap().to_owned(),
        seal: Mutex::new(disk.seal.clone()),
    });
    let options = Options {
        anchor: anchored.then_some(anchor),
        ..Options::default()
    };
    (dir, path, options)
}

/// A database as a crash left it: the last commits are only in the log.
fn crashed(anchored: bool) -> Disk {
    let (_dir, path, options) = restore(&Disk::default(), anchored);
    let connection = open(&path, &key(), &options).unwrap();
    connection
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
        .unwrap();
    for id in 1..=ROWS {
        let text = format!("{id} {}", "x".repeat(200 + (id as usize * 977) % 9000));
        connection
            .execute("INSERT INTO t VALUES (?1, ?2)", (id, text))
            .unwrap();
        if id == ROWS / 2 {
            connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .unwrap();
        }
    }
    let disk = Disk {
        main: std::fs::read(&path).unwrap(),
        log: std::fs::read(crate::files::with_suffix(&path, "-wal")).unwrap(),
        seal: options.anchor.and_then(|anchor| anchor.load().unwrap()),
        ..Disk::default()
    };
    assert!(disk.log.len() > 4096, "the log is needed");
    disk
}

/// Changes the key, from the state of `start` on.
fn record_change(start: &Disk, anchored: bool) -> Vec<(Which, Op)> {
    let (_dir, path, options) = restore(start, anchored);
    let name = path.to_str().unwrap();
    trace::start(name);
    rekey(&path, &key(), &new_key(), &options).unwrap();
    trace::finish(name)
}

#[derive(Debug, Default)]
struct Outcome {
    images: u32,
    /// How many of them had the new key already.
    changed: u32,
    /// How many of them had a part of the copy.
    begun: u32,
    faults: Vec<String>,
}

fn check(disk: &Disk, anchored: bool, outcome: &mut Outcome) {
    let (_dir, path, options) = restore(disk, anchored);
    outcome.images += 1;
    outcome.begun += u32::from(!disk.work.is_empty());
    match survey(&path, &options) {
        Ok(changed) => outcome.changed += u32::from(changed),
        Err(fault) => outcome.faults.push(fault),
    }
}

/// Whether the new key was the one in force; an error if anything is wrong.
fn survey(path: &Path, options: &Options) -> Result<bool, String> {
    let said = |what: &'static str| move |error: Error| format!("{what}: {error}");
    let opens = |key: &Key| opens_with(path, key).map_err(said("which key"));
    let (old, new) = (opens(&key())?, opens(&new_key())?);
    if old == new {
        return Err(format!("the old key opens it: {old}, and the new one: {new}"));
    }
    let complete = |key: &Key| {
        let connection = open(path, key, options).map_err(said("open"))?;
        let last = read(&connection).map_err(|error| error.to_string())?;
        if last == Some(ROWS.into()) {
            Ok(())
        } else {
            Err(format!("rows up to {last:?} of {ROWS}"))
        }
    };
    complete(&if new { new_key() } else { key() })?;
    rekey(path, &key(), &new_key(), options).map_err(said("the next call"))?;
    complete(&new_key())?;
    if opens(&key())? || crate::files::with_suffix(path, "-rekey").exists() {
        return Err("the change did not end".into());
    }
    Ok(new)
}

/// Cuts the power at every `step`th point of a change, and again in the changes that go on from there.
fn simulate(anchored: bool, honest: bool, wanted: u32, seed: u64) -> Outcome {
    let (mut random, mut outcome) = (Random(seed), Outcome::default());
    let first = crashed(anchored);
    let mut start = first.clone();
    while outcome.images < wanted {
        let ops = record_change(&start, anchored);
        let mut next = None;
        let cuts = (random.below(3) as usize..ops.len()).step_by(3);
        for cut in cuts.chain([ops.len() - 1, ops.len()]) {
            let disk = start.after(&ops[..cut], honest, &mut random);
            check(&disk, anchored, &mut outcome);
            // From one that is half done the next round goes on, where the disk did not lose what it had promised.
            let half = honest && !disk.work.is_empty() && disk.work.len() < disk.main.len();
            if half && (next.is_none() || random.below(4) == 0) {
                next = Some(disk);
            }
        }
        // After some rounds from the beginning again.
        start = next
            .filter(|_| random.below(4) > 0)
            .unwrap_or_else(|| first.clone());
    }
    outcome
}

#[test]
fn a_power_cut_in_a_change_of_the_key_leaves_one_key_and_everything() {
    let wanted = std::env::var("OPENHUMAN_POWER_CUTS").map_or(200, |text| text.parse().unwrap());
    for (anchored, seed) in [(false, 11), (true, 12)] {
        let outcome = simulate(anchored, true, wanted / 2, seed);
        println!(
            "power cuts in changes of the key, anchored {anchored}: {} images, {} with the new key, {} half done, {} faults",
            outcome.images,
            outcome.changed,
            outcome.begun,
            outcome.faults.len()
        );
        assert!(outcome.faults.is_empty(), "{:?}", outcome.faults);
        assert!(
            outcome.changed > 0 && outcome.begun > outcome.images / 4,
            "{outcome:?}"
        );
    }
}

/// The control: where syncs do nothing, the same changes are found to lose something.
#[test]
fn a_change_of_the_key_on_a_disk_that_lies_is_found_out() {
    let outcome = simulate(false, false, 60, 13);
    assert!(!outcome.faults.is_empty(), "{outcome:?}");
}
