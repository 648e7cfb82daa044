use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use openhuman_sqlite::{Options, open};

use crate::{Home, contains, integrity, key};

const CANARY: &str = "CANARY-kill";

/// Kills a writing process again and again. Every commit it confirmed must be there afterwards.
#[test]
fn a_killed_process_loses_no_confirmed_commit() {
    let rounds = i64::from(crate::count("OPENHUMAN_KILLS", 300));
    let home = Home::new();
    home.open()
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
        .unwrap();
    let (mut confirmed, mut acknowledged) = (0, 0);
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::write_until_killed", "--exact", "--nocapture"])
            .env("OPENHUMAN_TEST_WRITE", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Another number of commits each time, so that the kill falls on other steps of the protocol.
        let until = confirmed + 1 + round * 7 % 12;
        for line in lines.by_ref() {
            if let Some(id) = line.unwrap().strip_prefix("committed ") {
                confirmed = id.parse().unwrap();
                if confirmed >= until {
                    break;
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it confirmed before it died but nobody had read yet counts as well.
        for line in lines {
            let Ok(line) = line else { break };
            if let Some(id) = line.strip_prefix("committed ").and_then(|id| id.parse().ok()) {
                confirmed = id;
            }
        }
        acknowledged = confirmed;
        // The whole content is read now and then: it grows.
        let thorough = round % 10 == 0;
        for (name, content) in home.files().into_iter().filter(|_| thorough) {
            assert!(!contains(&content, CANARY.as_bytes()), "{name}");
        }
        let connection = home.open();
        let (count, last): (i64, i64) = connection
            .query_row(
                "SELECT count(*) + coalesce(min(id), 1) - 1, coalesce(max(id), 0) FROM t",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(count, last, "no row in between is missing");
        assert!(last >= confirmed, "{confirmed} was confirmed, {last} is stored");
        assert!(!thorough || integrity(&connection) == "ok");
        confirmed = last;
        if last > 2000 {
            // Keeps the file small, as somebody who cleans up would; the numbers go on.
            connection
                .execute("DELETE FROM t WHERE id < ?1", [last - 50])
                .unwrap();
        }
    }
    println!("{rounds} kills, {acknowledged} acknowledged commits, 0 lost");
    assert!(confirmed >= rounds * 5, "{confirmed} commits in {rounds} rounds");
}

/// Does nothing unless it is the process to be killed.
#[test]
fn write_until_killed() {
    let Some(path) = std::env::var_os("OPENHUMAN_TEST_WRITE") else {
        return;
    };
    let connection = open(path.as_ref(), &key(), &Options::default()).unwrap();
    connection
        .execute_batch("PRAGMA wal_autocheckpoint = 20; PRAGMA cache_size = 10")
        .unwrap();
    let mut id: i64 = connection
        .query_row("SELECT coalesce(max(id), 0) FROM t", [], |row| row.get(0))
        .unwrap();
    println!();
    // Ends by itself if the parent does not kill it.
    for _ in 0..100_000 {
        id += 1;
        let text = format!("{CANARY} {}", "x".repeat(id as usize * 977 % 9000));
        connection
            .execute("INSERT INTO t VALUES (?1, ?2)", (id, text))
            .unwrap();
        println!("committed {id}");
    }
}
