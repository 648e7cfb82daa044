//! The side of the device: which login it asked for, and which links it accepts.

use std::fmt;

use zeroize::Zeroizing;

use super::{Challenge, MAX_SKEW_MS, TTL_MS, Verifier, is_well_formed};
use crate::key::RandomError;

const LINK: &str = "openhuman://auth?";

/// The login that this device has asked for and not finished: one at a time, for [`TTL_MS`].
///
/// A link that arrives without one is refused. Otherwise anybody who gets a user to click could log them in as
/// somebody else, and read what they enter from then on.
#[derive(Debug, Default)]
pub struct LoginRequests {
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    verifier: Verifier,
    started_ms: i64,
}

impl LoginRequests {
    /// Begins a login and returns the challenge to send to the server; an earlier one that was not finished ends.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system has no randomness to give.
    pub fn start(&mut self, now_ms: i64) -> Result<Challenge, RandomError> {
        let verifier = Verifier::generate()?;
        let challenge = verifier.challenge();
        self.pending = Some(Pending {
            verifier,
            started_ms: now_ms,
        });
        Ok(challenge)
    }

    /// Ends the login that was begun, if any.
    pub fn cancel(&mut self) {
        self.pending = None;
    }

    /// Whether a login was begun and not finished.
    pub fn is_pending(&self, now_ms: i64) -> bool {
        let good = |pending: &Pending| {
            let passed = now_ms.saturating_sub(pending.started_ms);
            (-MAX_SKEW_MS..=TTL_MS).contains(&passed)
        };
        self.pending.as_ref().is_some_and(good)
    }

    /// Takes the token out of a link `openhuman://auth?token=oht1_...` and finishes the login that was begun. A
    /// link that is refused does not end it.
    ///
    /// # Errors
    /// [`LoginLinkError`], which never repeats the link.
    pub fn accept(&mut self, link: &str, now_ms: i64) -> Result<LoginProof, LoginLinkError> {
        let token = token_of(link)?;
        if !self.is_pending(now_ms) {
            self.pending = None;
            return Err(LoginLinkError::NotAskedFor);
        }
        let pending = self.pending.take().ok_or(LoginLinkError::NotAskedFor)?;
        Ok(LoginProof {
            token: Zeroizing::new(token.to_owned()),
            verifier: pending.verifier,
        })
    }
}

fn token_of(link: &str) -> Result<&str, LoginLinkError> {
    let query = link.strip_prefix(LINK).ok_or(LoginLinkError::NotALoginLink)?;
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    let mut token = None;
    for pair in query.split('&') {
        match pair.split_once('=') {
            // How an earlier system passed a session in a link.
            Some(("key", _)) => return Err(LoginLinkError::NotALoginToken),
            Some(("token", value)) if token.is_none() => token = Some(value),
            Some(("token", _)) => return Err(LoginLinkError::NotALoginLink),
            _ => {}
        }
    }
    match token {
        Some(token) if is_well_formed(token) => Ok(token),
        Some(_) => Err(LoginLinkError::NotALoginToken),
        None => Err(LoginLinkError::NotALoginLink),
    }
}

/// What a device sends to the server to finish a login: the token and the verifier. It does not print.
pub struct LoginProof {
    token: Zeroizing<String>,
    verifier: Verifier,
}

impl LoginProof {
    /// The token from the link.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What only this device knows.
    pub fn verifier(&self) -> &str {
        self.verifier.expose()
    }
}

impl fmt::Debug for LoginProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginProof(..)")
    }
}

/// Why a link does not log anybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginLinkError {
    /// Nothing was begun on this device, or it is too long ago.
    #[error(
        "this device has not asked to log in within the last five minutes, so the link was not used; start the login here"
    )]
    NotAskedFor,
    /// Another link, or a broken one.
    #[error("this is not a login link; start the login again")]
    NotALoginLink,
    /// A session or something else in the place of a login token.
    #[error("the link carries something other than a login token, and was not used; start the login again")]
    NotALoginToken,
}
