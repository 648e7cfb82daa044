//! How much each signal counts.

/// How the signals are weighed. The defaults are measured on conversations; see `docs/measurements.md`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// The share of the vector signal. When a query gives only one of the two signals, it takes both shares.
    pub vector: f32,
    /// The share of the text signal.
    pub text: f32,
    /// How much the cosines of the chunks before and after count in the vector signal.
    pub around_vector: f32,
    /// How much the better of the words of the chunk before and after count in the text signal.
    pub around_text: f32,
    /// Added for each standard deviation by which the best chunks of the same document are good.
    pub document: f32,
    /// Added when the chunk begins with the only speaker whom the query names.
    pub speaker: f32,
    /// Added for the share of the query's words, by their rarity, that the chunk and its neighbours hold.
    pub coverage: f32,
    /// Added for each standard deviation of the logarithm of the chunk's length.
    pub length: f32,
    /// Added to a turn of a conversation that is itself a question.
    pub question: f32,
    /// Added to a chunk that holds a time, a number or a name when the query asks for one.
    pub answer: f32,
    /// Added to a turn of a conversation in the first person.
    pub first_person: f32,
    /// How much words count that mean about the same as one of the query, where the embedder knows some.
    pub related: f32,
    /// How quickly repetitions of a word stop to count (`k1` of BM25).
    pub saturation: f32,
    /// How much less words count in long chunks (`b` of BM25).
    pub length_penalty: f32,
    /// How far the query's vector moves towards the best three hits before the final ranking.
    pub feedback: f32,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            vector: 0.7,
            text: 0.3,
            around_vector: 0.25,
            around_text: 0.5,
            document: 0.45,
            speaker: 0.6,
            coverage: 1.5,
            length: 0.3,
            question: -0.8,
            answer: 0.4,
            first_person: 0.2,
            related: 0.0,
            saturation: 0.5,
            length_penalty: 0.6,
            feedback: 0.0,
        }
    }
}

impl Weights {
    /// The two signals alone, 70 to 30: what the structure of the memory adds is left out.
    pub fn plain() -> Self {
        Self {
            around_vector: 0.0,
            around_text: 0.0,
            document: 0.0,
            speaker: 0.0,
            coverage: 0.0,
            length: 0.0,
            question: 0.0,
            answer: 0.0,
            first_person: 0.0,
            related: 0.0,
            saturation: 1.2,
            length_penalty: 0.75,
            feedback: 0.0,
            ..Self::default()
        }
    }
}
