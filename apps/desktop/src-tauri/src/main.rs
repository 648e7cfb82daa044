//! The OpenHuman desktop app: a window over the core, which runs in this process.
//!
//! The shell translates and guards; it decides nothing. `door` says which methods of the core a window may call and
//! carries events to it, `commands` is what the window sees over IPC, `window` keeps the window on its own pages,
//! `links` takes the links that the system hands over, and `launch` measures the start.

#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]
#![forbid(unsafe_code)]

mod commands;
mod door;
mod launch;
mod links;
mod window;

use std::process::ExitCode;
use std::time::Duration;

use tauri::{Manager, RunEvent};

use crate::door::Door;
use crate::launch::Launch;

/// What was in memory is overwritten when it is given back: prompts, passages, values of skills.
#[global_allocator]
static ALLOCATOR: openhuman::vault::WipingAllocator = openhuman::vault::WipingAllocator;

/// How long the core may take to stop its skills and its link when the app ends.
const CLOSING_TIME: Duration = Duration::from_secs(6);

fn main() -> ExitCode {
    // Before any other thread, and before SQLite is used. It fails only later.
    let _ = openhuman::sqlite::wipe_freed_memory();
    // Before there is a secret. A build for development stays open to debuggers.
    if !cfg!(debug_assertions)
        && let Err(error) = openhuman::vault::forbid_core_dumps()
    {
        eprintln!("core dumps stay possible: {error}");
    }
    let launch = Launch::begin();
    init_logging();
    match run(launch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("OpenHuman cannot open its window: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to the standard error stream; `OPENHUMAN_LOG` selects them, such as `debug` or `openhuman_desktop=info`.
fn init_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("OPENHUMAN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

fn run(launch: Launch) -> tauri::Result<()> {
    let door = Door::from_env();
    let app = tauri::Builder::default()
        // The first plugin: a second start ends before it makes anything.
        .plugin(links::single_instance(door.home()))
        .manage(door)
        .manage(launch)
        .invoke_handler(tauri::generate_handler![
            commands::core_rpc,
            commands::core_stream,
            commands::core_subscribe,
            commands::painted,
        ])
        .setup(|app| Ok(window::open_main(app)?))
        .build(tauri::generate_context!())?;
    app.run(|app, event| {
        #[cfg(target_os = "macos")]
        if let RunEvent::Opened { urls } = &event {
            urls.iter().for_each(|url| links::opened(app, url.to_string()));
        }
        if let RunEvent::Exit = event {
            // A start from now on is a first one: this process shows nothing more, and takes its time to close.
            tauri_plugin_single_instance::destroy(app);
            let door = app.state::<Door>();
            let closing = async { tokio::time::timeout(CLOSING_TIME, door.close()).await };
            if tauri::async_runtime::block_on(closing).is_err() {
                tracing::warn!(seconds = CLOSING_TIME.as_secs(), "the core did not stop in time");
            }
        }
    });
    Ok(())
}
