//! The arguments of `openhuman mcp`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum Mcp {
    /// Serve the tools: over standard input and output, or over HTTP and a unix socket.
    #[command(
        after_help = "A client's configuration:\n  {\"mcpServers\": {\"openhuman\": {\"command\": \"openhuman\", \"args\": [\"mcp\", \"serve\"]}}}\n\nUnlock without a prompt: `openhuman vault remember` once, or --password-fd."
    )]
    Serve(Serve),
    /// Add another program's MCP server.
    #[command(
        after_help = "Examples:\n  openhuman mcp add files -- npx -y @modelcontextprotocol/server-filesystem /tmp\n  openhuman mcp add wiki --url https://wiki.example/mcp --header 'Authorization: Bearer ${WIKI_TOKEN}'"
    )]
    Add(Add),
    /// List the servers that were added.
    List,
    /// Remove a server.
    Remove {
        /// Its name.
        name: String,
    },
    /// Start a server, show its tools and what differs from what was accepted.
    Test {
        /// Its name.
        name: String,
        /// Accept the tools as they are now.
        #[arg(long)]
        accept: bool,
    },
}

#[derive(Args)]
pub(crate) struct Serve {
    /// Serve over HTTP at this address instead; clients send the token of OPENHUMAN_MCP_TOKEN.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http: Option<std::net::SocketAddr>,
    /// Serve on a unix socket at this path instead.
    #[cfg(unix)]
    #[arg(long, value_name = "PATH", conflicts_with = "http")]
    pub(crate) unix: Option<PathBuf>,
    /// What HTTP clients have to send, 32 characters or more.
    #[arg(long, env = "OPENHUMAN_MCP_TOKEN", hide = true, hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// A web page that may call over HTTP, such as http://localhost:5173.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Vec<String>,
    /// Let clients ask their users before calls that change something or reach the outside.
    #[arg(long)]
    pub(crate) ask: bool,
}

#[derive(Args)]
pub(crate) struct Add {
    /// Its name.
    pub(crate) name: String,
    /// The address of a server that is reached over HTTP.
    #[arg(long, conflicts_with = "command")]
    pub(crate) url: Option<String>,
    /// A header for each request; ${NAME} stands for an environment variable.
    #[arg(long, value_name = "NAME: VALUE", requires = "url")]
    pub(crate) header: Vec<String>,
    /// An environment variable for the program; ${NAME} stands for one of yours.
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "url")]
    pub(crate) env: Vec<String>,
    /// Believe what it says about the effects of its tools.
    #[arg(long)]
    pub(crate) trusted: bool,
    /// The program and its arguments.
    #[arg(last = true, required_unless_present = "url")]
    pub(crate) command: Vec<String>,
}
