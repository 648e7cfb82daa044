//! An MCP server with two tools on standard input and output, for trying out clients:
//!
//! ```text
//! cargo run -p openhuman-mcp --example stdio_echo
//! ```

use openhuman_mcp::{CancellationToken, Hub, HubOptions, ServerInfo, stdio};

mod demo;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), openhuman_mcp::StdioError> {
    let hub = Hub::new(HubOptions::default());
    demo::add(&hub);
    let info = ServerInfo {
        name: "openhuman-stdio-echo".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    stdio::serve(hub, info, CancellationToken::new()).await
}
