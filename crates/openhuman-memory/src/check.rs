//! Whether the tables of a memory belong together.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::error::MemoryError;
use crate::terms;
use crate::vectors::segments;

/// Checks every chunk: its vector, its bits, its place, its words and their occurrences. Returns how many there are.
pub(crate) fn run(connection: &Connection, dimensions: usize) -> Result<usize, MemoryError> {
    let transaction = connection.unchecked_transaction()?;
    let chunks = segments::check(&transaction, dimensions)?;
    words(&transaction)?;
    Ok(chunks)
}

/// Compares the occurrences in the full-text index with the words of the rows.
fn words(connection: &Connection) -> Result<(), MemoryError> {
    let mut expected: HashMap<(i64, bool, String), usize> = HashMap::new();
    let mut statement = connection.prepare("SELECT id, text, context FROM chunks")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        for (in_context, column) in [(false, 1), (true, 2)] {
            let text: String = row.get(column)?;
            for word in terms::indexed(&text).split_ascii_whitespace() {
                *expected.entry((id, in_context, word.to_owned())).or_default() += 1;
            }
        }
    }
    let damaged = |id: i64, word: &str| MemoryError::Damaged {
        what: format!("the index of words and chunk {id} differ in {word:?}"),
    };
    let mut statement = connection.prepare("SELECT doc, col, term FROM temp.occurrences")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, column, word): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let key = (id, column == "context", word);
        match expected.get_mut(&key) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => {
                expected.remove(&key);
            }
            None => return Err(damaged(id, &key.2)),
        }
    }
    match expected.keys().next() {
        Some((id, _, word)) => Err(damaged(*id, word)),
        None => Ok(()),
    }
}
