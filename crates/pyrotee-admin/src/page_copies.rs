//! Bounds the copies of a page in memory, however many clients read the page and however slowly.
//!
//! A page is rendered for each request, so that the page is fresh. If another client still reads a copy that was
//! rendered less than [`SHARED_FOR`] ago, the request shares that copy. At [`MOST_COPIES`] the oldest copy is freed and
//! the connections of its readers end. Readers get copies of small pieces, so that a connection that does not read
//! pins one piece instead of the whole page.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use pyrotee_queue::lock;
use tokio::time::Instant;

/// Copies of one page at once: a reader has at least three times [`SHARED_FOR`] to read its copy.
const MOST_COPIES: usize = 4;

/// Greatest age of a copy that a new request shares with a reader.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// Length of a piece of a page, in bytes.
const PIECE: usize = 16 * 1024;

/// The copies of one page that clients still read.
#[derive(Debug, Default)]
pub(crate) struct PageCopies(Mutex<VecDeque<(Instant, Weak<Copy>)>>);

/// One rendered page; `None` once it was freed to make room for a newer copy.
#[derive(Debug)]
struct Copy(Mutex<Option<Bytes>>);

/// A response body that reads a copy of a page in pieces.
#[derive(Debug)]
struct PageBody {
    copy: Arc<Copy>,
    len: usize,
    read: usize,
}

/// The copy that a client read was freed to make room for a newer copy.
#[derive(Debug, thiserror::Error)]
#[error("the page made room for a newer one")]
struct Evicted;

impl PageCopies {
    /// A body with the page of this instant, or with a copy younger than [`SHARED_FOR`].
    pub(crate) fn body(&self, render: impl FnOnce() -> String) -> Body {
        let mut copies = lock(&self.0);
        copies.retain(|(_, copy)| copy.strong_count() > 0);
        let newest = copies.back();
        let newest = newest.filter(|(rendered, _)| rendered.elapsed() < SHARED_FOR);
        if let Some(shared) = newest.and_then(|(_, copy)| copy.upgrade()) {
            return Body::new(PageBody::new(shared));
        }
        while copies.len() >= MOST_COPIES {
            let oldest = copies.pop_front();
            if let Some(oldest) = oldest.and_then(|(_, copy)| copy.upgrade()) {
                lock(&oldest.0).take();
            }
        }
        let copy = Arc::new(Copy(Mutex::new(Some(Bytes::from(render())))));
        copies.push_back((Instant::now(), Arc::downgrade(&copy)));
        Body::new(PageBody::new(copy))
    }
}

impl PageBody {
    fn new(copy: Arc<Copy>) -> Self {
        let len = lock(&copy.0).as_ref().map_or(0, Bytes::len);
        Self { copy, len, read: 0 }
    }
}

impl HttpBody for PageBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let piece = {
            let page = lock(&self.copy.0);
            let rest = page.as_ref().and_then(|page| page.get(self.read..));
            rest.map(|rest| Bytes::copy_from_slice(rest.get(..PIECE).unwrap_or(rest)))
        };
        Poll::Ready(Some(match piece {
            Some(piece) => {
                self.read += piece.len();
                Ok(Frame::data(piece))
            }
            None => Err(Evicted.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.read == self.len
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.len - self.read) as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    /// The rest of a body.
    async fn rest(body: &mut Body) -> Result<Vec<u8>, BoxError> {
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            read.extend_from_slice(&frame?.into_data().unwrap());
        }
        Ok(read)
    }

    async fn piece(body: &mut Body) -> Vec<u8> {
        let frame = body.frame().await.unwrap().unwrap();
        frame.into_data().unwrap().to_vec()
    }

    fn page(letter: char) -> String {
        letter.to_string().repeat(PIECE + 1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_comes_in_pieces_and_its_length_is_known() {
        let copies = PageCopies::default();
        let mut body = copies.body(|| page('a'));
        assert_eq!(body.size_hint().exact(), Some(PIECE as u64 + 1));
        assert_eq!(piece(&mut body).await.len(), PIECE);
        assert_eq!(piece(&mut body).await, b"a");
        assert!(body.is_end_stream() && body.frame().await.is_none());
        drop(body);
        assert!(copies.body(String::new).is_end_stream(), "an empty one");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_after_another_has_read_gets_a_fresh_page() {
        let copies = PageCopies::default();
        for letter in ['a', 'b'] {
            let mut body = copies.body(|| page(letter));
            assert_eq!(rest(&mut body).await.unwrap(), page(letter).as_bytes());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_slow_readers_share_few_copies_and_the_oldest_make_room() {
        let copies = PageCopies::default();
        let mut rendered = 0;
        let mut readers = Vec::new();
        for _second in 0..6 {
            for _ in 0..100 {
                readers.push(copies.body(|| {
                    rendered += 1;
                    page('a')
                }));
            }
            tokio::time::advance(SHARED_FOR).await;
        }
        assert_eq!(rendered, 6, "one a second");
        assert_eq!(lock(&copies.0).len(), MOST_COPIES);
        for (index, reader) in readers.iter_mut().enumerate() {
            let evicted = index < 200;
            assert_eq!(rest(reader).await.is_err(), evicted, "{index}");
        }
        drop(readers);
        drop(copies.body(String::new));
        assert_eq!(
            lock(&copies.0).len(),
            1,
            "those that nobody reads are forgotten"
        );
    }
}
