//! `openhuman mcp serve`.

use openhuman::CancellationToken;
use openhuman::mcp::stdio;

use crate::args::Global;
use crate::exit::{Code, Failure, stop_signal};
use crate::session;

/// Serves the hub over standard input and output until the client closes it or a signal
/// stops the process. Standard output carries the protocol only.
pub(crate) async fn serve(global: &Global) -> Result<(), Failure> {
    let core = session::core(global).await?;
    let cancel = CancellationToken::new();
    let (stop, signal) = (cancel.clone(), stop_signal()?);
    tokio::spawn(async move {
        signal.await;
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
