//! What the system is asked to write, seen from outside: a trace of all system calls that write.

use std::path::Path;
use std::process::{Command, Stdio};

use openhuman_sqlite::rusqlite::Connection;
use openhuman_sqlite::vacuum_into;

use crate::{Home, contains, key};

const CANARY: &str = "CANARY-5c1e07";

fn strace() -> bool {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        assert!(
            std::env::var_os("OPENHUMAN_REQUIRE_STRACE").is_none(),
            "strace is missing, or tracing is not allowed"
        );
        eprintln!("NOT RUN: the trace needs strace (a Debian package) and the right to use it");
    }
    works
}

/// Row 5 of the contract, section 16, from the outside: what reaches a file, also one that is gone at the end.
#[test]
fn row_5_no_plaintext_is_in_any_write_to_a_file() {
    if !strace() {
        return;
    }
    let home = Home::new();
    let trace = home.dir().join("trace");
    let sealed = home.dir().join("home");
    std::fs::create_dir(&sealed).unwrap();
    let status = Command::new("strace")
        .args(["-f", "-y", "-s", "70000", "-e"])
        .arg("trace=write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range,splice")
        .arg("-o")
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["syscalls::work_under_the_trace", "--exact"])
        .env("OPENHUMAN_TEST_TRACE", &sealed)
        .env("SQLITE_TMPDIR", &sealed)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let trace = std::fs::read(&trace).unwrap();
    let (mut sealed_writes, mut temporary_writes, mut control) = (0, 0, 0);
    for line in trace.split(|byte| *byte == b'\n') {
        if !contains(&line[..line.len().min(400)], sealed.to_str().unwrap().as_bytes()) {
            continue;
        }
        let found = contains(line, CANARY.as_bytes());
        if contains(&line[..line.len().min(400)], b"/plain.db") {
            control += u32::from(found);
        } else {
            sealed_writes += 1;
            temporary_writes += u32::from(contains(&line[..line.len().min(400)], b"(deleted)"));
            assert!(
                !found,
                "{}",
                String::from_utf8_lossy(&line[..line.len().min(300)])
            );
        }
    }
    assert!(control > 0, "the trace shows what a plain database writes");
    assert!(
        temporary_writes > 100,
        "{temporary_writes} writes to temporary files"
    );
    assert!(sealed_writes > temporary_writes + 100, "{sealed_writes}");
}

/// Does nothing unless it is the process that is traced.
#[test]
fn work_under_the_trace() {
    let Some(dir) = std::env::var_os("OPENHUMAN_TEST_TRACE") else {
        return;
    };
    let dir = Path::new(&dir);
    let sealed = openhuman_sqlite::open(
        &dir.join("sealed.db"),
        &key(),
        &openhuman_sqlite::Options::default(),
    )
    .unwrap();
    let plain = Connection::open(dir.join("plain.db")).unwrap();
    // The plain one only inserts: its temporary files would lie beside those of the sealed one.
    for connection in [&sealed, &plain] {
        connection
            .execute_batch(
                "PRAGMA cache_size = 20; CREATE TABLE t (x TEXT); CREATE VIRTUAL TABLE f USING fts5(x)",
            )
            .unwrap();
        for id in 0..60 {
            let text = format!("{CANARY} {id} {}", CANARY.repeat(40));
            connection.execute("INSERT INTO t VALUES (?1)", [&text]).unwrap();
            connection.execute("INSERT INTO f VALUES (?1)", [&text]).unwrap();
        }
    }
    sealed
        .execute_batch(
            "CREATE INDEX i ON t (x); SAVEPOINT s; UPDATE t SET x = x || 'y'; ROLLBACK TO s; RELEASE s; VACUUM",
        )
        .unwrap();
    vacuum_into(&sealed, &dir.join("copy.db"), &key()).unwrap();
    // More than fits into the memory of a temporary file.
    sealed
        .execute_batch(
            "CREATE TEMP TABLE big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
             SELECT i, replace(hex(zeroblob(6500)), '00', 'CANARY-5c1e07-in-temporary-files') AS x FROM n",
        )
        .unwrap();
    let rows: u32 = sealed
        .query_row(
            "SELECT count(*) FROM (SELECT x FROM big ORDER BY x, i DESC)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(rows, 100);
}
