//! Applications at the far ends of pipes.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_net::Connector;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

/// The head of a request.
#[derive(Debug, Clone)]
pub(in crate::tests) struct Head {
    pub(in crate::tests) at: Instant,
    pub(in crate::tests) host: String,
    pub(in crate::tests) path: String,
    pub(in crate::tests) text: String,
}

/// How an application responds.
pub(in crate::tests) enum Reply {
    /// Bytes of a response.
    Now(Vec<u8>),
    After(Duration, Vec<u8>),
    /// Nothing.
    Hang,
    /// The first bytes, and then these every so often, for ever.
    Drip(Vec<u8>, Duration, Vec<u8>),
}

/// All applications.
#[derive(Clone)]
pub(in crate::tests) struct App {
    respond: Arc<dyn Fn(&Head) -> Reply + Send + Sync>,
    requests: Arc<Mutex<Vec<Head>>>,
}

/// A response with status 200.
pub(in crate::tests) fn response(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

impl App {
    pub(super) fn new(respond: impl Fn(&Head) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            respond: Arc::new(respond),
            requests: Arc::default(),
        }
    }

    pub(in crate::tests) fn connector(&self) -> Connector {
        let app = self.clone();
        Connector::in_process(move || {
            let (near, far) = duplex(64 * 1024);
            let app = app.clone();
            tokio::spawn(async move { app.serve(far).await });
            Ok(near)
        })
    }

    /// The requests so far.
    pub(in crate::tests) fn requests(&self) -> Vec<Head> {
        self.requests.lock().unwrap().clone()
    }

    async fn serve(&self, mut stream: DuplexStream) -> io::Result<()> {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            let head = Head::read(&head);
            self.requests.lock().unwrap().push(head.clone());
            match (self.respond)(&head) {
                Reply::Now(bytes) => stream.write_all(&bytes).await?,
                Reply::After(delay, bytes) => {
                    sleep(delay).await;
                    stream.write_all(&bytes).await?;
                }
                Reply::Hang => std::future::pending().await,
                Reply::Drip(first, every, next) => {
                    stream.write_all(&first).await?;
                    loop {
                        sleep(every).await;
                        stream.write_all(&next).await?;
                    }
                }
            }
        }
    }
}

impl Head {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let path = text.split(' ').nth(1).unwrap().to_owned();
        let mut head = Self {
            at: Instant::now(),
            host: String::new(),
            path,
            text,
        };
        head.host = head.header("host").unwrap();
        head
    }

    /// The value of a header.
    pub(in crate::tests) fn header(&self, name: &str) -> Option<String> {
        let lines = self.text.lines().filter_map(|line| line.split_once(": "));
        let mut lines = lines.filter(|(of, _)| of.eq_ignore_ascii_case(name));
        lines.next().map(|(_, value)| value.to_owned())
    }
}
