use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, params};

use super::{as_limit, resolve};
use crate::error::MemoryError;
use crate::graph::model::{FactId, Subgraph, Walk};
use crate::graph::names::canonical;
use crate::graph::rank::{Step, assemble};

/// Steps are taken from the front of the queue, so nearer entities come first and the limit cuts the farthest off.
/// `UNION` drops what was reached along the same link in as many steps. The inner query names the links to follow
/// by their index alone; `CROSS JOIN` keeps SQLite from starting elsewhere.
const WALK: &str = "
    WITH RECURSIVE walk (link, node, depth) AS (
        SELECT NULL, value, 0 FROM json_each(?1)
        UNION
        SELECT l.id, l.other, walk.depth + 1
        FROM walk CROSS JOIN graph_links l ON l.id IN (
            SELECT id FROM graph_links
            WHERE node = walk.node
              AND (?4 IS NULL OR (valid_from <= ?4 AND (valid_until IS NULL OR valid_until > ?4)))
            ORDER BY doubt, id LIMIT ?3
        )
        WHERE walk.depth < ?2
        LIMIT ?5
    )
    SELECT w.depth, l.id, l.node, l.other, l.doubt, f.fact
    FROM walk w CROSS JOIN graph_links l ON l.id = w.link CROSS JOIN graph_facts f ON f.row = l.id / 2
";

pub(super) fn walk(connection: &Connection, namespace: i64, walk: &Walk) -> Result<Subgraph, MemoryError> {
    let mut start = Vec::new();
    for name in &walk.start {
        let id = resolve(connection, namespace, &canonical(name))?;
        start.extend(id.filter(|id| !start.contains(id)));
    }
    let list = serde_json::to_string(&start).unwrap_or_default();
    let depth = walk.depth.min(3);
    let limit = as_limit(walk.limit).saturating_add(start.len() as i64);
    let mut statement = connection.prepare_cached(WALK)?;
    let rows = statement.query_map(
        params![list, depth, as_limit(walk.fan_out), walk.valid_at, limit],
        |row| {
            let link: i64 = row.get(1)?;
            Ok(Step {
                depth: row.get(0)?,
                from: row.get(2)?,
                to: row.get(3)?,
                doubt: row.get(4)?,
                fact: FactId(row.get(5)?),
                backwards: link % 2 == 1,
            })
        },
    )?;
    let steps: Vec<Step<i64>> = rows.collect::<Result<_, _>>()?;
    let mut name = connection.prepare_cached("SELECT name FROM graph_entities WHERE id = ?1")?;
    let mut names: HashMap<i64, String> = HashMap::new();
    for id in start.iter().copied().chain(steps.iter().map(|step| step.to)) {
        if let Entry::Vacant(place) = names.entry(id) {
            place.insert(name.query_row([id], |row| row.get(0))?);
        }
    }
    Ok(assemble(&start, &steps, |id| {
        names.get(id).cloned().unwrap_or_default()
    }))
}
