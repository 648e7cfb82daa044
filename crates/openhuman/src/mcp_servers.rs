//! Other programs' MCP servers beside the skills.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openhuman_mcp::client::config::{ConfigError, ConfigFile, ServerConfig, Transport};
use openhuman_mcp::client::pin::{FilePins, PinError};
use openhuman_mcp::client::{ClientOptions, ExternalServer};
use url::Url;

use crate::network::Network;
use crate::{Core, CoreError, Home};

/// A request may stream for this long.
const LONGEST_REQUEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The MCP servers of a home: its `mcp.json`, in the form other programs use, and what their tools said when the user
/// accepted them.
#[derive(Debug, Clone)]
pub struct McpServers {
    config: PathBuf,
    pins: PathBuf,
    network: Network,
}

impl McpServers {
    /// Those of a home, reached over a network.
    #[must_use]
    pub fn of(home: &Home, network: Network) -> Self {
        Self {
            config: home.path().join("mcp.json"),
            pins: home.path().join("mcp-pins.json"),
            network,
        }
    }

    /// The file they are configured in.
    ///
    /// # Errors
    /// When it is no such file.
    pub fn file(&self) -> Result<ConfigFile, CoreError> {
        Ok(ConfigFile::open(&self.config)?)
    }

    /// Adds a server, as an entry of that file has it, or replaces the one of that name.
    ///
    /// # Errors
    /// When the entry is none, or the file cannot be written.
    pub fn add(&self, name: &str, server: serde_json::Value) -> Result<(), CoreError> {
        if let Some(home) = self.config.parent() {
            crate::home::create_private_dir(home)?;
        }
        Ok(self.file()?.add(name, server)?)
    }

    /// What was accepted.
    ///
    /// # Errors
    /// When the file of it cannot be read.
    pub fn pins(&self) -> Result<FilePins, CoreError> {
        Ok(FilePins::open(&self.pins)?)
    }

    /// Starts one.
    ///
    /// # Errors
    /// When it has an address that is none, or what was accepted cannot be read.
    pub fn start(&self, server: ServerConfig) -> Result<Arc<ExternalServer>, CoreError> {
        let mut options = ClientOptions::default();
        if let Transport::Http(address) = &server.transport {
            let url =
                Url::parse(&address.url).map_err(|error| setting(format!("'{}': {error}", address.url)))?;
            options.http = Some(crate::http::client(LONGEST_REQUEST, &self.network, &url)?);
        }
        Ok(ExternalServer::start(server, Arc::new(self.pins()?), options))
    }

    /// Those that are enabled and can be used; what is wrong with the others.
    ///
    /// # Errors
    /// When the file is none.
    pub fn enabled(&self) -> Result<(Vec<ServerConfig>, Vec<String>), CoreError> {
        let mut problems = Vec::new();
        let servers = self.file()?.servers(&|name| std::env::var(name).ok());
        let usable = servers.into_iter().filter_map(|server| match server {
            Ok(server) => (!server.disabled).then_some(server),
            Err(error) => {
                problems.push(error.to_string());
                None
            }
        });
        Ok((usable.collect(), problems))
    }
}

impl Core {
    /// Starts the enabled servers and offers their tools beside the skills, as they come up. What is wrong with the
    /// others.
    ///
    /// # Errors
    /// When the file of the servers is none, or what was accepted cannot be read.
    pub fn add_mcp_servers(&self, servers: &McpServers) -> Result<Vec<String>, CoreError> {
        let (enabled, problems) = servers.enabled()?;
        for server in enabled {
            self.hub().add_provider(servers.start(server)?);
        }
        Ok(problems)
    }
}

fn setting(reason: String) -> CoreError {
    CoreError::Setting {
        setting: "the configuration of MCP servers",
        reason,
    }
}

impl From<ConfigError> for CoreError {
    fn from(error: ConfigError) -> Self {
        setting(error.to_string())
    }
}

impl From<PinError> for CoreError {
    fn from(error: PinError) -> Self {
        setting(error.to_string())
    }
}
