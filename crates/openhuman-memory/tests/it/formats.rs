//! Memories of earlier formats, and large ones.

use openhuman_memory::graph::{Assertion, Change, GraphStore, Object, Oblivion, Subgraph, Walk};
use openhuman_memory::{Conversation, Document, Embedder, HashingEmbedder, Memory, Query, Turn};
use rusqlite::params;

use crate::{Fixture, key, open};

/// The tables of format 1, as its program made them.
const FORMAT_1: &str = "
    CREATE TABLE store (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        provider TEXT NOT NULL, model TEXT NOT NULL, dimensions INTEGER NOT NULL, version INTEGER NOT NULL
    );
    CREATE TABLE namespaces (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE documents (
        id TEXT PRIMARY KEY,
        namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
        key TEXT NOT NULL, title TEXT NOT NULL, source TEXT NOT NULL,
        created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
        bytes INTEGER NOT NULL, digest BLOB NOT NULL,
        UNIQUE (namespace_id, key)
    );
    CREATE TABLE chunks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        document_id TEXT NOT NULL REFERENCES documents (id),
        ordinal INTEGER NOT NULL,
        first INTEGER NOT NULL, fresh INTEGER NOT NULL, last INTEGER NOT NULL,
        tokens INTEGER NOT NULL, heading TEXT NOT NULL, hash BLOB NOT NULL,
        context TEXT NOT NULL, text TEXT NOT NULL
    );
    CREATE INDEX chunks_by_document ON chunks (document_id, ordinal);
    CREATE TABLE vectors (
        namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
        chunk_id INTEGER NOT NULL REFERENCES chunks (id),
        code BLOB NOT NULL,
        PRIMARY KEY (namespace_id, chunk_id)
    ) WITHOUT ROWID;
    CREATE INDEX vectors_by_chunk ON vectors (chunk_id);
    CREATE TABLE sessions (id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL);
    CREATE VIRTUAL TABLE chunks_fts USING fts5 (
        text, context, content = 'chunks', content_rowid = 'id', tokenize = 'porter unicode61'
    );
    INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('secure-delete', 1);
    CREATE TRIGGER chunk_added AFTER INSERT ON chunks BEGIN
        INSERT INTO chunks_fts (rowid, text, context) VALUES (new.id, new.text, new.context);
    END;
    CREATE TRIGGER chunk_removed AFTER DELETE ON chunks BEGIN
        INSERT INTO chunks_fts (chunks_fts, rowid, text, context) VALUES ('delete', old.id, old.text, old.context);
    END;
    CREATE TRIGGER chunk_changed AFTER UPDATE OF text, context ON chunks BEGIN
        INSERT INTO chunks_fts (chunks_fts, rowid, text, context) VALUES ('delete', old.id, old.text, old.context);
        INSERT INTO chunks_fts (rowid, text, context) VALUES (new.id, new.text, new.context);
    END;
";

#[test]
fn a_memory_of_format_1_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let text = "The lighthouse keepers sleep in Zürich.";
    {
        let path = dir.path().join("memory.db");
        let options = openhuman_sqlite::Options::default();
        let connection = openhuman_sqlite::open(&path, &Memory::database_key(&key()), &options).unwrap();
        connection.execute_batch(FORMAT_1).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let space = HashingEmbedder::default().space();
        let vector = HashingEmbedder::default().embed(&[text]).unwrap().remove(0);
        let largest = vector.iter().fold(0.0f32, |most, number| most.max(number.abs()));
        let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        let mut code = vec![1u8];
        code.extend((largest / 127.0 / length).to_le_bytes());
        code.extend(
            vector
                .iter()
                .map(|number| (number / largest * 127.0).round() as i8 as u8),
        );
        let id = "0123456789abcdef0123456789abcdef";
        let insert = |sql: &str, values: &[&dyn rusqlite::ToSql]| connection.execute(sql, values).unwrap();
        insert(
            "INSERT INTO store VALUES (1, ?1, ?2, ?3, ?4)",
            &[&space.provider, &space.model, &256, &space.version],
        );
        insert("INSERT INTO namespaces (id, name) VALUES (1, 'default')", &[]);
        insert(
            "INSERT INTO documents VALUES (?1, 1, 'sea', 'Coast', '', 5, 5, ?2, x'00')",
            params![id, text.len()],
        );
        insert(
            "INSERT INTO chunks (id, document_id, ordinal, first, fresh, last, tokens, heading, hash, context, text)
             VALUES (7, ?1, 0, 0, 0, ?2, 9, '[]', x'01', 'Coast', ?3)",
            params![id, text.len(), text],
        );
        insert(
            "INSERT INTO vectors (namespace_id, chunk_id, code) VALUES (1, 7, ?1)",
            params![code],
        );
    }
    for _ in 0..2 {
        let memory = open(dir.path(), &key()).unwrap();
        assert_eq!(memory.check().unwrap(), 1);
        let hits = memory
            .search(&Query::new("lighthouse keeper zurich coast"))
            .unwrap();
        assert_eq!((hits[0].key.as_str(), hits[0].signals.matched_terms), ("sea", 4));
        assert!(memory.search(&Query::new(text)).unwrap()[0].signals.vector > 0.99);
        assert_eq!(memory.text(&hits[0].document_id).unwrap().as_deref(), Some(text));
    }
}

/// The links of the graph as format 1 of its tables kept them.
const OLD_LINKS: &str = "
    ALTER TABLE graph_links RENAME TO new_links;
    CREATE TABLE graph_links (
        id INTEGER PRIMARY KEY,
        node INTEGER NOT NULL, doubt INTEGER NOT NULL, other INTEGER NOT NULL,
        valid_from INTEGER NOT NULL, valid_until INTEGER
    );
    CREATE INDEX graph_links_by_node ON graph_links (node, doubt, id, valid_from, valid_until);
    INSERT INTO graph_links (id, node, doubt, other, valid_from, valid_until)
        SELECT rank & ((1 << 53) - 1), node, rank >> 53, other, valid_from, valid_until FROM new_links;
    DROP TABLE new_links;
    UPDATE knowledge_format SET format = 1;
";

#[test]
fn a_graph_of_format_1_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let walks = |memory: &Memory| -> Vec<Subgraph> {
        let graph = memory.graph();
        ["ada", "person 3", "person 11"]
            .map(|name| graph.walk(&Walk::from("n", name)).unwrap())
            .into()
    };
    let before = {
        let memory = open(dir.path(), &key()).unwrap();
        let mut changes = Vec::new();
        for n in 0..40 {
            let mut fact = Assertion::many(
                format!("person {}", n % 12),
                "knows",
                Object::entity(format!("Person {}", (n * 7) % 13)),
                n,
            );
            fact.confidence = 1.0 - (n % 5) as f32 / 10.0;
            changes.push(Change::Assert(fact));
        }
        for (home, since) in [("London", 10), ("Paris", 20)] {
            changes.push(Change::Assert(Assertion::one(
                "Ada",
                "lives in",
                Object::entity(home),
                since,
            )));
        }
        memory.graph().apply("n", &changes, 50).unwrap();
        walks(&memory)
    };
    assert!(
        before[0].nodes.len() == 3 && before[1].edges.len() > 10,
        "{before:?}"
    );
    let path = dir.path().join("memory.db");
    let options = openhuman_sqlite::Options::default();
    let connection = openhuman_sqlite::open(&path, &Memory::database_key(&key()), &options).unwrap();
    connection.execute_batch(OLD_LINKS).unwrap();
    drop(connection);
    for _ in 0..2 {
        let memory = open(dir.path(), &key()).unwrap();
        assert_eq!(walks(&memory), before);
        memory
            .graph()
            .forget("n", &Oblivion::Entity("nobody".into()))
            .unwrap();
    }
    // What was taken over can be closed and forgotten.
    let memory = open(dir.path(), &key()).unwrap();
    let moved = Assertion::one("Ada", "lives in", Object::entity("Rome"), 5);
    memory.graph().apply("n", &[Change::Assert(moved)], 60).unwrap();
    memory
        .graph()
        .forget("n", &Oblivion::Entity("Paris".into()))
        .unwrap();
    let names: Vec<String> = walks(&memory)[0]
        .nodes
        .iter()
        .map(|node| node.name.clone())
        .collect();
    assert!(
        names.contains(&"Rome".to_owned()) && !names.contains(&"Paris".to_owned()),
        "{names:?}"
    );
}

/// The same memory with all bytes in memory and with bits only finds the same.
#[test]
fn a_large_memory_finds_what_a_small_one_finds() {
    let (small, large) = (Fixture::new(), Fixture::new());
    large.memory.keep_bits_above(300);
    for fixture in [&small, &large] {
        for part in 0..4 {
            let documents: Vec<Document> = (0..400)
                .map(|n| {
                    let n = part * 400 + n;
                    Document::new(
                        format!("{n}"),
                        "",
                        format!("Note {n}: topic{} and item{} by the river.", n % 37, n % 91),
                    )
                })
                .collect();
            fixture.memory.ingest_all(&documents).unwrap();
        }
        let turns = (0..50)
            .map(|n| Turn::new("Ann", format!("Turn {n} about topic{}.", n % 7)))
            .collect();
        fixture
            .memory
            .ingest_conversation(&Conversation::new("talk", turns))
            .unwrap();
        for document in fixture.memory.documents(None).unwrap().iter().step_by(3) {
            fixture.memory.forget(&document.id).unwrap();
        }
        fixture
            .memory
            .ingest(&Document::new("late", "", "A late note about the lighthouse."))
            .unwrap();
    }
    assert_eq!(small.memory.check().unwrap(), large.memory.check().unwrap());
    let reopened = {
        let Fixture { dir, memory, .. } = large;
        drop(memory);
        (open(dir.path(), &key()).unwrap(), dir)
    };
    for question in [
        "topic5 and item20",
        "late lighthouse",
        "turn 12 topic5",
        "river",
        "note 700",
    ] {
        let found = |memory: &Memory| {
            let hits = memory.search(&Query::new(question)).unwrap();
            hits.into_iter()
                .map(|hit| (hit.key, hit.ordinal))
                .collect::<Vec<_>>()
        };
        let (expected, bits) = (found(&small.memory), found(&reopened.0));
        assert_eq!(expected[0], bits[0], "{question}");
        let same = bits.iter().filter(|hit| expected.contains(hit)).count();
        assert!(
            question == "river" || same >= 6,
            "{question}: {expected:?} {bits:?}"
        );
    }
    reopened.0.unload();
    assert_eq!(
        reopened.0.search(&Query::new("late lighthouse")).unwrap()[0].key,
        "late"
    );
    reopened
        .0
        .ingest(&Document::new("later", "", "A later note about the harbour."))
        .unwrap();
    assert_eq!(
        reopened.0.search(&Query::new("later harbour")).unwrap()[0].key,
        "later"
    );
}
