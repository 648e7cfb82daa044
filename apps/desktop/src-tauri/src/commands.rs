//! What the window sees over IPC. Each command hands over to the door or to the launch clock.

use openhuman::rpc::RpcError;
use serde_json::Value;
use tauri::ipc::Channel;
use tauri::{AppHandle, State, WebviewWindow};

use crate::door::{Door, Frame};
use crate::launch::Launch;

/// Calls one method of the core.
#[tauri::command]
pub(crate) async fn core_rpc(
    window: WebviewWindow,
    door: State<'_, Door>,
    method: String,
    params: Value,
) -> Result<Value, RpcError> {
    door.call(window.label(), &method, params).await
}

/// Starts one stream of the core; its events come through the channel, and after the last one its end.
#[tauri::command]
pub(crate) async fn core_stream(
    window: WebviewWindow,
    door: State<'_, Door>,
    method: String,
    params: Value,
    on_event: Channel<Frame>,
) -> Result<(), RpcError> {
    door.stream(window.label(), &method, params, &on_event).await
}

/// Sends the core's events through the channel from now on.
#[tauri::command]
pub(crate) async fn core_subscribe(
    window: WebviewWindow,
    door: State<'_, Door>,
    on_event: Channel<Frame>,
) -> Result<(), RpcError> {
    door.subscribe(window.label(), on_event)
}

/// The window's first frame is on the screen.
#[tauri::command]
pub(crate) async fn painted(app: AppHandle, launch: State<'_, Launch>) -> Result<(), ()> {
    launch.painted(&app);
    Ok(())
}
