//! The port through which a registry is reached.

use futures_util::future::BoxFuture;
use url::{Host, Url};

/// Fetches what a registry offers.
pub trait RegistryFetch: Send + Sync {
    /// Gets a resource of at most `limit` bytes, or learns that it is still the one of `etag`. Dropping the future
    /// ends the request.
    fn get<'a>(
        &'a self,
        url: &'a Url,
        etag: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

/// What a fetch found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It is still what it was.
    NotModified,
    /// The content.
    Body {
        /// All of it.
        bytes: Vec<u8>,
        /// Its tag, for asking again.
        etag: Option<String>,
    },
}

/// Why something could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The address is not allowed.
    #[error("`{url}` is not fetched: {reason}")]
    Refused {
        /// The address.
        url: String,
        /// Why.
        reason: &'static str,
    },
    /// The server answered with an error.
    #[error("`{url}` answered with status {status}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// There is more than allowed.
    #[error("`{url}` has more than {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The connection failed, or ended early.
    #[error("`{url}` cannot be reached: {reason}")]
    Failed {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
}

/// Whether an address may be fetched: https, or http to this machine if `local` allows that.
pub(super) fn check_url(url: &Url, local: bool) -> Result<(), FetchError> {
    let refused = |reason| {
        Err(FetchError::Refused {
            url: url.to_string(),
            reason,
        })
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refused("an address with a password in it would be shown and logged");
    }
    match url.scheme() {
        "https" if local || !is_loopback(url) => Ok(()),
        "http" if local && is_loopback(url) => Ok(()),
        "http" if !is_loopback(url) => refused("only https is used, except to this machine"),
        "http" | "https" => refused("it is on this machine, and the registry is not"),
        _ => refused("only https is used"),
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            name.trim_end_matches('.') == "localhost" || name.trim_end_matches('.').ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => {
            let mapped = address.to_ipv4_mapped();
            address.is_loopback()
                || address.is_unspecified()
                || mapped.is_some_and(|mapped| mapped.is_loopback() || mapped.is_unspecified())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_only_a_local_registry_reaches_this_machine() {
        for (url, remote, local) in [
            ("https://example.com/x", true, true),
            ("http://example.com/x", false, false),
            ("http://127.0.0.1:8080/x", false, true),
            ("http://localhost/x", false, true),
            ("https://[::1]/x", false, true),
            ("http://[::ffff:127.0.0.1]/x", false, true),
            ("http://0.0.0.0/x", false, true),
            ("https://a:b@example.com/x", false, false),
            ("ftp://example.com/x", false, false),
            ("file:///etc/passwd", false, false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(check_url(&url, false).is_ok(), remote, "{url}");
            assert_eq!(check_url(&url, true).is_ok(), local, "{url}");
        }
    }
}
