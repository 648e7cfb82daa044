//! Small helpers for the unit tests of this crate.

/// Decodes a hexadecimal constant; blanks are skipped.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

/// SHAKE128 (FIPS 202): the published vectors draw their messages from it.
#[derive(Default)]
pub(crate) struct Shake128 {
    state: [u64; 25],
    at: usize,
    squeezing: bool,
}

impl Shake128 {
    const RATE: usize = 168;

    pub(crate) fn absorb(&mut self, data: &[u8]) {
        for byte in data {
            self.xor(self.at, *byte);
            self.at += 1;
            if self.at == Self::RATE {
                self.permute();
            }
        }
    }

    pub(crate) fn squeeze(&mut self, length: usize) -> Vec<u8> {
        if !self.squeezing {
            self.squeezing = true;
            self.xor(self.at, 0x1f);
            self.xor(Self::RATE - 1, 0x80);
            self.permute();
        }
        let mut out = Vec::with_capacity(length);
        while out.len() < length {
            if self.at == Self::RATE {
                self.permute();
            }
            out.push(self.state[self.at / 8].to_le_bytes()[self.at % 8]);
            self.at += 1;
        }
        out
    }

    fn xor(&mut self, at: usize, byte: u8) {
        self.state[at / 8] ^= u64::from(byte) << (8 * (at % 8));
    }

    /// Keccak-f[1600]. Rotations and round constants come from their definitions.
    fn permute(&mut self) {
        self.at = 0;
        let a = &mut self.state;
        let mut lfsr = 1u8;
        for _ in 0..24 {
            let parity: [u64; 5] = std::array::from_fn(|x| (0..5).fold(0, |sum, y| sum ^ a[x + 5 * y]));
            for (i, lane) in a.iter_mut().enumerate() {
                *lane ^= parity[(i + 4) % 5] ^ parity[(i % 5 + 1) % 5].rotate_left(1);
            }
            let (mut x, mut y, mut moving) = (1, 0, a[1]);
            for t in 0..24u32 {
                (x, y) = (y, (2 * x + 3 * y) % 5);
                moving = std::mem::replace(&mut a[x + 5 * y], moving.rotate_left((t + 1) * (t + 2) / 2 % 64));
            }
            for y in 0..5 {
                let row: [u64; 5] = std::array::from_fn(|x| a[x + 5 * y]);
                for x in 0..5 {
                    a[x + 5 * y] = row[x] ^ (!row[(x + 1) % 5] & row[(x + 2) % 5]);
                }
            }
            for j in 0..7 {
                if lfsr & 1 != 0 {
                    a[0] ^= 1 << ((1u32 << j) - 1);
                }
                lfsr = lfsr << 1 ^ if lfsr & 0x80 != 0 { 0x71 } else { 0 };
            }
        }
    }
}
