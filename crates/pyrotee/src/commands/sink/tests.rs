use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Runs a sink on a free port while `client` runs; returns the output of the sink after its first line.
pub(crate) async fn while_sinking(
    status: u16,
    json: bool,
    client: impl AsyncFnOnce(SocketAddr),
) -> String {
    let settings = ResponseSettings {
        status: StatusCode::from_u16(status).unwrap(),
        delay: Duration::ZERO,
    };
    let format = if json {
        LineFormat::Json
    } else {
        LineFormat::Plain
    };
    let (printed, result) = sinking(settings, format, Vec::new(), client).await;
    result.unwrap();
    let printed = String::from_utf8(printed).unwrap();
    let (first, rest) = printed.split_once('\n').unwrap();
    assert!(
        first.starts_with("listening on http://127.0.0.1:"),
        "{first}"
    );
    rest.to_owned()
}

async fn sinking<W: Write>(
    settings: ResponseSettings,
    format: LineFormat,
    mut out: W,
    client: impl AsyncFnOnce(SocketAddr),
) -> (W, anyhow::Result<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let working = async {
        client(address).await;
        shutdown.cancel();
    };
    let (result, ()) = tokio::join!(
        serve::serve(listener, settings, format, &mut out, &shutdown),
        working
    );
    (out, result)
}

/// Sends `request` over a new connection and reads until the sink closes the connection.
async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_profile_is_answered_with_an_empty_200_and_printed() {
    let printed = while_sinking(200, true, async |address| {
        let answer = raw(
            address,
            "POST /pyroscope/ingest?name=shop%7Ba=1%7D&from=17&format=pprof HTTP/1.1\r\nHost: x\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains("content-length: 0\r\n") && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
    })
    .await;

    let line: Value = serde_json::from_str(printed.trim_end()).unwrap();
    assert_eq!(line["app"], "shop");
    assert_eq!(line["tags"], serde_json::json!({"a": "1"}));
    assert_eq!(
        (&line["format"], &line["bytes"], &line["status"]),
        (&"pprof".into(), &3.into(), &200.into())
    );
    assert_eq!(line["digest"], "ba7816bf8f01cfea");
    assert_eq!(
        (&line["from"], &line["until"]),
        (&"17".into(), &Value::Null)
    );
}

#[tokio::test]
async fn a_refusal_has_a_text_in_the_shape_of_pyroscope() {
    let printed = while_sinking(503, false, async |address| {
        let request = "POST /ingest?name=a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = raw(address, request).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(
            answer.contains("content-type: application/json\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("{\"code\":\"unavailable\",\"message\":\""),
            "{answer}"
        );
    })
    .await;
    assert!(printed.contains("  503  ingest    groups "), "{printed}");
    assert_eq!(printed.lines().count(), 1);
}

#[tokio::test]
async fn what_is_no_profile_is_not_printed() {
    let printed = while_sinking(200, false, async |address| {
        let end = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let greeting = raw(address, &format!("GET / {end}")).await;
        assert!(
            greeting.starts_with("HTTP/1.1 200 ") && greeting.contains("/ingest"),
            "{greeting}"
        );
        for request in [
            "GET /ingest",
            "POST /ingest/",
            "POST /",
            "PUT /ingest?name=a",
        ] {
            let answer = raw(address, &format!("{request} {end}")).await;
            assert!(answer.starts_with("HTTP/1.1 404 "), "{request}: {answer}");
            assert!(
                answer.contains("{\"code\":\"not_found\""),
                "{request}: {answer}"
            );
        }
    })
    .await;
    assert_eq!(printed, "");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_printed_as_cut() {
    let printed = while_sinking(200, false, async |address| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = b"POST /ingest?name=a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc";
        stream.write_all(head).await.unwrap();
        stream.shutdown().await.unwrap();
        // Reads until the sink has seen the end and closed its side.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    })
    .await;
    assert!(printed.contains("  cut  "), "{printed:?}");
    assert!(printed.contains(" 3 B  ba7816bf8f01cfea  a{}"), "{printed}");
}

#[tokio::test]
async fn http2_without_tls_is_understood() {
    let body = Bytes::from(vec![7; 3 << 20]);
    let digest = pyrotee_client::BodyDigest::of(&body).to_string();
    let printed = while_sinking(200, false, async |address| {
        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .unwrap();
        let request = Request::post(format!("http://{address}/ingest?name=two"))
            .body(Full::new(body))
            .unwrap();
        let talk = async {
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert!(answer.into_body().frame().await.is_none());
            drop(sender);
        };
        let (ended, ()) = tokio::join!(connection, talk);
        ended.unwrap();
    })
    .await;
    assert!(
        printed.contains(&format!(" 3145728 B  {digest}  two{{}}")),
        "{printed}"
    );
}

#[tokio::test]
async fn an_answer_waits_as_long_as_told() {
    let settings = ResponseSettings {
        status: StatusCode::OK,
        delay: Duration::from_millis(60),
    };
    let (printed, result) = sinking(settings, LineFormat::Plain, Vec::new(), async |address| {
        let started = tokio::time::Instant::now();
        let request = "POST /ingest?name=a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        raw(address, request).await;
        assert!(started.elapsed() >= settings.delay);
    })
    .await;
    result.unwrap();
    assert_eq!(String::from_utf8(printed).unwrap().lines().count(), 2);
}

/// A pipe whose reader goes away after the first line.
struct OneLine(ErrorKind, bool);

impl Write for OneLine {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.1, true) {
            return Err(self.0.into());
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_closed_pipe_ends_the_sink_quietly_and_another_fault_does_not() {
    for (kind, quiet) in [
        (ErrorKind::BrokenPipe, true),
        (ErrorKind::StorageFull, false),
    ] {
        let settings = ResponseSettings {
            status: StatusCode::OK,
            delay: Duration::ZERO,
        };
        let (_, result) = sinking(
            settings,
            LineFormat::Plain,
            OneLine(kind, false),
            async |address| {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let request =
                    b"POST /ingest?name=a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(request).await.unwrap();
                // The sink is gone: no answer is promised, only that the connection ends.
                let mut rest = Vec::new();
                drop(stream.read_to_end(&mut rest).await);
            },
        )
        .await;
        assert_eq!(result.is_ok(), quiet, "{kind}");
    }
}

#[test]
fn the_arguments_are_well_formed_and_have_defaults() {
    let command = <Args as clap::Args>::augment_args(clap::Command::new("sink"));
    command.clone().debug_assert();
    let matches = command.get_matches_from(["sink"]);
    let args = <Args as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
    assert_eq!(
        (args.listen.to_string().as_str(), args.status),
        ("127.0.0.1:4042", 200)
    );
    assert_eq!((args.delay, args.json), (Duration::ZERO, false));
}

#[test]
fn listen_takes_all_forms_of_the_configuration() {
    let command = || <Args as clap::Args>::augment_args(clap::Command::new("sink"));
    for (text, shown) in [
        (":4050", ":4050"),
        ("localhost:4050", "127.0.0.1:4050"),
        ("[::1]:0", "[::1]:0"),
        ("0.0.0.0:4050", "0.0.0.0:4050"),
    ] {
        let matches = command().get_matches_from(["sink", "--listen", text]);
        let args = <Args as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
        assert_eq!(args.listen.to_string(), shown);
    }
    let error = command().try_get_matches_from(["sink", "--listen", "4050"]);
    assert!(error.unwrap_err().to_string().contains("write :PORT"));
}
