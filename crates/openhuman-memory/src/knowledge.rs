//! The tables beside the documents: the graph, originals of shortened texts, working memory, backups.

use rusqlite::{OptionalExtension, Transaction};

use crate::database::Database;
use crate::error::MemoryError;

/// The format of the tables below.
const FORMAT: u32 = 2;

/// `graph_links` holds each current fact between entities twice, once for each end, with everything that a walk needs,
/// in the order in which a walk takes them: a step reads neighbouring rows of one tree and nothing else. `rank` is the
/// doubt, then twice the fact's row, plus one for the way back; see `Link` in `graph/sqlite/write.rs`.
const LINKS: &str = "
    CREATE TABLE graph_links (
        node INTEGER NOT NULL, rank INTEGER NOT NULL,
        other INTEGER NOT NULL, name TEXT NOT NULL, fact INTEGER NOT NULL,
        valid_from INTEGER NOT NULL, valid_until INTEGER,
        PRIMARY KEY (node, rank)
    ) WITHOUT ROWID;
";

/// From format 1, whose links had neither the fact nor the name of the other end.
const OLD_LINKS: &str = "DROP INDEX graph_links_by_node; ALTER TABLE graph_links RENAME TO old_graph_links;";
const FILL_LINKS: &str = "
    INSERT INTO graph_links (node, rank, other, name, fact, valid_from, valid_until)
        SELECT l.node, l.doubt << 53 | l.id, l.other, e.name, f.fact, l.valid_from, l.valid_until
        FROM old_graph_links l JOIN graph_facts f ON f.row = l.id / 2 JOIN graph_entities e ON e.id = l.other
        ORDER BY l.node, l.doubt, l.id;
    DROP TABLE old_graph_links;
    UPDATE knowledge_format SET format = 2;
";

const SCHEMA: &str = "
    CREATE TABLE knowledge_format (id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL);
    CREATE TABLE graph_namespaces (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE graph_entities (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        namespace INTEGER NOT NULL REFERENCES graph_namespaces (id),
        is_entity INTEGER NOT NULL, canonical TEXT NOT NULL, name TEXT NOT NULL, created_ms INTEGER NOT NULL,
        UNIQUE (namespace, is_entity, canonical)
    );
    CREATE TABLE graph_aliases (
        namespace INTEGER NOT NULL, canonical TEXT NOT NULL, name TEXT NOT NULL,
        entity INTEGER NOT NULL REFERENCES graph_entities (id),
        PRIMARY KEY (namespace, canonical)
    ) WITHOUT ROWID;
    CREATE INDEX graph_aliases_by_entity ON graph_aliases (entity);
    CREATE TABLE graph_facts (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        namespace INTEGER NOT NULL, fact INTEGER NOT NULL,
        subject INTEGER NOT NULL REFERENCES graph_entities (id), predicate TEXT NOT NULL,
        object INTEGER NOT NULL REFERENCES graph_entities (id), single INTEGER NOT NULL, text TEXT NOT NULL,
        valid_from INTEGER NOT NULL, valid_until INTEGER,
        recorded_ms INTEGER NOT NULL, retired_ms INTEGER,
        confidence REAL NOT NULL, supersedes INTEGER
    );
    CREATE INDEX graph_facts_by_subject ON graph_facts (subject, predicate);
    CREATE INDEX graph_facts_by_object ON graph_facts (object, predicate);
    CREATE INDEX graph_facts_believed ON graph_facts (subject, predicate, single, object) WHERE retired_ms IS NULL;
    CREATE INDEX graph_facts_by_fact ON graph_facts (fact);
    CREATE INDEX graph_facts_by_time ON graph_facts (namespace, valid_from, fact, row);
    CREATE TABLE graph_evidence (
        fact INTEGER NOT NULL, document TEXT NOT NULL, chunk INTEGER NOT NULL, session TEXT NOT NULL,
        skill TEXT NOT NULL, recorded_ms INTEGER NOT NULL, ordinal INTEGER NOT NULL,
        PRIMARY KEY (fact, document, chunk, session, skill)
    ) WITHOUT ROWID;
    CREATE INDEX graph_evidence_by_document ON graph_evidence (document);
    CREATE INDEX graph_evidence_by_session ON graph_evidence (session);
    CREATE INDEX graph_evidence_by_skill ON graph_evidence (skill);
    CREATE TABLE graph_mentions (
        entity INTEGER NOT NULL REFERENCES graph_entities (id),
        document TEXT NOT NULL, chunk INTEGER NOT NULL, session TEXT NOT NULL, skill TEXT NOT NULL,
        PRIMARY KEY (entity, document, chunk, session, skill)
    ) WITHOUT ROWID;
    CREATE INDEX graph_mentions_by_chunk ON graph_mentions (chunk);
    CREATE INDEX graph_mentions_by_document ON graph_mentions (document);
    CREATE TRIGGER graph_chunk_removed AFTER DELETE ON chunks BEGIN
        DELETE FROM graph_mentions WHERE chunk = old.id;
    END;
    CREATE VIRTUAL TABLE graph_fts USING fts5 (
        text, content = 'graph_facts', content_rowid = 'row', tokenize = 'unicode61 remove_diacritics 0'
    );
    INSERT INTO graph_fts (graph_fts, rank) VALUES ('secure-delete', 1);
    CREATE TRIGGER graph_fact_added AFTER INSERT ON graph_facts BEGIN
        INSERT INTO graph_fts (rowid, text) VALUES (new.row, new.text);
    END;
    CREATE TRIGGER graph_fact_removed AFTER DELETE ON graph_facts BEGIN
        INSERT INTO graph_fts (graph_fts, rowid, text) VALUES ('delete', old.row, old.text);
    END;
    CREATE TABLE originals (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, created_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE original_uses (
        id TEXT NOT NULL REFERENCES originals (id), session TEXT NOT NULL, PRIMARY KEY (id, session)
    ) WITHOUT ROWID;
    CREATE INDEX original_uses_by_session ON original_uses (session);
    CREATE TABLE working_items (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        origin TEXT NOT NULL, kind TEXT NOT NULL, slot TEXT NOT NULL, text TEXT NOT NULL,
        confidence REAL NOT NULL, evidence INTEGER NOT NULL, pinned INTEGER NOT NULL,
        first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, closed_ms INTEGER
    );
    CREATE INDEX working_items_by_slot ON working_items (origin, kind, slot);
    CREATE TABLE backups (path TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, outdated_ms INTEGER) WITHOUT ROWID;
    INSERT INTO knowledge_format (id, format) VALUES (1, 2);
";

/// Creates the tables, takes them over from the format before, or checks that they are the ones this program knows.
pub(crate) fn prepare(database: &Database) -> Result<(), MemoryError> {
    let found = database.read(|connection| {
        let there: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'knowledge_format')",
            [],
            |row| row.get(0),
        )?;
        if !there {
            return Ok(None);
        }
        let format = connection.query_row("SELECT format FROM knowledge_format", [], |row| row.get(0));
        Ok(format.optional()?)
    })?;
    let create = |tables: &[&str]| {
        let create = |transaction: &Transaction<'_>| {
            tables
                .iter()
                .try_for_each(|tables| Ok(transaction.execute_batch(tables)?))
        };
        database.write(create, |()| ())
    };
    match found {
        Some(FORMAT) => Ok(()),
        Some(1) => create(&[OLD_LINKS, LINKS, FILL_LINKS]),
        Some(found) => Err(MemoryError::UnknownFormat { found, known: FORMAT }),
        None => create(&[SCHEMA, LINKS]),
    }
}
