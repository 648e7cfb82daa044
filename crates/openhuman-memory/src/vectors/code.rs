//! A vector of length one as one signed byte per dimension and their common scale, and a second byte where one is
//! not enough.

#[cfg(test)]
use super::raw::Level;
use crate::error::MemoryError;

/// The first byte of a stored code: one byte per dimension, or two.
const ONE_BYTE: u8 = 1;
const TWO_BYTES: u8 = 2;

/// With fewer dimensions each number matters more: with 256 and one byte, 38 of 1,000 of the ten nearest are others.
/// From so many dimensions on, one byte is enough.
const ONE_IS_ENOUGH: usize = 1024;

/// Steps of the second byte in one of the first.
const FINE_STEPS: f32 = 254.0;

/// A vector rounded to 255 steps per dimension.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Code {
    pub(crate) scale: f32,
    pub(crate) values: Vec<i8>,
    /// What is left after rounding, in finer steps; empty with many dimensions.
    pub(crate) rest: Vec<i8>,
}

impl Code {
    /// Normalises and rounds a vector. `None` for a vector of zeros, which has no direction.
    pub(crate) fn new(vector: &[f32]) -> Option<Self> {
        let length = length(vector)?;
        let largest = vector
            .iter()
            .fold(0.0f32, |largest, number| largest.max(number.abs()));
        let step = largest / 127.0;
        let rounded = |number: &f32| (number / step).round();
        let values = vector.iter().map(|number| rounded(number) as i8).collect();
        let rest = if vector.len() < ONE_IS_ENOUGH {
            let rest = |number: &f32| ((number / step - rounded(number)) * FINE_STEPS).round() as i8;
            vector.iter().map(rest).collect()
        } else {
            Vec::new()
        };
        Some(Self {
            scale: (f64::from(step) / length) as f32,
            values,
            rest,
        })
    }

    /// The vector as numbers again.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = f32> + '_ {
        let rest = self.rest.iter().copied().chain(std::iter::repeat(0));
        self.values
            .iter()
            .zip(rest)
            .map(|(value, rest)| (f32::from(*value) + f32::from(rest) / FINE_STEPS) * self.scale)
    }

    /// The cosine of two vectors of one space, from their first bytes.
    #[cfg(test)]
    pub(crate) fn cosine(&self, other: &Self) -> f32 {
        Level::best().dot(&self.values, &other.values) as f32 * self.scale * other.scale
    }

    /// The bytes stored for a chunk: format, scale and values, or nothing for a chunk without a vector.
    pub(crate) fn to_blob(code: Option<&Self>) -> Vec<u8> {
        let Some(code) = code else { return Vec::new() };
        let mut blob = Vec::with_capacity(5 + code.values.len() + code.rest.len());
        blob.push(if code.rest.is_empty() { ONE_BYTE } else { TWO_BYTES });
        blob.extend_from_slice(&code.scale.to_le_bytes());
        blob.extend(
            code.values
                .iter()
                .chain(&code.rest)
                .map(|value| value.cast_unsigned()),
        );
        blob
    }

    pub(crate) fn from_blob(blob: &[u8], dimensions: usize) -> Result<Option<Self>, MemoryError> {
        let signed = |bytes: &[u8]| bytes.iter().map(|byte| byte.cast_signed()).collect();
        let parts = parts(blob, dimensions)?;
        Ok(parts.map(|parts| Self {
            scale: parts.scale,
            values: signed(parts.values),
            rest: signed(parts.rest),
        }))
    }
}

/// The length of a vector that has a direction.
pub(crate) fn length(vector: &[f32]) -> Option<f64> {
    let squares = vector.iter().map(|number| f64::from(*number).powi(2));
    Some(squares.sum::<f64>().sqrt()).filter(|length| *length >= 1e-12 && length.is_finite())
}

/// A stored code, as it lies on disk.
pub(crate) struct Parts<'a> {
    pub(crate) scale: f32,
    pub(crate) values: &'a [u8],
    pub(crate) rest: &'a [u8],
}

impl Parts<'_> {
    /// The inner product with numbers that were not rounded.
    pub(crate) fn dot(&self, numbers: &[f32]) -> f32 {
        let coarse = dot(self.values, numbers);
        let fine = if self.rest.is_empty() {
            0.0
        } else {
            dot(self.rest, numbers) / FINE_STEPS
        };
        (coarse + fine) * self.scale
    }
}

/// In lanes, so that the compiler may compute several at a time.
fn dot(bytes: &[u8], numbers: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (bytes, bytes_rest) = bytes.as_chunks::<LANES>();
    let (numbers, numbers_rest) = numbers.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for (bytes, numbers) in bytes.iter().zip(numbers) {
        for lane in 0..LANES {
            lanes[lane] += f32::from(bytes[lane].cast_signed()) * numbers[lane];
        }
    }
    let rest: f32 = bytes_rest
        .iter()
        .zip(numbers_rest)
        .map(|(a, b)| f32::from(a.cast_signed()) * b)
        .sum();
    lanes.iter().sum::<f32>() + rest
}

/// Reads a stored code; `None` for a chunk without a vector.
pub(crate) fn parts(blob: &[u8], dimensions: usize) -> Result<Option<Parts<'_>>, MemoryError> {
    if blob.is_empty() {
        return Ok(None);
    }
    let damaged = || MemoryError::Damaged {
        what: format!("a vector of {} bytes", blob.len()),
    };
    let (format, rest) = blob.split_first().ok_or_else(damaged)?;
    let (scale, values) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    let scale = f32::from_le_bytes(*scale);
    let (values, rest) = values.split_at_checked(dimensions).ok_or_else(damaged)?;
    let expected = match *format {
        ONE_BYTE => 0,
        TWO_BYTES => dimensions,
        _ => return Err(damaged()),
    };
    if rest.len() != expected || !scale.is_finite() {
        return Err(damaged());
    }
    Ok(Some(Parts { scale, values, rest }))
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

    proptest! {
        #[test]
        fn cosines_are_close_to_exact(
            a in prop::collection::vec(-1.0f32..1.0, 64),
            b in prop::collection::vec(-1.0f32..1.0, 64),
        ) {
            let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
            prop_assume!(norm(&a) > 0.5 && norm(&b) > 0.5);
            let exact = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f32>() / (norm(&a) * norm(&b));
            let (a_code, b_code) = (Code::new(&a).unwrap(), Code::new(&b).unwrap());
            let cosine = a_code.cosine(&b_code);
            prop_assert!((cosine - exact).abs() < 0.02, "{} {}", cosine, exact);
            let blob = Code::to_blob(Some(&b_code));
            let fine = parts(&blob, 64).unwrap().unwrap().dot(&a) / norm(&a);
            prop_assert!((fine - exact).abs() < 0.0005, "{} {}", fine, exact);
        }
    }
}
