//! Generated text with the skew of natural text: a few words are common, most are rare.

/// Draws words.
pub(crate) struct Words(u64);

impl Words {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// From 0 to 1.
    pub(crate) fn number(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A word of at least this rank; rank 1 is the most common one.
    pub(crate) fn word(&mut self, least: f64) -> String {
        const SYLLABLES: [&str; 16] = [
            "ri", "ver", "sto", "ne", "gar", "den", "lam", "p", "win", "dow", "ta", "ble", "cor", "ner",
            "ma", "ple",
        ];
        let mut rank = (least * (20_000.0 / least).powf(self.number())) as usize;
        let mut word = String::new();
        while rank > 0 {
            word.push_str(SYLLABLES[rank % 16]);
            rank /= 16;
        }
        word
    }

    fn sentence(&mut self) -> String {
        let count = 8 + (self.number() * 12.0) as usize;
        let words: Vec<String> = (0..count).map(|_| self.word(1.0)).collect();
        format!("{}. ", words.join(" "))
    }

    /// A document of about twenty chunks.
    pub(crate) fn document(&mut self) -> String {
        (0..300)
            .map(|n| self.sentence() + if n % 6 == 5 { "\n\n" } else { "" })
            .collect()
    }

    /// A question of five words. The most common words of a real one are stop words, which are not looked for.
    pub(crate) fn question(&mut self) -> String {
        let words: Vec<String> = (0..5).map(|_| self.word(75.0)).collect();
        words.join(" ")
    }

    /// A vector of independent numbers.
    pub(crate) fn vector(&mut self, dimensions: usize) -> Vec<f32> {
        (0..dimensions)
            .map(|_| {
                self.0 = self
                    .0
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }
}
