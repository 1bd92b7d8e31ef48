//! Tests that send to a target of a configuration.

use std::net::Ipv4Addr;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::commands::UsageError;
use crate::commands::send::*;

fn args(config: &Path) -> Args {
    Args {
        to: None,
        target: Some("central".to_owned()),
        config: Some(config.to_owned()),
        surface: SurfaceArg::Ingest,
        name: "shop{region=eu}".to_owned(),
        count: 1,
        file: None,
        timeout: None,
        tls: Default::default(),
    }
}

/// Sends to the target `central` with `keys`, which answers with `answer`. Returns the request, the output and the result.
async fn sent(
    keys: &str,
    surface: SurfaceArg,
    answer: &str,
) -> (String, String, anyhow::Result<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("pyrotee.yaml");
    let text = format!(
        "remote-write: {{ targets: {{ central: {{ address: \"http://{address}/base\", {keys} }} }} }}"
    );
    std::fs::write(&file, text).unwrap();
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        // The end of the multipart body, or of the gzip of a Push, comes in the same segment or a later one.
        while !String::from_utf8_lossy(&request).contains("\r\n\r\n") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        // Until the client has read the answer.
        while stream
            .read_buf(&mut request)
            .await
            .is_ok_and(|read| read > 0)
        {}
        String::from_utf8_lossy(&request).into_owned()
    };
    let mut out = Vec::new();
    let args = Args {
        surface,
        ..args(&file)
    };
    let (result, request) = tokio::join!(send(&args, &mut out), serving);
    (request, String::from_utf8(out).unwrap(), result)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_target_gets_what_a_delivery_would_send() {
    let keys = "basic-auth-user: me, basic-auth-password: s3cret, tenant-id: t1, headers: { X-Own: mine }, \
                paths: { ingest: /gateway/in }, tags: { cluster: eu-1 }";
    let (request, out, result) = sent(keys, SurfaceArg::Ingest, OK).await;
    result.unwrap();
    let request = request.to_lowercase();
    for part in [
        "post /base/gateway/in?name=shop%7bcluster%3deu-1%2cregion%3deu%7d&from=",
        "authorization: basic bwu6czn",
        "x-scope-orgid: t1\r\n",
        "x-own: mine\r\n",
        "pyrotee-hops: 1\r\n",
        "content-type: multipart/form-data; boundary=",
    ] {
        assert!(request.contains(part), "{part}\n{request}");
    }
    assert!(out.starts_with("200  "), "{out}");
    assert!(!out.contains("s3cret"), "{out}");
}

#[tokio::test]
async fn a_push_to_a_target_has_its_tags() {
    let keys = "auth-token: s3cret, tags: { cluster: eu-1 }";
    let (request, _, result) = sent(keys, SurfaceArg::Push, OK).await;
    result.unwrap();
    for part in [
        "POST /base/push.v1.PusherService/Push HTTP/1.1\r\n",
        "Bearer s3cret\r\n",
    ] {
        assert!(request.contains(part), "{part}\n{request}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_the_relay_takes_it_for_and_shows_no_secret() {
    let answer = "HTTP/1.1 401 X\r\nContent-Length: 12\r\nConnection: close\r\n\r\nbad token \
                  s3cret-token-1";
    let answer = answer.replace("12", "24");
    let keys = "auth-token: s3cret-token-1";
    let (_, out, result) = sent(keys, SurfaceArg::Ingest, &answer).await;
    let error = result.unwrap_err().to_string();
    assert!(
        error.starts_with("target central (http://127.0.0.1:")
            && error.contains("401 Unauthorized")
            && error.contains("`broken`; check the token of the target"),
        "{error}"
    );
    assert!(
        out.starts_with("401  ") && out.contains("bad token"),
        "{out}"
    );
    assert!(!format!("{out}{error}").contains("s3cret"), "{out}{error}");
}

#[tokio::test]
async fn a_page_for_people_is_no_success() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>";
    let (_, out, result) = sent("timeout: 5s", SurfaceArg::Ingest, answer).await;
    assert!(out.starts_with("200  "), "{out}");
    assert!(result.unwrap_err().to_string().contains("`broken`"));
}

#[tokio::test]
async fn nobody_there_is_named_with_the_target() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("pyrotee.yaml");
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let text =
        format!("remote-write: {{ targets: {{ central: {{ address: \"http://{address}\" }} }} }}");
    std::fs::write(&file, text).unwrap();
    let error = send(&args(&file), &mut Vec::new()).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.starts_with(&format!(
            "target central (http://{address}) gave no response: "
        )),
        "{error}"
    );
}

#[tokio::test]
async fn an_unknown_target_is_a_fault_that_names_the_others() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("pyrotee.yaml");
    let text = "remote-write: { targets: { a: { address: http://a }, b: { address: http://b } } }";
    std::fs::write(&file, text).unwrap();
    let error = send(&args(&file), &mut Vec::new()).await.unwrap_err();
    assert!(error.is::<UsageError>());
    assert_eq!(
        error.to_string(),
        "the configuration has no target `central`; there are: a, b"
    );
}

#[test]
fn a_target_and_an_address_exclude_each_other_and_one_is_needed() {
    let command = || <Args as clap::Args>::augment_args(clap::Command::new("send"));
    for (args, is_fine) in [
        (&["send", "--target", "a"][..], true),
        (&["send", "--target", "a", "--config", "f"], true),
        (&["send", "--to", "http://h"], true),
        (&["send", "--to", "http://h", "--target", "a"], false),
        (&["send", "--to", "http://h", "--config", "f"], false),
        (&["send"], false),
    ] {
        let parsed = command().try_get_matches_from(args);
        assert_eq!(parsed.is_ok(), is_fine, "{args:?}");
    }
}
