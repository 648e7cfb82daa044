use super::*;
use crate::{DbOpener as _, DbOptions, SkillId};

fn open(quota: DbQuota) -> Box<dyn Database> {
    SqliteDatabase::new(Connection::open_in_memory().unwrap(), quota)
}

#[test]
fn what_could_reach_outside_is_denied() {
    let mut db = open(DbQuota::default());
    for sql in [
        "ATTACH 'other.db' AS other",
        "ATTACH '' AS other",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "VACUUM INTO 'copy.db'",
        "VACUUM; ATTACH '' AS other",
        "SELECT load_extension('x')",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA max_page_count = 1000000000",
        "PRAGMA writable_schema = ON",
        "PRAGMA temp_store_directory = 'x'",
        "PRAGMA key = 'x'",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA trusted_schema = ON",
        "CREATE VIRTUAL TABLE t USING csv(filename='x')",
    ] {
        assert!(db.execute(sql, &[]).is_err(), "{sql}");
    }
}

#[test]
fn what_published_skills_use_is_allowed() {
    let mut db = open(DbQuota::default());
    db.execute(
        "CREATE TABLE t (id TEXT PRIMARY KEY, n INT); CREATE INDEX i ON t(n);",
        &[],
    )
    .unwrap();
    let rows = db.query("PRAGMA table_info(t)", &[], 10).unwrap();
    assert_eq!(rows.rows.len(), 2);
    let upsert = "INSERT INTO t VALUES (?, ?) ON CONFLICT(id) DO UPDATE SET n = excluded.n";
    assert_eq!(
        db.execute(upsert, &[DbValue::Text("a".into()), DbValue::Integer(1)])
            .unwrap(),
        1
    );
    db.execute("PRAGMA user_version = 3", &[]).unwrap();
    db.execute("VACUUM", &[]).unwrap();
    db.execute("CREATE VIRTUAL TABLE f USING fts5(body)", &[])
        .unwrap();
    db.execute("BEGIN; INSERT INTO f VALUES ('hello'); COMMIT;", &[])
        .unwrap();
    assert_eq!(
        db.query("SELECT body FROM f WHERE f MATCH 'hello'", &[], 10)
            .unwrap()
            .rows
            .len(),
        1
    );
}

#[test]
fn time_rows_and_size_are_bounded() {
    let quota = DbQuota {
        max_bytes: 1024 * 1024,
        max_result_bytes: 100_000,
        statement_time: Duration::from_millis(50),
    };
    let mut db = open(quota);
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c";
    assert!(matches!(db.query(endless, &[], 1), Err(DbError::Interrupted(_))));
    let many = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < 100) SELECT x FROM c";
    assert!(db.query(many, &[], 10).unwrap().truncated);
    let wide = "SELECT zeroblob(60000), zeroblob(60000)";
    assert!(matches!(db.query(wide, &[], 10), Err(DbError::Quota(_))));
    db.execute("CREATE TABLE t (b BLOB)", &[]).unwrap();
    let full = (0..40)
        .map(|_| db.execute("INSERT INTO t VALUES (zeroblob(50000))", &[]))
        .find(Result::is_err);
    assert!(matches!(full, Some(Err(DbError::Quota(_)))), "{full:?}");
    db.execute("DELETE FROM t", &[]).unwrap();
}

#[test]
fn values_round_trip() {
    let mut db = open(DbQuota::default());
    let values = [
        DbValue::Null,
        DbValue::Integer(i64::MIN),
        DbValue::Real(1.5),
        DbValue::Text("\"123\" ü".into()),
        DbValue::Blob(vec![0, 255]),
    ];
    let rows = db.query("SELECT ?, ?, ?, ?, ?", &values, 1).unwrap();
    assert_eq!(rows.rows[0], values);
    assert!(db.query("SELECT ?", &[], 1).is_err());
}

#[test]
fn memory_databases_survive_a_restart_and_are_separate() {
    let opener = MemoryDbOpener::default();
    let (a, b) = (SkillId::new("a").unwrap(), SkillId::new("b").unwrap());
    opener
        .open(&a, &DbOptions::default())
        .unwrap()
        .execute("CREATE TABLE t (x)", &[])
        .unwrap();
    assert!(
        opener
            .open(&a, &DbOptions::default())
            .unwrap()
            .query("SELECT * FROM t", &[], 1)
            .is_ok()
    );
    assert!(
        opener
            .open(&b, &DbOptions::default())
            .unwrap()
            .query("SELECT * FROM t", &[], 1)
            .is_err()
    );
}

#[test]
fn what_takes_sqlite_hours_is_linear_or_refused() {
    let mut db = open(DbQuota::default());
    let started = std::time::Instant::now();
    let long = DbValue::Text("a".repeat(4_000_000));
    let almost = DbValue::Text(format!("{}b", "a".repeat(2_000_000)));
    for sql in [
        "SELECT instr(?, ?)",
        "SELECT length(replace(?, ?, 'c'))",
        "SELECT length(trim(?, ?))",
    ] {
        db.query(sql, &[long.clone(), almost.clone()], 1).unwrap();
    }
    for sql in [
        "SELECT unhex(?, ?)",
        "SELECT json_patch(?, ?)",
        "SELECT ? LIKE '%' || ?",
    ] {
        assert!(
            db.query(sql, &[long.clone(), almost.clone()], 1).is_err(),
            "{sql}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn replaced_functions_do_as_the_built_in_ones() {
    let mut ours = open(DbQuota::default());
    let theirs = Connection::open_in_memory().unwrap();
    for sql in [
        "instr('héllo', 'l')",
        "instr('abc', 'd')",
        "instr('abc', '')",
        "instr(x'0102ff', x'ff')",
        "instr(NULL, 'a')",
        "instr(1234, 3)",
        "instr(1.5, '.')",
        "instr('a', NULL)",
        "replace('aXbX', 'X', '--')",
        "replace('abc', '', 'x')",
        "replace('aaa', 'aa', 'b')",
        "replace(121, 2, 'ü')",
        "replace('a', NULL, 'b')",
        "trim('  a b  ')",
        "ltrim('xxay', 'xy')",
        "rtrim('xxayy', 'yx')",
        "trim('üaü', 'ü')",
        "trim(NULL)",
        "trim('a', NULL)",
        "trim('abc', '')",
        "unhex('4142')",
    ] {
        let expected: SqlValue = theirs
            .query_row(&format!("SELECT {sql}"), [], |row| row.get(0))
            .unwrap();
        let found = ours
            .query(&format!("SELECT {sql}"), &[], 1)
            .unwrap()
            .rows
            .remove(0)
            .remove(0);
        assert_eq!(found, value_of(ValueRef::from(&expected)), "{sql}");
    }
}

#[test]
fn a_statement_does_not_take_the_memory() {
    let mut db = open(DbQuota::default());
    for sql in [
        "WITH RECURSIVE c(x) AS (SELECT zeroblob(1000000) UNION ALL SELECT zeroblob(1000000) FROM c) SELECT x FROM c ORDER BY 1",
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(DISTINCT hex(n) || hex(zeroblob(100000))) FROM c",
        "CREATE TEMP TABLE t AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT zeroblob(100000) AS b FROM c",
    ] {
        let ended = db.execute(sql, &[]);
        assert!(
            matches!(ended, Err(DbError::Quota(_) | DbError::Interrupted(_))),
            "{ended:?}: {sql}"
        );
        assert_eq!(
            db.query("SELECT 1", &[], 1).unwrap().rows.len(),
            1,
            "usable afterwards"
        );
    }
}

#[test]
fn the_engines_tables_are_read_only() {
    let mut db = open(DbQuota::default());
    db.set_trusted(true);
    db.execute(
        "CREATE TABLE _cron (id TEXT); CREATE TABLE _kv (key TEXT PRIMARY KEY, value TEXT)",
        &[],
    )
    .unwrap();
    db.execute("INSERT INTO _cron VALUES ('a')", &[]).unwrap();
    db.set_trusted(false);
    for sql in [
        "INSERT INTO _cron VALUES ('b')",
        "UPDATE _cron SET id = 'b'",
        "DELETE FROM _cron",
        "DROP TABLE _cron",
        "ALTER TABLE _cron ADD COLUMN x",
        "ALTER TABLE _kv RENAME TO other",
        "DROP TABLE _kv",
        "CREATE TRIGGER t AFTER INSERT ON _kv BEGIN SELECT 1; END",
        "CREATE TEMP TABLE _cron (id)",
        "CREATE VIEW _Cron AS SELECT 1",
    ] {
        assert!(matches!(db.execute(sql, &[]), Err(DbError::Denied(_))), "{sql}");
    }
    assert_eq!(db.query("SELECT id FROM _cron", &[], 9).unwrap().rows.len(), 1);
    db.execute("INSERT INTO _kv VALUES ('mine', '1')", &[]).unwrap();
}

#[test]
fn what_is_put_away_comes_back() {
    let (opener, skill, options) = (
        MemoryDbOpener::default(),
        SkillId::new("a").unwrap(),
        DbOptions::new(1024 * 1024),
    );
    assert!(!opener.exists(&skill));
    let mut db = opener.open(&skill, &options).unwrap();
    db.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)", &[])
        .unwrap();
    db.execute("BEGIN; INSERT INTO t VALUES (2)", &[]).unwrap();
    assert!(!db.can_close());
    db.execute("ROLLBACK", &[]).unwrap();
    assert!(db.can_close());
    for _ in 0..3 {
        drop(db);
        assert!(opener.exists(&skill));
        db = opener.open(&skill, &options).unwrap();
        // The journal of a restored database works as well.
        db.execute("BEGIN; INSERT INTO t VALUES (3); ROLLBACK", &[])
            .unwrap();
        assert_eq!(
            db.query("SELECT x FROM t", &[], 9).unwrap().rows,
            [[DbValue::Integer(1)]]
        );
    }
    let full = (0..40)
        .map(|_| db.execute("INSERT INTO t VALUES (zeroblob(50000))", &[]))
        .find(Result::is_err);
    assert!(matches!(full, Some(Err(DbError::Quota(_)))), "{full:?}");
    db.execute("CREATE TEMP TABLE temporary (x)", &[]).unwrap();
    assert!(!db.can_close());
}
