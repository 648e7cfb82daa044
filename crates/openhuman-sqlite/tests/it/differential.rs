//! The same random statements on a sealed and on a plain database give the same results.

use openhuman_sqlite::rusqlite::Connection;
use openhuman_sqlite::rusqlite::types::Value;

use crate::{Home, count, integrity};

/// Statements before both databases begin anew.
const CHAPTER: u32 = 2500;

/// A small generator, so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn text(&mut self) -> String {
        let word: String = (0..=self.below(7))
            .map(|_| char::from(b'a' + self.below(26) as u8))
            .collect();
        // Mostly small, now and then more than a page.
        let most = if self.below(20) == 0 { 6000 } else { 120 };
        word + &"z".repeat(self.below(most) as usize)
    }

    /// Many of these fail, and then both databases must fail alike.
    fn statement(&mut self) -> String {
        let t = ["a", "b"][self.below(2) as usize];
        let (id, x) = (self.below(60), self.text());
        match self.below(200) {
            0..60 => format!("INSERT OR REPLACE INTO {t} VALUES ({id}, '{x}')"),
            60..75 => format!("DELETE FROM {t} WHERE id = {id}"),
            75..80 => format!("DELETE FROM {t} WHERE id > {id}"),
            80..105 => format!("UPDATE {t} SET x = '{x}' WHERE id = {id}"),
            105..109 => format!("UPDATE {t} SET x = x || '{x}' WHERE id % 7 = {id} % 7 AND length(x) < 9000"),
            109..125 => format!("INSERT INTO f VALUES ('{x} common')"),
            125..130 => format!("DELETE FROM f WHERE rowid = {id}"),
            130..160 => format!("SELECT count(*), max(x) FROM {t} WHERE id >= {id} ORDER BY x"),
            160..170 => format!("SELECT count(*) FROM f WHERE f MATCH '{} OR common'", &x[..1]),
            170 => format!("CREATE INDEX IF NOT EXISTS i_{t} ON {t} (x)"),
            171 => format!("DROP INDEX IF EXISTS i_{t}"),
            172 => format!("INSERT INTO {t} SELECT id + 100, x FROM a LIMIT 20"),
            173..178 => "BEGIN".to_owned(),
            178..184 => "COMMIT".to_owned(),
            184..187 => "ROLLBACK".to_owned(),
            187..190 => "SAVEPOINT s".to_owned(),
            190..192 => "ROLLBACK TO s".to_owned(),
            192..195 => "RELEASE s".to_owned(),
            195 if self.below(4) == 0 => "VACUUM".to_owned(),
            195..197 => "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
            197 => "INSERT INTO f(f) VALUES ('optimize')".to_owned(),
            198 => format!("ALTER TABLE {t} RENAME COLUMN x TO x{}", self.below(2)),
            _ => "PRAGMA incremental_vacuum".to_owned(),
        }
    }
}

const SCHEMA: &str = "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT); CREATE TABLE b (id INTEGER, x TEXT);
    CREATE VIRTUAL TABLE f USING fts5(x);";
/// Small caches, so that pages move between memory, log and file all the time; no waiting for the disk.
const SETTINGS: &str = "PRAGMA cache_size = 8; PRAGMA wal_autocheckpoint = 30; PRAGMA synchronous = OFF;";

type Rows = Vec<Vec<Value>>;

fn run(connection: &Connection, sql: &str) -> Result<Rows, Option<i32>> {
    let result = || -> openhuman_sqlite::rusqlite::Result<Rows> {
        let mut statement = connection.prepare(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|n| row.get(n)).collect())?;
        rows.collect()
    };
    let ours = |error: openhuman_sqlite::rusqlite::Error| error.sqlite_error().map(|code| code.extended_code);
    let rows = result().map_err(ours)?;
    // How far a checkpoint came depends on how the frames were counted, not on the content.
    Ok(if sql.starts_with("PRAGMA wal_checkpoint") {
        Rows::new()
    } else {
        rows
    })
}

fn dump(connection: &Connection) -> Vec<Result<Rows, Option<i32>>> {
    [
        "SELECT * FROM a ORDER BY id",
        "SELECT rowid, * FROM b ORDER BY rowid",
        "SELECT rowid, * FROM f ORDER BY rowid",
        "SELECT rowid, bm25(f) FROM f WHERE f MATCH 'common' ORDER BY rowid",
        "SELECT name, sql FROM sqlite_schema ORDER BY name",
    ]
    .map(|sql| run(connection, sql))
    .into()
}

#[test]
fn a_sealed_database_behaves_like_a_plain_one() {
    let statements = count("OPENHUMAN_STATEMENTS", 100_000);
    let mut done = 0;
    for seed in 1.. {
        chapter(seed, CHAPTER.min(statements - done));
        done += CHAPTER.min(statements - done);
        if done == statements {
            break;
        }
    }
    println!("{statements} statements, equal");
}

fn chapter(seed: u64, statements: u32) {
    let (mut random, home) = (Random(seed), Home::new());
    let mut sealed = home.open();
    let plain = Connection::open(home.dir().join("plain.db")).unwrap();
    plain.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    for connection in [&sealed, &plain] {
        connection.execute_batch(SETTINGS).unwrap();
        connection.execute_batch(SCHEMA).unwrap();
    }
    for n in 1..=statements {
        let sql = random.statement();
        assert_eq!(
            run(&sealed, &sql),
            run(&plain, &sql),
            "seed {seed}, statement {n}: {sql}"
        );
        if n % 250 == 0 && sealed.is_autocommit() {
            sealed.close().unwrap();
            sealed = home.open();
            sealed.execute_batch(SETTINGS).unwrap();
        }
    }
    assert_eq!(dump(&sealed), dump(&plain), "seed {seed}");
    assert_eq!(run(&sealed, "ROLLBACK"), run(&plain, "ROLLBACK"), "seed {seed}");
    assert_eq!(
        run(&sealed, "INSERT INTO f(f) VALUES ('integrity-check')"),
        Ok(Rows::new())
    );
    assert_eq!(integrity(&sealed), "ok", "seed {seed}");
    sealed.close().unwrap();
    assert_eq!(dump(&home.open()), dump(&plain), "seed {seed}, opened again");
}
