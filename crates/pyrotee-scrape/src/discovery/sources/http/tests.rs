use std::sync::{Arc, Mutex};

use pyrotee_queue::WallClock;
use pyrotee_scrape_config::HttpClientSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;
use crate::discovery::mechanism::Mechanism;
use crate::discovery::metrics::MechanismMetrics;
use crate::discovery::sources::Update;

const LIST: &str = r#"[{"application":"a","targets":["a:1"]}]"#;

type Requests = Arc<Mutex<Vec<String>>>;

/// A server of lists that gives each response once and then the last one for ever, over a connection for each request.
/// An empty response is none: the server hangs.
fn server(responses: &[String]) -> (Connector, Requests) {
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    let responses = responses.to_vec();
    let connector = Connector::in_process(move || {
        let (near, mut far) = duplex(16 * 1024);
        let (seen, responses) = (Arc::clone(&seen), responses.clone());
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(far.read_u8().await.unwrap());
            }
            let number = {
                let mut seen = seen.lock().unwrap();
                seen.push(String::from_utf8(head).unwrap());
                seen.len() - 1
            };
            let response = responses.get(number).or(responses.last()).unwrap();
            if response.is_empty() {
                std::future::pending::<()>().await;
            }
            // The client may have enough before the end.
            let _written_or_closed = far.write_all(response.as_bytes()).await;
        });
        Ok(near)
    });
    (connector, requests)
}

fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

fn json(body: &str) -> String {
    response(
        "200 OK",
        "Content-Type: application/json; charset=utf-8\r\n",
        body,
    )
}

/// The updates of a source that asks `server` each minute.
fn follow(responses: &[String]) -> (mpsc::Receiver<Update>, Requests) {
    let (connector, requests) = server(responses);
    let mut authorization = HeaderValue::from_static("Bearer secret");
    authorization.set_sensitive(true);
    let discovery = HttpDiscovery {
        url: "http://sd.example:8080/list?token=hidden".parse().unwrap(),
        interval: Duration::from_secs(60),
        client: HttpClientSettings {
            authorization: Some(authorization),
            ..HttpClientSettings::default()
        },
    };
    let (updates, received) = mpsc::channel(1);
    let reporter = Reporter {
        job: "shop".into(),
        source: 0,
        updates,
        metrics: MechanismMetrics::new("shop", Mechanism::Http),
        clock: WallClock::system(),
        last_error: None,
    };
    tokio::spawn(HttpSource::new(&discovery, &connector).follow(reporter));
    (received, requests)
}

#[tokio::test(start_paused = true)]
async fn the_server_is_asked_at_once_and_then_each_interval() {
    let (mut updates, requests) = follow(&[json(LIST), json("[]")]);
    let start = Instant::now();
    let first = updates.recv().await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    let groups = first.groups.unwrap();
    assert_eq!(groups[0].targets, ["a:1"]);
    assert_eq!(
        groups[0].labels["__meta_url"],
        "http://sd.example:8080/list"
    );
    assert_eq!(updates.recv().await.unwrap().groups, Some(Vec::new()));
    let waited = start.elapsed().as_secs_f64();
    assert!((54.0..=66.1).contains(&waited), "{waited}");

    let request = requests.lock().unwrap()[0].to_ascii_lowercase();
    for line in [
        "get /list?token=hidden http/1.1\r\n",
        "\r\nhost: sd.example:8080\r\n",
        "\r\naccept: application/json\r\n",
        "\r\nx-pyroscope-refresh-interval-seconds: 60\r\n",
        "\r\nauthorization: bearer secret\r\n",
    ] {
        assert!(request.contains(line), "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_no_list_is_an_error_in_words_and_keeps_the_groups() {
    let long = format!("[{}", " ".repeat(usize::try_from(MAX_BYTES).unwrap()));
    for (bad, part) in [
        (json("[{"), "it is not JSON"),
        (
            json(r#"[{"targets":["a"],"labels":{}}]"#),
            "group 1: application is missing",
        ),
        (
            response("200 OK", "Content-Type: text/html\r\n", LIST),
            "Content-Type",
        ),
        (response("200 OK", "", LIST), "Content-Type"),
        (
            response("204 No Content", "Content-Type: application/json\r\n", ""),
            "status 204",
        ),
        (
            response("404 Not Found", "", "no such list"),
            "status 404 Not Found (\"no such list\"): look at",
        ),
        (
            response("302 Found", "Location: http://other/list\r\n", ""),
            "another host",
        ),
        (json(&long), "longer than 4194304 bytes"),
        (
            json("").replace("Length: 0", "Length: 7"),
            "the connection broke",
        ),
        (String::new(), "took longer than 60s"),
    ] {
        let (mut updates, _requests) = follow(&[json(LIST), bad, json("[]")]);
        assert_eq!(updates.recv().await.unwrap().error, None);
        let update = updates.recv().await.unwrap();
        assert_eq!(update.groups, None);
        let error = update.error.unwrap();
        let place = "cannot use the list of http://sd.example:8080/list: ";
        assert!(error.starts_with(place) && error.contains(part), "{error}");
        assert!(
            !error.contains("word") && !error.contains("hidden"),
            "{error}"
        );
        let last = updates.recv().await.unwrap();
        assert_eq!((last.groups, last.error), (Some(Vec::new()), None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_to_the_same_host_is_followed() {
    let redirect = response("302 Found", "Location: /other\r\n", "");
    let (mut updates, requests) = follow(&[redirect, json(LIST)]);
    assert!(updates.recv().await.unwrap().groups.is_some());
    assert!(requests.lock().unwrap()[1].starts_with("GET /other HTTP/1.1\r\n"));
}

#[test]
fn neither_user_nor_query_of_a_url_is_shown() {
    for (url, expected) in [
        (
            "http://me:word@sd.example:8080/list?token=hidden",
            "http://sd.example:8080/list",
        ),
        ("https://[fd00::7]/?x", "https://[fd00::7]/"),
    ] {
        assert_eq!(shown(&url.parse().unwrap()), expected);
    }
}
