//! Events that are sent until they are acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openhuman_socketio::{Binary, DeliveryError, DeliveryStore, Retries, StoreFuture, StoredEvent};
use serde_json::Value;

use crate::scripted::{Peer, Server, soon};

/// The id and the first argument of a frame.
fn read(frame: &str) -> (u64, Value) {
    let (head, list) = frame.split_at(frame.find('[').unwrap());
    let list: Value = serde_json::from_str(list).unwrap();
    (head[2..].parse().unwrap(), list[1].clone())
}

/// Reads events and acknowledges them.
async fn serve(peer: &mut Peer, count: u64) -> Vec<Value> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let (id, value) = read(&peer.text().await);
        peer.send(&format!("43{id}[{value}]")).await;
        seen.push(value);
    }
    seen
}

#[tokio::test]
async fn one_at_a_time_and_again_after_a_loss() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let delivery = client.delivery(Retries::new());
    let mut receipts = Vec::new();
    for n in 0..5 {
        receipts.push(soon(delivery.send("n", &n)).await.unwrap());
    }
    assert_eq!(serve(&mut peer, 2).await, [0, 1]);
    let (_, value) = read(&peer.text().await);
    assert_eq!(value, 2);
    peer.kill();
    let mut peer = server.accept_connected("second").await;
    assert_eq!(serve(&mut peer, 3).await, [2, 3, 4]);
    for (n, receipt) in receipts.into_iter().enumerate() {
        assert_eq!(soon(receipt.into_future()).await.unwrap().value(), n);
    }
    // A queue without handles finishes what it has.
    let last = soon(delivery.send("n", &5)).await.unwrap();
    drop(delivery);
    assert_eq!(serve(&mut peer, 1).await, [5]);
    soon(last.into_future()).await.unwrap();
}

#[tokio::test]
async fn a_window_keeps_the_order_through_losses() {
    const EVENTS: i64 = 300;
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let delivery = client.delivery(Retries::new().window(16));
    let sender = tokio::spawn(async move {
        let mut receipts = Vec::new();
        for n in 0..EVENTS {
            receipts.push(delivery.send("n", &n).await.unwrap());
        }
        for receipt in receipts {
            receipt.await.unwrap();
        }
    });
    let mut seen: Vec<i64> = Vec::new();
    let mut losses = 0;
    while seen.last() != Some(&(EVENTS - 1)) {
        let (id, value) = read(&peer.text().await);
        let value = value.as_i64().unwrap();
        let next = seen.iter().max().map_or(0, |max| max + 1);
        // Repetitions may come, gaps never.
        assert!(value <= next, "{value} before {next}");
        seen.push(value);
        peer.send(&format!("43{id}[]")).await;
        if seen.len().is_multiple_of(40) {
            peer.kill();
            losses += 1;
            peer = server.accept_connected("next").await;
        }
    }
    let (_, ()) = tokio::join!(soon(sender), async {
        // What was acknowledged on a link that broke comes once more.
        while let Ok(frame) = tokio::time::timeout(Duration::from_millis(200), peer.text()).await {
            peer.send(&format!("43{}[]", read(&frame).0)).await;
        }
    });
    let repeated = seen.len() - usize::try_from(EVENTS).unwrap();
    assert!(
        losses > 5 && repeated <= losses * 16,
        "{repeated} repeated in {losses} losses"
    );
}

#[tokio::test]
async fn an_event_that_is_never_acknowledged_is_given_up_after_its_tries() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let retries = Retries::new().ack_timeout(Duration::from_millis(30)).max_tries(3);
    let delivery = client.delivery(retries);
    let lost = soon(delivery.send("n", &"lost")).await.unwrap();
    let next = soon(delivery.send("n", &"next")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(read(&peer.text().await).1, "lost");
    }
    assert_eq!(serve(&mut peer, 1).await, ["next"]);
    assert!(matches!(
        soon(lost.into_future()).await,
        Err(DeliveryError::GivenUp)
    ));
    soon(next.into_future()).await.unwrap();
    soon(client.disconnect()).await;
    assert!(matches!(delivery.send("n", &1).await, Err(DeliveryError::Closed)));
}

#[derive(Default)]
struct Memory(Mutex<BTreeMap<u64, StoredEvent>>);

impl DeliveryStore for Memory {
    fn load(&self) -> StoreFuture<'_, Vec<StoredEvent>> {
        let events = self.0.lock().unwrap().values().cloned().collect();
        Box::pin(std::future::ready(Ok(events)))
    }

    fn put(&self, event: StoredEvent) -> StoreFuture<'_, ()> {
        self.0.lock().unwrap().insert(event.id, event);
        Box::pin(std::future::ready(Ok(())))
    }

    fn remove(&self, id: u64) -> StoreFuture<'_, ()> {
        self.0.lock().unwrap().remove(&id);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What one process promised, the next delivers, with the same ids and attachments.
#[tokio::test]
async fn stored_events_outlive_their_process() {
    let server = Server::bind().await;
    let store = Arc::new(Memory::default());
    let retries = || {
        Retries::new()
            .message_ids(true)
            .store(Arc::clone(&store) as Arc<dyn DeliveryStore>)
    };
    let (client, mut peer) = server.connected().await;
    let delivery = client.delivery(retries());
    for n in 0..3 {
        drop(
            soon(delivery.send_args("n", &(n, Binary::from(vec![n]))))
                .await
                .unwrap(),
        );
    }
    let first = peer.text().await;
    assert!(
        first.starts_with(r#"451-0["n",0,{"_placeholder":true,"num":0},""#),
        "{first}"
    );
    assert_eq!(peer.binary().await[..], [0]);
    // The process ends without having heard of the acknowledgement.
    let (_, ()) = tokio::join!(peer.until_closed(), soon(client.disconnect()));
    assert_eq!(store.0.lock().unwrap().len(), 3);

    let (client, mut peer) = server.connected().await;
    let delivery = client.delivery(retries());
    for n in 0..3u8 {
        let again = peer.text().await;
        assert_eq!(peer.binary().await[..], [n]);
        if n == 0 {
            assert_eq!(again, first);
        }
        let id = &again["451-".len()..again.find('[').unwrap()];
        peer.send(&format!("43{id}[]")).await;
    }
    let last = soon(delivery.send("n", &9)).await.unwrap();
    let frame = peer.text().await;
    assert!(frame.contains(r#"["n",9,""#), "{frame}");
    peer.send(&format!("43{}[]", read(&frame).0)).await;
    soon(last.into_future()).await.unwrap();
    assert!(store.0.lock().unwrap().is_empty());
}
