//! `openhuman mcp serve`.

use openhuman::CancellationToken;
use openhuman::mcp::stdio;

use crate::args::Global;
use crate::exit::{Code, Failure};
use crate::session;

/// Serves the hub over standard input and output until the client closes it. Standard output carries the protocol only.
pub(crate) async fn serve(global: &Global) -> Result<(), Failure> {
    if global.password_fd == Some(0) {
        return Err(Failure::new(
            Code::Usage,
            "standard input belongs to the protocol here; use another descriptor for the password",
        ));
    }
    let core = session::core(global).await?;
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
    });
    let info = stdio::ServerInfo {
        name: "openhuman".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let outcome = stdio::serve(core.hub().clone(), info, cancel).await;
    core.close().await;
    outcome.map_err(|error| Failure::new(Code::Failed, error.to_string()))
}
