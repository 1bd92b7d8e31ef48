//! Captured bodies, and the buffer that captures them.

use bytes::Bytes;

/// Bodies up to this size, in bytes, are kept in one allocation of exactly their size.
const EXACT_UP_TO: usize = 64 * 1024;

/// Frames from this size on, in bytes, are shared instead of copied. A frame is a slice of one of hyper's read buffers,
/// of 128 KiB at most, and keeps the whole buffer in memory: at most one eighth of the buffer is waste.
const SHARE_FROM: usize = 112 * 1024;

/// Frames from this size on, in bytes, are copied one by one; smaller ones are copied together.
const SEPARATE_FROM: usize = 16 * 1024;

/// A captured body, as frames that own their memory or waste little of the buffer that they share.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    frames: Vec<Bytes>,
    len: u64,
}

impl Payload {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The frames of the body, in order. No frame is empty.
    pub fn frames(&self) -> &[Bytes] {
        &self.frames
    }
}

impl From<Vec<u8>> for Payload {
    fn from(body: Vec<u8>) -> Self {
        let len = body.len() as u64;
        let whole = (len > 0).then(|| Bytes::from(body.into_boxed_slice()));
        Self {
            frames: whole.into_iter().collect(),
            len,
        }
    }
}

/// Collects the frames of a body while the body streams.
#[derive(Debug)]
pub struct PayloadBuffer {
    frames: Vec<Bytes>,
    /// The end of the body so far: small frames, copied together.
    tail: Vec<u8>,
    len: u64,
    /// The length that the client announced, in bytes.
    expected: Option<u64>,
}

impl PayloadBuffer {
    /// An empty buffer. `expected`: the length that the client announced, in bytes. Allocates nothing yet,
    /// because a client may announce more than it sends.
    pub fn new(expected: Option<u64>) -> Self {
        Self {
            frames: Vec::new(),
            tail: Vec::new(),
            len: 0,
            expected,
        }
    }

    /// Bytes collected so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no byte was collected.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a frame: shares a large one, copies a smaller one.
    pub fn push(&mut self, frame: &Bytes) {
        if frame.len() < SEPARATE_FROM || self.exactly().is_some() {
            self.copy(frame);
        } else {
            self.flush();
            self.frames.push(if frame.len() < SHARE_FROM {
                Bytes::copy_from_slice(frame)
            } else {
                frame.clone()
            });
        }
        self.len += frame.len() as u64;
    }

    /// Ends the body and returns it.
    pub fn finish(mut self) -> Payload {
        self.flush();
        if self.frames.len() > 1 && self.len <= EXACT_UP_TO as u64 {
            let exact = self.frames.concat();
            self.frames = vec![Bytes::from(exact.into_boxed_slice())];
        }
        self.frames.shrink_to_fit();
        Payload {
            frames: self.frames,
            len: self.len,
        }
    }

    /// The announced length, if the body will be one allocation: copying the frames right away saves copying
    /// them again in [`finish`](Self::finish).
    fn exactly(&self) -> Option<usize> {
        let expected = usize::try_from(self.expected?).ok()?;
        (expected <= EXACT_UP_TO).then_some(expected)
    }

    fn copy(&mut self, frame: &Bytes) {
        if self.tail.len() + frame.len() > EXACT_UP_TO {
            self.flush();
        }
        let missing = (self.tail.len() + frame.len()).saturating_sub(self.tail.capacity());
        if missing > 0 {
            let announced = self
                .exactly()
                .map_or(0, |expected| expected.saturating_sub(self.tail.len()));
            let wanted = announced.max(self.tail.len()).max(frame.len());
            self.tail.reserve_exact(wanted);
        }
        self.tail.extend_from_slice(frame);
    }

    fn flush(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.frames.push(Bytes::from(tail.into_boxed_slice()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(payload: &Payload) -> Vec<u8> {
        payload.frames().concat()
    }

    #[test]
    fn a_small_body_ends_as_one_exact_frame() {
        for expected in [None, Some(50_000)] {
            let body = vec![7; 50_000];
            let mut buffer = PayloadBuffer::new(expected);
            for chunk in body.chunks(8_192) {
                buffer.push(&Bytes::copy_from_slice(chunk));
            }
            let payload = buffer.finish();
            assert_eq!(payload.frames().len(), 1);
            assert_eq!(joined(&payload), body);
        }
    }

    #[test]
    fn large_frames_are_shared_and_small_ones_joined() {
        let large = Bytes::from(vec![1; SHARE_FROM]);
        let mut buffer = PayloadBuffer::new(None);
        for _ in 0..3 {
            buffer.push(&large);
            buffer.push(&Bytes::from_static(b"a"));
            buffer.push(&Bytes::from_static(b"b"));
        }
        let payload = buffer.finish();
        assert_eq!(payload.frames().len(), 6);
        assert_eq!(payload.frames()[0].as_ptr(), large.as_ptr(), "not copied");
        assert_eq!(payload.frames()[1], "ab");
    }

    #[test]
    fn a_frame_that_could_pin_much_more_than_itself_is_copied() {
        let buffer = Bytes::from(vec![1; SHARE_FROM]);
        let mut captured = PayloadBuffer::new(None);
        captured.push(&buffer.slice(..SHARE_FROM - 1));
        captured.push(&buffer.slice(..SEPARATE_FROM));
        let payload = captured.finish();
        assert_eq!(payload.frames().len(), 2);
        assert!(buffer.is_unique(), "nothing else refers to it");
    }

    #[test]
    fn a_body_of_single_bytes_does_not_become_a_list_of_single_bytes() {
        let mut buffer = PayloadBuffer::new(None);
        for _ in 0..200_000 {
            buffer.push(&Bytes::from_static(b"x"));
        }
        assert!(buffer.finish().frames().len() <= 4);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_bytes(
            chunks in prop::collection::vec(0usize..130_000, 0..8),
            lie in prop::option::of(0u64..300_000),
        ) {
            let mut body = Vec::new();
            let mut buffer = PayloadBuffer::new(lie);
            for (number, len) in chunks.into_iter().enumerate() {
                let chunk = vec![u8::try_from(number).unwrap(); len];
                body.extend_from_slice(&chunk);
                buffer.push(&Bytes::from(chunk));
            }
            let payload = buffer.finish();
            prop_assert_eq!(payload.len(), body.len() as u64);
            prop_assert!(payload.frames().iter().all(|frame| !frame.is_empty()));
            prop_assert_eq!(joined(&payload), body);
        }
    }
}
