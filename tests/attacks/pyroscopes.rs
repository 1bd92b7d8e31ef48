//! Stand-ins for the upstream and the targets that take any number of requests and keep the names of profiles only.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, server};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::support::{eventually, key::parameter};

/// A path that is never answered (`HANGS`), and a path that is answered with 3 MB (`LARGE`).
pub(crate) const HANGS: &str = "/hangs";
pub(crate) const LARGE: &str = "/large";

type Names = Arc<Mutex<HashSet<String>>>;

/// A running stand-in; it stops when dropped.
pub(crate) struct Pyroscope {
    address: SocketAddr,
    names: Names,
    _runtime: Runtime,
}

impl Pyroscope {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let names = Names::default();
        let seen = Arc::clone(&names);
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                let service = service_fn(move |request| respond(request, Arc::clone(&seen)));
                tokio::spawn(
                    server::conn::http1::Builder::new()
                        .max_buf_size(1 << 20)
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Self {
            address,
            names,
            _runtime: runtime,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until each of `names` has arrived.
    pub(crate) fn wait_for(&self, names: &[String]) {
        let missing = || {
            let seen = self.names.lock().unwrap();
            names.iter().filter(|name| !seen.contains(*name)).count()
        };
        eventually(
            Duration::from_secs(20),
            "the honest profiles at a target",
            || missing() == 0,
        );
    }
}

async fn respond(
    request: Request<Incoming>,
    names: Names,
) -> Result<Response<Full<Bytes>>, Infallible> {
    match request.uri().path() {
        HANGS => future::pending().await,
        LARGE => Ok(Response::new(Full::new(Bytes::from(vec![7; 3_000_000])))),
        _ => {
            let query = request.uri().query().unwrap_or_default().to_owned();
            if request.into_body().collect().await.is_ok()
                && let Some(name) = parameter(&query, "name")
            {
                // A target receives the name with the tag appended.
                let app = name.split('{').next().unwrap_or_default().to_owned();
                names.lock().unwrap().insert(app);
            }
            Ok(Response::new(Full::default()))
        }
    }
}
