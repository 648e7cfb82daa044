use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, params};

use super::write::DOUBT_SHIFT;
use super::{as_limit, resolve};
use crate::error::MemoryError;
use crate::graph::model::{FactId, Subgraph, Walk};
use crate::graph::names::canonical;
use crate::graph::rank::{Step, assemble};

/// Steps are taken from the front of the queue, so nearer entities come first and the limit cuts the farthest off.
/// `UNION` drops what was reached along the same link in as many steps. The inner query finds the last of the links
/// that may be followed from an entity; `CROSS JOIN` keeps SQLite from starting elsewhere. `graph_links` holds all that
/// is returned, in the order in which it is read.
const WALK: &str = "
    WITH RECURSIVE walk (depth, rank, node, other, fact, name) AS (
        SELECT 0, NULL, NULL, value, NULL, NULL FROM json_each(?1)
        UNION
        SELECT walk.depth + 1, l.rank, l.node, l.other, l.fact, l.name
        FROM walk CROSS JOIN graph_links l
        WHERE walk.depth < ?2
          AND l.node = walk.other
          AND l.rank <= coalesce((
              SELECT rank FROM graph_links
              WHERE node = walk.other
                AND (?4 IS NULL OR (valid_from <= ?4 AND (valid_until IS NULL OR valid_until > ?4)))
              ORDER BY rank LIMIT 1 OFFSET ?3
          ), 9223372036854775807)
          AND (?4 IS NULL OR (l.valid_from <= ?4 AND (l.valid_until IS NULL OR l.valid_until > ?4)))
        LIMIT ?5
    )
    SELECT depth, rank, node, other, fact, name FROM walk WHERE rank IS NOT NULL
";

pub(super) fn walk(connection: &Connection, namespace: i64, walk: &Walk) -> Result<Subgraph, MemoryError> {
    let mut start = Vec::new();
    for name in &walk.start {
        let id = resolve(connection, namespace, &canonical(name))?;
        start.extend(id.filter(|id| !start.contains(id)));
    }
    let list = serde_json::to_string(&start).unwrap_or_default();
    let (depth, last) = match walk.fan_out.checked_sub(1) {
        Some(last) => (walk.depth.min(3), as_limit(last)),
        None => (0, 0),
    };
    let limit = as_limit(walk.limit).saturating_add(start.len() as i64);
    let mut names: HashMap<i64, String> = HashMap::new();
    let mut name = connection.prepare_cached("SELECT name FROM graph_entities WHERE id = ?1")?;
    for id in &start {
        names.insert(*id, name.query_row([id], |row| row.get(0))?);
    }
    let mut statement = connection.prepare_cached(WALK)?;
    let mut rows = statement.query(params![list, depth, last, walk.valid_at, limit])?;
    let mut steps: Vec<Step<i64>> = Vec::new();
    while let Some(row) = rows.next()? {
        let rank: i64 = row.get(1)?;
        let to = row.get(3)?;
        if let Entry::Vacant(place) = names.entry(to) {
            place.insert(row.get(5)?);
        }
        steps.push(Step {
            depth: row.get(0)?,
            from: row.get(2)?,
            to,
            doubt: rank >> DOUBT_SHIFT,
            fact: FactId(row.get(4)?),
            backwards: rank % 2 == 1,
        });
    }
    Ok(assemble(&start, &steps, |id| {
        names.remove(id).unwrap_or_default()
    }))
}
