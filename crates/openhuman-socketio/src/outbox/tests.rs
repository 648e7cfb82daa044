use std::task::Waker;

use futures_util::FutureExt;

use super::*;

fn outbox(policy: SendPolicy, packets: usize, bytes: usize) -> Outbox {
    let limits = Limits {
        max_buffered_packets: packets,
        max_buffered_bytes: bytes,
        ..Limits::default()
    };
    Outbox::new("/".into(), limits, policy, Arc::default())
}

fn packet(text: &str) -> Encoded {
    Encoded {
        text: text.into(),
        attachments: Vec::new(),
    }
}

fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    let mut cx = std::task::Context::from_waker(Waker::noop());
    std::pin::Pin::new(future).poll(&mut cx).is_pending()
}

fn pop_text(outbox: &Outbox) -> Option<String> {
    outbox.pop().map(|group| group.unwrap().encoded.text.to_string())
}

#[tokio::test]
async fn a_full_buffer_fails_or_waits_as_the_policy_says() {
    let failing = outbox(SendPolicy::FailWhenFull, 2, 1000);
    failing.send(packet("a"), None).await.unwrap();
    failing.send(packet("b"), None).await.unwrap();
    assert!(matches!(
        failing.send(packet("c"), None).await,
        Err(EmitError::BufferFull)
    ));

    let waiting = outbox(SendPolicy::Wait, 1, 1000);
    waiting.send(packet("a"), None).await.unwrap();
    let mut second = Box::pin(waiting.send(packet("b"), None));
    assert!(is_pending(&mut second));
    assert_eq!(pop_text(&waiting).as_deref(), Some("a"));
    second.await.unwrap();
    assert_eq!(pop_text(&waiting).as_deref(), Some("b"));
}

#[tokio::test]
async fn bytes_are_bounded_as_well_as_packets() {
    let outbox = outbox(SendPolicy::FailWhenFull, 100, 10);
    outbox.send(packet("123456"), None).await.unwrap();
    assert!(matches!(
        outbox.send(packet("123456"), None).await,
        Err(EmitError::BufferFull)
    ));
    outbox.send(packet("1234"), None).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_wait_leaves_no_trace() {
    let outbox = outbox(SendPolicy::Wait, 1, 1000);
    outbox.send(packet("a"), None).await.unwrap();
    {
        let mut dropped = Box::pin(outbox.send(packet("b"), None));
        assert!(is_pending(&mut dropped));
    }
    assert_eq!(pop_text(&outbox).as_deref(), Some("a"));
    assert_eq!(pop_text(&outbox), None);
    outbox.send(packet("c"), None).await.unwrap();
    assert_eq!(pop_text(&outbox).as_deref(), Some("c"));
}

#[tokio::test]
async fn cancelling_an_ack_gives_its_space_back() {
    let outbox = outbox(SendPolicy::FailWhenFull, 1, 1000);
    outbox.send(packet("a"), Some(7)).await.unwrap();
    outbox.cancel(7);
    outbox.cancel(7);
    assert!(outbox.is_empty());
    outbox.send(packet("b"), None).await.unwrap();
}

#[tokio::test]
async fn replies_belong_to_one_link() {
    let outbox = outbox(SendPolicy::Wait, 10, 1000);
    assert!(matches!(
        outbox.send_reply(packet("r"), 1),
        Err(EmitError::ConnectionReplaced)
    ));
    let first = outbox.link_up();
    outbox.send_reply(packet("r"), first).unwrap();
    outbox.send(packet("e"), None).await.unwrap();
    outbox.link_down();
    let second = outbox.link_up();
    assert_ne!(first, second);
    assert!(matches!(
        outbox.send_reply(packet("r"), first),
        Err(EmitError::ConnectionReplaced)
    ));
    assert_eq!(pop_text(&outbox).as_deref(), Some("e"));
    assert_eq!(pop_text(&outbox), None);
}

#[tokio::test]
async fn flush_waits_for_what_was_accepted_before_it() {
    let outbox = outbox(SendPolicy::Wait, 10, 1000);
    outbox.flush().await.unwrap();
    outbox.link_up();
    outbox.send(packet("a"), None).await.unwrap();
    let mut first = Box::pin(outbox.flush());
    assert!(is_pending(&mut first));
    outbox.send(packet("b"), None).await.unwrap();
    let mut second = Box::pin(outbox.flush());
    assert!(is_pending(&mut second));
    assert_eq!(pop_text(&outbox).as_deref(), Some("a"));
    outbox.mark_flushed();
    first.await.unwrap();
    assert!(is_pending(&mut second));
    // Taken, but the link breaks before it is written.
    assert_eq!(pop_text(&outbox).as_deref(), Some("b"));
    outbox.link_down();
    assert!(matches!(second.await, Err(EmitError::Lost)));
}

#[tokio::test]
async fn flush_does_not_wait_for_packets_that_are_never_written() {
    let outbox = outbox(SendPolicy::Wait, 10, 1000);
    // An acknowledgement that nobody waits for any more.
    outbox.send(packet("a"), Some(1)).await.unwrap();
    let mut waiting = Box::pin(outbox.flush());
    assert!(is_pending(&mut waiting));
    outbox.cancel(1);
    assert!(matches!(waiting.now_or_never(), Some(Ok(()))));
    assert!(matches!(outbox.flush().now_or_never(), Some(Ok(()))));

    // A reply to a connection that is gone.
    let link = outbox.link_up();
    outbox.send_reply(packet("r"), link).unwrap();
    let mut waiting = Box::pin(outbox.flush());
    assert!(is_pending(&mut waiting));
    outbox.link_down();
    assert!(matches!(waiting.now_or_never(), Some(Err(EmitError::Lost))));
    assert!(matches!(outbox.flush().now_or_never(), Some(Ok(()))));

    // A packet that the server would not accept.
    outbox.link_up();
    outbox.send(packet("too long"), None).await.unwrap();
    outbox.set_max_payload(Some(5));
    assert!(outbox.pop().unwrap().is_err());
    assert!(matches!(outbox.flush().now_or_never(), Some(Ok(()))));

    // What was taken before is still waited for.
    outbox.send(packet("b"), None).await.unwrap();
    outbox.send(packet("c"), Some(2)).await.unwrap();
    assert_eq!(pop_text(&outbox).as_deref(), Some("b"));
    outbox.cancel(2);
    let mut waiting = Box::pin(outbox.flush());
    assert!(is_pending(&mut waiting));
    outbox.mark_flushed();
    assert!(matches!(waiting.now_or_never(), Some(Ok(()))));
}

#[tokio::test]
async fn the_servers_longest_frame_is_checked_before_sending() {
    let outbox = outbox(SendPolicy::Wait, 10, 1000);
    outbox.send(packet("1234567890"), Some(3)).await.unwrap();
    outbox.set_max_payload(Some(5));
    let refused = outbox.send(packet("123456"), None).await;
    assert!(matches!(refused, Err(EmitError::TooLarge { size: 6, max: 5 })));
    outbox.send(packet("12345"), None).await.unwrap();
    // Accepted before the bound was known.
    let (group, error) = outbox.pop().unwrap().unwrap_err();
    assert_eq!(group.ack, Some(3));
    assert!(matches!(error, EmitError::TooLarge { size: 10, max: 5 }));
    assert_eq!(pop_text(&outbox).as_deref(), Some("12345"));
}

#[tokio::test]
async fn nothing_is_accepted_after_the_request_to_close_but_what_was_goes_out() {
    let outbox = outbox(SendPolicy::Wait, 1, 1000);
    let link = outbox.link_up();
    outbox.send(packet("a"), None).await.unwrap();
    let mut flushing = Box::pin(outbox.flush());
    let mut waiting = Box::pin(outbox.send(packet("b"), None));
    assert!(is_pending(&mut flushing) && is_pending(&mut waiting));
    outbox.request_close();
    assert!(matches!(waiting.await, Err(EmitError::Closed)));
    assert!(matches!(
        outbox.send(packet("c"), None).await,
        Err(EmitError::Closed)
    ));
    assert!(matches!(
        outbox.send_reply(packet("r"), link),
        Err(EmitError::Closed)
    ));
    assert_eq!(pop_text(&outbox).as_deref(), Some("a"));
    assert_eq!(pop_text(&outbox), None);
    outbox.mark_flushed();
    flushing.await.unwrap();
}

#[tokio::test]
async fn closing_answers_everyone() {
    let outbox = outbox(SendPolicy::Wait, 1, 1000);
    outbox.send(packet("a"), None).await.unwrap();
    let mut waiting = Box::pin(outbox.send(packet("b"), None));
    let mut flushing = Box::pin(outbox.flush());
    assert!(is_pending(&mut waiting));
    assert!(is_pending(&mut flushing));
    outbox.close();
    assert!(matches!(waiting.await, Err(EmitError::Closed)));
    assert!(matches!(flushing.await, Err(EmitError::Closed)));
    assert!(matches!(
        outbox.send(packet("c"), None).await,
        Err(EmitError::Closed)
    ));
}
