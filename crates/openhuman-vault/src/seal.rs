//! Authenticated encryption: XAES-256-GCM with random 192-bit nonces.
//!
//! XAES-256-GCM (C2SP) derives one AES-256-GCM key per message from the first half of a 24-byte nonce. Random
//! nonces are therefore safe for 2^80 messages under one key, and no counter has to survive a crash or a
//! restored backup. Two implementations of AES-256-GCM sit below it and give identical bytes: `ring`, the
//! faster one, and the pure Rust `aes-gcm`.

use std::fmt;

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes_gcm::{AeadInOut, Aes256Gcm};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use crate::key::{Key, RandomError, fill_random, random};

/// Bytes of nonce in front of a sealed message.
pub const NONCE_LEN: usize = 24;
/// Bytes of authentication tag behind a sealed message.
pub const TAG_LEN: usize = 16;
/// How much longer a sealed message is than its plaintext.
pub const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

/// Which implementation of AES-256-GCM does the work. The output is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `ring`: assembly, about three times faster; the default.
    Ring,
    /// `aes-gcm`: pure Rust.
    AesGcm,
}

/// AES-256-GCM.
impl Backend {
    fn seal(self, key: &[u8; 32], nonce: [u8; 12], aad: &[u8], buf: &mut [u8]) -> [u8; TAG_LEN] {
        match self {
            Backend::Ring => {
                let tag = ring_key(key)
                    .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), buf)
                    .expect("the message is within the length limit of AES-GCM");
                let mut out = [0; TAG_LEN];
                out.copy_from_slice(tag.as_ref());
                out
            }
            Backend::AesGcm => Aes256Gcm::new(key.into())
                .encrypt_inout_detached(&nonce.into(), aad, buf.into())
                .expect("the message is within the length limit of AES-GCM")
                .into(),
        }
    }

    /// Whether it was authentic; what is in `buf` otherwise must not be looked at.
    fn open(self, key: &[u8; 32], nonce: [u8; 12], aad: &[u8], buf: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
        match self {
            Backend::Ring => ring_key(key)
                .open_in_place_separate_tag(
                    Nonce::assume_unique_for_key(nonce),
                    Aad::from(aad),
                    Tag::from(*tag),
                    buf,
                    0..,
                )
                .is_ok(),
            Backend::AesGcm => Aes256Gcm::new(key.into())
                .decrypt_inout_detached(&nonce.into(), aad, buf.into(), &(*tag).into())
                .is_ok(),
        }
    }
}

/// Seals and opens messages under one key. `Send` and `Sync`; wiped on drop.
///
/// The additional data (`aad`) is authenticated but not stored: opening needs the same bytes again. Use it to
/// bind a message to its place, so that two sealed messages cannot be exchanged.
///
/// XAES-256-GCM does not commit to its key: a message that opens proves nothing about *which* of several keys
/// sealed it. The vault's header has a MAC of its own for that.
pub struct Sealer {
    aes: Aes256,
    k1: [u8; 16],
    backend: Backend,
}

impl Sealer {
    /// A sealer over `ring`.
    pub fn new(key: &Key) -> Sealer {
        Sealer::with_backend(key, Backend::Ring)
    }

    /// A sealer over the named backend.
    pub fn with_backend(key: &Key, backend: Backend) -> Sealer {
        let aes = Aes256::new(key.expose().into());
        // The CMAC subkey K1: AES(0) doubled in GF(2^128).
        let mut block = aes::Block::default();
        aes.encrypt_block(&mut block);
        let mut k1 = [0; 16];
        let mut carry = 0;
        for (out, byte) in k1.iter_mut().zip(&block).rev() {
            *out = byte << 1 | carry;
            carry = byte >> 7;
        }
        k1[15] ^= 0x87 & carry.wrapping_neg();
        block.zeroize();
        Sealer { aes, k1, backend }
    }

    /// Seals `plaintext` with a fresh random nonce and returns `nonce || ciphertext || tag`,
    /// [`OVERHEAD`] bytes longer than the plaintext.
    ///
    /// # Errors
    /// [`SealError::Random`] when the operating system has no randomness.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plaintext);
        let tag = self.seal_in_place(&nonce, aad, &mut out[NONCE_LEN..]);
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens what [`Sealer::seal`] returned.
    ///
    /// # Errors
    /// [`SealError::TooShort`] below [`OVERHEAD`] bytes, [`SealError::NotAuthentic`] when key, `aad` or any
    /// bit of the message differ. Nothing of the plaintext is revealed in either case.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let Some((nonce, rest)) = sealed.split_first_chunk::<NONCE_LEN>() else {
            return Err(SealError::TooShort { len: sealed.len() });
        };
        let Some((ciphertext, tag)) = rest.split_last_chunk::<TAG_LEN>() else {
            return Err(SealError::TooShort { len: sealed.len() });
        };
        let mut plaintext = ciphertext.to_vec();
        self.open_in_place(nonce, aad, &mut plaintext, tag)?;
        Ok(plaintext)
    }

    /// Encrypts `buf` where it stands and returns the tag.
    ///
    /// The caller answers for the nonce: under one key it must never be used twice. Take it from a
    /// [`NonceSource`].
    ///
    /// # Panics
    /// When `buf` is longer than 64 GiB, the limit of AES-GCM.
    pub fn seal_in_place(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], buf: &mut [u8]) -> [u8; TAG_LEN] {
        let (key, gcm_nonce) = self.message_key(nonce);
        self.backend.seal(&key, gcm_nonce, aad, buf)
    }

    /// Decrypts `buf` where it stands.
    ///
    /// # Errors
    /// [`SealError::NotAuthentic`]; `buf` is then filled with zeros.
    pub fn open_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        buf: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), SealError> {
        let (key, gcm_nonce) = self.message_key(nonce);
        let opened = self.backend.open(&key, gcm_nonce, aad, buf, tag);
        if opened {
            Ok(())
        } else {
            buf.fill(0);
            Err(SealError::NotAuthentic)
        }
    }

    /// The AES-256-GCM key of one message, and the 12 bytes of nonce that are left for GCM.
    fn message_key(&self, nonce: &[u8; NONCE_LEN]) -> (Zeroizing<[u8; 32]>, [u8; 12]) {
        let (context, rest) = nonce.split_at(12);
        let mut key = Zeroizing::new([0; 32]);
        for (counter, half) in (1u8..).zip(key.chunks_exact_mut(16)) {
            let mut block = aes::Block::default();
            block[..4].copy_from_slice(&[0, counter, b'X', 0]);
            block[4..].copy_from_slice(context);
            block
                .iter_mut()
                .zip(&self.k1)
                .for_each(|(byte, mask)| *byte ^= mask);
            self.aes.encrypt_block(&mut block);
            half.copy_from_slice(&block);
            block.zeroize();
        }
        let mut gcm_nonce = [0; 12];
        gcm_nonce.copy_from_slice(rest);
        (key, gcm_nonce)
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        self.k1.zeroize();
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

fn ring_key(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes"))
}

/// Random nonces, drawn from the operating system 170 at a time: one system call per 4 KiB instead of one
/// per nonce. A nonce is wiped from the buffer as it is handed out.
///
/// Do not carry one across `fork`: parent and child would hand out the same nonces.
pub struct NonceSource {
    buffer: Box<[u8; NONCE_LEN * NonceSource::BATCH]>,
    used: usize,
}

impl NonceSource {
    const BATCH: usize = 170;

    /// An empty source; the first [`NonceSource::next`] fills it.
    pub fn new() -> NonceSource {
        NonceSource {
            buffer: Box::new([0; NONCE_LEN * Self::BATCH]),
            used: Self::BATCH,
        }
    }

    /// A nonce that nobody has seen before.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system has no randomness to give.
    #[expect(
        clippy::should_implement_trait,
        reason = "it can fail, so it is not an iterator"
    )]
    pub fn next(&mut self) -> Result<[u8; NONCE_LEN], RandomError> {
        if self.used >= Self::BATCH {
            fill_random(self.buffer.as_mut_slice())?;
            self.used = 0;
        }
        let mut nonce = [0; NONCE_LEN];
        if let Some(slot) = self.buffer.chunks_exact_mut(NONCE_LEN).nth(self.used) {
            nonce.copy_from_slice(slot);
            slot.fill(0);
        }
        self.used += 1;
        Ok(nonce)
    }
}

impl Default for NonceSource {
    fn default() -> Self {
        NonceSource::new()
    }
}

impl fmt::Debug for NonceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceSource(..)")
    }
}

/// Why a message could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No randomness for the nonce.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The message is shorter than nonce and tag together.
    #[error(
        "the sealed message has {len} bytes, at least {OVERHEAD} are needed; it was cut off, restore it from a copy"
    )]
    TooShort {
        /// Bytes found.
        len: usize,
    },
    /// Key, additional data or message are not the ones that were sealed.
    #[error("the sealed message does not authenticate: wrong key, moved or changed; restore it from a copy")]
    NotAuthentic,
}

#[cfg(test)]
mod tests;
