//! Cryptography for scripts: random bytes, digests, HMAC, AES-GCM, HKDF and PBKDF2, all from `ring`.

use std::num::NonZeroU32;
use std::rc::Rc;

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::{digest, hkdf, hmac};

use super::encoding::give_bytes;
use super::{HostError, Op, OpResult, give, nothing};
use crate::js::host::{Host, Quota, Settled};
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "crypto.random",
        run: random,
    },
    Op {
        name: "crypto.digest",
        run: digest,
    },
    Op {
        name: "crypto.sign",
        run: sign,
    },
    Op {
        name: "crypto.verify",
        run: verify,
    },
    Op {
        name: "crypto.seal",
        run: seal,
    },
    Op {
        name: "crypto.open",
        run: open,
    },
    Op {
        name: "crypto.hkdf",
        run: derive_hkdf,
    },
    Op {
        name: "crypto.pbkdf2",
        run: derive_pbkdf2,
    },
];

/// The most random bytes at once, as on the web.
const MAX_RANDOM: f64 = 65_536.0;
/// More bytes than this are worked on by another thread, while the fiber is suspended.
const LARGE: usize = 256 * 1024;
/// The most rounds of PBKDF2: some seconds.
const MAX_ROUNDS: u32 = 10_000_000;
/// The longest output of PBKDF2, in bytes.
const MAX_DERIVED: usize = 1024;
/// Rounds between two points where another task may run, or where this one may be ended.
const ROUNDS_AT_ONCE: u32 = 4096;

const DERIVATIONS: Quota = Quota {
    what: "key derivations",
    limit: 4,
};

/// A hash by its name on the web.
#[derive(Clone, Copy)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn named(name: &str) -> Result<Self, HostError> {
        match name {
            "SHA-1" => Ok(Self::Sha1),
            "SHA-256" => Ok(Self::Sha256),
            "SHA-384" => Ok(Self::Sha384),
            "SHA-512" => Ok(Self::Sha512),
            _ => Err(dom("NotSupportedError", "this hash is not supported")),
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn hkdf(self) -> hkdf::Algorithm {
        match self {
            Self::Sha1 => hkdf::HKDF_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hkdf::HKDF_SHA256,
            Self::Sha384 => hkdf::HKDF_SHA384,
            Self::Sha512 => hkdf::HKDF_SHA512,
        }
    }
}

fn dom(name: &'static str, message: &str) -> HostError {
    HostError::Dom {
        name,
        message: message.to_owned(),
    }
}

/// Runs work that takes long for much data where it holds up no other skill.
fn worked<T: Send + 'static>(
    host: &Host,
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HostError> {
    if size <= LARGE {
        return Ok(work());
    }
    host.wait_for(async move { tokio::task::spawn_blocking(work).await })?
        .map_err(|error| HostError::Failed(error.to_string()))
}

/// `(length)`: random bytes.
fn random<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let length = args.number(0)?;
    if !(0.0..=MAX_RANDOM).contains(&length) {
        return Err(HostError::Range("at most 65536 random bytes at once".to_owned()));
    }
    let mut bytes = vec![0; length as usize];
    getrandom::fill(&mut bytes).map_err(|error| HostError::Failed(error.to_string()))?;
    give_bytes(args, &bytes)
}

/// `(hash, data)`.
fn digest<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let hash = Hash::named(&args.text(0)?)?;
    let data = args.bytes(1)?;
    let result = worked(host, data.len(), move || digest::digest(hash.digest(), &data))?;
    give_bytes(args, result.as_ref())
}

/// `(hash, key, data)`: the HMAC.
fn sign<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (key, data) = (hmac_key(args)?, args.bytes(2)?);
    let tag = worked(host, data.len(), move || hmac::sign(&key, &data))?;
    give_bytes(args, tag.as_ref())
}

/// `(hash, key, data, tag)`: whether the HMAC is this one, compared in constant time.
fn verify<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (key, data, tag) = (hmac_key(args)?, args.bytes(2)?, args.bytes(3)?);
    let right = worked(host, data.len(), move || hmac::verify(&key, &data, &tag).is_ok())?;
    give(args, right)
}

fn hmac_key(args: Args<'_, '_>) -> Result<hmac::Key, HostError> {
    Ok(hmac::Key::new(
        Hash::named(&args.text(0)?)?.hmac(),
        &args.bytes(1)?,
    ))
}

/// `(key, iv, additional data, plain text)`: the cipher text with its tag.
fn seal<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (key, nonce) = aes(args)?;
    let (extra, mut data) = (args.bytes(2)?, args.bytes(3)?);
    let sealed = worked(host, data.len(), move || {
        key.seal_in_place_append_tag(nonce, Aad::from(extra), &mut data)
            .map(|()| data)
    })?;
    give_bytes(
        args,
        &sealed.map_err(|_| dom("OperationError", "the data could not be encrypted"))?,
    )
}

/// `(key, iv, additional data, cipher text with its tag)`: the plain text.
fn open<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (key, nonce) = aes(args)?;
    let (extra, mut data) = (args.bytes(2)?, args.bytes(3)?);
    let opened = worked(host, data.len(), move || {
        let length = key.open_in_place(nonce, Aad::from(extra), &mut data)?.len();
        data.truncate(length);
        Ok::<_, ring::error::Unspecified>(data)
    })?;
    give_bytes(
        args,
        &opened.map_err(|_| dom("OperationError", "the data could not be decrypted"))?,
    )
}

fn aes(args: Args<'_, '_>) -> Result<(LessSafeKey, Nonce), HostError> {
    let key = args.bytes(0)?;
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        32 => &AES_256_GCM,
        _ => return Err(dom("NotSupportedError", "AES keys have 128 or 256 bits here")),
    };
    let key = UnboundKey::new(algorithm, &key)
        .map_err(|_| dom("OperationError", "this is not a key of AES-GCM"))?;
    let nonce = Nonce::try_assume_unique_for_key(&args.bytes(1)?)
        .map_err(|_| dom("NotSupportedError", "the iv of AES-GCM has 12 bytes here"))?;
    Ok((LessSafeKey::new(key), nonce))
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `(hash, key, salt, info, length)`: bytes derived from the key.
fn derive_hkdf<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let hash = Hash::named(&args.text(0)?)?;
    let (key, salt, info) = (args.bytes(1)?, args.bytes(2)?, args.bytes(3)?);
    let length = args.number(4)? as usize;
    let failed = |_| dom("OperationError", "the derived key is too long");
    if length > 255 * hash.digest().output_len() {
        return Err(failed(ring::error::Unspecified));
    }
    let mut derived = vec![0; length];
    let prk = hkdf::Salt::new(hash.hkdf(), &salt).extract(&key);
    prk.expand(&[&info], Length(length))
        .and_then(|okm| okm.fill(&mut derived))
        .map_err(failed)?;
    give_bytes(args, &derived)
}

/// `(operation, hash, password, salt, rounds, length)`: settles with bytes derived from the password.
fn derive_pbkdf2<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let hash = Hash::named(&args.text(1)?)?;
    let (password, salt, length) = (args.bytes(2)?, args.bytes(3)?, args.number(5)? as usize);
    let rounds = NonZeroU32::new(args.number(4)? as u32).filter(|rounds| rounds.get() <= MAX_ROUNDS);
    let too_much = || {
        dom(
            "OperationError",
            "PBKDF2 makes at most 1024 bytes, in 1 to 10000000 rounds",
        )
    };
    let rounds = rounds.ok_or_else(too_much)?;
    if length > MAX_DERIVED {
        return Err(too_much());
    }
    host.begin(args.id(0)?, DERIVATIONS, async move {
        Ok(Settled::Bytes(
            pbkdf2(hash.hmac(), &password, &salt, rounds, length).await,
        ))
    })?;
    nothing(args)
}

/// RFC 8018, section 5.2, in steps between which the task can be ended.
async fn pbkdf2(
    algorithm: hmac::Algorithm,
    password: &[u8],
    salt: &[u8],
    rounds: NonZeroU32,
    length: usize,
) -> Vec<u8> {
    let key = hmac::Key::new(algorithm, password);
    let mut derived = Vec::with_capacity(length);
    let mut block = 0_u32;
    while derived.len() < length {
        block += 1;
        let first = [salt, &block.to_be_bytes()].concat();
        let mut last = hmac::sign(&key, &first);
        let mut sum = last.as_ref().to_vec();
        for round in 1..rounds.get() {
            if round.is_multiple_of(ROUNDS_AT_ONCE) {
                tokio::task::yield_now().await;
            }
            last = hmac::sign(&key, last.as_ref());
            for (byte, other) in sum.iter_mut().zip(last.as_ref()) {
                *byte ^= other;
            }
        }
        derived.extend(sum);
    }
    derived.truncate(length);
    derived
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pbkdf2_is_the_one_of_the_standard() {
        for (rounds, length) in [(1, 20), (2, 33), (5000, 100)] {
            let rounds = NonZeroU32::new(rounds).unwrap();
            let mut expected = vec![0; length];
            ring::pbkdf2::derive(
                ring::pbkdf2::PBKDF2_HMAC_SHA256,
                rounds,
                b"salt",
                b"pw",
                &mut expected,
            );
            assert_eq!(
                pbkdf2(hmac::HMAC_SHA256, b"pw", b"salt", rounds, length).await,
                expected
            );
        }
    }
}
