//! Power cuts, simulated: every write, truncation and sync of a run is recorded; then, for many points of the
//! run, the disk is rebuilt as a power cut could have left it. What was synced is there. Of every later write,
//! independently, all, nothing or some sectors are there.

use std::path::Path;

use openhuman_vault::Key;
use rusqlite::Connection;

use self::disk::{Disk, Random};
use super::trace::{self, Op, Which};
use crate::{Durability, Options, open};

mod disk;
mod rekey;

fn key() -> Key {
    Key::from_bytes([8; 32])
}

/// Runs a workload that commits, checkpoints and vacuums; returns the database before it and the recording.
fn record(durability: Durability) -> (Vec<u8>, Vec<(Which, Op)>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("test.db");
    let options = Options {
        durability,
        ..Options::default()
    };
    let connection = open(&path, &key(), &options).unwrap();
    connection
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
        .unwrap();
    connection.close().unwrap();
    let before = std::fs::read(&path).unwrap();
    let name = path.to_str().unwrap();
    trace::start(name);
    let connection = open(&path, &key(), &options).unwrap();
    connection
        .execute_batch("PRAGMA wal_autocheckpoint = 12; PRAGMA cache_size = 10")
        .unwrap();
    for id in 1..=40u32 {
        let text = format!("{id} {}", "x".repeat(200 + (id as usize * 977) % 9000));
        connection
            .execute("INSERT INTO t VALUES (?1, ?2)", (id, text))
            .unwrap();
        if id == 25 {
            connection
                .execute_batch("CREATE INDEX i ON t (x); VACUUM")
                .unwrap();
        }
        trace::record(name, Which::Main, Op::Mark(id.into()));
    }
    connection.close().unwrap();
    (before, trace::finish(name))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    images: u32,
    not_opened: u32,
    corrupt: u32,
    lost: u32,
    torn_page_1: u32,
    not_writable: u32,
}

/// Rebuilds the disk at many points and opens it. `honest` disks keep what was synced.
fn simulate(before: &[u8], ops: &[(Which, Op)], honest: bool, seed: u64) -> Outcome {
    let mut random = Random(seed);
    let mut outcome = Outcome::default();
    let start = Disk {
        main: before.to_vec(),
        ..Disk::default()
    };
    for cut in (0..ops.len()).step_by(3) {
        let disk = start.after(&ops[..cut], honest, &mut random);
        outcome.images += 1;
        check(&disk, disk.acknowledged, &mut outcome);
    }
    outcome
}

fn check(disk: &Disk, acknowledged: u64, outcome: &mut Outcome) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.db");
    std::fs::write(&path, &disk.main).unwrap();
    if !disk.log.is_empty() {
        std::fs::write(dir.path().join("test.db-wal"), &disk.log).unwrap();
    }
    outcome.torn_page_1 += u32::from(page_1_is_torn(&disk.main));
    let Ok(connection) = open(&path, &key(), &Options::default()) else {
        outcome.not_opened += 1;
        return;
    };
    match read(&connection) {
        Ok(Some(last)) => {
            outcome.lost += u32::from(last < acknowledged);
            let written = write_on(connection, &path, last);
            outcome.not_writable += u32::from(!matches!(written, Ok(Some(now)) if now == last + 1));
        }
        Ok(None) | Err(_) => outcome.corrupt += 1,
    }
}

/// Goes on as if nothing had happened, with a row that makes the database grow, and reads it all again.
fn write_on(connection: Connection, path: &Path, last: u64) -> rusqlite::Result<Option<u64>> {
    let text = format!("{} {}", last + 1, "y".repeat(20_000));
    connection.execute("INSERT INTO t VALUES (?1, ?2)", (last as i64 + 1, text))?;
    connection.close().map_err(|(_, error)| error)?;
    match open(path, &key(), &Options::default()) {
        Ok(connection) => read(&connection),
        Err(_) => Ok(None),
    }
}

/// The highest row if everything is consistent.
fn read(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    let ok: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    let mut statement = connection.prepare("SELECT id, x FROM t ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?)))?;
    let mut last = 0;
    for row in rows {
        let (id, text) = row?;
        if ok != "ok" || id != last + 1 || !text.starts_with(&format!("{id} ")) {
            return Ok(None);
        }
        last = id;
    }
    Ok((ok == "ok").then_some(last.into()))
}

fn page_1_is_torn(main: &[u8]) -> bool {
    use crate::format::{Codec, ID, PAGE};
    let (Some(id), Some(page)) = (main.first_chunk::<ID>(), main.first_chunk::<PAGE>()) else {
        return false;
    };
    Codec::new(&key(), *id).open_page(1, &mut page.clone()).is_err()
}

/// At least so many images, over several seeds; `OPENHUMAN_POWER_CUTS` asks for more.
fn simulate_many(durability: Durability, first_seed: u64) -> Outcome {
    let wanted = std::env::var("OPENHUMAN_POWER_CUTS").map_or(1000, |text| text.parse().unwrap());
    let mut total = Outcome::default();
    for seed in first_seed.. {
        let (before, ops) = record(durability);
        let one = simulate(&before, &ops, true, seed);
        total.images += one.images;
        total.not_opened += one.not_opened;
        total.corrupt += one.corrupt;
        total.lost += one.lost;
        total.torn_page_1 += one.torn_page_1;
        total.not_writable += one.not_writable;
        if total.images >= wanted {
            break;
        }
    }
    println!("power cuts, {durability:?}: {total:?}");
    total
}

#[test]
fn a_power_cut_loses_no_acknowledged_commit() {
    let outcome = simulate_many(Durability::PowerLoss, 1);
    assert_eq!(
        (
            outcome.not_opened,
            outcome.corrupt,
            outcome.lost,
            outcome.not_writable
        ),
        (0, 0, 0, 0),
        "{outcome:?}"
    );
    assert!(
        outcome.torn_page_1 > 0,
        "the simulation tears page 1, too: {outcome:?}"
    );
}

#[test]
fn a_power_cut_leaves_a_consistent_database_in_the_faster_mode() {
    let outcome = simulate_many(Durability::ProcessCrash, 1000);
    assert_eq!(
        (outcome.not_opened, outcome.corrupt, outcome.not_writable),
        (0, 0, 0),
        "{outcome:?}"
    );
}

/// The control: on a disk that ignores syncs the same simulation does find faults.
#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let (before, ops) = record(Durability::PowerLoss);
    let outcome = simulate(&before, &ops, false, 3);
    assert!(
        outcome.not_opened + outcome.corrupt + outcome.lost > 0,
        "{outcome:?}"
    );
    println!("a lying disk: {outcome:?}");
}

/// The other control: without the stand-in for a torn page 1 the same images do not open.
#[test]
fn without_the_stand_in_for_a_torn_page_1_databases_do_not_open() {
    let (before, ops) = record(Durability::PowerLoss);
    let with = simulate(&before, &ops, true, 4);
    super::main_file::NO_STAND_IN.set(true);
    let without = simulate(&before, &ops, true, 4);
    super::main_file::NO_STAND_IN.set(false);
    println!("without the stand-in: {without:?}");
    assert_eq!(with.not_opened, 0, "{with:?}");
    assert!(with.torn_page_1 > 0 && without.not_opened > 0, "{without:?}");
}

/// What the recording sees is what the simulation rebuilds.
#[test]
fn a_complete_replay_gives_the_final_database() {
    let (before, ops) = record(Durability::PowerLoss);
    let mut disk = Disk {
        main: before,
        ..Disk::default()
    };
    ops.iter().for_each(|(which, op)| disk.apply(*which, op, None));
    let dir = tempfile::tempdir().unwrap();
    let path: &Path = &dir.path().join("test.db");
    std::fs::write(path, &disk.main).unwrap();
    let connection = open(path, &key(), &Options::default()).unwrap();
    assert_eq!(read(&connection).unwrap(), Some(40));
}
