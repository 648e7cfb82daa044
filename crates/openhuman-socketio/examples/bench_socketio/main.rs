//! What the client costs, beside a floor of bare WebSocket frames: `cargo xtask bench socketio` runs it.
//!
//! `bench_socketio serve` is the server, in a process of its own; `bench_socketio CLIENT MEASUREMENT URL` runs one
//! measurement with `ours` or `floor` and prints its figures as one JSON object.

mod floor;
#[allow(dead_code, reason = "shared with another crate, which needs other parts")]
mod measure;
mod ours;
mod server;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // One thread, so that processor time is that of the client alone.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        match arguments.as_slice() {
            ["serve"] => server::serve().await,
            ["ours", name, url] => ours::run(name, url).await,
            ["floor", name, url] => floor::run(name, url).await,
            _ => panic!("usage: bench_socketio serve | (ours|floor) MEASUREMENT URL"),
        }
    });
}
