//! Wrong passwords are counted, and the next attempt has to wait.
//!
//! This slows down whoever tries passwords through this program. It does nothing against somebody who has the
//! files: that is what Argon2id is for. So nothing here ever locks the owner out for long, and whatever cannot be
//! read or written is not held against them.
//!
//! `version(1) || "OHTRIES" || failures(4) || last failure in ms since the Unix epoch(8) || check(8)`; the check is
//! the beginning of the SHA-256 of what is before it. An empty file: no failures.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::VaultError;
use super::header_file;
use crate::files;

const FILE: &str = "attempts.ohv";
const VERSION: u8 = 1;
const MAGIC: &[u8; 7] = b"OHTRIES";
const LEN: usize = 28;
/// Wrong passwords that cost nothing.
const FREE: u32 = 3;
const LONGEST_MS: u64 = 300_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Failures {
    count: u32,
    last_ms: i64,
}

impl Failures {
    /// How long an attempt has to wait. A clock that was set back starts the waiting again: it ends after the
    /// delay at the latest, whatever was written.
    fn wait_ms(&mut self, now_ms: i64) -> u64 {
        if self.last_ms > now_ms {
            self.last_ms = now_ms;
        }
        let passed = now_ms.abs_diff(self.last_ms);
        self.delay_ms().saturating_sub(passed)
    }

    /// 0, 0, 0, then 1, 2, 4 .. 300 seconds.
    fn delay_ms(self) -> u64 {
        match self.count.checked_sub(FREE + 1) {
            None => 0,
            Some(doublings) => (1_000_u64 << doublings.min(20)).min(LONGEST_MS),
        }
    }

    fn encode(self) -> [u8; LEN] {
        let mut out = [0; LEN];
        out[0] = VERSION;
        out[1..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&self.count.to_be_bytes());
        out[12..20].copy_from_slice(&self.last_ms.to_be_bytes());
        let check = check(&out[..20]);
        out[20..].copy_from_slice(&check);
        out
    }

    /// What cannot be read counts as no failures: a power cut must not lock anybody out.
    fn decode(bytes: &[u8]) -> Option<Failures> {
        let (body, found) = bytes.split_last_chunk::<8>()?;
        if bytes.len() != LEN
            || body.first() != Some(&VERSION)
            || body.get(1..8)? != MAGIC
            || *found != check(body)
        {
            return None;
        }
        Some(Failures {
            count: u32::from_be_bytes(body.get(8..12)?.try_into().ok()?),
            last_ms: i64::from_be_bytes(body.get(12..20)?.try_into().ok()?),
        })
    }
}

fn check(bytes: &[u8]) -> [u8; 8] {
    let hash = Sha256::digest(bytes);
    std::array::from_fn(|n| hash[n])
}

/// One attempt to open a vault with a password. While it exists, no other one runs, in any process: guesses cannot
/// be made side by side.
pub(super) struct Attempt {
    /// Locked. `None` where nothing can be written, as on a read-only disk.
    file: Option<File>,
    path: PathBuf,
    failures: Failures,
}

impl Attempt {
    /// Begins an attempt, or refuses it because of earlier ones. Waits for another attempt that is running.
    pub(super) fn begin(dir: &Path, now_ms: i64) -> Result<Attempt, VaultError> {
        let path = dir.join(FILE);
        let mut attempt = Attempt {
            file: None,
            path,
            failures: Failures::default(),
        };
        // Nothing is created where there is no vault.
        if !header_file::try_exists(dir).unwrap_or(false) {
            return Ok(attempt);
        }
        match open(&attempt.path) {
            Ok((file, failures)) => {
                attempt.file = Some(file);
                attempt.failures = failures;
            }
            Err(error) => {
                tracing::warn!(path = %attempt.path.display(), %error, "wrong passwords cannot be counted");
                return Ok(attempt);
            }
        }
        let before = attempt.failures;
        let wait_ms = attempt.failures.wait_ms(now_ms);
        if attempt.failures != before {
            attempt.write();
        }
        if wait_ms > 0 {
            return Err(VaultError::TooManyAttempts { wait_ms });
        }
        Ok(attempt)
    }

    /// The password was wrong.
    pub(super) fn failed(mut self, now_ms: i64) {
        self.failures = Failures {
            count: self.failures.count.saturating_add(1),
            last_ms: now_ms,
        };
        self.write();
    }

    /// The password was right.
    pub(super) fn succeeded(mut self) {
        if self.failures.count > 0 {
            self.failures = Failures::default();
            self.write();
        }
    }

    fn write(&mut self) {
        let Some(file) = &mut self.file else { return };
        let written = (|| {
            if self.failures.count == 0 {
                file.set_len(0)?;
            } else {
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&self.failures.encode())?;
            }
            file.sync_all()
        })();
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "wrong passwords cannot be counted");
        }
    }
}

/// How long the next attempt has to wait, without making one; 0 where nothing is known.
pub(super) fn waiting_ms(dir: &Path, now_ms: i64) -> u64 {
    let bytes = files::read_limited(&dir.join(FILE), LEN as u64);
    let failures = bytes.ok().flatten().and_then(|bytes| Failures::decode(&bytes));
    failures.unwrap_or_default().wait_ms(now_ms)
}

/// Forgets earlier failures: somebody has proved in another way that the vault is theirs.
pub(super) fn forget(dir: &Path) {
    let path = dir.join(FILE);
    if path.exists()
        && let Ok((file, failures)) = open(&path)
    {
        let attempt = Attempt {
            file: Some(file),
            path,
            failures,
        };
        attempt.succeeded();
    }
}

/// The longest that a file with this content makes anybody wait, at any time.
pub(super) fn longest_wait(bytes: &[u8]) -> u64 {
    let failures = Failures::decode(bytes).unwrap_or_default();
    [i64::MIN, -1, 0, failures.last_ms, i64::MAX]
        .into_iter()
        .map(|now_ms| { failures }.wait_ms(now_ms))
        .max()
        .unwrap_or_default()
}

fn open(path: &Path) -> io::Result<(File, Failures)> {
    let mut file = files::owner_only()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.lock()?;
    let mut bytes = Vec::with_capacity(LEN + 1);
    (&mut file).take(LEN as u64 + 1).read_to_end(&mut bytes)?;
    Ok((file, Failures::decode(&bytes).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delays_are_0_0_0_1_2_4_to_300_seconds() {
        let delays: Vec<u64> = (1..=14)
            .map(|count| Failures { count, last_ms: 0 }.delay_ms() / 1_000)
            .collect();
        assert_eq!(delays, [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(
            Failures {
                count: u32::MAX,
                last_ms: 0
            }
            .delay_ms(),
            300_000
        );
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_lock_out_for_longer_than_the_delay() {
        let mut failures = Failures {
            count: 5,
            last_ms: i64::MAX,
        };
        assert_eq!(failures.wait_ms(1_000), 2_000);
        assert_eq!(failures.wait_ms(2_500), 500);
        assert_eq!(failures.wait_ms(3_000), 0);
        let mut failures = Failures {
            count: 5,
            last_ms: i64::MIN,
        };
        assert_eq!(failures.wait_ms(i64::MAX), 0);
    }

    #[test]
    fn a_damaged_file_counts_as_no_failures() {
        let good = Failures {
            count: 9,
            last_ms: 77,
        }
        .encode();
        assert_eq!(
            Failures::decode(&good),
            Some(Failures {
                count: 9,
                last_ms: 77
            })
        );
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Failures::decode(&bad), None, "bit {bit}");
        }
        for length in 0..good.len() {
            assert_eq!(Failures::decode(&good[..length]), None);
        }
    }
}
