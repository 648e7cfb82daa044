//! Every chunk of a memory: where it stands, and its vector.

use super::code::Code;
use super::index::{Slots, Vectors};
use super::raw::Pages;

/// No neighbour.
const NOBODY: u32 = u32::MAX;

/// Slots of removed chunks are given back when there are this many of them, and they are a quarter of all.
const LEAST_DEAD: usize = 256;

/// Where a chunk stands and what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) chunk_id: i64,
    pub(crate) namespace: i64,
    /// The document, see [`document_handle`].
    pub(crate) document: i64,
    pub(crate) ordinal: u32,
    pub(crate) tokens: u16,
    /// See [`crate::shape`].
    pub(crate) shape: u8,
}

/// The first half of a document's identifier as a number.
pub(crate) fn document_handle(document_id: &str) -> i64 {
    let digits = document_id.get(..16).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default().cast_signed()
}

/// A committed change of one document.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) removed: Vec<i64>,
    pub(crate) added: Vec<(Place, Option<Code>)>,
    /// All chunks of the document in their order.
    pub(crate) order: Vec<i64>,
}

/// All chunks in slots, in the order of their identifiers, which only grow.
#[derive(Debug)]
pub(crate) struct Catalog {
    ids: Pages<i64>,
    namespaces: Pages<i64>,
    documents: Pages<i64>,
    before: Pages<u32>,
    after: Pages<u32>,
    tokens: Pages<u16>,
    shapes: Pages<u8>,
    live: Slots,
    dead: usize,
    pub(crate) vectors: Vectors,
}

impl Catalog {
    pub(crate) fn new(vectors: Vectors) -> Self {
        Self {
            ids: Pages::new(),
            namespaces: Pages::new(),
            documents: Pages::new(),
            before: Pages::new(),
            after: Pages::new(),
            tokens: Pages::new(),
            shapes: Pages::new(),
            live: Slots::default(),
            dead: 0,
            vectors,
        }
    }

    /// Adds a chunk behind all others. Its vector is pushed by the caller.
    pub(crate) fn push_place(&mut self, place: &Place) {
        self.live.insert(self.ids.len());
        self.ids.push(place.chunk_id);
        self.namespaces.push(place.namespace);
        self.documents.push(place.document);
        self.before.push(NOBODY);
        self.after.push(NOBODY);
        self.tokens.push(place.tokens);
        self.shapes.push(place.shape);
    }

    /// Slots, those of removed chunks included.
    pub(crate) fn slots(&self) -> usize {
        self.ids.len()
    }

    /// Chunks.
    pub(crate) fn len(&self) -> usize {
        self.ids.len() - self.dead
    }

    pub(crate) fn live(&self) -> &Slots {
        &self.live
    }

    pub(crate) fn ids(&self) -> &[i64] {
        &self.ids
    }

    pub(crate) fn slot(&self, chunk_id: i64) -> Option<usize> {
        let slot = self.ids.binary_search(&chunk_id).ok()?;
        self.live.contains(slot).then_some(slot)
    }

    pub(crate) fn document(&self, slot: usize) -> i64 {
        self.documents[slot]
    }

    pub(crate) fn tokens(&self, slot: usize) -> u16 {
        self.tokens[slot]
    }

    pub(crate) fn shape(&self, slot: usize) -> u8 {
        self.shapes[slot]
    }

    pub(crate) fn before(&self, slot: usize) -> Option<usize> {
        Some(self.before[slot] as usize).filter(|_| self.before[slot] != NOBODY)
    }

    pub(crate) fn after(&self, slot: usize) -> Option<usize> {
        Some(self.after[slot] as usize).filter(|_| self.after[slot] != NOBODY)
    }

    /// The chunks of some namespaces.
    pub(crate) fn of_namespaces(&self, namespaces: &[i64]) -> Slots {
        let mut slots = Slots::none(self.slots());
        for (slot, namespace) in self.namespaces.iter().enumerate() {
            if namespaces.contains(namespace) && self.live.contains(slot) {
                slots.insert(slot);
            }
        }
        slots
    }

    /// The chunks with these identifiers, which are in ascending order.
    pub(crate) fn of_chunks(&self, ids: &[i64]) -> Slots {
        let mut slots = Slots::none(self.slots());
        ids.iter()
            .filter_map(|id| self.slot(*id))
            .for_each(|slot| slots.insert(slot));
        slots
    }

    /// Links the chunks of all documents. `ordinals` has one for each slot.
    pub(crate) fn link_all(&mut self, ordinals: &[u32]) {
        let mut order: Vec<u32> = (0..ordinals.len() as u32).collect();
        let key = |slot: &u32| (self.documents[*slot as usize], ordinals[*slot as usize]);
        order.sort_by_key(key);
        for pair in order.windows(2) {
            if self.documents[pair[0] as usize] == self.documents[pair[1] as usize] {
                self.after[pair[0] as usize] = pair[1];
                self.before[pair[1] as usize] = pair[0];
            }
        }
    }

    /// Applies a change. Applying it twice does no harm.
    pub(crate) fn apply(&mut self, change: &Change) {
        for id in &change.removed {
            if let Some(slot) = self.slot(*id) {
                self.live.remove(slot);
                self.vectors.wipe(slot);
                self.dead += 1;
            }
        }
        for (place, code) in &change.added {
            if self.ids.last().is_none_or(|last| *last < place.chunk_id) {
                self.push_place(place);
                self.vectors.push(code.as_ref());
            }
        }
        let slots: Vec<usize> = change.order.iter().filter_map(|id| self.slot(*id)).collect();
        for (at, &slot) in slots.iter().enumerate() {
            let neighbour = |at: Option<usize>| {
                at.and_then(|at| slots.get(at))
                    .map_or(NOBODY, |slot| *slot as u32)
            };
            self.before[slot] = neighbour(at.checked_sub(1));
            self.after[slot] = neighbour(Some(at + 1));
        }
        if self.dead >= LEAST_DEAD && self.dead * 4 > self.slots() {
            self.compact();
        }
    }

    /// Gives the slots of removed chunks back.
    fn compact(&mut self) {
        let vectors = match &self.vectors.tier {
            super::index::Tier::Exact(_) => Vectors::exact(self.vectors.dimensions()),
            super::index::Tier::Coded(bits) => Vectors::coded(bits.encoder.mean().to_vec()),
        };
        let mut moved = vec![NOBODY; self.slots()];
        for (to, from) in self.live.iter().enumerate() {
            moved[from] = to as u32;
        }
        let target = |slot: u32| moved.get(slot as usize).copied().unwrap_or(NOBODY);
        let mut compact = Self::new(vectors);
        for slot in self.live.iter() {
            compact.push_place(&Place {
                chunk_id: self.ids[slot],
                namespace: self.namespaces[slot],
                document: self.documents[slot],
                ordinal: 0,
                tokens: self.tokens[slot],
                shape: self.shapes[slot],
            });
            compact.vectors.push_from(&self.vectors, slot);
            let at = compact.slots() - 1;
            compact.before[at] = target(self.before[slot]);
            compact.after[at] = target(self.after[slot]);
        }
        *self = compact;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn handles_are_the_first_half() {
        assert_eq!(document_handle("00000000000000ff0000000000000001"), 255);
        assert_eq!(document_handle("ffffffffffffffff0000000000000001"), -1);
        assert_eq!(document_handle("short"), 0);
    }

    fn coded() -> Catalog {
        Catalog::new(Vectors::coded(vec![0.0; 64]))
    }

    fn code(id: i64) -> Code {
        let mut vector = [0.1; 64];
        vector[id as usize % 64] = 3.0;
        vector[(id as usize / 64) % 64] += 2.0;
        Code::new(&vector).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Documents come, change and go, also often enough for compaction; the catalog equals a map.
        #[test]
        fn a_catalog_equals_a_map(steps in prop::collection::vec((0i64..6, 0usize..200, 0usize..200), 1..60), bits in any::<bool>()) {
            let mut catalog = if bits { coded() } else { Catalog::new(Vectors::exact(64)) };
            let mut model: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
            let mut next = 1;
            for (document, keep, add) in steps {
                let mut order = model.remove(&document).unwrap_or_default();
                let removed = order.split_off(keep.min(order.len()));
                let added: Vec<_> = (next..next + add as i64)
                    .map(|id| {
                        let place = Place { chunk_id: id, namespace: document % 2, document, ordinal: 0, tokens: 9, shape: 0 };
                        (place, Some(code(id)))
                    })
                    .collect();
                next += add as i64;
                // New chunks stand before the old ones, as after an edit at the top.
                order.splice(0..0, added.iter().map(|(place, _)| place.chunk_id));
                let change = Change { removed, added, order: order.clone() };
                catalog.apply(&change);
                catalog.apply(&change);
                model.insert(document, order);
            }
            let count: usize = model.values().map(Vec::len).sum();
            prop_assert_eq!(catalog.len(), count);
            prop_assert!(catalog.slots() <= count + LEAST_DEAD.max(catalog.slots() / 4 + 1));
            for (document, order) in &model {
                for (at, id) in order.iter().enumerate() {
                    let slot = catalog.slot(*id).unwrap();
                    prop_assert_eq!(catalog.document(slot), *document);
                    let id_at = |slot: Option<usize>| slot.map(|slot| catalog.ids()[slot]);
                    prop_assert_eq!(id_at(catalog.before(slot)), at.checked_sub(1).map(|at| order[at]));
                    prop_assert_eq!(id_at(catalog.after(slot)), order.get(at + 1).copied());
                }
            }
            let odd = catalog.of_namespaces(&[1]);
            prop_assert!(odd.iter().all(|slot| catalog.document(slot) % 2 == 1));
            let in_model: usize = model.iter().filter(|(document, _)| *document % 2 == 1).map(|(_, order)| order.len()).sum();
            prop_assert_eq!(odd.count(), in_model);
            if let Some(id) = model.values().flatten().next() {
                let vector: Vec<f32> = code(*id).numbers().collect();
                let query = catalog.vectors.query(&vector).unwrap();
                let cosines = catalog.vectors.scan(&query, catalog.live(), catalog.slots());
                let best = super::super::index::highest(&cosines, 1)[0].1;
                let own = cosines[catalog.slot(*id).unwrap()];
                prop_assert!(own > 0.8 && own > best - 0.25, "{} {}", own, best);
            }
        }
    }
}
