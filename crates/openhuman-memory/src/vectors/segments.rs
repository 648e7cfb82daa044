//! Vectors on disk. Every chunk has a row with its bytes. Once there are many, their bits are kept as well, in
//! segments of 256, so that opening a memory does not have to read all bytes.
//!
//! A segment holds the chunks up to its `last_id`. The rows behind the last segment are encoded when the memory is
//! opened, and sealed into segments when there are enough of them; so one more chunk costs the same however many
//! there are.

use rusqlite::{Connection, OptionalExtension, params};

use super::bits::Encoder;
use super::catalog::{Catalog, Place};
use super::code::{self, Code};
use super::index::{Tier, Vectors};
use super::segment::Segment;
use crate::error::MemoryError;

/// From this many chunks on, only bits are kept in memory.
pub(crate) const EXACT_LIMIT: usize = 20_000;

/// Chunks of a segment when it is sealed.
const SEGMENT: usize = 256;

/// Rows behind the last segment that are sealed together.
const TAIL: usize = 2 * SEGMENT;

/// How often, in chunks, it is checked whether there are many.
const CHECK: i64 = 1024;

pub(crate) const SCHEMA: &str = "
    CREATE TABLE vectors (chunk_id INTEGER PRIMARY KEY, code BLOB NOT NULL);
    CREATE TABLE places (
        chunk_id INTEGER PRIMARY KEY, namespace_id INTEGER NOT NULL, document INTEGER NOT NULL,
        ordinal INTEGER NOT NULL, tokens INTEGER NOT NULL, shape INTEGER NOT NULL
    );
    CREATE TABLE vector_mean (id INTEGER PRIMARY KEY CHECK (id = 1), mean BLOB NOT NULL);
    CREATE TABLE segments (last_id INTEGER PRIMARY KEY, codes BLOB NOT NULL);
";

/// Reads every chunk's place and vector.
pub(crate) fn load(connection: &Connection, dimensions: usize) -> Result<Catalog, MemoryError> {
    let mean = mean(connection, dimensions)?;
    let coded = mean.is_some();
    let vectors = mean.map_or_else(|| Vectors::exact(dimensions), Vectors::coded);
    let mut catalog = Catalog::new(vectors);
    let mut ordinals = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT chunk_id, namespace_id, document, ordinal, tokens, shape FROM places ORDER BY chunk_id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let place = Place {
            chunk_id: row.get(0)?,
            namespace: row.get(1)?,
            document: row.get(2)?,
            ordinal: row.get(3)?,
            tokens: row.get(4)?,
            shape: row.get(5)?,
        };
        ordinals.push(place.ordinal);
        catalog.push_place(&place);
    }
    catalog.link_all(&ordinals);
    let loaded = if coded {
        load_segments(connection, &mut catalog)?
    } else {
        0
    };
    load_rows(connection, &mut catalog, loaded, i64::MAX)?;
    Ok(catalog)
}

fn mean(connection: &Connection, dimensions: usize) -> Result<Option<Vec<f32>>, MemoryError> {
    let blob: Option<Vec<u8>> = connection
        .query_row("SELECT mean FROM vector_mean", [], |row| row.get(0))
        .optional()?;
    let Some(blob) = blob else { return Ok(None) };
    let mean: Vec<f32> = blob
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    if mean.len() == dimensions && mean.iter().all(|number| number.is_finite()) {
        Ok(Some(mean))
    } else {
        Err(MemoryError::Damaged {
            what: format!("a mean vector of {} bytes", blob.len()),
        })
    }
}

/// Takes over the bits of all segments. Returns how many slots have a vector now.
fn load_segments(connection: &Connection, catalog: &mut Catalog) -> Result<usize, MemoryError> {
    let mut slot = 0;
    let mut statement = connection.prepare_cached("SELECT last_id, codes FROM segments ORDER BY last_id")?;
    let mut rows = statement.query([])?;
    let slots = catalog.slots();
    if let Tier::Coded(bits) = &mut catalog.vectors.tier {
        bits.reserve(slots);
    }
    while let Some(row) = rows.next()? {
        let blob = row.get_ref(1)?.as_blob().unwrap_or_default();
        let words = match &catalog.vectors.tier {
            Tier::Coded(bits) => bits.encoder.words(),
            Tier::Exact(_) => return Ok(slot),
        };
        let segment = Segment::parse(blob, words)?;
        for at in 0..segment.ids.len() {
            let id = segment.ids[at];
            let known = catalog.ids()[slot..].partition_point(|known| *known < id);
            if known > 0 {
                // Chunks that no segment holds: read one by one. Not written by this program.
                slot = load_rows(connection, catalog, slot, id - 1)?;
            }
            if catalog.ids().get(slot) == Some(&id)
                && let Tier::Coded(bits) = &mut catalog.vectors.tier
            {
                bits.push(&segment.bits[at * words..(at + 1) * words], segment.factors[at]);
                slot += 1;
            }
        }
    }
    Ok(slot)
}

/// Reads the bytes of the chunks from `slot` on, up to an identifier. Returns the next slot without a vector.
fn load_rows(
    connection: &Connection,
    catalog: &mut Catalog,
    mut slot: usize,
    last_id: i64,
) -> Result<usize, MemoryError> {
    let Some(&first_id) = catalog.ids().get(slot) else {
        return Ok(slot);
    };
    let dimensions = catalog.vectors.dimensions();
    let mut statement = connection.prepare_cached(
        "SELECT chunk_id, code FROM vectors WHERE chunk_id BETWEEN ?1 AND ?2 ORDER BY chunk_id",
    )?;
    let mut rows = statement.query([first_id, last_id])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        while catalog.ids().get(slot).is_some_and(|known| *known < id) {
            catalog.vectors.push(None);
            slot += 1;
        }
        if catalog.ids().get(slot) == Some(&id) {
            let blob = row.get_ref(1)?.as_blob().unwrap_or_default();
            catalog.vectors.push(Code::from_blob(blob, dimensions)?.as_ref());
            slot += 1;
        }
    }
    while catalog.ids().get(slot).is_some_and(|known| *known <= last_id) {
        catalog.vectors.push(None);
        slot += 1;
    }
    Ok(slot)
}

/// The bytes of some chunks, from their rows; chunks without a vector are left out.
pub(crate) fn rescore(
    connection: &Connection,
    query: &super::index::VectorQuery,
    dimensions: usize,
    chunk_ids: impl Iterator<Item = i64>,
) -> Result<Vec<(i64, f32)>, MemoryError> {
    let mut statement = connection.prepare_cached("SELECT code FROM vectors WHERE chunk_id = ?1")?;
    let mut scores = Vec::new();
    for id in chunk_ids {
        let mut rows = statement.query([id])?;
        let Some(row) = rows.next()? else { continue };
        let blob = row.get_ref(0)?.as_blob().unwrap_or_default();
        if let Some(parts) = code::parts(blob, dimensions)? {
            scores.push((id, query.rescore(&parts)));
        }
    }
    Ok(scores)
}

/// The vector of a chunk.
pub(crate) fn code(
    connection: &Connection,
    chunk_id: i64,
    dimensions: usize,
) -> Result<Option<Code>, MemoryError> {
    let mut statement = connection.prepare_cached("SELECT code FROM vectors WHERE chunk_id = ?1")?;
    let blob: Option<Vec<u8>> = statement.query_row([chunk_id], |row| row.get(0)).optional()?;
    blob.map_or(Ok(None), |blob| Code::from_blob(&blob, dimensions))
}

/// Takes the bits of removed chunks out of their segments. Part of the transaction that removes the rows.
pub(crate) fn remove(connection: &Connection, dimensions: usize, ids: &[i64]) -> Result<(), MemoryError> {
    let Some(last) = last_sealed(connection)? else {
        return Ok(());
    };
    let words = dimensions.div_ceil(64);
    let mut ids: Vec<i64> = ids.iter().copied().filter(|id| *id <= last).collect();
    ids.sort_unstable();
    let mut find = connection
        .prepare_cached("SELECT last_id, codes FROM segments WHERE last_id >= ?1 ORDER BY last_id LIMIT 1")?;
    let mut rest = ids.as_slice();
    while let Some(&first) = rest.first() {
        let found: Option<(i64, Vec<u8>)> = find
            .query_row([first], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((last_id, blob)) = found else { break };
        let (inside, behind) = rest.split_at(rest.partition_point(|id| *id <= last_id));
        rest = behind;
        let segment = Segment::parse(&blob, words)?.without(inside, words);
        if segment.ids.is_empty() {
            connection
                .prepare_cached("DELETE FROM segments WHERE last_id = ?1")?
                .execute([last_id])?;
        } else {
            connection
                .prepare_cached("UPDATE segments SET codes = ?2 WHERE last_id = ?1")?
                .execute(params![last_id, segment.to_blob(words)])?;
        }
    }
    Ok(())
}

/// Seals rows into segments when enough of them are not yet sealed, and starts with it when there are many. Part of
/// the transaction that adds chunks with identifiers from `first_id` to `last_id`. Returns whether the vectors are
/// now kept in another way, so that they have to be read again.
pub(crate) fn seal(
    connection: &Connection,
    dimensions: usize,
    first_id: i64,
    last_id: i64,
    exact_limit: usize,
) -> Result<bool, MemoryError> {
    let mut changed = false;
    let mean = match mean(connection, dimensions)? {
        Some(mean) => mean,
        None if first_id / CHECK == last_id / CHECK => return Ok(false),
        None => {
            let count: usize = connection.query_row("SELECT count(*) FROM places", [], |row| row.get(0))?;
            if count <= exact_limit {
                return Ok(false);
            }
            changed = true;
            start(connection, dimensions)?
        }
    };
    let last = last_sealed(connection)?.unwrap_or(0);
    let tail: usize = connection
        .prepare_cached("SELECT count(*) FROM places WHERE chunk_id > ?1")?
        .query_row([last], |row| row.get(0))?;
    if tail >= TAIL || changed {
        seal_behind(connection, &Encoder::new(mean), last)?;
    }
    Ok(changed)
}

/// Begins anew after all vectors were replaced.
pub(crate) fn restart(
    connection: &Connection,
    dimensions: usize,
    exact_limit: usize,
) -> Result<(), MemoryError> {
    seal(connection, dimensions, 0, CHECK, exact_limit).map(|_| ())
}

/// Stores the mean of all vectors.
fn start(connection: &Connection, dimensions: usize) -> Result<Vec<f32>, MemoryError> {
    let mut sums = vec![0.0f64; dimensions];
    let mut count = 0u32;
    let mut statement = connection.prepare("SELECT code FROM vectors")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let blob = row.get_ref(0)?.as_blob().unwrap_or_default();
        if let Some(code) = Code::from_blob(blob, dimensions)? {
            sums.iter_mut()
                .zip(code.numbers())
                .for_each(|(sum, number)| *sum += f64::from(number));
            count += 1;
        }
    }
    let mean: Vec<f32> = sums
        .iter()
        .map(|sum| (sum / f64::from(count.max(1))) as f32)
        .collect();
    let blob: Vec<u8> = mean.iter().flat_map(|number| number.to_le_bytes()).collect();
    connection.execute("INSERT INTO vector_mean (id, mean) VALUES (1, ?1)", [blob])?;
    Ok(mean)
}

fn last_sealed(connection: &Connection) -> Result<Option<i64>, MemoryError> {
    let mut statement = connection.prepare_cached("SELECT max(last_id) FROM segments")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

fn seal_behind(connection: &Connection, encoder: &Encoder, last: i64) -> Result<(), MemoryError> {
    let words = encoder.words();
    let mut insert = connection.prepare_cached("INSERT INTO segments (last_id, codes) VALUES (?1, ?2)")?;
    let mut statement = connection
        .prepare_cached("SELECT chunk_id, code FROM vectors WHERE chunk_id > ?1 ORDER BY chunk_id")?;
    let mut rows = statement.query([last])?;
    let mut segment = Segment::default();
    while let Some(row) = rows.next()? {
        let blob = row.get_ref(1)?.as_blob().unwrap_or_default();
        let code = Code::from_blob(blob, encoder.mean().len())?;
        segment.ids.push(row.get(0)?);
        segment
            .factors
            .push(encoder.encode(code.as_ref(), &mut segment.bits));
        if let Some(&last_id) = segment.ids.last()
            && segment.ids.len() == SEGMENT
        {
            insert.execute(params![last_id, segment.to_blob(words)])?;
            segment = Segment::default();
        }
    }
    Ok(())
}

/// Checks that the tables of vectors hold each other's chunks and nothing else. Returns the number of chunks.
pub(crate) fn check(connection: &Connection, dimensions: usize) -> Result<usize, MemoryError> {
    let damaged = |what: &str| {
        Err(MemoryError::Damaged {
            what: what.to_owned(),
        })
    };
    let apart: bool = connection.query_row(
        "SELECT EXISTS (SELECT id FROM chunks EXCEPT SELECT chunk_id FROM vectors)
             OR EXISTS (SELECT chunk_id FROM vectors EXCEPT SELECT id FROM chunks)
             OR EXISTS (SELECT c.id, d.namespace_id, c.ordinal FROM chunks c JOIN documents d ON d.id = c.document_id
                        EXCEPT SELECT chunk_id, namespace_id, ordinal FROM places)
             OR EXISTS (SELECT chunk_id FROM places EXCEPT SELECT id FROM chunks)",
        [],
        |row| row.get(0),
    )?;
    if apart {
        return damaged("chunks and their vectors differ");
    }
    let catalog = load(connection, dimensions)?;
    if let Tier::Coded(bits) = &catalog.vectors.tier {
        let mut statement = connection.prepare("SELECT code FROM vectors ORDER BY chunk_id")?;
        let mut rows = statement.query([])?;
        let mut slot = 0;
        while let Some(row) = rows.next()? {
            let code = Code::from_blob(row.get_ref(0)?.as_blob().unwrap_or_default(), dimensions)?;
            let mut words = Vec::new();
            let factors = bits.encoder.encode(code.as_ref(), &mut words);
            if bits.row(slot) != (words.as_slice(), factors) {
                return damaged("the bits of a vector are not those of its bytes");
            }
            slot += 1;
        }
    }
    Ok(catalog.len())
}
