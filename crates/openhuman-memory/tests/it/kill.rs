//! A process that writes is killed at random moments; afterwards the index equals the rows, and everything that was
//! acknowledged is there.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use openhuman_memory::{Conversation, Document, Turn};

use crate::{key, open};

/// Set in the process that is killed: the directory of its memory.
const CHILD: &str = "OPENHUMAN_MEMORY_KILL_DIR";

/// Chunks from which on the memory keeps bits and segments here, so that these are written too.
const EXACT_LIMIT: usize = 200;

#[test]
fn the_index_equals_the_rows_after_a_kill_at_any_time() {
    if let Ok(dir) = std::env::var(CHILD) {
        return write_until_killed(Path::new(&dir));
    }
    let kills: u64 = std::env::var("OPENHUMAN_MEMORY_KILLS").map_or(4, |kills| kills.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut random = 0x2545_F491_4F6C_DD1Du64;
    let mut acknowledged = 0;
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "kill::the_index_equals_the_rows_after_a_kill_at_any_time",
                "--exact",
                "--nocapture",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            let mut last = None;
            for line in lines.map_while(Result::ok) {
                if let Some(number) = line.strip_prefix("acknowledged ") {
                    last = Some(number.parse::<usize>().unwrap());
                }
            }
            last
        });
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // From the opening of the database to many transactions later.
        std::thread::sleep(Duration::from_millis(random % 1200));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = reader.join().unwrap().unwrap_or(acknowledged).max(acknowledged);
        let memory = open(dir.path(), &key()).unwrap();
        memory
            .check()
            .unwrap_or_else(|error| panic!("after kill {kill}: {error}"));
        let known = memory.documents(Some("counted")).unwrap().len();
        assert!(known >= acknowledged, "kill {kill}: {known} of {acknowledged}");
    }
    eprintln!("{kills} kills, {acknowledged} acknowledged documents, none lost");
}

fn write_until_killed(dir: &Path) {
    let memory = open(dir, &key()).unwrap();
    memory.keep_bits_above(EXACT_LIMIT);
    let mut number = memory.documents(Some("counted")).unwrap().len();
    for round in 0.. {
        let mut document = Document::new(
            format!("{number}"),
            "Note",
            format!("Note number{number} of round {round}."),
        );
        document.namespace = "counted".into();
        memory.ingest(&document).unwrap();
        number += 1;
        println!("acknowledged {number}");
        // A conversation that grows and shrinks, and a document that comes and goes.
        let turns = (0..(round * 37) % 400).map(|n| Turn::new("Ann", format!("Turn {n} of the talk.")));
        memory
            .ingest_conversation(&Conversation::new("talk", turns.collect()))
            .unwrap();
        let report = memory
            .ingest(&Document::new(
                "passing",
                "",
                format!("Passing by, round {round}."),
            ))
            .unwrap();
        if round % 3 == 0 {
            memory.forget(&report.document_id).unwrap();
        }
    }
}
