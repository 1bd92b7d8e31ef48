//! A minimal proxy of hyper's parts with their defaults. It shows the cost of an attack without the relay's work and
//! limits.

use std::net::SocketAddr;
use std::thread;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// Starts a proxy in front of `upstream`. The proxy runs as long as the test.
pub(crate) fn start(upstream: SocketAddr) -> SocketAddr {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || runtime.block_on(serve(listener, upstream)));
    address
}

async fn serve(listener: TcpListener, upstream: SocketAddr) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Incoming>();
    while let Ok((socket, _)) = listener.accept().await {
        let client = client.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let path = request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str());
            *request.uri_mut() = format!("http://{upstream}{path}").parse::<Uri>().unwrap();
            *request.version_mut() = Version::HTTP_11;
            client.request(request)
        });
        tokio::spawn(async move {
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new());
            let _ended = builder
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}
