//! Items as rows: putting, closing, taking over.

use std::collections::HashSet;

use rusqlite::{Row, Transaction, params};

use super::{Item, Kind, MAX_PER_BUCKET, SyncReport, snapshot};
use crate::error::MemoryError;

pub(super) const SELECT: &str =
    "SELECT id, origin, kind, slot, text, confidence, evidence, pinned, first_ms, last_ms, closed_ms
                      FROM working_items";

pub(super) fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let kind: String = row.get(2)?;
    Ok(Item {
        id: row.get(0)?,
        origin: row.get(1)?,
        kind: Kind::of_plural(&kind).unwrap_or(Kind::Entity),
        slot: row.get(3)?,
        text: row.get(4)?,
        confidence: row.get::<_, f64>(5)? as f32,
        evidence: row.get(6)?,
        pinned: row.get(7)?,
        first_ms: row.get(8)?,
        last_ms: row.get(9)?,
        closed_ms: row.get(10)?,
    })
}

pub(super) fn item_by_id(transaction: &Transaction<'_>, id: i64) -> Result<Item, MemoryError> {
    Ok(transaction.query_row(&format!("{SELECT} WHERE id = ?1"), [id], item)?)
}

/// A value of a slot.
pub(super) struct Said<'a> {
    pub(super) origin: &'a str,
    pub(super) kind: Kind,
    pub(super) slot: &'a str,
    pub(super) text: &'a str,
    pub(super) confidence: f32,
}

impl Said<'_> {
    fn open(&self, transaction: &Transaction<'_>) -> Result<Option<Item>, MemoryError> {
        let sql = format!("{SELECT} WHERE origin = ?1 AND kind = ?2 AND slot = ?3 AND closed_ms IS NULL");
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut rows = statement.query_map(params![self.origin, self.kind.plural(), self.slot], item)?;
        Ok(rows.next().transpose()?)
    }

    /// Stores the value; the second result tells whether it is a new one. A pinned item gives way to the user only.
    pub(super) fn put(
        &self,
        transaction: &Transaction<'_>,
        now_ms: i64,
        by_user: bool,
    ) -> Result<(i64, bool), MemoryError> {
        let open = self.open(transaction)?;
        let mut pinned = false;
        if let Some(open) = open {
            if open.text == self.text {
                transaction
                    .prepare_cached(
                        "UPDATE working_items SET evidence = evidence + 1, last_ms = max(last_ms, ?2),
                             confidence = max(confidence, ?3) WHERE id = ?1",
                    )?
                    .execute(params![open.id, now_ms, f64::from(self.confidence)])?;
                return Ok((open.id, false));
            }
            if open.pinned && !by_user {
                return Ok((open.id, false));
            }
            pinned = open.pinned;
            close(transaction, open.id, now_ms)?;
        }
        transaction
            .prepare_cached(
                "INSERT INTO working_items
                     (origin, kind, slot, text, confidence, evidence, pinned, first_ms, last_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?7)",
            )?
            .execute(params![
                self.origin,
                self.kind.plural(),
                self.slot,
                self.text,
                f64::from(self.confidence),
                pinned,
                now_ms
            ])?;
        Ok((transaction.last_insert_rowid(), true))
    }
}

fn close(transaction: &Transaction<'_>, id: i64, now_ms: i64) -> Result<(), MemoryError> {
    transaction
        .prepare_cached("UPDATE working_items SET closed_ms = ?2, pinned = 0 WHERE id = ?1")?
        .execute([id, now_ms])?;
    Ok(())
}

pub(super) fn take_over(
    transaction: &Transaction<'_>,
    skill: &str,
    found: &[snapshot::Found],
    now_ms: i64,
) -> Result<SyncReport, MemoryError> {
    let mut report = SyncReport::default();
    let mut seen = HashSet::new();
    for found in found {
        let said = Said {
            origin: skill,
            kind: found.kind,
            slot: &found.slot,
            text: &found.text,
            confidence: 0.8,
        };
        let before = said.open(transaction)?;
        let (id, new) = said.put(transaction, now_ms, false)?;
        report.added += usize::from(new);
        report.confirmed += usize::from(!new);
        report.closed += usize::from(new && before.is_some());
        seen.insert(id);
    }
    let open = |transaction: &Transaction<'_>| -> Result<Vec<Item>, MemoryError> {
        let sql = format!("{SELECT} WHERE origin = ?1 AND closed_ms IS NULL");
        let mut statement = transaction.prepare_cached(&sql)?;
        let items = statement.query_map([skill], item)?;
        Ok(items.collect::<Result<_, _>>()?)
    };
    for item in open(transaction)? {
        if !seen.contains(&item.id) && !item.pinned {
            close(transaction, item.id, now_ms)?;
            report.closed += 1;
        }
    }
    for kind in Kind::ALL {
        let mut bucket = open(transaction)?;
        bucket.retain(|item| item.kind == kind);
        // The newest stay: those whose value changed last, and of those what came last.
        bucket.sort_by_key(|item| (!item.pinned, std::cmp::Reverse((item.first_ms, item.id))));
        for item in bucket.iter().skip(MAX_PER_BUCKET).filter(|item| !item.pinned) {
            close(transaction, item.id, now_ms)?;
            report.closed += 1;
        }
    }
    Ok(report)
}

/// Brings one imported item in. Returns whether anything changed.
pub(super) fn take_in(transaction: &Transaction<'_>, imported: &Item) -> Result<bool, MemoryError> {
    let said = Said {
        origin: &imported.origin,
        kind: imported.kind,
        slot: &imported.slot,
        text: &imported.text,
        confidence: imported.confidence,
    };
    if let Some(open) = said.open(transaction)? {
        if open.text == imported.text && open.pinned == imported.pinned || open.last_ms > imported.last_ms {
            return Ok(false);
        }
        close(transaction, open.id, imported.last_ms.max(open.last_ms))?;
    }
    let (id, _) = said.put(transaction, imported.first_ms, true)?;
    transaction.execute(
        "UPDATE working_items SET evidence = ?2, pinned = ?3, last_ms = ?4 WHERE id = ?1",
        params![id, imported.evidence, imported.pinned, imported.last_ms],
    )?;
    Ok(true)
}
