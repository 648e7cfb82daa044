//! A vector of length one as one signed byte per dimension and their common scale.

use super::raw::Level;
use crate::error::MemoryError;

/// The first byte of a stored code.
const FORMAT: u8 = 1;

/// A vector rounded to 255 steps per dimension.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Code {
    pub(crate) scale: f32,
    pub(crate) values: Vec<i8>,
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

    /// The vector as numbers again.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = f32> + '_ {
        self.values.iter().map(|value| f32::from(*value) * self.scale)
    }

    /// The cosine of two vectors of one space.
    pub(crate) fn cosine(&self, scale: f32, values: &[i8]) -> f32 {
        Level::best().dot(&self.values, values) as f32 * self.scale * scale
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
        let parts = parts(blob, dimensions)?;
        Ok(parts.map(|(scale, values)| Self {
            scale,
            values: values.iter().map(|byte| byte.cast_signed()).collect(),
        }))
    }
}

/// The scale and the values, as bytes, of a stored code; `None` for a chunk without a vector.
pub(crate) fn parts(blob: &[u8], dimensions: usize) -> Result<Option<(f32, &[u8])>, MemoryError> {
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
    Ok(Some((scale, values)))
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
            let b = Code::new(&b).unwrap();
            let cosine = Code::new(&a).unwrap().cosine(b.scale, &b.values);
            prop_assert!((cosine - exact).abs() < 0.02, "{} {}", cosine, exact);
        }
    }
}
