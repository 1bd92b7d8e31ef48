//! A scripted target at the other end of pipes.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Request, Response};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pyrotee_queue::lock;
use pyrotee_tls::ServerTls;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

/// What the server does with an upload.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Keeps the profile after this time, and responds with 200.
    Take(Duration),
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        text: String,
    },
    /// Responds with a body of which only this start is sent.
    Stall {
        status: u16,
        headers: Vec<(&'static str, String)>,
        start: &'static str,
    },
    /// Reads the whole body and never responds.
    Hang,
    /// Reads the whole body, keeps the profile if `keep`, and closes the connection without a response.
    CloseAfterBody { keep: bool },
    /// Closes the connection in the middle of the body.
    CloseWithinBody,
}

impl Act {
    pub(super) fn answer(status: u16, text: &str) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            text: text.to_owned(),
        }
    }

    /// Keeps the profile, and responds with 200 and a body of this type.
    pub(super) fn ok(content_type: &str, body: &str) -> Self {
        Self::Answer {
            status: 200,
            headers: vec![("Content-Type", content_type.to_owned())],
            text: body.to_owned(),
        }
    }

    pub(super) const OK: Self = Self::Take(Duration::ZERO);
}

/// A body that sends its start and never ends.
pub(super) struct Stalled(Option<Bytes>);

impl Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.take().filter(|start| !start.is_empty()) {
            Some(start) => Poll::Ready(Some(Ok(Frame::data(start)))),
            None => Poll::Pending,
        }
    }
}

type ResponseBody = Either<Full<Bytes>, Stalled>;

/// An upload as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) at: Instant,
    pub(super) path: String,
    pub(super) name: String,
    /// Value of `Host`.
    pub(super) host: String,
    /// Value of `Authorization`; empty if there is none.
    pub(super) authorization: String,
    pub(super) body: Vec<u8>,
    /// How many uploads began before.
    pub(super) index: usize,
}

type Script = Box<dyn FnMut(&Upload) -> Act + Send>;
type Door = Box<dyn FnMut() -> bool + Send>;

/// What a server has seen.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) connects: Vec<Instant>,
    /// Uploads that arrived whole.
    pub(super) uploads: Vec<Upload>,
    /// The name of each profile that the server kept, once for each time, with the time.
    pub(super) kept: Vec<(Instant, String)>,
    /// The certificate that the client showed in each TLS handshake that succeeded.
    pub(super) certificates: Vec<Option<Vec<u8>>>,
}

pub(super) struct Server {
    script: Mutex<Script>,
    door: Mutex<Door>,
    /// TLS of the connections that are opened from now on.
    tls: Mutex<Option<ServerTls>>,
    seen: Mutex<Seen>,
    heads: AtomicUsize,
}

impl Server {
    pub(super) fn new(script: impl FnMut(&Upload) -> Act + Send + 'static) -> Self {
        Self::with_door(|| true, script)
    }

    /// A server that accepts a connection when `door` says so. `door` may panic.
    pub(super) fn with_door(
        door: impl FnMut() -> bool + Send + 'static,
        script: impl FnMut(&Upload) -> Act + Send + 'static,
    ) -> Self {
        Self {
            script: Mutex::new(Box::new(script)),
            door: Mutex::new(Box::new(door)),
            tls: Mutex::default(),
            seen: Mutex::default(),
            heads: AtomicUsize::new(0),
        }
    }

    /// Puts TLS in force for the connections that are opened from now on.
    pub(super) fn set_tls(&self, tls: ServerTls) {
        *lock(&self.tls) = Some(tls);
    }

    pub(super) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }

    /// Names of the uploads that arrived whole, in order of arrival.
    pub(super) fn names(&self) -> Vec<String> {
        self.seen(|seen| {
            seen.uploads
                .iter()
                .map(|upload| upload.name.clone())
                .collect()
        })
    }

    /// Opens a pipe to the server and returns its near end.
    pub(super) fn connect(self: &Arc<Self>) -> io::Result<DuplexStream> {
        self.seen.lock().unwrap().connects.push(Instant::now());
        if !(lock(&self.door))() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = duplex(16 * 1024);
        let (server, tls) = (Arc::clone(self), lock(&self.tls).clone());
        tokio::spawn(async move {
            let Some(tls) = tls else {
                return server.serve_connection(far).await;
            };
            if let Ok(far) = TlsAcceptor::from(tls.config()).accept(far).await {
                let shown = far.get_ref().1.peer_certificates();
                let leaf = shown.and_then(|shown| shown.first());
                let leaf = leaf.map(|leaf| leaf.to_vec());
                lock(&server.seen).certificates.push(leaf);
                server.serve_connection(far).await;
            }
        });
        Ok(near)
    }

    async fn serve_connection(&self, io: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let service = service_fn(|request| self.serve(request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(io), service);
        // A connection that was closed on purpose ends with an error.
        drop(connection.await);
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<Response<ResponseBody>, io::Error> {
        let (head, mut body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        let name = query.split('&').find_map(|pair| pair.strip_prefix("name="));
        let header = |name| {
            let value = head.headers.get(name).map(|value| value.to_str().unwrap());
            value.unwrap_or_default().to_owned()
        };
        let mut upload = Upload {
            at: Instant::now(),
            path: head.uri.path().to_owned(),
            name: name.unwrap_or_default().to_owned(),
            host: header(HOST),
            authorization: header(AUTHORIZATION),
            body: Vec::new(),
            index: self.heads.fetch_add(1, SeqCst),
        };
        let act = (self.script.lock().unwrap())(&upload);
        if matches!(act, Act::CloseWithinBody) {
            body.frame().await;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(io::Error::other)?;
            upload.body.extend(frame.data_ref().into_iter().flatten());
        }
        let name = upload.name.clone();
        self.seen.lock().unwrap().uploads.push(upload);
        match act {
            Act::Take(after) => {
                sleep(after).await;
                self.keep(name);
                Ok(Response::new(Either::Left(Full::default())))
            }
            Act::Answer {
                status,
                headers,
                text,
            } => {
                if status < 300 {
                    self.keep(name);
                }
                Ok(response(status, headers, Either::Left(Full::from(text))))
            }
            Act::Stall {
                status,
                headers,
                start,
            } => {
                let start = Some(Bytes::from_static(start.as_bytes()));
                Ok(response(status, headers, Either::Right(Stalled(start))))
            }
            Act::Hang => pending().await,
            Act::CloseAfterBody { keep } => {
                if keep {
                    self.keep(name);
                }
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Act::CloseWithinBody => unreachable!("it has closed"),
        }
    }

    fn keep(&self, name: String) {
        self.seen.lock().unwrap().kept.push((Instant::now(), name));
    }
}

fn response(
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: ResponseBody,
) -> Response<ResponseBody> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body).unwrap()
}
