//! How a backend is reached: the proxy before it, the authorities that are trusted, and the transports.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use openhuman_socketio::{Proxy, TlsOptions, Transports};
use rustls::ClientConfig;
use url::{Host, Url};

use crate::CoreError;

/// The environment variable that names a file of certificate authorities for backends.
pub const CA_VARIABLE: &str = "OPENHUMAN_CA_FILE";

/// The proxy before a backend.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyChoice {
    /// None, whatever the environment says.
    #[default]
    None,
    /// The one that the environment names for the backend's address: `https_proxy` or `http_proxy`, else `all_proxy`,
    /// but for hosts in `no_proxy`. Addresses of this machine are reached without one.
    Environment,
    /// This one, `http://..` or `socks5://..`, with an optional `user:password@`.
    At(String),
}

impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Environment => "Environment",
            // It can hold a password.
            Self::At(_) => "At(..)",
        })
    }
}

/// How backends are reached. The default is the direct way with the platform's certificate authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The proxy. Default: none.
    pub proxy: ProxyChoice,
    /// A PEM file of certificate authorities. They are trusted for backends *instead of* the platform's, as a company
    /// wants it that looks into its connections. It is read at every attempt. Default: none.
    pub ca_file: Option<PathBuf>,
    /// Whether HTTP long-polling takes the place of a WebSocket that is refused on the way. Default: true.
    pub long_polling: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            proxy: ProxyChoice::None,
            ca_file: None,
            long_polling: true,
        }
    }
}

impl Network {
    /// The proxies that the environment names, and the authorities in the file that `OPENHUMAN_CA_FILE` names.
    #[must_use]
    pub fn from_env() -> Self {
        let ca_file = std::env::var_os(CA_VARIABLE).filter(|path| !path.is_empty());
        Self {
            proxy: ProxyChoice::Environment,
            ca_file: ca_file.map(PathBuf::from),
            ..Self::default()
        }
    }

    pub(crate) fn transports(&self) -> Transports {
        match self.long_polling {
            true => Transports::WebSocketOrPolling,
            false => Transports::WebSocket,
        }
    }

    /// What is trusted; `None` for what the platform trusts.
    pub(crate) fn tls(&self) -> Result<Option<Arc<ClientConfig>>, CoreError> {
        let Some(path) = &self.ca_file else {
            return Ok(None);
        };
        let unusable = |reason: String| CoreError::Setting {
            setting: CA_VARIABLE,
            reason: format!("{}: {reason}; name a file of certificates in PEM", path.display()),
        };
        let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let config = TlsOptions::new().root_certificates(&pem).build();
        config.map(Some).map_err(|error| unusable(error.to_string()))
    }

    /// The proxy on the way of the link.
    pub(crate) fn proxy(&self, backend: &Url) -> Result<Option<Proxy>, CoreError> {
        let proxy = match &self.proxy {
            ProxyChoice::None => Ok(None),
            ProxyChoice::Environment if is_this_machine(backend) => Ok(None),
            ProxyChoice::Environment => Proxy::from_environment(backend.as_str()),
            ProxyChoice::At(address) => Proxy::parse(address).map(Some),
        };
        proxy.map_err(|error| CoreError::Setting {
            setting: "the proxy",
            reason: error.to_string(),
        })
    }

    /// The same proxy on the way of a request beside the link.
    pub(crate) fn http_proxy(
        &self,
        backend: &Url,
        builder: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, CoreError> {
        Ok(match &self.proxy {
            ProxyChoice::None => builder.no_proxy(),
            ProxyChoice::Environment if is_this_machine(backend) => builder.no_proxy(),
            // The library reads the same variables.
            ProxyChoice::Environment => builder,
            ProxyChoice::At(address) => {
                // The reason would quote the address.
                let proxy = reqwest::Proxy::all(address).map_err(|_| CoreError::Setting {
                    setting: "the proxy",
                    reason: "it is no address of a proxy; write it as http://host:port or socks5://host:port"
                        .into(),
                })?;
                builder.proxy(proxy)
            }
        })
    }
}

/// Whether an address never leaves this machine.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_needs_no_proxy_and_others_do() {
        let here = |text: &str| is_this_machine(&Url::parse(text).unwrap());
        for url in [
            "http://127.0.0.1:80",
            "http://[::1]/",
            "https://localhost:1",
            "http://a.localhost",
        ] {
            assert!(here(url), "{url}");
        }
        for url in [
            "http://10.0.0.1",
            "https://localhost.example",
            "http://[::2]",
            "https://a.example",
        ] {
            assert!(!here(url), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_without_a_password() {
        let network = Network {
            proxy: ProxyChoice::At("gopher://ana:secret@proxy.example".into()),
            ca_file: Some("/nonexistent/ca.pem".into()),
            ..Network::default()
        };
        assert!(!format!("{network:?}").contains("secret"));
        let url = Url::parse("https://a.example").unwrap();
        let refused = network.proxy(&url).unwrap_err().to_string();
        assert!(
            refused.contains("socks5://") && !refused.contains("secret"),
            "{refused}"
        );
        let refused = network.tls().unwrap_err().to_string();
        assert!(
            refused.contains(CA_VARIABLE) && refused.contains("/nonexistent/ca.pem"),
            "{refused}"
        );

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, "no certificate").unwrap();
        let network = Network {
            ca_file: Some(file),
            ..Network::default()
        };
        assert!(
            network.tls().is_err(),
            "a file without certificates trusts nobody"
        );
    }
}
