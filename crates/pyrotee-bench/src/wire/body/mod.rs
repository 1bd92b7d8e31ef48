//! Reads bodies without keeping them.

use std::io;

use rustix::net::RecvFlags;
use tokio::{io::Interest, net::TcpStream, time};
use tokio_util::either::Either;

use super::{Framing, Stamp, Wire};

/// Most bytes that the kernel discards in one call.
const AT_ONCE: usize = 1024 * 1024;

/// Most bytes of one read in the mode `drip`.
const DRIP: usize = 16 * 1024;

/// How closely a body is checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Look {
    /// Stamp and length are checked; the rest is not copied out of the kernel.
    Stamp,
    /// Every byte is checked.
    Whole,
    /// The stamp is checked, and the body is read at this many bytes per second.
    Slowly(f64),
}

/// A body that arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) bytes: u64,
    pub(crate) stamp: Option<Stamp>,
    /// The checked bytes differ from what was sent under this stamp.
    pub(crate) damaged: bool,
}

/// The state of a body that is being read.
#[derive(Debug, Default)]
struct Reading {
    bytes: u64,
    first: Vec<u8>,
    check: crc32fast::Hasher,
}

impl Wire {
    /// Reads a body to its end.
    ///
    /// # Errors
    ///
    /// If the connection breaks before the body is whole.
    pub(crate) async fn body(&mut self, framing: Framing, look: Look) -> io::Result<Arrived> {
        let mut reading = Reading::default();
        match framing {
            Framing::Exactly(length) => self.exactly(length, look, &mut reading).await?,
            Framing::Chunked => self.chunks(look, &mut reading).await?,
        }
        Ok(reading.end(look))
    }

    async fn chunks(&mut self, look: Look, reading: &mut Reading) -> io::Result<()> {
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                // Skips trailers, up to an empty line.
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            self.exactly(size, look, reading).await?;
            self.line().await?;
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).map_err(io::Error::other);
            }
            self.must_more().await?;
        }
    }

    async fn exactly(&mut self, length: u64, look: Look, reading: &mut Reading) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let skips = self.ahead.is_empty() && look == Look::Stamp && reading.stamped();
            if let (true, Either::Left(socket)) = (skips, &self.stream) {
                let gone = discard(socket, left).await?;
                (left, reading.bytes) = (left - gone, reading.bytes + gone);
                continue;
            }
            if self.ahead.is_empty() {
                self.must_more().await?;
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let now = most.min(self.ahead.len());
            reading.see(&self.ahead[..now], look);
            self.ahead.drain(..now);
            left -= now as u64;
            if let Look::Slowly(rate) = look {
                time::sleep(time::Duration::from_secs_f64(now.min(DRIP) as f64 / rate)).await;
            }
        }
        Ok(())
    }

    async fn must_more(&mut self) -> io::Result<()> {
        match self.more().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Lets the kernel discard up to `most` bytes; returns how many it discarded.
async fn discard(socket: &TcpStream, most: u64) -> io::Result<u64> {
    thread_local! {
        // The kernel requires a buffer, and does not write to it.
        static ROOM: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; AT_ONCE]);
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(AT_ONCE);
    let gone = socket.async_io(Interest::READABLE, || {
        ROOM.with_borrow_mut(|room| {
            let (_, gone) = rustix::net::recv(socket, &mut room[..most], RecvFlags::TRUNC)?;
            Ok(gone)
        })
    });
    match gone.await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        gone => Ok(gone as u64),
    }
}

impl Reading {
    fn stamped(&self) -> bool {
        self.first.len() == Stamp::LENGTH
    }

    fn see(&mut self, bytes: &[u8], look: Look) {
        self.bytes += bytes.len() as u64;
        let missing = (Stamp::LENGTH - self.first.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(missing);
        self.first.extend_from_slice(first);
        if look == Look::Whole {
            self.check.update(rest);
        }
    }

    fn end(self, look: Look) -> Arrived {
        let stamp = Stamp::read(&self.first);
        let check = self.check.finalize();
        let damaged = stamp.map_or(self.bytes > 0, |stamp| {
            u64::from(stamp.length) != self.bytes || look == Look::Whole && stamp.check != check
        });
        Arrived {
            bytes: self.bytes,
            stamp,
            damaged,
        }
    }
}

#[cfg(test)]
mod tests;
