//! Publishes one message, and tells what became of it.

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use jetstream::ErrorCode;
use tokio::time::timeout;

use crate::link::{Link, Session};

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The stream has the message.
    Stored,
    /// The message was not sent.
    NotSent(String),
    /// Nobody knows: there was no answer in time, and the message may be stored at any time.
    Unknown,
    /// The stream is full.
    Full,
    /// No stream takes the message.
    NoStream,
    /// The broker refused the message.
    Refused(String),
}

/// Publishes `content` as the message `id`, and waits for the answer for at most `patience`.
pub(super) async fn publish(
    link: &Link,
    session: &Session,
    subject: String,
    id: &str,
    content: Bytes,
    patience: Duration,
) -> Answer {
    let message = PublishMessage::build().payload(content).message_id(id);
    let sending = session.jetstream.send_publish(subject, message);
    let acknowledged = match timeout(patience, sending).await {
        Ok(Ok(acknowledged)) => acknowledged,
        Ok(Err(error)) => return Answer::NotSent(error.to_string()),
        Err(_) => return Answer::NotSent("the client of NATS does not take it".to_owned()),
    };
    link.note_sent();
    let answer = match timeout(patience, acknowledged.into_future()).await {
        // `duplicate` in the answer means that an earlier attempt was stored.
        Ok(Ok(_)) => Answer::Stored,
        Ok(Err(error)) => of(&error),
        Err(_) => Answer::Unknown,
    };
    if answer != Answer::Unknown {
        link.note_acked();
    }
    answer
}

fn of(error: &PublishError) -> Answer {
    let broker = error.source();
    let broker = broker.and_then(|it| it.downcast_ref::<jetstream::Error>());
    match (error.kind(), broker) {
        (PublishErrorKind::StreamNotFound, _) => Answer::NoStream,
        (_, Some(error)) if error.error_code() == ErrorCode::STREAM_STORE_FAILED => Answer::Full,
        (_, Some(error)) => Answer::Refused(error.to_string()),
        (_, None) => Answer::Unknown,
    }
}
