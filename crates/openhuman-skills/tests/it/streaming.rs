//! Bodies that come piece by piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::StatusCode;
use openhuman_skills::{LedgerQuery, MemorySecrets, TransportRequest, TransportResponse};
use serde_json::json;

use crate::egress::{engine, hosts};
use crate::support::{call, run_with, tool};

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_no_faster_than_the_skill_asks() {
    let pulled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pulled);
    let answer = move |_: &TransportRequest| {
        let count = Arc::clone(&count);
        TransportResponse::new(StatusCode::OK).pieces((0..100).map(move |index| {
            count.fetch_add(1, Ordering::SeqCst);
            Bytes::from(vec![index; 64 * 1024])
        }))
    };
    let engine = engine(answer, MemorySecrets::default());
    let script = "
        const AsyncFunction = (async () => {}).constructor;
        return new AsyncFunction('args', args.code)(args);";
    let id = run_with(&engine, "slow", &tool(script), hosts(&["a.example.com"])).await;
    let run = async |code: &str| call(&engine, &id, json!({"code": code})).await;
    let opened =
        "globalThis.reader = (await fetch('https://a.example.com/')).body.getReader(); return 'open';";
    assert_eq!(run(opened).await.as_deref(), Ok("open"));
    let one = "const { value } = await reader.read(); return value.byteLength + ':' + value[0];";
    for index in 0..3 {
        assert_eq!(run(one).await, Ok(format!("65536:{index}")));
    }
    let ahead = pulled.load(Ordering::SeqCst);
    assert!(ahead <= 6, "{ahead} pieces were taken for 3");
    assert_eq!(
        run("await reader.cancel(); return 'gone';").await.as_deref(),
        Ok("gone")
    );
    crate::support::until(|| engine.ledger(&LedgerQuery::new()).len() == 1).await;
    // Sixteen at once, bodies that nobody reads included; the next is refused, and not forever.
    let many = "
        const open = [];
        for (let i = 0; i < 16; i++) open.push(await fetch('https://a.example.com/'));
        let error = 'none';
        try { await fetch('https://a.example.com/'); } catch (e) { error = e.name + ' ' + e.message; }
        for (const answer of open) await answer.body.cancel();
        return error + ' ' + (await fetch('https://a.example.com/')).status;";
    let text = run(many).await.unwrap();
    assert!(
        text.contains("TypeError")
            && text.contains("more than 16 requests at once")
            && text.ends_with(" 200"),
        "{text}"
    );
    // Above the limit the reader learns it; bytes go both ways.
    let large = "try { await (await fetch('https://a.example.com/', { method: 'POST', body: new Uint8Array(100) })).arrayBuffer(); \
        return 'all'; } catch (e) { return e.name; }";
    assert_eq!(
        run(large).await.as_deref(),
        Ok("all"),
        "6.5 MB are below the limit"
    );
    let last = engine.ledger(&LedgerQuery::new().limit(1)).pop().unwrap();
    assert_eq!((last.bytes_out, last.bytes_in), (100, 100 * 64 * 1024));
    engine.stop(&id).await.unwrap();
    engine.shutdown().await;
}
