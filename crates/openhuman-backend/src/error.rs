//! Why a backend could not do what it was asked.

use openhuman_vault::RandomError;
use openhuman_vault::tokens::TokenError;

/// Why a backend could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Something else listens there.
    #[error(
        "the address {address} is already in use; stop the program that listens there, or choose another port (port 0 takes a free one)"
    )]
    AddressInUse {
        /// The address that was asked for.
        address: String,
    },
    /// The address cannot be used.
    #[error(
        "the backend cannot listen on {address}: {source}; give a host and a port of this machine, for example 127.0.0.1:8787"
    )]
    Bind {
        /// The address that was asked for.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The user name cannot be used.
    #[error("the user name must have 1 to 256 bytes and no control characters")]
    InvalidUser,
    /// The user has no desktop here.
    #[error("no desktop of `{user}` is connected; start one and log it in with a login token")]
    NotConnected {
        /// The user that was asked for.
        user: String,
    },
    /// No login token was issued.
    #[error(transparent)]
    Login(#[from] TokenError),
    /// The certificate or its key cannot be used.
    #[error(
        "TLS cannot be prepared: {reason}; give a PEM file with the certificate chain and one with its key"
    )]
    Tls {
        /// What is wrong, with the file.
        reason: String,
    },
    /// A setting is wrong.
    #[error("the backend's settings cannot be used: {reason}")]
    Config {
        /// Which setting, and what is wrong with it.
        reason: String,
    },
    /// The other instances cannot be reached.
    #[error("the shared Redis server cannot be used: {reason}; check its address and that it is running")]
    Cluster {
        /// What failed.
        reason: String,
    },
    /// The system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl BackendError {
    pub(crate) fn bind(address: &str, source: std::io::Error) -> Self {
        let address = address.to_owned();
        if source.kind() == std::io::ErrorKind::AddrInUse {
            Self::AddressInUse { address }
        } else {
            Self::Bind { address, source }
        }
    }
}
