//! Lists of codes that are near each other (an inverted file), for so many vectors that looking at every code takes too
//! long. A query looks at the codes of the lists whose centres are nearest to it, so it may miss a vector that lies in
//! another one.
//!
//! A memory does not use them: the vectors of short texts hardly form clusters, half of them would have to be looked at to
//! lose no more than one or two of a hundred, and that takes longer than looking at all of them in one go, which is twelve
//! milliseconds for a million. docs/measurements.md has the figures.
//!
//! The codes of a list lie side by side in blocks of 64, so looking at a list reads memory in order. Adding a vector
//! compares it with a few hundred centres and moves nothing.

use super::bits::split_mix;
use super::code::Code;
use super::raw::{Level, Pages};

/// Codes side by side; a list ends with a block that is not full.
pub(super) const BLOCK: usize = 64;

/// Vectors that the centres are computed from, for each list.
const SAMPLE: usize = 16;

/// Lists for each root of the number of vectors.
const LISTS: f64 = 2.0;

/// Groups of lists in which the nearest centre is looked for: 1 puts one vector of thirty into a list farther away.
const GROUPS: usize = 4;

/// Rounds of k-means. More of them move hardly anything.
const ROUNDS: usize = 8;

/// A position without a vector.
pub(super) const NOBODY: u32 = u32::MAX;

/// Which slots lie in which list.
#[derive(Debug)]
pub(super) struct Lists {
    /// For each group of lists its centre and the number of its first list; the last one ends them.
    groups: Vec<(Code, usize)>,
    /// The centre of each list.
    centres: Vec<Code>,
    /// The blocks of each list, and how many codes its last block holds.
    blocks: Vec<(Vec<u32>, usize)>,
    /// The slot at each position.
    pub(super) slots: Pages<u32>,
    /// The position of each slot.
    pub(super) positions: Pages<u32>,
    /// How many vectors there were when the centres were computed.
    pub(super) built_for: usize,
}

impl Lists {
    /// Centres for `count` vectors, about twice the square root of their number, from the bits of some of them. `bits`
    /// gives those of a slot.
    pub(super) fn new<'a>(level: Level, count: usize, bits: impl Fn(usize) -> &'a [u64]) -> Self {
        let wanted = (LISTS * (count as f64).sqrt()).ceil().max(1.0) as usize;
        let step = (count / (wanted * SAMPLE)).max(1);
        let samples: Vec<Vec<i8>> = (0..count).step_by(step).map(|slot| signs(bits(slot))).collect();
        let samples: Vec<&[i8]> = samples.iter().map(Vec::as_slice).collect();
        let group_count = (wanted as f64).sqrt().ceil() as usize;
        let (group_centres, members) = cluster(level, &samples, group_count);
        let (mut groups, mut centres) = (Vec::new(), Vec::new());
        for (centre, members) in group_centres.into_iter().zip(members) {
            // Many equal vectors leave most centres without any.
            if members.is_empty() {
                continue;
            }
            groups.push((centre, centres.len()));
            let members: Vec<&[i8]> = members.into_iter().map(|at| samples[at]).collect();
            let share = (members.len() * wanted).div_ceil(samples.len().max(1)).max(1);
            centres.extend(cluster(level, &members, share).0);
        }
        Self {
            blocks: vec![(Vec::new(), 0); centres.len()],
            groups,
            centres,
            slots: Pages::new(),
            positions: Pages::new(),
            built_for: count,
        }
    }

    /// The position for the next slot, which belongs to this list, and whether it is the first one of a new block behind
    /// all others.
    pub(super) fn place(&mut self, list: usize) -> (usize, bool) {
        let (blocks, used) = &mut self.blocks[list];
        let new = blocks.is_empty() || *used == BLOCK;
        if new {
            blocks.push((self.slots.len() / BLOCK) as u32);
            *used = 0;
            self.slots.extend_from_slice(&[NOBODY; BLOCK]);
        }
        let position = blocks.last().map_or(0, |block| *block as usize) * BLOCK + *used;
        *used += 1;
        self.slots[position] = self.positions.len() as u32;
        self.positions.push(position as u32);
        (position, new)
    }

    /// The list whose centre is nearest, among the groups whose centres are nearest.
    pub(super) fn list_of(&self, level: Level, bits: &[u64]) -> usize {
        let signs = signs(bits);
        let mut groups: Vec<(f32, usize)> = self
            .groups
            .iter()
            .enumerate()
            .map(|(group, (centre, _))| (likeness(level, centre, &signs), group))
            .collect();
        groups.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut best = (f32::NEG_INFINITY, 0);
        for (_, group) in groups.into_iter().take(GROUPS) {
            let first = self.groups[group].1;
            let end = self
                .groups
                .get(group + 1)
                .map_or(self.centres.len(), |next| next.1);
            let (like, at) = nearest(level, &self.centres[first..end], &signs);
            if like > best.0 {
                best = (like, first + at);
            }
        }
        best.1
    }

    /// The blocks of the lists nearest to a query, until they hold `wanted` codes; of all lists for a query without a
    /// direction.
    pub(super) fn probed(&self, level: Level, query: Option<&Code>, wanted: usize) -> Vec<usize> {
        let mut order: Vec<(f32, usize)> = self
            .centres
            .iter()
            .enumerate()
            .map(|(list, centre)| {
                (
                    query.map_or(0.0, |query| likeness(level, centre, &query.values)),
                    list,
                )
            })
            .collect();
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let (mut held, mut blocks) = (0, Vec::new());
        for (_, list) in order {
            if held >= wanted && query.is_some() {
                break;
            }
            let (own, used) = &self.blocks[list];
            held += (own.len() * BLOCK + used).saturating_sub(BLOCK);
            blocks.extend(own.iter().map(|block| *block as usize));
        }
        blocks
    }

    /// How many lists there are.
    pub(super) fn count(&self) -> usize {
        self.centres.len()
    }
}

/// Each bit as 1 or -1: the direction of a code.
fn signs(bits: &[u64]) -> Vec<i8> {
    let sign = |word: u64, bit: usize| ((word >> bit & 1) as i8) * 2 - 1;
    bits.iter()
        .flat_map(|word| (0..64).map(move |bit| sign(*word, bit)))
        .collect()
}

fn likeness(level: Level, centre: &Code, values: &[i8]) -> f32 {
    level.dot(&centre.values, values) as f32 * centre.scale
}

/// The centre most like a vector: how much, and its place.
fn nearest(level: Level, centres: &[Code], signs: &[i8]) -> (f32, usize) {
    let mut best = (f32::NEG_INFINITY, 0);
    for (at, centre) in centres.iter().enumerate() {
        let like = likeness(level, centre, signs);
        if like > best.0 {
            best = (like, at);
        }
    }
    best
}

/// At most `count` centres of some vectors by k-means, and which vectors are nearest to each. Always the same for the
/// same vectors.
fn cluster(level: Level, samples: &[&[i8]], count: usize) -> (Vec<Code>, Vec<Vec<usize>>) {
    let count = count.min(samples.len()).max(1);
    let width = samples.first().map_or(0, |sample| sample.len());
    // Drawn, and not evenly spaced: what was stored in turns would give the same few things over and over.
    let start = |at: usize| {
        let mut state = at as u64;
        let drawn = split_mix(&mut state) as usize % samples.len().max(1);
        samples.get(drawn).copied().unwrap_or_default()
    };
    let code = |sums: &[f32]| {
        Code::new(sums).unwrap_or_else(|| Code {
            scale: 0.0,
            values: vec![0; width],
            rest: Vec::new(),
        })
    };
    let mut centres: Vec<Code> = (0..count)
        .map(|at| code(&start(at).iter().map(|sign| f32::from(*sign)).collect::<Vec<_>>()))
        .collect();
    let mut members: Vec<Vec<usize>> = Vec::new();
    for round in 0..=ROUNDS {
        members = vec![Vec::new(); count];
        for (at, sample) in samples.iter().enumerate() {
            members[nearest(level, &centres, sample).1].push(at);
        }
        if round == ROUNDS {
            break;
        }
        for (centre, members) in centres.iter_mut().zip(&members) {
            let mut sums = vec![0.0; width];
            for member in members {
                for (sum, sign) in sums.iter_mut().zip(samples[*member]) {
                    *sum += f32::from(*sign);
                }
            }
            if !members.is_empty() {
                *centre = code(&sums);
            }
        }
    }
    // The second bytes of the codes are not needed.
    centres.iter_mut().for_each(|centre| centre.rest = Vec::new());
    (centres, members)
}
