//! Stand-ins for applications with `net/http/pprof`: one process, an address for each.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    time::sleep,
};

use super::{kind::Kind, profiles::Profiles};

/// Time that an application collects CPU samples; the default of the job.
const SECONDS: Duration = Duration::from_secs(10);

/// A request that an application received.
#[derive(Clone, Debug)]
pub(crate) struct Scrape {
    pub(crate) address: SocketAddr,
    pub(crate) kind: Kind,
    /// Seconds since 1970.
    pub(crate) at: f64,
}

/// Running applications.
#[derive(Debug)]
pub(crate) struct Applications {
    /// The addresses of all, and of those that accept connections and never respond.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) hanging: Vec<SocketAddr>,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

#[derive(Debug)]
struct Shared {
    profiles: Arc<Profiles>,
    /// Number of the requests of each loop.
    counts: Mutex<BTreeMap<(usize, Kind), usize>>,
    scrapes: Mutex<Vec<Scrape>>,
    open: AtomicUsize,
    is_finished: AtomicBool,
}

/// A request that was read and is not answered. Dropping it ends it.
struct Open<'a>(&'a AtomicUsize);

impl Applications {
    /// Starts `number` applications, of which each `nth_hangs`th hangs.
    pub(crate) fn start(profiles: &Arc<Profiles>, number: usize, nth_hangs: Option<usize>) -> Self {
        let runtime = Runtime::new().unwrap();
        let shared = Arc::new(Shared {
            profiles: Arc::clone(profiles),
            counts: Mutex::default(),
            scrapes: Mutex::default(),
            open: AtomicUsize::new(0),
            is_finished: AtomicBool::new(false),
        });
        let (mut addresses, mut hanging) = (Vec::new(), Vec::new());
        for application in 0..number {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let address = listener.local_addr().unwrap();
            let hangs = nth_hangs.is_some_and(|nth| application % nth == 0);
            addresses.push(address);
            hanging.extend(hangs.then_some(address));
            let shared = Arc::clone(&shared);
            runtime.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move {
                        // The relay may close a connection at any time.
                        drop(shared.serve(stream, application, hangs).await);
                    });
                }
            });
        }
        Self {
            addresses,
            hanging,
            shared,
            _runtime: runtime,
        }
    }

    /// All requests so far, in order.
    pub(crate) fn scrapes(&self) -> Vec<Scrape> {
        self.shared.scrapes.lock().unwrap().clone()
    }

    /// Requests that are not answered yet.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// From now on no new request gets a response, so that the relay comes to rest.
    pub(crate) fn finish(&self) {
        self.shared.is_finished.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    async fn serve(
        &self,
        mut stream: TcpStream,
        application: usize,
        hangs: bool,
    ) -> io::Result<()> {
        let address = stream.local_addr()?;
        stream.set_nodelay(true)?;
        let mut read = Vec::new();
        loop {
            while !read.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut read).await? == 0 {
                    return Ok(());
                }
            }
            let kind = kind_of(&read);
            read.clear();
            self.open.fetch_add(1, Ordering::SeqCst);
            let open = Open(&self.open);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            self.scrapes.lock().unwrap().push(Scrape {
                address,
                kind,
                at: now.as_secs_f64(),
            });
            let takes = match kind {
                _ if hangs || self.is_finished.load(Ordering::SeqCst) => Duration::MAX,
                Kind::Cpu => SECONDS,
                _ => Duration::ZERO,
            };
            tokio::select! {
                () = sleep(takes) => {}
                // Nothing but the end of the connection comes before the response.
                _ = stream.read_u8() => return Ok(()),
            }
            let body = self.next_body(application, kind);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            // One write, so that small responses do not need two system calls.
            let response = [head.as_bytes(), &body].concat();
            drop(open);
            stream.write_all(&response).await?;
        }
    }

    fn next_body(&self, application: usize, kind: Kind) -> bytes::Bytes {
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry((application, kind)).or_default();
        *count += 1;
        self.profiles.body(application, kind, *count - 1)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn kind_of(head: &[u8]) -> Kind {
    let head = String::from_utf8_lossy(head);
    let url = head.split(' ').nth(1).unwrap_or_default();
    let path = url.split('?').next().unwrap_or_default();
    Kind::at(path).unwrap_or_else(|| panic!("who asked for {url:?}?"))
}
