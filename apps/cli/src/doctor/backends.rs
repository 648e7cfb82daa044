//! The backends that this user is logged in at: each one is connected to once.

use std::time::{Duration, Instant};

use openhuman::{Core, Credential, SocketState};

use super::Findings;
use crate::exit::Failure;

/// How long a link is watched after it was made: what is wrong with it often shows at once.
const WATCHED: Duration = Duration::from_millis(500);

pub(super) async fn look(core: &Core, offline: bool, findings: &mut Findings) -> Result<(), Failure> {
    let area = "backend";
    let backends = match core.logged_in().await {
        Ok(backends) => backends,
        Err(error) => return findings.bad(area, error.to_string()),
    };
    if backends.is_empty() {
        return findings.good(area, "logged in at none; everything runs on this machine");
    }
    for backend in backends {
        if offline {
            findings.note(
                area,
                format!("logged in at {backend}"),
                "not asked, because of --offline",
            )?;
            continue;
        }
        let started = Instant::now();
        match core.connect(&backend, &Credential::Kept).await {
            Ok(_) => {
                let took = started.elapsed().as_millis();
                connected(core, &backend, took, findings).await?;
            }
            Err(error) => findings.bad(area, error.to_string())?,
        }
        core.disconnect().await;
    }
    Ok(())
}

async fn connected(core: &Core, backend: &str, took: u128, findings: &mut Findings) -> Result<(), Failure> {
    let mut status = core.socket();
    // Either it stays connected for a moment, or it says why not.
    let lost = status.wait_for(|status| status.status != SocketState::Connected);
    let lost = tokio::time::timeout(WATCHED, lost).await;
    let lost = match lost {
        Ok(Ok(status)) => Some(
            status
                .error
                .clone()
                .unwrap_or_else(|| "it gave no reason".to_owned()),
        ),
        _ => None,
    };
    let report = core.link_report().await;
    let figures = report.as_ref().map_or_else(String::new, |report| {
        format!(
            "; {} frames and {} bytes in, {} and {} out",
            report.frames_received, report.bytes_received, report.frames_sent, report.bytes_sent
        )
    });
    if let Some(reason) = lost {
        let last = report.and_then(|report| report.last_disconnect);
        let last = last.map_or_else(String::new, |last| format!(" ({last})"));
        return findings.bad(
            "backend",
            format!("{backend} was connected and lost: {reason}{last}{figures}"),
        );
    }
    findings.good("backend", format!("{backend} connected in {took} ms{figures}"))
}
