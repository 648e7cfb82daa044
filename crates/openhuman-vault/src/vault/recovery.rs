//! Recovery keys: the way back into a vault whose password is lost.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::key::{self, Key, RandomError, fill_random};

/// Random bytes of a recovery key: 160 bits, far beyond guessing, so that it needs no Argon2id.
const SECRET: usize = 20;
const SECRET_SYMBOLS: usize = SECRET * 8 / 5;
const CHECK_SYMBOLS: usize = 4;
const SYMBOLS: usize = SECRET_SYMBOLS + CHECK_SYMBOLS;
const GROUP: usize = 4;
/// Crockford's base 32: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A key to be written down and kept elsewhere: 36 characters in groups of four, the last group a checksum. It
/// opens the vault without the password. It does not print; [`RecoveryKey::text`] gives what to show, once.
///
/// ```
/// use openhuman_vault::{RecoveryKey, RecoveryKeyError};
///
/// let shown = "0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV-WXYZ-CKSC";
/// let key = RecoveryKey::parse(shown)?;
/// assert_eq!(*key.text(), shown);
/// // Small letters, other separators and lookalikes are understood, typing errors are found.
/// let typed = "o123 4567 89ab cdef ghjk mnpq rstv wxyz cksc";
/// assert_eq!(*RecoveryKey::parse(typed)?.text(), shown);
/// let mistyped = shown.replace("4567", "4576");
/// assert_eq!(RecoveryKey::parse(&mistyped).unwrap_err(), RecoveryKeyError::Mistyped);
/// # Ok::<(), RecoveryKeyError>(())
/// ```
pub struct RecoveryKey {
    /// The secret in the first bytes, zeros behind it.
    secret: Key,
}

impl RecoveryKey {
    pub(super) fn generate() -> Result<RecoveryKey, RandomError> {
        let mut secret = Key::zeroed();
        fill_random(&mut secret.bytes_mut()[..SECRET])?;
        Ok(RecoveryKey { secret })
    }

    /// Reads what a person typed. Case, blanks and hyphens do not matter; `O` is read as `0`, `I` and `L` as `1`.
    ///
    /// # Errors
    /// [`RecoveryKeyError`], which says what to look at; it never repeats what was typed.
    pub fn parse(text: &str) -> Result<RecoveryKey, RecoveryKeyError> {
        let mut symbols = Zeroizing::new([0_u8; SYMBOLS]);
        let mut found = 0;
        for (at, c) in text.chars().enumerate() {
            if c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}') {
                continue;
            }
            let symbol = symbol(c).ok_or(RecoveryKeyError::Character { position: at + 1 })?;
            if let Some(place) = symbols.get_mut(found) {
                *place = symbol;
            }
            found += 1;
        }
        if found != SYMBOLS {
            return Err(RecoveryKeyError::Length { found });
        }
        let mut secret = Key::zeroed();
        let (payload, check) = symbols.split_at(SECRET_SYMBOLS);
        for (bytes, symbols) in secret
            .bytes_mut()
            .chunks_exact_mut(5)
            .zip(payload.chunks_exact(8))
        {
            let group = symbols
                .iter()
                .fold(0_u64, |bits, symbol| bits << 5 | u64::from(*symbol));
            bytes.copy_from_slice(&group.to_be_bytes()[3..]);
        }
        let key = RecoveryKey { secret };
        if key.check() != check {
            return Err(RecoveryKeyError::Mistyped);
        }
        Ok(key)
    }

    /// The text to show to the user, who writes it down: nine groups of four characters. Never log or store it.
    pub fn text(&self) -> Zeroizing<String> {
        let mut symbols = Zeroizing::new(Vec::with_capacity(SYMBOLS));
        for bytes in self.secret().chunks_exact(5) {
            let group = bytes
                .iter()
                .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            symbols.extend((0..8).rev().map(|n| (group >> (5 * n) & 31) as u8));
        }
        symbols.extend(self.check());
        let mut text = Zeroizing::new(String::with_capacity(SYMBOLS + SYMBOLS / GROUP));
        for (n, symbol) in symbols.iter().enumerate() {
            if n > 0 && n % GROUP == 0 {
                text.push('-');
            }
            text.extend(ALPHABET.get(usize::from(*symbol)).map(|byte| char::from(*byte)));
        }
        text
    }

    /// What wraps the key of the vault with this id.
    pub(super) fn wrapping(&self, id: &[u8; 16]) -> Key {
        key::derive(self.secret(), id, "openhuman-vault/v1/recovery")
    }

    fn secret(&self) -> &[u8] {
        &self.secret.expose()[..SECRET]
    }

    /// 20 bits of a hash: one typing error in a million is not found here, and then fails to open the vault.
    fn check(&self) -> [u8; CHECK_SYMBOLS] {
        let hash = Sha256::new()
            .chain_update(b"openhuman-vault/v1/recovery-check")
            .chain_update(self.secret())
            .finalize();
        let bits = hash
            .iter()
            .take(4)
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        std::array::from_fn(|n| (bits >> (27 - 5 * n) & 31) as u8)
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(..)")
    }
}

fn symbol(c: char) -> Option<u8> {
    let upper = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let at = ALPHABET.iter().position(|symbol| char::from(*symbol) == upper)?;
    u8::try_from(at).ok()
}

/// What is wrong with the text of a recovery key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryKeyError {
    /// Too few or too many characters.
    #[error(
        "a recovery key has {SYMBOLS} letters and digits, this one has {found}; look for what is missing or doubled"
    )]
    Length {
        /// Letters and digits found.
        found: usize,
    },
    /// A character that recovery keys do not have.
    #[error(
        "character {position} does not belong into a recovery key; it has digits and letters other than U only"
    )]
    Character {
        /// Counted from 1, with blanks and hyphens.
        position: usize,
    },
    /// The checksum does not fit.
    #[error("the recovery key was mistyped somewhere; compare it with what was written down")]
    Mistyped,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: [u8; SECRET]) -> RecoveryKey {
        let mut secret = Key::zeroed();
        secret.bytes_mut()[..SECRET].copy_from_slice(&bytes);
        RecoveryKey { secret }
    }

    #[test]
    fn every_single_typing_error_and_exchange_of_neighbours_is_found() {
        let mut missed = 0;
        let mut tried = 0;
        for seed in 0..8_u8 {
            let key = of(std::array::from_fn(|n| {
                (n as u8).wrapping_mul(83).wrapping_add(seed * 31)
            }));
            let text: Vec<char> = key.text().chars().collect();
            for at in 0..text.len() {
                for symbol in ALPHABET {
                    let mut typed = text.clone();
                    if typed[at] == '-' || typed[at] == char::from(*symbol) {
                        continue;
                    }
                    typed[at] = char::from(*symbol);
                    let typed: String = typed.into_iter().collect();
                    tried += 1;
                    missed += usize::from(RecoveryKey::parse(&typed).is_ok());
                }
                let mut typed = text.clone();
                if at + 1 < typed.len()
                    && typed[at] != '-'
                    && typed[at + 1] != '-'
                    && typed[at] != typed[at + 1]
                {
                    typed.swap(at, at + 1);
                    let typed: String = typed.into_iter().collect();
                    tried += 1;
                    missed += usize::from(RecoveryKey::parse(&typed).is_ok());
                }
            }
        }
        assert!(tried > 8_000 && missed == 0, "{missed} of {tried}");
    }

    #[test]
    fn errors_say_where_to_look_and_do_not_repeat_the_key() {
        let text = of([7; SECRET]).text();
        let error = |text: &str| RecoveryKey::parse(text).unwrap_err();
        assert_eq!(error(""), RecoveryKeyError::Length { found: 0 });
        assert_eq!(error(&text[1..]), RecoveryKeyError::Length { found: 35 });
        assert_eq!(
            error(&format!("{}0", &*text)),
            RecoveryKeyError::Length { found: 37 }
        );
        assert_eq!(
            error(&text.replacen('-', "-U", 1)),
            RecoveryKeyError::Character { position: 6 }
        );
        assert_eq!(error("\u{e9}"), RecoveryKeyError::Character { position: 1 });
        assert_eq!(format!("{:?}", of([7; SECRET])), "RecoveryKey(..)");
    }

    #[test]
    fn two_vaults_wrap_under_different_keys() {
        let key = of([7; SECRET]);
        assert_ne!(key.wrapping(&[1; 16]).expose(), key.wrapping(&[2; 16]).expose());
    }

    proptest! {
        #[test]
        fn what_was_shown_is_read_again(bytes: [u8; SECRET]) {
            let key = of(bytes);
            let shown = key.text();
            for typed in [shown.to_string(), shown.to_lowercase().replace('-', " ")] {
                let read = RecoveryKey::parse(&typed).unwrap();
                prop_assert_eq!(read.secret(), &bytes);
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,60}") {
            let _ = RecoveryKey::parse(&text);
        }
    }
}
