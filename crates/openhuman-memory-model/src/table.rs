//! The table's binary format: parsed once, then read in place.

use std::fmt;

use crate::model::DIMENSIONS;

const MAGIC: &[u8; 8] = b"OHSTATIC";
const FORMAT: u32 = 1;
const HEADER: usize = 32;
const SLOTS: usize = 1 << 16;
const EMPTY_SLOT: usize = 0xFFFF;

/// Why bytes are not a usable embedding table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The bytes do not start with the magic number of the format.
    #[error("this is not an embedding table: it must start with the bytes `OHSTATIC`")]
    NotATable,
    /// The table has a format version that this release cannot read.
    #[error(
        "the embedding table has format version {found}, this release reads version 1: use a matching pair"
    )]
    UnknownVersion {
        /// The version in the table's header.
        found: u32,
    },
    /// The header announces a shape that this crate does not support.
    #[error(
        "the embedding table has an unsupported {what} of {found}: distil it again with this release's script"
    )]
    UnsupportedShape {
        /// Which number of the header.
        what: &'static str,
        /// Its value.
        found: u32,
    },
    /// The table is shorter or longer than its header says.
    #[error("the embedding table has {found} bytes, its header asks for {expected}: copy the file again")]
    WrongLength {
        /// The length that follows from the header, in bytes.
        expected: usize,
        /// The real length, in bytes.
        found: usize,
    },
    /// A part of the table refers to something outside of it.
    #[error("the embedding table is damaged in its {part}: copy the file again")]
    Damaged {
        /// The part that failed the check.
        part: &'static str,
    },
}

/// A checked table. All parts are slices of the same static bytes.
pub(crate) struct Table {
    offsets: &'static [[u8; 4]],
    slots: &'static [[u8; 2]],
    scales: &'static [[u8; 2]],
    text: &'static [u8],
    rows: &'static [[u8; DIMENSIONS]],
    longest_piece: usize,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("pieces", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl Table {
    pub(crate) fn parse(bytes: &'static [u8]) -> Result<Table, TableError> {
        let (header, body) = bytes.split_at_checked(HEADER).ok_or(TableError::NotATable)?;
        let (magic, numbers) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(TableError::NotATable);
        }
        let (numbers, _) = numbers.as_chunks::<4>();
        let [version, pieces, dimensions, slots, text_length] =
            std::array::from_fn(|at| u32::from_le_bytes(numbers[at]));
        if version != FORMAT {
            return Err(TableError::UnknownVersion { found: version });
        }
        // Row numbers are stored in 16 bits, and one free slot ends each search.
        for (what, found, supported) in [
            (
                "number of word pieces",
                pieces,
                pieces > 0 && (pieces as usize) < EMPTY_SLOT,
            ),
            (
                "number of dimensions",
                dimensions,
                dimensions as usize == DIMENSIONS,
            ),
            ("number of slots", slots, slots as usize == SLOTS),
            ("text length", text_length, text_length < 1 << 24),
        ] {
            if !supported {
                return Err(TableError::UnsupportedShape { what, found });
            }
        }
        let (pieces, text_length) = (pieces as usize, text_length as usize);
        let lengths = [
            4 * (pieces + 1),
            2 * SLOTS,
            2 * pieces,
            text_length,
            pieces * DIMENSIONS,
        ];
        let expected = HEADER + lengths.iter().sum::<usize>();
        if bytes.len() != expected {
            return Err(TableError::WrongLength {
                expected,
                found: bytes.len(),
            });
        }
        let mut rest = body;
        let [offsets, slots, scales, text, rows] = lengths.map(|length| {
            let (part, after) = rest.split_at(length);
            rest = after;
            part
        });
        let mut table = Table {
            offsets: offsets.as_chunks().0,
            slots: slots.as_chunks().0,
            scales: scales.as_chunks().0,
            text,
            rows: rows.as_chunks().0,
            longest_piece: 0,
        };
        table.longest_piece = table.check()?;
        Ok(table)
    }

    /// Checks every reference inside the table and returns the length of the longest word piece.
    fn check(&self) -> Result<usize, TableError> {
        let damaged = |part| TableError::Damaged { part };
        let mut longest = 0;
        let mut start = 0;
        for (at, end) in self
            .offsets
            .iter()
            .map(|bytes| u32::from_le_bytes(*bytes) as usize)
            .enumerate()
        {
            let in_order = if at == 0 {
                end == 0
            } else {
                start < end && end <= self.text.len()
            };
            if !in_order {
                return Err(damaged("text offsets"));
            }
            longest = longest.max(end - start);
            start = end;
        }
        if start != self.text.len() {
            return Err(damaged("text offsets"));
        }
        let rows = self
            .slots
            .iter()
            .map(|bytes| usize::from(u16::from_le_bytes(*bytes)));
        if rows
            .into_iter()
            .any(|row| row != EMPTY_SLOT && row >= self.rows.len())
        {
            return Err(damaged("lookup slots"));
        }
        Ok(longest)
    }

    /// The length of the longest word piece in bytes, with its `##`.
    pub(crate) fn longest_piece(&self) -> usize {
        self.longest_piece
    }

    /// The row of the word piece `prefix` + `rest`, whose hash the caller has already computed.
    pub(crate) fn find(&self, hash: Hash, prefix: &[u8], rest: &[u8]) -> Option<u32> {
        let first = hash.0 as usize % SLOTS;
        for probe in 0..SLOTS {
            let row = usize::from(u16::from_le_bytes(self.slots[(first + probe) % SLOTS]));
            if row == EMPTY_SLOT {
                return None;
            }
            // Most others have another length already, which costs less to see than other letters.
            let piece = self.piece(row);
            if piece.len() == prefix.len() + rest.len() && piece.ends_with(rest) && piece.starts_with(prefix)
            {
                return Some(row as u32);
            }
        }
        None
    }

    /// The number of word pieces.
    pub(crate) fn pieces(&self) -> u32 {
        self.rows.len() as u32
    }

    /// The row of a word that is one piece.
    pub(crate) fn word(&self, word: &str) -> Option<u32> {
        self.find(Hash::EMPTY.extend(word.as_bytes()), b"", word.as_bytes())
    }

    /// The text of a piece that is a word of at least three letters by itself.
    pub(crate) fn whole_word(&self, row: u32) -> Option<&'static str> {
        let piece = self.piece(row as usize);
        let is_word = piece.len() >= 3 && piece.iter().all(u8::is_ascii_lowercase);
        std::str::from_utf8(piece).ok().filter(|_| is_word)
    }

    fn piece(&self, row: usize) -> &'static [u8] {
        let [start, end] = [row, row + 1].map(|at| u32::from_le_bytes(self.offsets[at]) as usize);
        &self.text[start..end]
    }

    /// What the bytes of [`row`](Self::row) are multiplied with.
    pub(crate) fn scale(&self, row: u32) -> f32 {
        f32_from_f16(u16::from_le_bytes(self.scales[row as usize]))
    }

    /// The quantised row: each byte is an `i8`.
    pub(crate) fn row(&self, row: u32) -> &'static [u8; DIMENSIONS] {
        &self.rows[row as usize]
    }
}

/// FNV-1a with 32 bits: it extends byte by byte, so all prefixes of a word cost one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash(u32);

impl Hash {
    pub(crate) const EMPTY: Hash = Hash(0x811C_9DC5);

    pub(crate) fn extend(self, bytes: &[u8]) -> Hash {
        Hash(bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        }))
    }
}

/// Exact for every finite half-precision number; scales are never infinite.
fn f32_from_f16(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((bits >> 10) & 0x1F);
    let fraction = f32::from(bits & 0x3FF) / 1024.0;
    if exponent == 0 {
        sign * fraction * (-14f32).exp2()
    } else {
        sign * (1.0 + fraction) * ((exponent - 15) as f32).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaked(bytes: Vec<u8>) -> &'static [u8] {
        Vec::leak(bytes)
    }

    /// A table of the pieces "[UNK]" and "##s".
    fn small() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for number in [FORMAT, 2, DIMENSIONS as u32, SLOTS as u32, 8, 0, 0, 5, 8] {
            bytes.extend(number.to_le_bytes());
        }
        let mut slots = vec![0xFF; 2 * SLOTS];
        for (row, piece) in ["[UNK]", "##s"].iter().enumerate() {
            let slot = Hash::EMPTY.extend(piece.as_bytes()).0 as usize % SLOTS;
            slots[2 * slot..2 * slot + 2].copy_from_slice(&(row as u16).to_le_bytes());
        }
        bytes.extend(slots);
        bytes.extend([0x00, 0x3C, 0x00, 0x38]);
        bytes.extend(b"[UNK]##s");
        bytes.extend([1; 2 * DIMENSIONS]);
        bytes
    }

    #[test]
    fn a_small_table_is_read() {
        let table = Table::parse(leaked(small())).unwrap();
        let hash = Hash::EMPTY.extend(b"##").extend(b"s");
        assert_eq!(table.find(hash, b"##", b"s"), Some(1));
        assert_eq!(table.find(Hash::EMPTY.extend(b"s"), b"", b"s"), None);
        assert_eq!((table.scale(0), table.scale(1)), (1.0, 0.5));
        assert_eq!(table.row(1), &[1; DIMENSIONS]);
        assert_eq!(table.longest_piece(), 5);
    }

    #[test]
    fn damage_is_named() {
        let refused = |change: fn(&mut Vec<u8>)| {
            let mut bytes = small();
            change(&mut bytes);
            Table::parse(leaked(bytes)).unwrap_err()
        };
        assert_eq!(refused(|bytes| bytes[0] = b'X'), TableError::NotATable);
        assert_eq!(
            refused(|bytes| bytes[8] = 2),
            TableError::UnknownVersion { found: 2 }
        );
        assert_eq!(
            refused(|bytes| bytes[17] = 3),
            TableError::UnsupportedShape {
                what: "number of dimensions",
                found: 768
            }
        );
        assert!(matches!(
            refused(|bytes| bytes.push(0)),
            TableError::WrongLength { .. }
        ));
        assert!(matches!(
            refused(|bytes| bytes[13] = 0x70),
            TableError::WrongLength { .. }
        ));
        assert_eq!(
            refused(|bytes| bytes[36] = 9),
            TableError::Damaged { part: "text offsets" }
        );
        assert_eq!(
            refused(|bytes| bytes[40] = 7),
            TableError::Damaged { part: "text offsets" }
        );
        assert_eq!(
            refused(|bytes| bytes[44..48].copy_from_slice(&[2, 0, 2, 0])),
            TableError::Damaged { part: "lookup slots" }
        );
    }

    #[test]
    fn a_full_lookup_ends() {
        let mut bytes = small();
        bytes[44..44 + 2 * SLOTS].fill(0);
        let table = Table::parse(leaked(bytes)).unwrap();
        assert_eq!(table.find(Hash::EMPTY, b"", b"absent"), None);
    }

    #[test]
    fn half_precision_numbers_are_exact() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03FF, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65504.0),
        ] {
            assert_eq!(f32_from_f16(bits), value, "{bits:#06x}");
        }
    }
}
