//! Vectors as 8-bit codes, on disk and in memory.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::error::MemoryError;

/// The first byte of a stored code.
const FORMAT: u8 = 1;

/// A vector of length one, as one signed byte per dimension and their common scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Code {
    scale: f32,
    values: Vec<i8>,
}

impl Code {
    /// Normalises and rounds a vector. `None` for a vector of zeros, which has no direction.
    pub(crate) fn new(vector: &[f32]) -> Option<Self> {
        let length = vector
            .iter()
            .map(|number| f64::from(*number).powi(2))
            .sum::<f64>()
            .sqrt();
        let largest = vector
            .iter()
            .fold(0.0f32, |largest, number| largest.max(number.abs()));
        if length < 1e-12 || !length.is_finite() {
            return None;
        }
        let step = largest / 127.0;
        let values = vector
            .iter()
            .map(|number| (number / step).round() as i8)
            .collect();
        Some(Self {
            scale: (f64::from(step) / length) as f32,
            values,
        })
    }

    /// The bytes stored for a chunk: format, scale and values, or nothing for a chunk without a vector.
    pub(crate) fn to_blob(code: Option<&Self>) -> Vec<u8> {
        let Some(code) = code else { return Vec::new() };
        let mut blob = Vec::with_capacity(5 + code.values.len());
        blob.push(FORMAT);
        blob.extend_from_slice(&code.scale.to_le_bytes());
        blob.extend(code.values.iter().map(|value| value.cast_unsigned()));
        blob
    }

    pub(crate) fn from_blob(blob: &[u8], dimensions: usize) -> Result<Option<Self>, MemoryError> {
        if blob.is_empty() {
            return Ok(None);
        }
        let damaged = || MemoryError::Damaged {
            what: format!("a vector of {} bytes", blob.len()),
        };
        let (format, rest) = blob.split_first().ok_or_else(damaged)?;
        let (scale, values) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let scale = f32::from_le_bytes(*scale);
        if *format != FORMAT || values.len() != dimensions || !scale.is_finite() {
            return Err(damaged());
        }
        Ok(Some(Self {
            scale,
            values: values.iter().map(|byte| byte.cast_signed()).collect(),
        }))
    }
}

/// Every chunk of one namespace with its code, in no particular order, dense for scanning.
#[derive(Debug, Default)]
pub(crate) struct NamespaceIndex {
    ids: Vec<i64>,
    /// Zero for a chunk without a vector.
    scales: Vec<f32>,
    values: Vec<i8>,
    positions: HashMap<i64, usize>,
    dimensions: usize,
}

impl NamespaceIndex {
    pub(crate) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            ..Self::default()
        }
    }

    /// Adds a chunk, or replaces its code.
    pub(crate) fn put(&mut self, id: i64, code: Option<&Code>) {
        let at = *self.positions.entry(id).or_insert(self.ids.len());
        if at == self.ids.len() {
            self.ids.push(id);
            self.scales.push(0.0);
            self.values.resize(self.values.len() + self.dimensions, 0);
        }
        let row = at * self.dimensions..(at + 1) * self.dimensions;
        match code.filter(|code| code.values.len() == self.dimensions) {
            Some(code) => {
                self.scales[at] = code.scale;
                self.values[row].copy_from_slice(&code.values);
            }
            None => {
                self.scales[at] = 0.0;
                self.values[row].fill(0);
            }
        }
    }

    pub(crate) fn remove(&mut self, id: i64) {
        let Some(at) = self.positions.remove(&id) else {
            return;
        };
        let last = self.ids.len() - 1;
        self.ids.swap_remove(at);
        self.scales.swap_remove(at);
        if at != last {
            self.values.copy_within(
                last * self.dimensions..(last + 1) * self.dimensions,
                at * self.dimensions,
            );
            self.positions.insert(self.ids[at], at);
        }
        self.values.truncate(last * self.dimensions);
    }

    pub(crate) fn contains(&self, id: i64) -> bool {
        self.positions.contains_key(&id)
    }

    /// The cosine of a chunk with the query; `None` when the chunk is elsewhere or has no vector.
    pub(crate) fn cosine(&self, id: i64, query: &Code) -> Option<f32> {
        let at = *self.positions.get(&id)?;
        self.cosine_at(at, query)
    }

    /// The cosines of all chunks that have a vector.
    pub(crate) fn cosines<'a>(&'a self, query: &'a Code) -> impl Iterator<Item = (i64, f32)> + 'a {
        self.ids
            .iter()
            .enumerate()
            .filter_map(move |(at, &id)| Some((id, self.cosine_at(at, query)?)))
    }

    fn cosine_at(&self, at: usize, query: &Code) -> Option<f32> {
        let scale = self.scales[at];
        if scale == 0.0 || query.values.len() != self.dimensions {
            return None;
        }
        let row = &self.values[at * self.dimensions..(at + 1) * self.dimensions];
        Some((dot(row, &query.values) as f32 * scale * query.scale).clamp(-1.0, 1.0))
    }
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| i32::from(i16::from(*a)) * i32::from(i16::from(*b)))
        .sum()
}

/// The `count` best of some scored chunks, best first, equal scores in the order of the chunks.
pub(crate) fn best(scored: impl Iterator<Item = (i64, f32)>, count: usize) -> Vec<(i64, f32)> {
    let order = |a: &(i64, f32), b: &(i64, f32)| -> Ordering { b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)) };
    let mut scored: Vec<(i64, f32)> = scored.collect();
    if count > 0 && scored.len() > count {
        scored.select_nth_unstable_by(count - 1, order);
    }
    scored.truncate(count);
    scored.sort_by(order);
    scored
}

/// The indexes of the namespaces searched so far. Loaded on first use and kept in step with every write, so that
/// a query reads no vector from disk.
#[derive(Debug, Default)]
pub(crate) struct VectorCache(RwLock<HashMap<i64, NamespaceIndex>>);

impl VectorCache {
    /// Makes sure that the namespaces are in memory. `load` must read what is committed at the time it is called:
    /// it runs while writers wait, so a write that it does not see is applied right after it.
    pub(crate) fn ensure(
        &self,
        namespaces: &[i64],
        load: impl Fn(i64) -> Result<NamespaceIndex, MemoryError>,
    ) -> Result<(), MemoryError> {
        let known = |cache: &HashMap<i64, NamespaceIndex>| namespaces.iter().all(|id| cache.contains_key(id));
        if known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let mut cache = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for namespace in namespaces {
            if !cache.contains_key(namespace) {
                cache.insert(*namespace, load(*namespace)?);
            }
        }
        Ok(())
    }

    /// Hands out the indexes of namespaces that are in memory. Writers wait meanwhile, other readers do not.
    pub(crate) fn read<T>(&self, namespaces: &[i64], read: impl FnOnce(&[&NamespaceIndex]) -> T) -> T {
        let cache = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let indexes: Vec<&NamespaceIndex> = namespaces
            .iter()
            .filter_map(|namespace| cache.get(namespace))
            .collect();
        read(&indexes)
    }

    /// Applies a write that was committed, if the namespace is in memory. Applying it twice does no harm.
    pub(crate) fn apply(&self, namespace: i64, removed: &[i64], put: &[(i64, Option<Code>)]) {
        let mut cache = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = cache.get_mut(&namespace) {
            for id in removed {
                index.remove(*id);
            }
            for (id, code) in put {
                index.put(*id, code.as_ref());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_survive_the_disk_and_damage_is_seen() {
        let code = Code::new(&[3.0, -4.0, 0.0]).unwrap();
        let blob = Code::to_blob(Some(&code));
        assert_eq!(Code::from_blob(&blob, 3).unwrap(), Some(code));
        assert_eq!(Code::from_blob(&Code::to_blob(None), 3).unwrap(), None);
        assert!(Code::from_blob(&blob, 4).is_err());
        assert!(Code::from_blob(&blob[..3], 3).is_err());
        let mut other = blob;
        other[0] = 9;
        assert!(Code::from_blob(&other, 3).is_err());
        assert_eq!(Code::new(&[0.0; 8]), None);
    }

    #[test]
    fn the_best_come_first() {
        let scored = [(5, 0.1), (2, 0.9), (1, 0.9), (7, -1.0)];
        assert_eq!(best(scored.into_iter(), 3), [(1, 0.9), (2, 0.9), (5, 0.1)]);
        assert_eq!(best(scored.into_iter(), 0), []);
        assert_eq!(best(scored.into_iter(), 10).len(), 4);
    }

    proptest! {
        #[test]
        fn cosines_are_close_to_exact(
            a in prop::collection::vec(-1.0f32..1.0, 64),
            b in prop::collection::vec(-1.0f32..1.0, 64),
        ) {
            let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
            prop_assume!(norm(&a) > 0.5 && norm(&b) > 0.5);
            let exact = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f32>() / (norm(&a) * norm(&b));
            let mut index = NamespaceIndex::new(64);
            index.put(1, Code::new(&a).as_ref());
            let cosine = index.cosine(1, &Code::new(&b).unwrap()).unwrap();
            prop_assert!((cosine - exact).abs() < 0.02, "{} {}", cosine, exact);
        }

        #[test]
        fn an_index_equals_a_map(operations in prop::collection::vec((0i64..12, prop::option::of(1i8..100)), 0..80)) {
            let mut index = NamespaceIndex::new(2);
            let mut map = HashMap::new();
            for (id, value) in operations {
                match value {
                    Some(value) => {
                        index.put(id, Code::new(&[f32::from(value), 50.0]).as_ref());
                        map.insert(id, value);
                    }
                    None => {
                        index.remove(id);
                        map.remove(&id);
                    }
                }
            }
            let query = Code::new(&[1.0, 0.0]).unwrap();
            let mut found: Vec<_> = index.cosines(&query).map(|(id, _)| id).collect();
            found.sort_unstable();
            let mut expected: Vec<_> = map.keys().copied().collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
            for (id, value) in map {
                let exact = f32::from(value) / (f32::from(value).powi(2) + 2500.0).sqrt();
                prop_assert!((index.cosine(id, &query).unwrap() - exact).abs() < 0.02);
            }
        }
    }
}
