//! A search of everything for what must be gone.

use rusqlite::types::ValueRef;

use super::text::Needles;
use super::{Forget, is_from};
use crate::error::MemoryError;
use crate::memory::Memory;
use crate::query::Query;

/// Where needles still are: every text of every table, the search itself, and every line of every session.
pub(super) fn words(memory: &Memory, needles: &Needles) -> Result<Vec<String>, MemoryError> {
    let mut left = tables(memory, needles)?;
    for word in needles.words() {
        for hit in memory.search(&Query::new(word.as_str()))? {
            if needles.are_in(&hit.text) {
                left.push(format!("the search for it finds document {}", hit.document_id));
            }
        }
    }
    for id in memory.session_ids()? {
        let session = memory.session(&id)?;
        let mut lines = Vec::new();
        session.export_plain(&mut lines)?;
        if needles.are_in(&id) || needles.are_in(&String::from_utf8_lossy(&lines)) {
            left.push(format!("session {id}"));
        }
    }
    // Rows, words and vectors belong together, so what is not in a row is not in an index.
    memory.check()?;
    Ok(left)
}

/// Reads every row of every ordinary table.
fn tables(memory: &Memory, needles: &Needles) -> Result<Vec<String>, MemoryError> {
    memory.database().read(|connection| {
        let mut names = connection.prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
             AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE '%_fts_%'",
        )?;
        let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut left = Vec::new();
        for table in names {
            let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
            let columns = statement.column_count();
            let mut rows = statement.query([])?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    if let ValueRef::Text(text) = row.get_ref(column)?
                        && needles.are_in(&String::from_utf8_lossy(text))
                    {
                        count += 1;
                    }
                }
            }
            if count > 0 {
                left.push(format!("{count} values of the table {table}"));
            }
        }
        Ok(left)
    })
}

/// What still comes from a source or a skill.
pub(super) fn origin(memory: &Memory, what: &Forget) -> Result<Vec<String>, MemoryError> {
    let mut left: Vec<String> = memory
        .documents(None)?
        .iter()
        .filter(|info| is_from(info, what))
        .map(|info| format!("document {}", info.id))
        .collect();
    let (Forget::Person(name) | Forget::Source(name) | Forget::Skill(name) | Forget::Phrase(name)) = what;
    let sql = match what {
        Forget::Skill(_) => {
            "SELECT (SELECT count(*) FROM working_items WHERE origin = ?1)
                  + (SELECT count(*) FROM graph_evidence WHERE skill = ?1)
                  + (SELECT count(*) FROM graph_mentions WHERE skill = ?1)"
        }
        _ => {
            "SELECT (SELECT count(*) FROM sessions WHERE id = ?1)
                  + (SELECT count(*) FROM original_uses WHERE session = ?1 OR id = ?1)
                  + (SELECT count(*) FROM graph_evidence WHERE ?1 IN (document, session))
                  + (SELECT count(*) FROM graph_mentions WHERE ?1 IN (document, session))"
        }
    };
    let rows: i64 = memory
        .database()
        .read(|connection| Ok(connection.query_row(sql, [name.trim()], |row| row.get(0))?))?;
    if rows > 0 {
        left.push(format!("{rows} rows of {name}"));
    }
    memory.check()?;
    Ok(left)
}
