//! A file as the body of a response, read in pieces as the client reads.

use std::fs;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use pyrotee_queue::Reservation;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, Take};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::io::poll_read_buf;

/// Length of a piece, in bytes.
const PIECE: usize = 64 * 1024;

/// Reads a file up to the length that it had when it was opened.
#[derive(Debug)]
pub(super) struct FileBody {
    file: Take<File>,
    buffer: BytesMut,
    _held: (OwnedSemaphorePermit, Reservation),
}

impl FileBody {
    /// Memory of one body, in bytes: a piece in the file's buffer, a piece in [`Self::buffer`], and a piece being sent.
    pub(super) const MEMORY: u64 = 3 * PIECE as u64;

    /// Sends `len` bytes of `file`, and holds `held` until the body is dropped.
    pub(super) fn new(file: fs::File, len: u64, held: (OwnedSemaphorePermit, Reservation)) -> Self {
        let mut file = File::from_std(file);
        file.set_max_buf_size(PIECE);
        Self {
            file: file.take(len),
            buffer: BytesMut::new(),
            _held: held,
        }
    }

    fn left(&self) -> u64 {
        self.file.limit()
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let Self { file, buffer, .. } = &mut *self;
        buffer.reserve(PIECE);
        let read = ready!(poll_read_buf(Pin::new(file), cx, buffer));
        Poll::Ready(Some(match read {
            Ok(0) => Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(_) => Ok(Frame::data(buffer.split().freeze())),
            Err(error) => Err(error.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use http_body_util::BodyExt as _;
    use pyrotee_queue::Budget;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_file_comes_in_pieces_that_are_charged_until_the_end() {
        let budget = Budget::new(2 * FileBody::MEMORY);
        let places = Arc::new(Semaphore::new(1));
        let held = || {
            let place = Arc::clone(&places).try_acquire_owned().unwrap();
            (place, budget.reserve(FileBody::MEMORY).unwrap())
        };
        let content: Vec<u8> = (0..3 * PIECE + 5).map(|at| at.to_le_bytes()[0]).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        let len = content.len() as u64;

        let mut body = FileBody::new(file.reopen().unwrap(), len, held());
        assert_eq!(body.size_hint().exact(), Some(len));
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE, "{}", piece.len());
            read.extend_from_slice(&piece);
            assert_eq!(budget.recorded(), FileBody::MEMORY);
        }
        assert!(read == content && body.is_end_stream());
        drop(body);
        assert_eq!(budget.recorded(), 0);

        let mut short = FileBody::new(file.reopen().unwrap(), len + 1, held());
        let end = loop {
            match short.frame().await {
                Some(Ok(_)) => {}
                other => break other,
            }
        };
        assert!(end.is_some_and(|end| end.is_err()), "the file is shorter");
    }
}
