use futures_util::future::BoxFuture;
use openhuman_mcp::link::conformance::{ConformancePeer, check};
use serde_json::json;
use socketioxide::SocketIo;
use socketioxide::extract::{Data, Event as EventName, SocketRef};

use super::*;

/// The server's side of one connection.
struct Peer {
    socket: SocketRef,
    events: mpsc::UnboundedReceiver<(String, Value)>,
}

impl ConformancePeer for Peer {
    fn receive(&mut self) -> BoxFuture<'_, Option<(String, Value)>> {
        Box::pin(self.events.recv())
    }

    fn send<'a>(&'a mut self, event: &'a str, data: Value) -> BoxFuture<'a, ()> {
        self.socket.emit(event, &data).unwrap();
        Box::pin(std::future::ready(()))
    }

    fn send_with_ack<'a>(&'a mut self, event: &'a str, data: Value) -> BoxFuture<'a, Option<Value>> {
        let answer = self.socket.emit_with_ack::<_, Value>(event, &data).unwrap();
        Box::pin(async move { answer.await.ok() })
    }
}

/// A real Socket.IO server that says `ready` to the first client and hands out its side.
async fn server() -> (String, tokio::sync::oneshot::Receiver<Peer>) {
    // The default of 100 kB is less than the conformance test sends; our own backend allows more too.
    let (layer, io) = SocketIo::builder().max_payload(1_000_000).build_layer();
    let (connected, peer) = tokio::sync::oneshot::channel();
    let connected = Arc::new(std::sync::Mutex::new(Some(connected)));
    io.ns("/", move |socket: SocketRef| {
        let (sender, events) = mpsc::unbounded_channel();
        socket.on_fallback(move |EventName(name): EventName, Data(data): Data<Value>| {
            let _ = sender.send((name, data));
            std::future::ready(())
        });
        socket.emit("ready", &json!({})).unwrap();
        if let Some(connected) = connected.lock().unwrap().take() {
            let _ = connected.send(Peer { socket, events });
        }
        std::future::ready(())
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().layer(layer)).await });
    (url, peer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_is_a_conforming_event_link() {
    let (url, peer) = server().await;
    let mut builder = Client::builder(&url);
    let events = builder.subscribe_all();
    let client = builder.connect().await.unwrap();
    let engine = Engine::builder().build().unwrap();
    let report = StatusReporter::new(
        watch::Sender::default(),
        broadcast::channel(8).0,
        url.clone(),
        Arc::default(),
    );
    let link = SocketLink::new(client, events, engine, report, CancellationToken::new());
    check(Arc::new(link), peer.await.unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_beyond_what_is_kept_are_dropped_and_the_user_is_told_how_many() {
    let (url, peer) = server().await;
    let mut builder = Client::builder(&url);
    let events = builder.subscribe_all();
    let client = builder.connect().await.unwrap();
    let engine = Engine::builder().build().unwrap();
    let status = watch::Sender::<SocketStatus>::default();
    let figures = Arc::<Figures>::default();
    let report = StatusReporter::new(
        status.clone(),
        broadcast::channel(8).0,
        url.clone(),
        figures.clone(),
    );
    let mut shown = status.subscribe();
    let link = SocketLink::new(client.clone(), events, engine, report, CancellationToken::new());
    let peer = peer.await.unwrap();
    // Nobody takes events out of the link: what it and the client keep fills up.
    const SENT: usize = 4_000;
    for number in 0..SENT {
        while peer
            .socket
            .emit("mcp:number", &json!({ "number": number }))
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    }
    // A little more frames than events: the greeting and the acknowledgement.
    while client.stats().frames_received < SENT as u64 + 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut taken = 0;
    while figures.lost() == 0 {
        link.next().await.unwrap();
        taken += 1;
        assert!(taken < SENT, "nothing was lost");
    }
    let told = tokio::time::timeout(
        Duration::from_secs(30),
        shown.wait_for(|status| status.lost_events > 0),
    );
    let told = told.await.unwrap().unwrap().lost_events;
    assert!(told > 0 && told < SENT as u64, "{told}");
    let report = figures.report(&client, &url);
    assert!(
        report.lost_events >= told && report.lost_skill_events == 0,
        "{report:?}"
    );
    client.disconnect().await;
}
