//! A small price service on loopback. The prices are recorded ones, moved by a random amount for this run.

use std::net::SocketAddr;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// Symbol, the recorded price in cents, and the day it was recorded on.
const RECORDED: &[(&str, u64, &str)] = &[
    ("BTC", 6_412_350, "2025-03-14"),
    ("ETH", 318_420, "2025-03-14"),
    ("SOL", 14_208, "2025-03-14"),
];

/// The running service. It ends when this is dropped.
pub(crate) struct PriceServer {
    address: SocketAddr,
    cents: Prices,
    _task: AbortOnDropHandle<()>,
}

#[derive(Clone)]
struct Prices(Vec<(&'static str, u64, &'static str)>);

impl PriceServer {
    /// Starts on a free port. `variation` moves every price by -10 % to +10 %.
    pub(crate) async fn start(variation: u32) -> std::io::Result<Self> {
        let moved = RECORDED
            .iter()
            .map(|&(symbol, cents, day)| (symbol, vary(cents, variation), day))
            .collect();
        let cents = Prices(moved);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/prices/{symbol}", get(price))
            .with_state(cents.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the demo's price service ended");
            }
        });
        Ok(Self {
            address,
            cents,
            _task: AbortOnDropHandle::new(task),
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The price of this run as the service writes it, such as `3184.21`.
    pub(crate) fn price(&self, symbol: &str) -> Option<String> {
        self.cents
            .0
            .iter()
            .find(|(known, ..)| *known == symbol)
            .map(|(_, cents, _)| decimal(*cents))
    }
}

async fn price(State(prices): State<Prices>, Path(symbol): Path<String>) -> (StatusCode, Json<Value>) {
    match prices
        .0
        .iter()
        .find(|(known, ..)| known.eq_ignore_ascii_case(&symbol))
    {
        Some((symbol, cents, day)) => (
            StatusCode::OK,
            Json(json!({
                "symbol": symbol,
                "price": *cents as f64 / 100.0,
                "currency": "USD",
                "source": "recorded prices of the demo, varied for this run",
                "as_of": day,
            })),
        ),
        None => (
            StatusCode::NOT_FOUND,
            Json(json!({ "error": format!("no price is recorded for {symbol}") })),
        ),
    }
}

/// The price moved by `variation` steps of a 2001-step range around it. It never ends in a zero, so that the number
/// has two decimals however it is written.
fn vary(cents: u64, variation: u32) -> u64 {
    let steps = u64::from(variation % 2001);
    let moved = cents * (9000 + steps) / 10_000;
    if moved.is_multiple_of(10) {
        moved + 1
    } else {
        moved
    }
}

fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_stays_within_ten_percent_and_has_two_decimals() {
        assert_eq!(decimal(318_420), "3184.20");
        assert_eq!(decimal(5), "0.05");
        assert_eq!(vary(10_000, 0), 9_001);
        assert_eq!(vary(10_000, 1_000), 10_001);
        assert_eq!(vary(10_000, 2_000), 11_001);
        assert_eq!(vary(10_000, 2_001), 9_001);
        assert_eq!(vary(12_345, 1_000), 12_345);
    }
}
