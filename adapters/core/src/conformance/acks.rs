//! Broadcasts with acks.

use bytes::Bytes;
use socketio_parser::{Value, value};

use super::{Client, Harness, items, three};

/// Acks of clients on all servers are returned, also binary ones, each once.
pub async fn acks_are_collected<H: Harness>(harness: &H) {
    let [mut zero, mut one, mut two] = three(harness).await;
    let sender = async {
        zero.call(
            value!({ "op": "emitWithAck", "event": "q", "timeout": 20_000, "except": ["s0"] }),
        )
        .await
    };
    let answered = async {
        for (client, answer) in
            [(&mut one, value!({ "b": Bytes::from_static(&[1]) })), (&mut two, value!("two"))]
        {
            let ack = client.next().await.and_then(|event| event.ack);
            client.acknowledge(ack.unwrap_or_default(), answer).await;
        }
    };
    let (answer, ()) = both(sender, answered).await;
    assert_eq!(answer.get("error"), Some(&Value::Null), "{answer:?}");
    let responses = items(answer.get("responses"));
    assert_eq!(responses.len(), 2, "{responses:?}");
    assert!(responses.contains(&value!("two")));
    assert!(responses.contains(&value!({ "b": Bytes::from_static(&[1]) })));

    let op = value!({ "op": "emitWithAck", "event": "q", "timeout": 20_000, "to": ["nobody"] });
    assert_eq!(two.call(op).await, value!({ "responses": [], "error": null }));
}

/// At the deadline, the acks received so far are returned, and missing ones are reported.
pub async fn partial_acks_are_returned_at_the_deadline<H: Harness>(harness: &H) {
    let [mut zero, mut one, _silent] = three(harness).await;
    let sender = async {
        zero.call(value!({ "op": "emitWithAck", "event": "q", "timeout": 1_500, "except": ["s0"] }))
            .await
    };
    let answered = async {
        let ack = one.next().await.and_then(|event| event.ack);
        one.acknowledge(ack.unwrap_or_default(), value!(1)).await;
    };
    let (answer, ()) = both(sender, answered).await;
    assert_eq!(answer.get("responses"), Some(&value!([1])), "{answer:?}");
    let error = answer.get("error").and_then(Value::as_str);
    assert_eq!(error, Some("1 clients have not acknowledged"));
}

/// Polls two futures concurrently.
async fn both<A, B>(one: impl Future<Output = A>, two: impl Future<Output = B>) -> (A, B) {
    let (mut one, mut two) = (std::pin::pin!(one), std::pin::pin!(two));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(move |cx| {
        if first.is_none()
            && let std::task::Poll::Ready(value) = one.as_mut().poll(cx)
        {
            first = Some(value);
        }
        if second.is_none()
            && let std::task::Poll::Ready(value) = two.as_mut().poll(cx)
        {
            second = Some(value);
        }
        match (first.take(), second.take()) {
            (Some(one), Some(two)) => std::task::Poll::Ready((one, two)),
            (one, two) => {
                (first, second) = (one, two);
                std::task::Poll::Pending
            }
        }
    })
    .await
}
