//! One port of a sink: its listener, its connections, its mode.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use anyhow::bail;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time::sleep,
};
use tokio_rustls::rustls::ServerConfig;

use super::{Counts, Mode};
use crate::wire::{Look, Wire};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    /// `None` for a port without TLS.
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    /// A socket that is bound but does not listen: connections are refused, and no other process can take the port.
    closed: Mutex<Option<TcpSocket>>,
}

#[derive(Debug, Default)]
struct Shared(Mutex<Counts>);

impl Port {
    pub(super) fn open(mode: Mode, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let port = Self {
            address: socket.local_addr()?,
            mode: watch::Sender::new(mode),
            tls,
            shared: Arc::default(),
            closed: Mutex::new(Some(socket)),
        };
        if mode != Mode::Dead {
            port.listen()?;
        }
        Ok(port)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn counts(&self) -> Counts {
        self.shared.lock().clone()
    }

    pub(super) fn reset(&self) {
        *self.shared.lock() = Counts::default();
    }

    /// Changes the mode, also for requests without a response yet.
    pub(super) fn turn(&self, mode: Mode) -> anyhow::Result<()> {
        if mode == Mode::Dead {
            bail!("a port can only begin as dead");
        }
        self.mode.send_replace(mode);
        Ok(self.listen()?)
    }

    fn listen(&self) -> io::Result<()> {
        let socket = self
            .closed
            .lock()
            .expect("nobody panics with the lock")
            .take();
        let Some(socket) = socket else {
            return Ok(());
        };
        let listener = socket.listen(BACKLOG)?;
        tokio::spawn(accept(
            listener,
            self.mode.subscribe(),
            self.tls.clone(),
            Arc::clone(&self.shared),
        ));
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("nobody panics with the lock")
    }
}

async fn accept(
    listener: TcpListener,
    mode: watch::Receiver<Mode>,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
) {
    loop {
        // Out of file descriptors; open connections will end and free some.
        let Ok((stream, _)) = listener.accept().await else {
            sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        shared.lock().connections += 1;
        let (mode, tls, shared) = (mode.clone(), tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            if serve(stream, mode, tls, &shared).await.is_err() {
                shared.lock().broken += 1;
            }
        });
    }
}

async fn serve(
    stream: TcpStream,
    mut mode: watch::Receiver<Mode>,
    tls: Option<Arc<ServerConfig>>,
    shared: &Shared,
) -> io::Result<()> {
    while_not(&mut mode, Mode::Stall).await;
    let mut wire = Wire::accept(stream, tls.as_ref()).await?;
    while let Some(head) = wire.request_head().await? {
        while_not(&mut mode, Mode::Stall).await;
        let now = *mode.borrow();
        if now == Mode::Reset && !head.probe {
            // A reset, not an orderly end.
            return wire.socket().set_zero_linger();
        }
        if head.expects {
            wire.send(CONTINUE).await?;
        }
        let look = match now {
            Mode::Verify => Look::Whole,
            Mode::Drip(rate) => Look::Slowly(rate),
            _ => Look::Stamp,
        };
        let arrived = wire.body(head.framing, look).await?;
        if !head.probe {
            shared.lock().add(arrived);
        }
        if let Mode::Slow(late) = now {
            sleep(late).await;
        }
        while_not(&mut mode, Mode::Hang).await;
        let failed = *mode.borrow() == Mode::Fail && !head.probe;
        wire.send(if failed { FAILED } else { OK }).await?;
    }
    Ok(())
}

/// Waits as long as the port is in the mode `stuck`.
async fn while_not(mode: &mut watch::Receiver<Mode>, stuck: Mode) {
    // The sender lives as long as the port, which lives as long as the process.
    drop(mode.wait_for(|mode| *mode != stuck).await);
}
