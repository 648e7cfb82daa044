//! The full texts behind shortened ones, by their content.

use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::compress::{ToolOutput, compress};
use crate::document::at_most;
use crate::error::MemoryError;
use crate::ingest::hex;
use crate::memory::Memory;
use crate::session::MAX_SESSION_RECORD_BYTES;

/// A result of a tool as a model should read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Shortened {
    /// The text. When something was left out, it begins with how to get it.
    pub text: String,
    /// The original, for [`Memory::expand`]; `None` when nothing was left out.
    pub original: Option<String>,
    /// Tokens of the result.
    pub tokens_before: usize,
    /// Tokens of the text.
    pub tokens_after: usize,
}

impl Memory {
    /// Shortens a result of a tool, and keeps the original in the sealed database, once for the same content.
    ///
    /// # Errors
    ///
    /// [`MemoryError::TooLong`] above 8 MiB, and failures of the database.
    pub fn shorten(&self, session: &str, output: &ToolOutput<'_>) -> Result<Shortened, MemoryError> {
        at_most("tool result", output.text, MAX_SESSION_RECORD_BYTES)?;
        let Some(short) = compress(output) else {
            let tokens = crate::chunk::count_tokens(output.text);
            return Ok(Shortened {
                text: output.text.to_owned(),
                original: None,
                tokens_before: tokens,
                tokens_after: tokens,
            });
        };
        let id = self.keep_original(session, "tool result", output.text)?;
        let text = format!(
            "[shortened from {} tokens; all of it: expand({id})]\n{}",
            short.tokens_before, short.text
        );
        Ok(Shortened {
            tokens_after: crate::chunk::count_tokens(&text),
            text,
            original: Some(id),
            tokens_before: short.tokens_before,
        })
    }

    /// The full text behind a shortened one; `None` when there is none, or it was forgotten.
    pub fn expand(&self, id: &str) -> Result<Option<String>, MemoryError> {
        self.database().read(|connection| {
            let mut statement = connection.prepare_cached("SELECT text FROM originals WHERE id = ?1")?;
            Ok(statement.query_row([id.trim()], |row| row.get(0)).optional()?)
        })
    }

    pub(crate) fn keep_original(&self, session: &str, kind: &str, text: &str) -> Result<String, MemoryError> {
        let now_ms = self.clock().now_ms();
        self.database().write(
            |transaction| keep(transaction, session, kind, text, now_ms),
            |_| (),
        )
    }
}

/// Ten bytes of the digest name a text; should two texts ever share them, the later one gets more.
fn keep(
    transaction: &Transaction<'_>,
    session: &str,
    kind: &str,
    text: &str,
    now_ms: i64,
) -> Result<String, MemoryError> {
    let digest = Sha256::digest(text.as_bytes());
    for length in [10, 16, 32] {
        let id = hex(&digest[..length]);
        let kept: Option<String> = transaction
            .prepare_cached("SELECT text FROM originals WHERE id = ?1")?
            .query_row([&id], |row| row.get(0))
            .optional()?;
        if kept.as_ref().is_some_and(|kept| kept != text) {
            continue;
        }
        if kept.is_none() {
            transaction
                .prepare_cached("INSERT INTO originals (id, kind, text, created_ms) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![id, kind, text, now_ms])?;
        }
        transaction
            .prepare_cached("INSERT INTO original_uses (id, session) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![id, session])?;
        return Ok(id);
    }
    Err(MemoryError::Damaged {
        what: "two different texts with one digest".to_owned(),
    })
}

/// Lets go of the originals of a session that no other session uses.
pub(crate) fn release(transaction: &Transaction<'_>, session: &str) -> Result<usize, MemoryError> {
    transaction.execute("DELETE FROM original_uses WHERE session = ?1", [session])?;
    let gone = transaction.execute(
        "DELETE FROM originals WHERE NOT EXISTS (SELECT 1 FROM original_uses u WHERE u.id = originals.id)",
        [],
    )?;
    Ok(gone)
}
