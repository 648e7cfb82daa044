use openhuman_sqlite::rusqlite::Connection;
use openhuman_sqlite::rusqlite::types::Value;
use proptest::prelude::*;

use crate::{Home, integrity};

/// Statements over a few tables; many fail, and then both databases must fail alike.
fn statement() -> impl Strategy<Value = String> {
    let table = prop_oneof![Just("a"), Just("b")];
    let id = 0..60i64;
    let text = (0..6000usize, "[a-z]{1,8}").prop_map(|(n, word)| format!("{word}{}", "z".repeat(n)));
    prop_oneof![
        8 => (table.clone(), id.clone(), text.clone())
            .prop_map(|(t, id, x)| format!("INSERT OR REPLACE INTO {t} VALUES ({id}, '{x}')")),
        3 => (table.clone(), id.clone()).prop_map(|(t, id)| format!("DELETE FROM {t} WHERE id > {id}")),
        3 => (table.clone(), id.clone(), text.clone())
            .prop_map(|(t, id, x)| format!("UPDATE {t} SET x = '{x}' WHERE id % 7 = {id} % 7")),
        2 => text.prop_map(|x| format!("INSERT INTO f VALUES ('{x} common')")),
        1 => table.clone().prop_map(|t| format!("CREATE INDEX IF NOT EXISTS i_{t} ON {t} (x)")),
        1 => table.clone().prop_map(|t| format!("DROP INDEX IF EXISTS i_{t}")),
        1 => table.prop_map(|t| format!("INSERT INTO {t} SELECT id + 100, x FROM a")),
        1 => Just("BEGIN".to_owned()),
        1 => Just("COMMIT".to_owned()),
        1 => Just("ROLLBACK".to_owned()),
        1 => Just("SAVEPOINT s".to_owned()),
        1 => Just("ROLLBACK TO s".to_owned()),
        1 => Just("RELEASE s".to_owned()),
        1 => Just("VACUUM".to_owned()),
        1 => Just("PRAGMA wal_checkpoint(TRUNCATE)".to_owned()),
        1 => Just("INSERT INTO f(f) VALUES ('optimize')".to_owned()),
    ]
}

const SCHEMA: &str = "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT); CREATE TABLE b (id INTEGER, x TEXT);
    CREATE VIRTUAL TABLE f USING fts5(x); PRAGMA cache_size = 8; PRAGMA wal_autocheckpoint = 30;";

fn dump(connection: &Connection) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for sql in [
        "SELECT id, x FROM a ORDER BY id, x",
        "SELECT id, x FROM b ORDER BY rowid",
        "SELECT rowid, x FROM f ORDER BY rowid",
        "SELECT rowid, bm25(f) FROM f WHERE f MATCH 'common' ORDER BY rowid",
        "SELECT name, sql FROM sqlite_schema ORDER BY name",
    ] {
        let mut statement = connection.prepare(sql).unwrap();
        let found = statement
            .query_map([], |row| Ok(vec![row.get(0)?, row.get(1)?]))
            .unwrap();
        rows.extend(found.map(Result::unwrap));
    }
    rows
}

fn run(connection: &Connection, sql: &str) -> Option<i32> {
    connection
        .execute_batch(sql)
        .err()
        .and_then(|error| error.sqlite_error().map(|code| code.extended_code))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_sealed_database_behaves_like_a_plain_one(statements in prop::collection::vec(statement(), 20..80)) {
        let home = Home::new();
        let mut sealed = home.open();
        let plain = Connection::open(home.dir().join("plain.db")).unwrap();
        plain.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF").unwrap();
        plain.execute_batch(SCHEMA).unwrap();
        sealed.execute_batch(SCHEMA).unwrap();
        for (n, sql) in statements.iter().enumerate() {
            prop_assert_eq!(run(&sealed, sql), run(&plain, sql), "{}", sql);
            if n % 25 == 24 && sealed.is_autocommit() {
                sealed.close().unwrap();
                sealed = home.open();
                sealed.execute_batch("PRAGMA cache_size = 8; PRAGMA wal_autocheckpoint = 30").unwrap();
            }
        }
        prop_assert_eq!(dump(&sealed), dump(&plain));
        let ended = (run(&sealed, "ROLLBACK"), run(&plain, "ROLLBACK"));
        prop_assert_eq!(ended.0, ended.1);
        prop_assert_eq!(integrity(&sealed), "ok");
        sealed.close().unwrap();
        prop_assert_eq!(dump(&home.open()), dump(&plain));
    }
}
