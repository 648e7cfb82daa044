use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{SECRET_LEN, is_43_of_base64url};
use crate::key::{RandomError, fill_random};

/// The secret of a device that asks to log in, as in RFC 7636: 43 characters of base64url. Only its
/// [`Challenge`] is sent along with the question; the verifier itself goes with the token that comes back.
pub struct Verifier(Zeroizing<String>);

impl Verifier {
    /// A new one, of 32 random bytes.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system has no randomness to give.
    pub fn generate() -> Result<Verifier, RandomError> {
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        fill_random(secret.as_mut_slice())?;
        let mut text = Zeroizing::new(String::with_capacity(44));
        URL_SAFE_NO_PAD.encode_string(secret.as_slice(), &mut text);
        Ok(Verifier(text))
    }

    /// The text to send with the token. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be told to everybody.
    pub fn challenge(&self) -> Challenge {
        Challenge(of(self.expose()))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// The SHA-256 of a [`Verifier`] (method S256 of RFC 7636). Not a secret; it prints as 43 characters of base64url.
///
/// ```
/// use openhuman_vault::tokens::Challenge;
///
/// // The example of RFC 7636, appendix B.
/// let challenge = Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
/// assert!(challenge.fits("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
/// assert!(Challenge::parse("plain").is_none());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// Reads what a device sent: 43 characters of base64url. `None` for anything else.
    pub fn parse(text: &str) -> Option<Challenge> {
        if !is_43_of_base64url(text) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Challenge(bytes.try_into().ok()?))
    }

    /// Whether this is the challenge of that verifier.
    pub fn fits(&self, verifier: &str) -> bool {
        self.0 == of(verifier)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({self})")
    }
}

pub(super) fn of(verifier: &str) -> [u8; 32] {
    Sha256::digest(verifier.as_bytes()).into()
}
