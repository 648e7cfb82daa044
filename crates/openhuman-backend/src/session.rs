//! Session tokens: compact JSON Web Tokens signed with HMAC-SHA256.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use openhuman_vault::Key;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const ISSUER: &str = "openhuman-backend";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// A token of this backend is far shorter; a longer text is not even decoded.
const MAX_TOKEN: usize = 2048;

/// A session token as the desktop keeps it. It does not print.
#[derive(Clone)]
pub struct SessionToken(String);

impl SessionToken {
    /// The text. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(..)")
    }
}

/// Whom a session belongs to and how long it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) user: String,
    /// The last millisecond at which the token is good.
    pub(crate) expires_ms: i64,
}

/// The token is malformed, forged or too old; the caller is not told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The session token is not valid or has expired; log in again")]
pub(crate) struct InvalidSession;

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    iat: i64,
    exp: i64,
}

/// Signs and checks session tokens.
pub(crate) struct SessionTokens {
    key: Key,
    ttl_ms: i64,
}

impl SessionTokens {
    pub(crate) fn new(key: &Key, ttl_ms: i64) -> Self {
        Self {
            key: key.derive(b"", "openhuman-backend/v1/session"),
            ttl_ms,
        }
    }

    pub(crate) fn issue(&self, user: &str, now_ms: i64) -> SessionToken {
        let exp = now_ms.saturating_add(self.ttl_ms).div_euclid(1000);
        let claims = Claims {
            iss: ISSUER.into(),
            sub: user.into(),
            iat: now_ms.div_euclid(1000),
            exp,
        };
        // A struct of strings and integers always serialises.
        let claims = serde_json::to_vec(&claims).unwrap_or_default();
        let mut token = URL_SAFE_NO_PAD.encode(HEADER);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.mac(&token).finalize().into_bytes();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        SessionToken(token)
    }

    pub(crate) fn verify(&self, token: &str, now_ms: i64) -> Result<Session, InvalidSession> {
        if token.len() > MAX_TOKEN {
            return Err(InvalidSession);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(InvalidSession)?;
        let (header, claims) = signed.split_once('.').ok_or(InvalidSession)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| InvalidSession)?;
        self.mac(signed)
            .verify_slice(&signature)
            .map_err(|_| InvalidSession)?;
        // The algorithm is ours to choose, so the header is compared and never interpreted.
        if header != URL_SAFE_NO_PAD.encode(HEADER) {
            return Err(InvalidSession);
        }
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| InvalidSession)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| InvalidSession)?;
        let expires_ms = claims.exp.saturating_mul(1000).saturating_add(999);
        if claims.iss != ISSUER || claims.sub.is_empty() || now_ms > expires_ms {
            return Err(InvalidSession);
        }
        Ok(Session {
            user: claims.sub,
            expires_ms,
        })
    }

    fn mac(&self, message: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.expose()).expect("HMAC takes keys of any length");
        mac.update(message.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> SessionTokens {
        SessionTokens::new(&Key::from_bytes([7; 32]), 60_000)
    }

    #[test]
    fn a_session_lasts_as_long_as_it_should() {
        let tokens = tokens();
        let token = tokens.issue("ada", 1_000_000);
        let session = tokens.verify(token.expose(), 1_060_000).unwrap();
        assert_eq!(session.user, "ada");
        assert_eq!(session.expires_ms, 1_060_999);
        assert_eq!(tokens.verify(token.expose(), 1_061_000), Err(InvalidSession));
        assert_eq!(format!("{token:?}"), "SessionToken(..)");
    }

    #[test]
    fn other_keys_other_headers_and_any_changed_byte_are_refused() {
        let tokens = tokens();
        let token = tokens.issue("ada", 0);
        let other = SessionTokens::new(&Key::from_bytes([8; 32]), 60_000);
        assert!(other.verify(token.expose(), 0).is_err());
        for index in 0..token.expose().len() {
            let mut changed = token.expose().as_bytes().to_vec();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character carries bits that decoding must not ignore.
            assert!(tokens.verify(&changed, 0).is_err(), "byte {index}");
        }
        let claims = token.expose().split('.').nth(1).unwrap();
        let none = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
        let long = "a".repeat(5000);
        for bad in [
            "",
            ".",
            "..",
            "a.b.c",
            "a.b.c.d",
            none.as_str(),
            long.as_str(),
            "é.é.é",
        ] {
            assert!(tokens.verify(bad, 0).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_correctly_signed_token_with_another_header_is_refused() {
        let tokens = tokens();
        let claims = tokens
            .issue("ada", 0)
            .expose()
            .split('.')
            .nth(1)
            .unwrap()
            .to_owned();
        let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
        let signature = URL_SAFE_NO_PAD.encode(tokens.mac(&signed).finalize().into_bytes());
        assert!(tokens.verify(&format!("{signed}.{signature}"), 0).is_err());
    }
}
