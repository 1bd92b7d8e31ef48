mod target;

use std::net::Ipv4Addr;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::commands::sink::tests::while_sinking;

fn args(to: impl std::fmt::Display) -> Args {
    Args {
        to: Some(format!("http://{to}")),
        target: None,
        config: None,
        surface: SurfaceArg::Ingest,
        name: "shop{region=eu, zone=a b}".to_owned(),
        count: 1,
        file: None,
        timeout: None,
        tls: Default::default(),
    }
}

/// Arguments for [`against`], which puts the server's address before `path`.
fn below(path: &str) -> Args {
    Args {
        to: Some(path.to_owned()),
        ..args("")
    }
}

async fn sent(args: &Args) -> (String, anyhow::Result<()>) {
    let mut out = Vec::new();
    let result = send(args, &mut out).await;
    (String::from_utf8(out).unwrap(), result)
}

/// Sends to a listener that passes its one connection to `server`.
async fn against(
    server: impl AsyncFnOnce(TcpStream),
    mut args: Args,
) -> (String, anyhow::Result<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let path = args.to.unwrap();
    args.to = Some(format!("http://{}{path}", listener.local_addr().unwrap()));
    let serving = async { server(listener.accept().await.unwrap().0).await };
    tokio::join!(sent(&args), serving).0
}

#[tokio::test]
async fn the_sample_arrives_as_the_go_sdk_would_send_it() {
    let mut told = String::new();
    let printed = while_sinking(200, true, async |address| {
        let (out, result) = sent(&Args {
            count: 2,
            ..args(format!("{address}/base/"))
        })
        .await;
        result.unwrap();
        told = out;
    })
    .await;

    let (told, lines): (Vec<_>, Vec<_>) = (told.lines().collect(), printed.lines().collect());
    assert_eq!((told.len(), lines.len()), (2, 2));
    for (told, line) in told.into_iter().zip(lines) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| line[key].as_str().unwrap().to_owned();
        assert_eq!(
            (word("app"), word("format")),
            ("shop".to_owned(), "multipart".to_owned())
        );
        assert_eq!(
            line["tags"],
            serde_json::json!({"region": "eu", "zone": "a b"})
        );
        let (from, until): (u64, u64) = (
            word("from").parse().unwrap(),
            word("until").parse().unwrap(),
        );
        assert_eq!(until - from, 10_000_000_000);

        let mut words = told.split_whitespace();
        assert_eq!(words.next(), Some("200"));
        assert_eq!(words.next().unwrap(), line["bytes"].to_string());
        assert_eq!(words.nth(1).unwrap(), word("digest"));
    }
}

#[tokio::test]
async fn a_file_is_sent_as_the_whole_body_in_its_format() {
    let folder = tempfile::tempdir().unwrap();
    for (file, data, format) in [
        ("a.jfr", "x", "jfr"),
        ("a.folded", "a;b 1\n", "groups"),
        ("a.pprof", "", "pprof"),
    ] {
        let file = folder.path().join(file);
        std::fs::write(&file, data).unwrap();
        let printed = while_sinking(200, false, async |address| {
            sent(&Args {
                file: Some(file),
                ..args(address)
            })
            .await
            .1
            .unwrap();
        })
        .await;
        let digest = BodyDigest::of(data.as_bytes());
        assert!(printed.contains(&format!("  {format} ")), "{printed}");
        assert!(
            printed.contains(&format!(" {} B  {digest} ", data.len())),
            "{printed}"
        );
    }
}

#[tokio::test]
async fn a_push_arrives_with_the_labels_of_the_name() {
    let mut told = String::new();
    let printed = while_sinking(200, true, async |address| {
        let (out, result) = sent(&Args {
            surface: SurfaceArg::Push,
            ..args(format!("{address}/base"))
        })
        .await;
        result.unwrap();
        told = out;
    })
    .await;
    let line: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let expected = serde_json::json!({
        "__name__": "process_cpu", "service_name": "shop", "region": "eu", "zone": "a b"
    });
    assert_eq!((&line["tags"], &line["app"]), (&expected, &"shop".into()));
    assert_eq!(
        (&line["surface"], &line["format"]),
        (&"push".into(), &"proto".into())
    );
    assert!(
        told.contains(line["digest"].as_str().unwrap()),
        "{told}{line}"
    );
}

#[tokio::test]
async fn an_export_is_sent_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.json");
    let data = r#"{"resourceProfiles":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"cart"}}]}}]}"#;
    std::fs::write(&file, data).unwrap();
    let printed = while_sinking(200, true, async |address| {
        let args = Args {
            surface: SurfaceArg::Otlp,
            file: Some(file),
            ..args(address)
        };
        sent(&args).await.1.unwrap();
    })
    .await;
    let line: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (&line["surface"], &line["format"], &line["app"]),
        (&"otlp".into(), &"json".into(), &"cart".into())
    );
    let digest = BodyDigest::of(data.as_bytes());
    assert_eq!(line["digest"], digest.to_string());
}

#[tokio::test]
async fn a_surface_that_does_not_fit_the_file_is_refused_before_anything_is_sent() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let capture = captures.join("pyroscope-go-1.2.8-01.http");
    for (surface, file, part) in [
        (SurfaceArg::Push, Some(capture), "leave it out"),
        (SurfaceArg::Otlp, None, "--file"),
    ] {
        let args = Args {
            surface,
            file,
            ..args("127.0.0.1:1")
        };
        let error = sent(&args).await.1.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn captured_requests_are_sent_again_byte_for_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let capture = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&capture).to_lowercase();
        let host = text.find("\r\nhost: ").unwrap() + "\r\nhost: ".len();
        let end = host + text[host..].find('\r').unwrap();

        let server = async |mut stream: TcpStream| {
            let authority = stream.local_addr().unwrap().to_string();
            let expected = [&capture[..host], authority.as_bytes(), &capture[end..]].concat();
            let mut received = vec![0; expected.len()];
            stream.read_exact(&mut received).await.unwrap();
            assert!(received == expected, "{}", path.display());
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .await
                .unwrap();
        };
        let file = Some(path.clone());
        let (out, result) = against(server, Args { file, ..below("") }).await;
        result.unwrap();
        assert!(out.starts_with("204  "), "{out}");
        seen += 1;
    }
    assert!(seen >= 7, "{seen} captures");
}

#[tokio::test]
async fn a_refusal_is_shown_and_is_an_error_that_says_what_to_do() {
    let printed = while_sinking(401, false, async |address| {
        let (out, result) = sent(&Args {
            count: 5,
            ..args(address)
        })
        .await;
        assert!(
            out.starts_with("401  ") && out.contains("\"unauthenticated\""),
            "{out}"
        );
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains("401 Unauthorized") && error.contains("credentials"),
            "{error}"
        );
    })
    .await;
    assert_eq!(printed.lines().count(), 1, "the first failure ends it");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.jfr");
    std::fs::write(&file, vec![7; 32 << 20]).unwrap();
    let server = async |mut stream: TcpStream| {
        stream.read_u8().await.unwrap();
        let answer = format!(
            "HTTP/1.1 413 X\r\nContent-Length: 9000\r\n\r\n{}",
            "é\x1b".repeat(3000)
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut rest = vec![0; 1 << 16];
        while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    };
    let (out, result) = against(
        server,
        Args {
            file: Some(file),
            ..below("")
        },
    )
    .await;
    assert!(result.unwrap_err().to_string().contains("too large"));
    assert!(
        out.len() < 6000 && !out.contains('\x1b'),
        "{} bytes",
        out.len()
    );
}

#[tokio::test]
async fn a_redirect_is_shown_not_followed() {
    let server = async |mut stream: TcpStream| {
        stream.read_u8().await.unwrap();
        let answer = b"HTTP/1.1 301 X\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
    };
    let (_, result) = against(server, below("")).await;
    assert!(
        result
            .unwrap_err()
            .to_string()
            .contains("redirects to http://elsewhere/")
    );
}

#[tokio::test]
async fn a_server_that_hangs_is_waited_for_no_longer_than_told() {
    let server = async |mut stream: TcpStream| {
        let mut request = Vec::new();
        drop(stream.read_to_end(&mut request).await);
    };
    let timeout = Some(Duration::from_millis(50));
    let (out, result) = against(
        server,
        Args {
            timeout,
            ..below("")
        },
    )
    .await;
    let error = result.unwrap_err().to_string();
    assert!(
        out.is_empty() && error.contains("within 50ms") && error.contains("--timeout"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_hangs_up_or_is_not_there_is_named() {
    let address = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    let error = format!("{:#}", sent(&args(address)).await.1.unwrap_err());
    assert!(
        error.contains(&format!("connect to http://{address}")),
        "{error}"
    );

    let server = async |stream: TcpStream| drop(stream);
    let (_, result) = against(server, below("")).await;
    let error = format!("{:#}", result.unwrap_err());
    assert!(error.starts_with("http://127.0.0.1:"), "{error}");
}

#[test]
fn the_arguments_are_well_formed_and_have_defaults() {
    let command = <Args as clap::Args>::augment_args(clap::Command::new("send"));
    command.clone().debug_assert();
    let matches = command.get_matches_from(["send", "--to", "http://h"]);
    let args = <Args as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
    assert_eq!((args.count, args.timeout), (1, None));
    assert_eq!(args.name, "pyrotee.sample{source=send}");
    assert_eq!(args.surface, SurfaceArg::Ingest);
}
