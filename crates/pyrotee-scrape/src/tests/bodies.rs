//! Responses that are no profile, or too long, or elsewhere.

use std::time::Duration;

use http::HeaderValue;
use pyrotee_scrape_config::{HttpClientSettings, Limits};

use super::support::{Heap, Reply, World, cpu, gzip, job, response, target};
use crate::Health;

const LIMITS: Limits = Limits {
    max_body: 2_000,
    max_unpacked: 10_000,
    max_targets: 10,
    max_concurrent: 2,
    state_limit: 1 << 20,
};

/// The error of a scrape that gets this response.
async fn error_of(reply: impl Fn() -> Reply + Send + Sync + 'static) -> String {
    let world = World::new(move |_| reply());
    let mut target = target("cart:6060", "goroutines");
    target.timeout = Duration::from_secs(2);
    world.discover("shop", vec![target]);
    world.apply(vec![job("shop")], LIMITS);
    world.rounds(1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let status = world.status();
    let error = status.last_error.unwrap_or_default();
    assert_eq!(status.health, Health::Down, "{error}");
    assert!(world.relay.sent().is_empty(), "{error}");
    error
}

#[tokio::test(start_paused = true)]
async fn what_is_no_profile_is_named() {
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 9].to_vec();
    for (body, expected) in [
        (b"<html>login</html>".to_vec(), "an HTML page"),
        (b"\n {\"error\": 1}".to_vec(), "it is JSON"),
        (
            b"heap profile: 1: 2 [3: 4] @ heap/1048576\n".to_vec(),
            "it is text",
        ),
        (Vec::new(), "it is empty"),
        (gzip(b"<!doctype html>"), "an HTML page"),
        (gzip(b""), "it is empty"),
        (cut(cpu()), "damaged or cut off"),
        (
            cut(Heap::of(&[(1, 1, 1)]).plain()),
            "not in the format of pprof",
        ),
        (gzip(&vec![0; 20_000]), "raise scrape.max-unpacked"),
        (vec![0; 3_000], "raise scrape.max-body"),
    ] {
        let error = error_of(move || Reply::Now(response(&body))).await;
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_comes_with_its_text_and_a_remedy() {
    for (status, body, expected) in [
        ("404 Not Found", "404 page not found", "is not registered"),
        ("401 Unauthorized", "", "check the credentials"),
        ("403 Forbidden", "<html>", "check the credentials"),
        (
            "500 Internal Server Error",
            "Could not enable CPU profiling: cpu profiling already in use\nmore",
            "already in use\")",
        ),
        ("204 No Content", "", "204"),
        ("206 Partial Content", "x", "206"),
    ] {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        let error = error_of(move || Reply::Now(text.clone().into_bytes())).await;
        assert!(error.contains(expected) && !error.contains('<'), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_or_read_without_a_limit() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = |length: usize| format!("{length:x}\r\n{}\r\n", "x".repeat(length)).into_bytes();
    let millis = Duration::from_millis;
    let drip = (chunked.clone(), chunk(1));
    let endless = (chunked, chunk(900));
    let error = error_of(|| Reply::Hang).await;
    assert!(error.contains("no response within 2s"), "{error}");
    let error = error_of(move || Reply::Drip(drip.0.clone(), millis(50), drip.1.clone())).await;
    assert!(error.contains("did not end within 2s"), "{error}");
    let error =
        error_of(move || Reply::Drip(endless.0.clone(), millis(1), endless.1.clone())).await;
    assert!(error.contains("raise scrape.max-body"), "{error}");
    let long = b"HTTP/1.1 200 OK\r\nContent-Length: 2001\r\n\r\n".to_vec();
    let error = error_of(move || Reply::Drip(long.clone(), millis(50), vec![0])).await;
    assert!(error.contains("2000"), "{error}");
    let broken = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx".to_vec();
    let error = error_of(move || Reply::Now(broken.clone())).await;
    assert!(error.contains("Content-Encoding"), "{error}");
    let error = error_of(|| Reply::Now(b"SSH-2.0\r\n\r\n".to_vec())).await;
    assert!(error.contains("check the server's log"), "{error}");
}

/// A redirect to `location` for the first path, a profile for others.
fn redirecting(location: &'static str) -> World {
    World::new(move |head| match head.path.as_str() {
        "/goroutines" => Reply::Now(
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
                .into_bytes(),
        ),
        _ => Reply::Now(response(&cpu())),
    })
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_followed_on_the_same_host_with_credentials_for_the_same_origin_alone() {
    for (location, follow_redirects, expected) in [
        ("/other?a=b", true, Ok(true)),
        ("http://cart:7070/other", true, Ok(false)),
        ("http://metadata/other", true, Err("another host")),
        ("/goroutines", true, Err("ten before")),
        ("/other", false, Err("follow-redirects")),
    ] {
        let world = redirecting(location);
        world.discover("shop", vec![target("cart:6060", "goroutines")]);
        let mut job = job("shop");
        job.client = HttpClientSettings {
            authorization: Some(HeaderValue::from_static("Bearer secret")),
            follow_redirects,
            ..HttpClientSettings::default()
        };
        world.apply(vec![job], LIMITS);
        world.rounds(1).await;
        let requests = world.app.requests();
        assert_eq!(
            requests[0].header("authorization").unwrap(),
            "Bearer secret"
        );
        let last = requests.last().unwrap();
        match expected {
            Ok(has_credentials) => {
                assert_eq!(
                    world.relay.sent().len(),
                    1,
                    "{location}: {:?}",
                    world.status()
                );
                assert_eq!(last.header("authorization").is_some(), has_credentials);
            }
            Err(text) => {
                let error = world.status().last_error.unwrap();
                assert!(error.contains(text), "{location}: {error}");
                assert_eq!(last.host, "cart:6060");
            }
        }
    }
}
