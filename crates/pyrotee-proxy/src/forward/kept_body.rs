//! The data of a body that is kept for a replay.

use bytes::Bytes;

/// Largest body that is kept, in bytes: larger than most profiles, and little to keep per request.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// Size in bytes from which a first frame is shared instead of copied, even if more frames follow.
const SHARE_FROM: usize = 8 * 1024;

/// The data of a body so far, at most [`MAX_BYTES`].
///
/// A client chooses the sizes of its frames, and a frame is a slice of a read buffer, all of which it keeps in memory:
/// 64 KiB in frames of one byte, each kept as a frame, would keep 16 KiB of buffer per byte. So at most one frame is
/// shared, and all others are copied together. A body in one frame, as most are, is not copied.
#[derive(Debug, Default)]
pub(super) struct KeptBody {
    /// The first frame if it is shared, else empty.
    first: Bytes,
    /// Copies of all frames that are not shared.
    rest: Vec<u8>,
}

impl KeptBody {
    /// Number of bytes.
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    /// Appends a frame. `is_last`: no frame follows. Returns `false` if the body is too large.
    pub(super) fn push(&mut self, frame: &Bytes, is_last: bool) -> bool {
        if self.len() + frame.len() > MAX_BYTES {
            return false;
        }
        if self.len() == 0 && (is_last || frame.len() >= SHARE_FROM) {
            self.first = frame.clone();
        } else {
            self.rest.extend_from_slice(frame);
        }
        true
    }

    /// Returns data from byte `start` on: the rest of the shared frame, else all of the copied data; `None` at the end.
    pub(super) fn piece_from(&self, start: usize) -> Option<Bytes> {
        if start < self.first.len() {
            return Some(self.first.slice(start..));
        }
        let rest = self.rest.get(start - self.first.len()..)?;
        (!rest.is_empty()).then(|| Bytes::copy_from_slice(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(kept: &KeptBody) -> Vec<u8> {
        let mut data = Vec::new();
        while let Some(piece) = kept.piece_from(data.len()) {
            data.extend_from_slice(&piece);
        }
        data
    }

    #[test]
    fn a_body_in_one_frame_is_shared() {
        let frame = Bytes::from(vec![7; 100]);
        let mut kept = KeptBody::default();
        assert!(kept.push(&frame, true));
        assert_eq!(kept.piece_from(0).unwrap().as_ptr(), frame.as_ptr());
        assert_eq!(kept.piece_from(100), None);
    }

    #[test]
    fn single_bytes_are_held_as_bytes_and_keep_no_buffer() {
        let buffer = Bytes::from(vec![7; MAX_BYTES + 1]);
        let mut kept = KeptBody::default();
        for byte in 0..MAX_BYTES {
            assert!(kept.push(&buffer.slice(byte..=byte), false));
        }
        assert!(!kept.push(&buffer.slice(..1), true), "too large");
        assert!(kept.rest.capacity() <= 2 * MAX_BYTES);
        assert!(buffer.is_unique(), "nothing else refers to it");
        assert_eq!(replayed(&kept), buffer[..MAX_BYTES]);
    }

    #[test]
    fn frames_of_any_size_are_replayed_in_order() {
        for sizes in [
            &[SHARE_FROM, 1, 9_000][..],
            &[1, SHARE_FROM],
            &[0, 5, 0],
            &[],
        ] {
            let mut kept = KeptBody::default();
            let mut body = Vec::new();
            for (number, size) in (0..).zip(sizes) {
                let frame = vec![number; *size];
                body.extend_from_slice(&frame);
                assert!(kept.push(&Bytes::from(frame), false));
            }
            assert_eq!(kept.len(), body.len());
            assert_eq!(replayed(&kept), body);
        }
    }
}
