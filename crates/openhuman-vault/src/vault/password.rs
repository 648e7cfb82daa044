use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

use super::calibration;
use super::error::VaultError;
use crate::key::Key;

const MAX_BYTES: usize = 4096;

/// A password, wiped when it is dropped and never printed.
///
/// It is brought to Unicode normalization form KC before use, so that the same password typed on another
/// keyboard or operating system opens the same vault.
///
/// ```
/// use openhuman_vault::Password;
///
/// let password = Password::from("correct horse".to_owned());
/// assert_eq!(format!("{password:?}"), "Password(..)");
/// ```
pub struct Password(Zeroizing<String>);

impl Password {
    /// Whether it can be a password at all. Asked before the machine is measured.
    pub(super) fn check(&self) -> Result<(), VaultError> {
        if self.0.is_empty() {
            return Err(VaultError::EmptyPassword);
        }
        if self.0.len() > MAX_BYTES {
            return Err(VaultError::PasswordTooLong { limit: MAX_BYTES });
        }
        Ok(())
    }

    /// The bytes as they were typed.
    #[cfg(feature = "legacy")]
    pub(crate) fn as_typed(&self) -> Result<&[u8], VaultError> {
        self.check()?;
        Ok(self.0.as_bytes())
    }

    /// The normalized bytes that go into Argon2id.
    pub(super) fn normalized(&self) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.check()?;
        // Sized first, so that no unwiped copy is left behind by a growing buffer.
        let len = self.0.nfkc().map(char::len_utf8).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(len));
        for c in self.0.nfkc() {
            let mut utf8 = [0; 4];
            out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            utf8.zeroize();
        }
        Ok(out)
    }
}

impl From<String> for Password {
    fn from(text: String) -> Password {
        Password(Zeroizing::new(text))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// How hard a password is made to guess: the cost of one Argon2id run (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes. They are computed one after the other here; more lanes do not make it faster.
    pub lanes: u32,
}

impl Argon2Params {
    /// 64 MiB, 3 passes, 1 lane: what a new vault gets at least.
    pub const DEFAULT: Argon2Params = Argon2Params {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 1,
    };
    /// The least that is accepted from a header: 19 MiB, 1 pass.
    pub const FLOOR: Argon2Params = Argon2Params {
        memory_kib: 19 * 1024,
        passes: 1,
        lanes: 1,
    };
    /// The most that is accepted from a header: 1 GiB, 16 passes, 16 lanes. A hostile header must not be able
    /// to exhaust the machine.
    pub const CEILING: Argon2Params = Argon2Params {
        memory_kib: 1024 * 1024,
        passes: 16,
        lanes: 16,
    };

    /// Whether guessing costs less than with `least`.
    pub(super) fn is_weaker_than(self, least: Argon2Params) -> bool {
        self.memory_kib < least.memory_kib || self.passes < least.passes
    }

    /// At least as costly as both.
    pub(super) fn raised_to(self, least: Argon2Params) -> Argon2Params {
        Argon2Params {
            memory_kib: self.memory_kib.max(least.memory_kib),
            passes: self.passes.max(least.passes),
            lanes: self.lanes,
        }
    }

    /// Checked before any work is done with the parameters.
    pub(super) fn check(self) -> Result<(), VaultError> {
        let within = |value: u32, floor: u32, ceiling: u32| (floor..=ceiling).contains(&value);
        if within(self.memory_kib, Self::FLOOR.memory_kib, Self::CEILING.memory_kib)
            && within(self.passes, Self::FLOOR.passes, Self::CEILING.passes)
            && within(self.lanes, Self::FLOOR.lanes, Self::CEILING.lanes)
        {
            Ok(())
        } else {
            Err(VaultError::UnsafeParameters { params: self })
        }
    }
}

impl Default for Argon2Params {
    fn default() -> Self {
        Argon2Params::DEFAULT
    }
}

/// Choices made when a vault is created or its password changed. The default measures the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct VaultOptions {
    /// Cost of one password guess. `None`: measured when the vault is created, so that one unlock takes 300 to
    /// 700 ms here, and kept when its password is changed; never less than [`Argon2Params::DEFAULT`].
    pub argon2: Option<Argon2Params>,
}

impl VaultOptions {
    /// Measures this machine now; for programs that want to tell or keep the result. Runs Argon2id two or three
    /// times with the default's cost.
    pub fn calibrated() -> VaultOptions {
        VaultOptions {
            argon2: Some(calibration::measured()),
        }
    }

    /// The cheapest parameters that are accepted with two passes (19 MiB, 2 passes, 1 lane), for tests.
    pub fn fast_for_tests() -> VaultOptions {
        VaultOptions {
            argon2: Some(Argon2Params {
                memory_kib: 19 * 1024,
                passes: 2,
                lanes: 1,
            }),
        }
    }

    /// The parameters to use, checked. `current` are the ones that were measured before, if any.
    pub(super) fn params(&self, current: Option<Argon2Params>) -> Result<Argon2Params, VaultError> {
        let params = match (self.argon2, current) {
            (Some(chosen), _) => chosen,
            (None, Some(current)) => current.raised_to(Argon2Params::DEFAULT),
            (None, None) => calibration::measured(),
        };
        params.check()?;
        Ok(params)
    }
}

/// The key-encryption key of a password slot.
pub(super) fn key_from_password(
    password: &Password,
    salt: &[u8; 16],
    params: Argon2Params,
) -> Result<Key, VaultError> {
    params.check()?;
    derive(&password.normalized()?, salt, params)
}

#[cfg(test)]
thread_local! {
    /// How often this thread ran Argon2id.
    pub(super) static RUNS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

pub(crate) fn derive(password: &[u8], salt: &[u8], params: Argon2Params) -> Result<Key, VaultError> {
    #[cfg(test)]
    RUNS.set(RUNS.get() + 1);
    let refused = |_| VaultError::UnsafeParameters { params };
    let argon2_params =
        Params::new(params.memory_kib, params.passes, params.lanes, Some(32)).map_err(refused)?;
    let blocks = argon2_params.block_count();
    let mut memory = Zeroizing::new(Vec::new());
    memory
        .try_reserve_exact(blocks)
        .map_err(|_| VaultError::OutOfMemory {
            kib: params.memory_kib,
        })?;
    memory.resize(blocks, Block::new());
    let mut key = Key::zeroed();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, argon2_params)
        .hash_password_into_with_memory(password, salt, key.bytes_mut(), memory.as_mut_slice())
        .map_err(refused)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use argon2::{AssociatedData, ParamsBuilder};

    use super::*;
    use crate::testing::unhex;

    /// RFC 9106, section 5.3.
    #[test]
    fn argon2id_matches_rfc_9106() {
        let params = ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let mut out = [0; 32];
        Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
            .unwrap()
            .hash_password_into(&[1; 32], &[2; 16], &mut out)
            .unwrap();
        assert_eq!(
            out[..],
            unhex("0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659")
        );
    }

    #[test]
    fn composed_and_decomposed_passwords_are_the_same() {
        let normal = |text: &str| Password::from(text.to_owned()).normalized().unwrap();
        assert_eq!(normal("caf\u{e9}"), normal("cafe\u{301}"));
        assert_eq!(normal("\u{fb01}sh \u{2163}"), normal("fish IV"));
        assert_ne!(normal("Fish"), normal("fish"));
    }

    #[test]
    fn an_empty_or_endless_password_is_refused() {
        let error = |text: String| Password::from(text).normalized().unwrap_err();
        assert!(matches!(error(String::new()), VaultError::EmptyPassword));
        assert!(matches!(
            error("x".repeat(MAX_BYTES + 1)),
            VaultError::PasswordTooLong { .. }
        ));
    }

    #[test]
    fn parameters_outside_the_limits_are_refused_before_any_work() {
        let ok = Argon2Params::DEFAULT;
        for bad in [
            Argon2Params {
                memory_kib: 19 * 1024 - 1,
                ..ok
            },
            Argon2Params {
                memory_kib: 1024 * 1024 + 1,
                ..ok
            },
            Argon2Params {
                memory_kib: u32::MAX,
                ..ok
            },
            Argon2Params { passes: 0, ..ok },
            Argon2Params { passes: 17, ..ok },
            Argon2Params { lanes: 0, ..ok },
            Argon2Params { lanes: 17, ..ok },
        ] {
            assert!(
                matches!(bad.check(), Err(VaultError::UnsafeParameters { .. })),
                "{bad:?}"
            );
        }
        for good in [
            ok,
            Argon2Params::FLOOR,
            Argon2Params::CEILING,
            VaultOptions::fast_for_tests().argon2.unwrap(),
        ] {
            good.check().unwrap();
        }
    }
}
