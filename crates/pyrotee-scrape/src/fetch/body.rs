//! Reads the body of a response within limits.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use pyrotee_queue::Reservation;

use super::FetchError;
use crate::limits::Place;

/// Least growth of the buffer, in bytes.
const LEAST: usize = 16 * 1024;

/// What a body may take.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    pub(crate) limit_bytes: u64,
    /// What an operator does about a longer body.
    pub(crate) remedy: &'static str,
    /// Given back while the server sends slowly.
    pub(crate) place: Option<&'a mut Place>,
    /// Charged before the buffer grows.
    pub(crate) memory: Option<&'a mut Reservation>,
}

/// Reads a whole body. The caller limits the time.
///
/// # Errors
/// The body is longer than the limit, memory has no room, or the connection breaks.
pub(crate) async fn read_within(
    mut body: Incoming,
    mut room: Room<'_>,
) -> Result<Bytes, FetchError> {
    let (limit_bytes, remedy) = (room.limit_bytes, room.remedy);
    let too_large = || FetchError::TooLarge {
        limit_bytes,
        remedy,
    };
    let hint = body.size_hint();
    if hint.lower() > limit_bytes {
        return Err(too_large());
    }
    let mut read = BytesMut::new();
    if let Some(length) = hint.exact().and_then(|it| usize::try_from(it).ok()) {
        grow(&mut read, length, &mut room)?;
    }
    loop {
        let frame = match &mut room.place {
            Some(place) => place.wait(body.frame()).await,
            None => body.frame().await,
        };
        let Some(frame) = frame else {
            return Ok(read.freeze());
        };
        let frame = frame.map_err(|error| FetchError::broken_body(&error))?;
        let data = frame.into_data().unwrap_or_default();
        let length = read.len().saturating_add(data.len());
        if length as u64 > limit_bytes {
            return Err(too_large());
        }
        if length > read.capacity() {
            let capacity = length.max(read.capacity() * 2).max(LEAST);
            grow(&mut read, capacity, &mut room)?;
        }
        read.extend_from_slice(&data);
    }
}

/// Charges `capacity` and grows the buffer to it.
fn grow(read: &mut BytesMut, capacity: usize, room: &mut Room<'_>) -> Result<(), FetchError> {
    let charged = match &mut room.memory {
        Some(memory) => memory.resize(capacity as u64),
        None => true,
    };
    if !charged {
        return Err(FetchError::NoMemory);
    }
    read.reserve(capacity - read.len());
    Ok(())
}
