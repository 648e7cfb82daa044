//! The forward pass of BERT. Matrices are multiplied as bytes; everything between them is computed in 32 bits.

use std::sync::LazyLock;

use super::weights::HEAD;
use crate::vectors::Level;

/// Added to a variance before its root is taken.
const EPSILON: f32 = 1e-12;

/// A linear map: rows of bytes, each with its scale, and what is added.
pub(super) struct Linear {
    weights: Vec<i8>,
    scales: Vec<f32>,
    /// The sum of each row.
    sums: Vec<f32>,
    bias: Vec<f32>,
    width: usize,
}

/// Brings each vector to the same mean and spread.
pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

pub(super) struct Layer {
    /// Queries, keys and values.
    pub(super) asks: Linear,
    pub(super) mixed: Linear,
    pub(super) after_mixing: Norm,
    pub(super) inner: Linear,
    pub(super) outer: Linear,
    pub(super) after: Norm,
}

pub(super) struct Encoder {
    /// A row for each word piece.
    pub(super) words: Linear,
    /// A row for each position.
    pub(super) places: Vec<f32>,
    pub(super) first: Norm,
    pub(super) layers: Vec<Layer>,
    pub(super) width: usize,
}

impl Linear {
    /// Rounds each row to 255 steps.
    pub(super) fn new(numbers: &[f32], bias: Vec<f32>, width: usize) -> Self {
        let mut weights = vec![0; numbers.len()];
        let scales = numbers
            .chunks_exact(width)
            .zip(weights.chunks_exact_mut(width))
            .map(|(row, out)| round(row, 0.0, out))
            .collect();
        let sum = |(row, scale): (&[i8], &f32)| {
            row.iter().map(|value| i32::from(*value)).sum::<i32>() as f32 * scale
        };
        let sums = weights.chunks_exact(width).zip(&scales).map(sum).collect();
        Self {
            weights,
            scales,
            sums,
            bias,
            width,
        }
    }

    /// One vector for each of `inputs`, which are of `width` numbers.
    fn apply(&self, level: Level, inputs: &[f32]) -> Vec<f32> {
        let rows = self.scales.len();
        let count = inputs.len() / self.width;
        let mut bytes = vec![0; inputs.len()];
        // What comes out of the middle of a layer is hardly ever negative: bytes count from the middle of its range.
        let scales: Vec<(f32, f32)> = inputs
            .chunks_exact(self.width)
            .zip(bytes.chunks_exact_mut(self.width))
            .map(|(row, out)| {
                let middle = middle(row);
                (round(row, middle, out), middle)
            })
            .collect();
        let mut sums = vec![0; count * rows];
        level.products(&self.weights, &bytes, self.width, &mut sums);
        let mut out = Vec::with_capacity(sums.len());
        for (sums, (scale, middle)) in sums.chunks_exact(rows).zip(scales) {
            let own = self.scales.iter().zip(&self.sums).zip(&self.bias);
            out.extend(
                sums.iter()
                    .zip(own)
                    .map(|(sum, ((own, all), bias))| *sum as f32 * (scale * own) + middle * all + bias),
            );
        }
        out
    }

    fn row(&self, row: usize) -> impl Iterator<Item = f32> + '_ {
        let scale = self.scales[row];
        self.weights[row * self.width..(row + 1) * self.width]
            .iter()
            .map(move |value| f32::from(*value) * scale)
    }
}

impl Norm {
    fn apply(&self, vectors: &mut [f32]) {
        let width = self.weight.len();
        for vector in vectors.chunks_exact_mut(width) {
            let mean = vector.iter().sum::<f32>() / width as f32;
            let variance = vector.iter().map(|number| (number - mean).powi(2)).sum::<f32>() / width as f32;
            let scale = 1.0 / (variance + EPSILON).sqrt();
            for (number, (weight, bias)) in vector.iter_mut().zip(self.weight.iter().zip(&self.bias)) {
                *number = (*number - mean) * scale * weight + bias;
            }
        }
    }
}

impl Encoder {
    pub(super) fn dimensions(&self) -> usize {
        self.width
    }

    /// The mean of the outputs for some tokens, of length one. Tokens that the vocabulary does not have, and those
    /// behind the last position, are left out.
    pub(super) fn encode(&self, tokens: &[u32]) -> Vec<f32> {
        let level = Level::best();
        let mut all = Vec::with_capacity(tokens.len() * self.width);
        let known = tokens
            .iter()
            .map(|token| *token as usize)
            .filter(|token| *token < self.words.scales.len());
        for (token, place) in known.zip(self.places.chunks_exact(self.width)) {
            all.extend(self.words.row(token).zip(place).map(|(word, place)| word + place));
        }
        self.first.apply(&mut all);
        for layer in &self.layers {
            let asks = layer.asks.apply(level, &all);
            let mixed = layer.mixed.apply(level, &attend(&asks, self.width));
            add(&mut all, &mixed);
            layer.after_mixing.apply(&mut all);
            let mut inner = layer.inner.apply(level, &all);
            inner.iter_mut().for_each(|number| *number = gelu(*number));
            add(&mut all, &layer.outer.apply(level, &inner));
            layer.after.apply(&mut all);
        }
        let mut mean = vec![0.0; self.width];
        all.chunks_exact(self.width)
            .for_each(|vector| add(&mut mean, vector));
        normalize(&mut mean);
        mean
    }
}

/// Brings a vector to length one, if it has a direction.
pub(super) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|number| *number /= length);
    }
}

fn add(to: &mut [f32], what: &[f32]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += what);
}

/// The middle of the range of some numbers.
fn middle(row: &[f32]) -> f32 {
    let (low, high) = row
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), number| {
            (low.min(*number), high.max(*number))
        });
    (low + high) / 2.0
}

/// Rounds numbers, as differences from `middle`, to 255 steps and returns the size of a step.
fn round(row: &[f32], middle: f32, out: &mut [i8]) -> f32 {
    let largest = row
        .iter()
        .fold(0.0f32, |largest, number| largest.max((number - middle).abs()));
    if largest == 0.0 {
        out.fill(0);
        return 0.0;
    }
    let steps = 127.0 / largest;
    for (number, out) in row.iter().zip(out) {
        // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number, and the compiler does several at a time.
        const ROUND: f32 = 12_582_912.0;
        *out = (((number - middle) * steps + ROUND) - ROUND) as i8;
    }
    largest / 127.0
}

/// Each vector of queries takes in the values of all, by how well their keys fit. `asks` has queries, keys and values
/// of `width` numbers for each token.
fn attend(asks: &[f32], width: usize) -> Vec<f32> {
    let count = asks.len() / (3 * width);
    let mut mixed = vec![0.0; count * width];
    let part = |token: usize, kind: usize, head: usize| -> &[f32; HEAD] {
        let start = token * 3 * width + kind * width + head * HEAD;
        asks[start..].first_chunk().unwrap_or(&[0.0; HEAD])
    };
    let scale = 1.0 / (HEAD as f32).sqrt();
    let mut fits = vec![0.0; count];
    for head in 0..width / HEAD {
        for token in 0..count {
            let query = part(token, 0, head);
            let mut most = f32::NEG_INFINITY;
            for (other, fit) in fits.iter_mut().enumerate() {
                *fit = dot(query, part(other, 1, head)) * scale;
                most = most.max(*fit);
            }
            let mut sum = 0.0;
            for fit in &mut fits {
                *fit = (*fit - most).exp();
                sum += *fit;
            }
            let mut out = [0.0; HEAD];
            for (other, fit) in fits.iter().enumerate() {
                let value = part(other, 2, head);
                out.iter_mut()
                    .zip(value)
                    .for_each(|(out, value)| *out += fit * value);
            }
            let start = token * width + head * HEAD;
            for (to, out) in mixed[start..start + HEAD].iter_mut().zip(out) {
                *to = out / sum;
            }
        }
    }
    mixed
}

/// In lanes, so that the compiler may compute several at a time.
fn dot(a: &[f32; HEAD], b: &[f32; HEAD]) -> f32 {
    const LANES: usize = 8;
    let mut lanes = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum()
}

/// Steps of the table of [`gelu`] in one, and where it ends: beyond, the function is 0 or its argument.
const STEPS: f32 = 256.0;
const LIMIT: f32 = 6.0;

/// `x` times the share of a normal distribution below it: between two entries of a table, so wrong by at most 0.000002.
fn gelu(x: f32) -> f32 {
    static TABLE: LazyLock<Vec<f32>> = LazyLock::new(|| {
        let count = (2.0 * LIMIT * STEPS) as usize + 2;
        let exact = |at: usize| {
            let x = at as f64 / f64::from(STEPS) - f64::from(LIMIT);
            (x * 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2))) as f32
        };
        (0..count).map(exact).collect()
    });
    if x >= LIMIT {
        return x;
    }
    if x <= -LIMIT || x.is_nan() {
        return 0.0;
    }
    let place = (x + LIMIT) * STEPS;
    let at = place as usize;
    let share = place - at as f32;
    TABLE[at] + share * (TABLE[at + 1] - TABLE[at])
}

/// Abramowitz and Stegun 7.1.26: wrong by at most 0.00000015.
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let poly = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ];
    let poly = poly.iter().fold(0.0, |sum, factor| t * (sum + factor));
    (1.0 - poly * (-x * x).exp()).copysign(x)
}
