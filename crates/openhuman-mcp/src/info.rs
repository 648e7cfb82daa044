//! How a server introduces itself.

/// How a server introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// The program, for example `openhuman`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Default for ServerInfo {
    fn default() -> Self {
        Self {
            name: "openhuman".into(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}
