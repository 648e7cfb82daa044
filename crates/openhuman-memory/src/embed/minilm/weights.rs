//! From a file of weights in the format safetensors to the encoder with its numbers of one byte.

use std::collections::HashMap;

use serde::Deserialize;

use super::encoder::{Encoder, Layer, Linear, Norm};

/// The length of an attention head, the same in all BERT models of this size.
pub(super) const HEAD: usize = 32;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// Named arrays of numbers.
struct Tensors<'a> {
    entries: HashMap<String, Entry>,
    data: &'a [u8],
}

impl<'a> Tensors<'a> {
    /// The file begins with the length of a JSON object that tells where each array is in the rest.
    fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let (length, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or("the file of weights is too short")?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (header, data) = rest
            .split_at_checked(length)
            .ok_or("the file of weights is cut off")?;
        let mut header: HashMap<String, serde_json::Value> = serde_json::from_slice(header)
            .map_err(|error| format!("the file of weights has no header ({error})"))?;
        header.remove("__metadata__");
        let entries = header
            .into_iter()
            .filter_map(|(name, entry)| Some((name, serde_json::from_value(entry).ok()?)))
            .collect();
        Ok(Self { entries, data })
    }

    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let entry = self
            .entries
            .get(name)
            .ok_or_else(|| format!("the file of weights has no {name}"))?;
        let [start, end] = entry.data_offsets;
        let bytes = self.data.get(start..end).unwrap_or_default();
        if entry.dtype != "F32" || entry.shape != shape || bytes.len() != 4 * shape.iter().product::<usize>()
        {
            return Err(format!(
                "the file of weights has {name} as {} of {:?}, not as F32 of {shape:?}",
                entry.dtype, entry.shape
            ));
        }
        Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|four| f32::from_le_bytes(*four))
            .collect())
    }

    fn shape(&self, name: &str) -> Result<[usize; 2], String> {
        let entry = self.entries.get(name);
        let shape = entry.and_then(|entry| entry.shape.as_slice().try_into().ok());
        shape.ok_or_else(|| format!("the file of weights has no {name} with two dimensions"))
    }

    fn norm(&self, name: &str, width: usize) -> Result<Norm, String> {
        Ok(Norm {
            weight: self.numbers(&format!("{name}.weight"), &[width])?,
            bias: self.numbers(&format!("{name}.bias"), &[width])?,
        })
    }

    /// Several linear maps of the same input as one.
    fn linear(&self, names: &[String], rows: usize, width: usize) -> Result<Linear, String> {
        let (mut weights, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weights.extend(self.numbers(&format!("{name}.weight"), &[rows, width])?);
            bias.extend(self.numbers(&format!("{name}.bias"), &[rows])?);
        }
        Ok(Linear::new(&weights, bias, width))
    }
}

/// Reads an encoder; how many layers it has and how wide they are follows from the file.
pub(super) fn encoder(bytes: &[u8]) -> Result<Encoder, String> {
    let tensors = Tensors::parse(bytes)?;
    let [pieces, width] = tensors.shape("embeddings.word_embeddings.weight")?;
    let [positions, _] = tensors.shape("embeddings.position_embeddings.weight")?;
    let [kinds, _] = tensors.shape("embeddings.token_type_embeddings.weight")?;
    if width == 0 || width % HEAD != 0 || positions == 0 || kinds == 0 {
        return Err(format!(
            "the file of weights has {width} dimensions, which is no multiple of {HEAD}"
        ));
    }
    let mut layers = Vec::new();
    while tensors
        .entries
        .contains_key(&format!("encoder.layer.{}.output.dense.weight", layers.len()))
    {
        let at = format!("encoder.layer.{}", layers.len());
        let [inner, _] = tensors.shape(&format!("{at}.intermediate.dense.weight"))?;
        let asks = ["query", "key", "value"].map(|part| format!("{at}.attention.self.{part}"));
        layers.push(Layer {
            asks: tensors.linear(&asks, width, width)?,
            mixed: tensors.linear(&[format!("{at}.attention.output.dense")], width, width)?,
            after_mixing: tensors.norm(&format!("{at}.attention.output.LayerNorm"), width)?,
            inner: tensors.linear(&[format!("{at}.intermediate.dense")], inner, width)?,
            outer: tensors.linear(&[format!("{at}.output.dense")], width, inner)?,
            after: tensors.norm(&format!("{at}.output.LayerNorm"), width)?,
        });
    }
    let words = tensors.numbers("embeddings.word_embeddings.weight", &[pieces, width])?;
    let kind = tensors.numbers("embeddings.token_type_embeddings.weight", &[kinds, width])?;
    let mut places = tensors.numbers("embeddings.position_embeddings.weight", &[positions, width])?;
    // Every token here is of the first kind.
    for place in places.chunks_exact_mut(width) {
        place
            .iter_mut()
            .zip(&kind)
            .for_each(|(place, kind)| *place += kind);
    }
    Ok(Encoder {
        words: Linear::new(&words, Vec::new(), width),
        places,
        first: tensors.norm("embeddings.LayerNorm", width)?,
        layers,
        width,
    })
}
