//! `openhuman mcp`: serving the tools, and other programs' servers.

mod args;
mod servers;

use std::sync::Arc;

use openhuman::mcp::http::{self, HttpOptions, PATH};
use openhuman::mcp::policy::AskBeforeChange;
use openhuman::mcp::{ServerInfo, stdio};
use openhuman::{CancellationToken, Core};

pub(crate) use self::args::Mcp;
use self::args::Serve;
use crate::args::Global;
use crate::exit::{Code, Failure, stop_signal, tell};
use crate::session;

pub(crate) async fn run(global: &Global, command: Mcp) -> Result<(), Failure> {
    match command {
        Mcp::Serve(how) => serve(global, how).await,
        Mcp::Add(add) => servers::add(global, &add),
        Mcp::List => servers::list(global),
        Mcp::Remove { name } => servers::remove(global, &name),
        Mcp::Test { name, accept } => servers::test(global, &name, accept).await,
    }
}

/// Serves the hub until the client closes standard input or a signal stops the process. Standard output carries the
/// protocol only, or the address.
async fn serve(global: &Global, how: Serve) -> Result<(), Failure> {
    if how.http.is_some() && how.token.is_none() {
        let text = "HTTP clients need a token; set OPENHUMAN_MCP_TOKEN to 32 or more random characters";
        return Err(Failure::new(Code::Usage, text));
    }
    let core = session::core(global).await?;
    let outcome = serve_core(global, &core, how).await;
    core.close().await;
    outcome
}

async fn serve_core(global: &Global, core: &Core, how: Serve) -> Result<(), Failure> {
    core.offer_memory();
    for problem in core.add_mcp_servers(&servers::servers(global)?)? {
        tell(format_args!("warning: {problem}"));
    }
    let cancel = CancellationToken::new();
    let (stop, signal) = (cancel.clone(), stop_signal()?);
    tokio::spawn(async move {
        signal.await;
        stop.cancel();
    });
    let info = ServerInfo {
        name: "openhuman".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let hub = if how.ask {
        core.hub().guarded(Arc::new(AskBeforeChange))
    } else {
        core.hub().clone()
    };
    let failed = |error: &dyn std::fmt::Display| Failure::new(Code::Failed, error.to_string());
    if let Some(address) = how.http {
        let mut options = HttpOptions::new(how.token.unwrap_or_default());
        options.origins = how.origin;
        let listener = http::bind(address, &options)
            .await
            .map_err(|error| failed(&error))?;
        crate::output::line(format_args!("http://{}{PATH}", listener.local_addr()?))?;
        return http::serve(hub, info, listener, options, cancel)
            .await
            .map_err(|error| failed(&error));
    }
    #[cfg(unix)]
    if let Some(path) = how.unix {
        let socket = openhuman::mcp::unix::bind(&path).await?;
        return Ok(openhuman::mcp::unix::serve(hub, info, socket, cancel).await?);
    }
    stdio::serve(hub, info, cancel)
        .await
        .map_err(|error| failed(&error))
}
