use std::sync::OnceLock;

use crate::table::{Table, TableError};
use crate::wordpiece;

/// The length of every vector.
pub const DIMENSIONS: usize = 256;

/// The name of the vector space. Vectors of different names must not be compared.
pub const NAME: &str = "minilm-l6-v2-static-256";

/// The version of the table under this [`NAME`]; a changed table has a higher number.
pub const VERSION: u32 = 1;

static BUNDLED: &[u8] = include_bytes!("../data/minilm-static-256.bin");

/// Turns text into vectors by looking up and adding one row per word piece.
///
/// The model is read-only data: use it from any number of threads. Time is linear in the text, about a microsecond
/// per word or less in an optimized build, and nothing is truncated.
#[derive(Debug)]
pub struct StaticModel {
    table: Table,
}

impl StaticModel {
    /// The table that ships inside this crate.
    ///
    /// The first call checks the table's structure (well below a millisecond in an optimized build); later calls
    /// are free. Rows stay in the program's read-only pages, so only the rows in use take memory.
    pub fn bundled() -> &'static StaticModel {
        static MODEL: OnceLock<StaticModel> = OnceLock::new();
        MODEL.get_or_init(|| {
            // The bytes are fixed when this crate is built, and a unit test reads the very same ones.
            StaticModel::from_static(BUNDLED).expect("the embedded table is intact")
        })
    }

    /// A model from a table in the format that `distil/README.md` describes.
    ///
    /// # Errors
    ///
    /// A [`TableError`] when the bytes are not such a table, or one with other dimensions than [`DIMENSIONS`].
    pub fn from_static(bytes: &'static [u8]) -> Result<StaticModel, TableError> {
        let table = Table::parse(bytes)?;
        Ok(StaticModel { table })
    }

    /// The vector of `text`, of length [`DIMENSIONS`] and Euclidean norm 1.
    ///
    /// Text without a known word piece (empty, or nothing but unknown symbols) gives the zero vector; its inner
    /// product with everything is 0.
    pub fn embed(&self, text: &str) -> Vec<f32> {
        let mut vector = [0.0; DIMENSIONS];
        self.embed_into(text, &mut vector);
        vector.to_vec()
    }

    /// Like [`embed`](Self::embed), into memory of the caller. What `vector` held before is overwritten.
    pub fn embed_into(&self, text: &str, vector: &mut [f32; DIMENSIONS]) {
        vector.fill(0.0);
        wordpiece::for_each_token(&self.table, text, |token| {
            if token == wordpiece::UNKNOWN {
                return;
            }
            let scale = self.table.scale(token);
            for (sum, value) in vector.iter_mut().zip(self.table.row(token)) {
                *sum += scale * f32::from(*value as i8);
            }
        });
        normalize(vector);
    }

    /// The words of the vocabulary whose vectors are nearest to that of a word in lower case, with their cosines, the
    /// nearest first: at most `count`, each with a cosine of at least `least`. Empty when the vocabulary has no such
    /// word. Compares the word with all others: about a millisecond.
    pub fn related(&self, word: &str, count: usize, least: f32) -> Vec<(&'static str, f32)> {
        let Some(own) = self.table.word(word) else {
            return Vec::new();
        };
        let length = |row: u32| (dot(self.table.row(row), self.table.row(row)) as f32).sqrt();
        let own_length = length(own);
        let mut near: Vec<(&str, f32)> = (0..self.table.pieces())
            .filter(|row| *row != own)
            .filter_map(|row| {
                let text = self.table.whole_word(row)?;
                let cosine =
                    dot(self.table.row(own), self.table.row(row)) as f32 / (own_length * length(row));
                (cosine >= least).then_some((text, cosine))
            })
            .collect();
        near.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        near.truncate(count);
        near
    }

    /// The word pieces of `text` as row numbers of MiniLM's vocabulary, without special tokens.
    ///
    /// A word that cannot be pieced together, or is longer than 100 characters, counts as one unknown token (100).
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        wordpiece::for_each_token(&self.table, text, |token| tokens.push(token));
        tokens
    }
}

/// The inner product of two rows without their scales.
fn dot(a: &[u8; DIMENSIONS], b: &[u8; DIMENSIONS]) -> i32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| i32::from(*a as i8) * i32::from(*b as i8))
        .sum()
}

fn normalize(vector: &mut [f32; DIMENSIONS]) {
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if norm > 0.0 {
        for value in vector {
            *value /= norm;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_table_is_intact() {
        assert!(StaticModel::from_static(BUNDLED).is_ok());
    }

    #[test]
    fn related_words_are_near_and_sorted() {
        let model = StaticModel::bundled();
        let near = model.related("car", 5, 0.4);
        assert!(
            near.iter()
                .any(|(word, _)| ["cars", "automobile", "vehicle"].contains(word)),
            "{near:?}"
        );
        assert!(near.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        assert!(model.related("qqqzzz", 5, 0.0).is_empty());
    }

    #[test]
    fn a_shortened_table_is_refused() {
        for length in [0, 7, 31, 32, 5_000, BUNDLED.len() - 1] {
            assert!(
                StaticModel::from_static(&BUNDLED[..length]).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn previous_contents_do_not_leak_into_the_result() {
        let model = StaticModel::bundled();
        let mut vector = [7.0; DIMENSIONS];
        model.embed_into("a cold day", &mut vector);
        assert_eq!(vector.to_vec(), model.embed("a cold day"));
        model.embed_into("", &mut vector);
        assert_eq!(vector, [0.0; DIMENSIONS]);
    }
}
