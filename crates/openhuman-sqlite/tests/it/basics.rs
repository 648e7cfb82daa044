use openhuman_sqlite::rusqlite::{Connection, params};
use openhuman_sqlite::{Durability, Error, Options, export_plain, open};

use crate::{Home, integrity, key};

const SCHEMA: &str = "
    CREATE TABLE document (id INTEGER PRIMARY KEY, title TEXT, body TEXT);
    CREATE VIRTUAL TABLE search USING fts5(title, body, content=document, content_rowid=id);
    CREATE TRIGGER document_added AFTER INSERT ON document BEGIN
        INSERT INTO search (rowid, title, body) VALUES (new.id, new.title, new.body);
    END;";

fn fill(connection: &mut Connection, rows: i64) {
    let transaction = connection.transaction().unwrap();
    for id in 1..=rows {
        let body = format!(
            "row {id} speaks of apples and number{id} {}",
            "lorem ipsum ".repeat(20)
        );
        transaction
            .execute(
                "INSERT INTO document VALUES (?1, ?2, ?3)",
                params![id, format!("title {id}"), body],
            )
            .unwrap();
    }
    transaction.commit().unwrap();
}

fn matches(connection: &Connection, query: &str) -> i64 {
    connection
        .query_row(
            "SELECT count(*) FROM search WHERE search MATCH ?1",
            [query],
            |row| row.get(0),
        )
        .unwrap()
}

#[test]
fn full_text_search_survives_reopening_and_vacuum() {
    let home = Home::new();
    let mut connection = home.open();
    connection.execute_batch(SCHEMA).unwrap();
    fill(&mut connection, 500);
    drop(connection);

    let connection = home.open();
    assert_eq!(matches(&connection, "apples"), 500);
    assert_eq!(matches(&connection, "number77"), 1);
    connection
        .execute("DELETE FROM document WHERE id > 400", [])
        .unwrap();
    connection
        .execute_batch("INSERT INTO search(search) VALUES('rebuild'); VACUUM;")
        .unwrap();
    assert_eq!(matches(&connection, "apples"), 400);
    connection
        .execute_batch("INSERT INTO search(search) VALUES('integrity-check')")
        .unwrap();
    assert_eq!(integrity(&connection), "ok");
    drop(connection);
    assert_eq!(matches(&home.open(), "apples"), 400);
}

#[test]
fn a_new_database_is_what_sqlite_expects() {
    let home = Home::new();
    let connection = home.open();
    let pragma = |name: &str| {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| {
            row.get::<_, openhuman_sqlite::rusqlite::types::Value>(0)
        })
    };
    assert_eq!(pragma("journal_mode").unwrap(), "wal".to_owned().into());
    assert_eq!(pragma("page_size").unwrap(), 4096.into());
    assert_eq!(pragma("encoding").unwrap(), "UTF-8".to_owned().into());
    assert_eq!(pragma("synchronous").unwrap(), 2.into());
    assert_eq!(pragma("fullfsync").unwrap(), 1.into());
    assert_eq!(integrity(&connection), "ok");
    let relaxed = Options {
        durability: Durability::ProcessCrash,
        ..Options::default()
    };
    let relaxed = open(&home.path(), &key(), &relaxed).unwrap();
    let synchronous: i64 = relaxed
        .query_row("PRAGMA synchronous", [], |row| row.get(0))
        .unwrap();
    assert_eq!(synchronous, 1);
}

#[test]
fn savepoints_that_spill_out_of_the_cache_roll_back() {
    let home = Home::new();
    let mut connection = home.open();
    connection
        .execute_batch("PRAGMA cache_size = 10; PRAGMA temp_store = FILE;")
        .unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    fill(&mut connection, 200);
    let before: String = dump(&connection);
    let transaction = connection.transaction().unwrap();
    transaction
        .execute_batch("SAVEPOINT a; UPDATE document SET body = body || 'x' WHERE id % 2;")
        .unwrap();
    transaction
        .execute_batch("SAVEPOINT b; DELETE FROM document WHERE id < 150;")
        .unwrap();
    transaction
        .execute_batch("ROLLBACK TO b; UPDATE document SET title = 'y'; ROLLBACK TO a;")
        .unwrap();
    transaction
        .execute_batch("UPDATE document SET title = title; UPDATE document SET body = body;")
        .unwrap();
    transaction.commit().unwrap();
    assert_eq!(dump(&connection), before);
    assert_eq!(integrity(&connection), "ok");
    drop(connection);
    assert_eq!(dump(&home.open()), before);
}

fn dump(connection: &Connection) -> String {
    let sql = "SELECT group_concat(id || title || body, '|') FROM (SELECT * FROM document ORDER BY id)";
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_pragma_that_would_change_the_format_is_refused_with_a_reason() {
    let home = Home::new();
    let connection = home.open();
    connection.execute_batch("CREATE TABLE t (x)").unwrap();
    for (pragma, reason) in [
        ("journal_mode = DELETE", "write-ahead-log"),
        ("journal_mode = OFF", "write-ahead-log"),
        ("auto_vacuum = FULL", "auto_vacuum"),
        ("page_size = 8192", "4096"),
    ] {
        let error = connection
            .query_row(&format!("PRAGMA {pragma}"), [], |_| Ok(()))
            .unwrap_err();
        assert!(error.to_string().contains(reason), "{pragma}: {error}");
    }
    connection
        .execute_batch("PRAGMA mmap_size = 1000000; INSERT INTO t VALUES (1); VACUUM;")
        .unwrap();
    let mapped = connection.query_row("PRAGMA mmap_size", [], |row| row.get::<_, i64>(0));
    assert!(!matches!(mapped, Ok(size) if size > 0), "{mapped:?}");
    drop(connection);
    assert_eq!(integrity(&home.open()), "ok");
}

#[test]
fn a_plain_export_is_an_ordinary_database() {
    let home = Home::new();
    let mut connection = home.open();
    connection.execute_batch(SCHEMA).unwrap();
    fill(&mut connection, 300);
    let target = home.dir().join("plain.db");
    export_plain(&connection, &target).unwrap();
    assert!(matches!(
        export_plain(&connection, &target),
        Err(Error::AlreadyExists { .. })
    ));

    let bytes = std::fs::read(&target).unwrap();
    assert!(bytes.starts_with(b"SQLite format 3\0"));
    assert_eq!((bytes[18], bytes[19]), (1, 1), "rollback journal mode");
    let plain = Connection::open(&target).unwrap();
    assert_eq!(integrity(&plain), "ok");
    assert_eq!(matches(&plain, "apples"), 300);
    assert_eq!(dump(&plain), dump(&connection));
    assert_eq!(
        matches(&connection, "apples"),
        300,
        "the sealed database goes on working"
    );
    let left: Vec<_> = home.files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["plain.db", "test.db", "test.db-lock", "test.db-wal"]);
}

#[test]
fn awkward_names_reach_the_file_system_unchanged() {
    let home = Home::new();
    for name in [
        "with space.db",
        "percent%20?x=1&y#z.db",
        "ümläut-記憶.db",
        "file:odd.db",
    ] {
        let path = home.dir().join(name);
        let connection = open(&path, &key(), &Options::default()).unwrap();
        connection
            .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
            .unwrap();
        drop(connection);
        assert!(path.exists(), "{name}");
        assert_eq!(
            integrity(&open(&path, &key(), &Options::default()).unwrap()),
            "ok"
        );
    }
}

#[test]
fn a_wait_for_ever_is_a_wait_and_not_a_panic() {
    let home = Home::new();
    let patient = Options {
        busy_timeout: std::time::Duration::MAX,
        ..Options::default()
    };
    open(&home.path(), &key(), &patient)
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
}
