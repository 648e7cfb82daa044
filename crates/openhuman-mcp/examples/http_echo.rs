//! The same server over Streamable HTTP on a free port of this machine. It prints its address, and reads the token
//! that clients need from `DEMO_TOKEN`:
//!
//! ```text
//! DEMO_TOKEN=$(openssl rand -hex 32) cargo run -p openhuman-mcp --features http --example http_echo
//! ```

use openhuman_mcp::http::{self, HttpError, HttpOptions, PATH};
use openhuman_mcp::{CancellationToken, Hub, HubOptions, ServerInfo};

mod demo;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), HttpError> {
    let hub = Hub::new(HubOptions::default());
    demo::add(&hub);
    let options = HttpOptions::new(std::env::var("DEMO_TOKEN").unwrap_or_default());
    let listener = http::bind(([127, 0, 0, 1], 0).into(), &options).await?;
    println!("http://{}{PATH}", listener.local_addr()?);
    let info = ServerInfo {
        name: "openhuman-http-echo".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    http::serve(hub, info, listener, options, CancellationToken::new()).await
}
