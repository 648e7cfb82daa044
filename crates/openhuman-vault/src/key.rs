use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize;

use crate::memory::Guarded;

/// A 256-bit secret key.
///
/// The bytes are overwritten when the key is dropped. Until then they lie, where the operating system allows it, on
/// a page that is not swapped out and not written into core dumps ([`memory_protection`](crate::memory_protection)).
/// A key does not print, does not compare with `==`, cannot be serialized and is copied only by [`Key::duplicate`].
///
/// ```
/// use openhuman_vault::Key;
///
/// let key = Key::generate()?;
/// let pages = key.derive(b"file 1", "example/pages");
/// let log = key.derive(b"file 1", "example/log");
/// assert_ne!(pages.expose(), log.expose());
/// assert_eq!(format!("{key:?}"), "Key(..)");
/// # Ok::<(), openhuman_vault::RandomError>(())
/// ```
pub struct Key(Guarded);

impl Key {
    /// Takes over the given bytes. The caller's copy is the caller's to wipe.
    pub fn from_bytes(mut bytes: [u8; 32]) -> Key {
        let mut key = Key::zeroed();
        key.bytes_mut().copy_from_slice(&bytes);
        bytes.zeroize();
        key
    }

    /// Draws a new key from the operating system's random generator.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system has no randomness to give.
    pub fn generate() -> Result<Key, RandomError> {
        let mut key = Key::zeroed();
        fill_random(key.bytes_mut())?;
        Ok(key)
    }

    /// Derives an independent key: HKDF-SHA256 (RFC 5869) with this key as input keying material, `salt` as
    /// salt and `label` as info. The same three inputs always give the same key.
    pub fn derive(&self, salt: &[u8], label: &str) -> Key {
        derive(self.expose(), salt, label)
    }

    /// The raw bytes, for handing to a cipher. Do not copy them into memory that is not wiped.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.bytes()
    }

    /// A second owner of the same key bytes. Named, so that copies of a key are easy to find in a review.
    pub fn duplicate(&self) -> Key {
        let mut key = Key::zeroed();
        key.bytes_mut().copy_from_slice(self.expose());
        key
    }

    /// A place for a key; the caller fills it.
    pub(crate) fn zeroed() -> Key {
        Key(Guarded::zeroed())
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; 32] {
        self.0.bytes_mut()
    }
}

/// HKDF-SHA256 with 32 bytes of output.
pub(crate) fn derive(secret: &[u8], salt: &[u8], label: &str) -> Key {
    let mut out = Key::zeroed();
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand(label.as_bytes(), out.bytes_mut())
        .expect("32 bytes is a valid HKDF-SHA256 output length");
    out
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The operating system could not deliver random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes ({0}); nothing was encrypted, try again")]
pub struct RandomError(#[from] getrandom::Error);

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), RandomError> {
    Ok(getrandom::fill(bytes)?)
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::unhex;

    /// RFC 5869, appendix A.1 to A.3, through the same HKDF that `derive` uses.
    #[test]
    fn hkdf_matches_rfc_5869() {
        let cases = [
            (
                "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
                "000102030405060708090a0b0c",
                "f0f1f2f3f4f5f6f7f8f9",
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
            ),
            (
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f\
                 303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
                "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f\
                 909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
                "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf\
                 e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
                 da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
            ),
            (
                "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
                "",
                "",
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            ),
        ];
        for (ikm, salt, info, okm) in cases {
            let okm = unhex(okm);
            let mut out = vec![0; okm.len()];
            Hkdf::<Sha256>::new(Some(&unhex(salt)), &unhex(ikm))
                .expand(&unhex(info), &mut out)
                .unwrap();
            assert_eq!(out, okm);
        }
    }

    /// Project Wycheproof, HKDF-SHA-256, through the same HKDF that `derive` uses.
    #[test]
    fn hkdf_passes_the_wycheproof_vectors() {
        let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
        let mut run = 0;
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            let mut out = vec![0; test.size];
            let expanded = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut out);
            let valid = test.result == wycheproof::TestResult::Valid;
            assert_eq!(expanded.is_ok(), valid, "test {}", test.tc_id);
            if valid {
                assert_eq!(out, test.okm[..], "test {}", test.tc_id);
            }
            run += 1;
        }
        assert!(run > 50, "{run}");
    }

    #[test]
    fn derive_separates_salts_and_labels() {
        let key = Key::from_bytes([7; 32]);
        let base = key.derive(b"salt", "label");
        assert_eq!(base.expose(), key.duplicate().derive(b"salt", "label").expose());
        assert_ne!(base.expose(), key.derive(b"salt", "label2").expose());
        assert_ne!(base.expose(), key.derive(b"salt2", "label").expose());
    }
}
