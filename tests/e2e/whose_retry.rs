//! Which requests are retries of the same client: decided by client, query and content, not by the bytes.

use std::net::Ipv4Addr;

use crate::{
    client_retries::{failing, unavailable},
    push::{packed, small},
    support::{
        Answer, Client, Count, Request, Rig, Upstream,
        client::noise,
        message::{export, gzip},
    },
};

const TIMES: &str = "from=1795397490&until=1795397500";

/// The upload of a Java agent: a profile and its labels, in chunks, with the given boundary.
fn java(boundary: &str, jfr: &[u8], chunk: usize) -> Request {
    let part = |name: &str, content: &[u8]| {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\
             Content-Length: {}\r\n\r\n",
            content.len(),
        );
        [head.as_bytes(), content, b"\r\n"].concat()
    };
    let end = format!("--{boundary}--\r\n");
    let body = [
        part("jfr", jfr),
        part("labels", b"labels"),
        end.into_bytes(),
    ]
    .concat();
    let target = format!("/ingest?name=java%7B%7D&{TIMES}&spyName=javaspy&format=jfr");
    let chunks: Vec<_> = body.chunks(chunk).collect();
    Request::chunked(&target, &chunks, &[]).field(
        "Content-Type",
        &format!("multipart/form-data; boundary={boundary}"),
    )
}

const BOUNDARIES: [&str; 5] = [
    "0aa3a7b5-8e3a-4a4d-9b5e-000000000001",
    "51c00a35-b0e1-4f0a-8f8a-000000000002",
    "9e5d2c1f-77d1-4b35-a7de-000000000003",
    "short",
    "------------------------d74496d66958873e",
];

#[test]
fn a_retry_with_a_new_boundary_reaches_the_target_once() {
    for (len, chunk) in [(5_000, usize::MAX), (5_000, 13), (300_000, 8_192)] {
        let rig = failing(4, unavailable());
        let jfr = noise(len);
        let statuses = BOUNDARIES.map(|it| rig.send(&java(it, &jfr, chunk.min(1 << 20))).status());
        assert_eq!(statuses, [503, 503, 503, 503, 200]);
        let ledger = rig.settled(5);
        assert_eq!(ledger.sent.profiles, 1, "{ledger:?}");
        assert_eq!(ledger.dropped("duplicate").profiles, 4, "{ledger:?}");
        let copy = rig.target.only().body.data;
        let first = BOUNDARIES[0].as_bytes();
        assert!(copy.windows(first.len()).any(|it| it == first), "untouched");
    }
}

#[test]
fn other_parts_in_the_same_boundary_are_another_profile() {
    let rig = failing(9, unavailable());
    let mut jfr = noise(5_000);
    for _ in 0..3 {
        rig.send(&java(BOUNDARIES[0], &jfr, 1_000));
        jfr[4_999] ^= 1;
        rig.send(&java(BOUNDARIES[0], &jfr, 1_000));
        jfr.push(b'x');
    }
    let ledger = rig.settled(6);
    assert_eq!(ledger.sent.profiles, 6, "{ledger:?}");
}

#[test]
fn replicas_that_send_the_same_profile_are_told_apart_by_their_addresses() {
    let forwarded = ["10.0.0.1", "10.0.0.2, 10.9.9.9", "10.0.0.3:4711"];
    let rig = failing(9, unavailable());
    for _ in 0..2 {
        for client in forwarded {
            let request = Request::profile("app", b"main;work 7\n");
            rig.send(&request.field("X-Forwarded-For", client));
        }
    }
    assert_copies(&rig, 3, 3);

    let rig = failing(9, unavailable());
    for _ in 0..2 {
        for last in 1..=3 {
            let source = Ipv4Addr::new(127, 0, 0, last);
            let mut client = Client::connect_from(source, rig.relay.addr());
            client.exchange(&Request::profile("app", b"main;work 7\n"));
        }
    }
    assert_copies(&rig, 3, 3);
}

#[test]
fn a_retry_by_way_of_another_proxy_is_one_by_the_same_client() {
    let rig = failing(9, unavailable());
    for proxies in ["10.0.0.1", "10.0.0.1, 10.9.9.9", "10.0.0.1:4711, 10.8.8.8"] {
        let request = Request::profile("app", b"main;work 7\n");
        rig.send(&request.field("X-Forwarded-For", proxies));
    }
    assert_copies(&rig, 1, 2);
}

#[test]
fn a_profile_that_names_no_time_is_teed_each_time() {
    let without_times = [
        "/ingest?name=cron.app",
        "/ingest?name=cron.app&from=&until=",
        "/ingest?name=cron.app&from=now-10s&until=now",
        "/ingest?name=cron.app&from=1795397490",
        "/ingest?name=cron.app&until=1795397500",
    ];
    for target in without_times {
        let rig = Rig::with(
            Upstream::answering(Answer::hang_up()),
            Upstream::ok(),
            &[],
            |builder| builder,
        );
        for _ in 0..3 {
            assert_eq!(rig.send(&Request::post(target, b"profile")).status(), 502);
        }
        assert_copies(&rig, 3, 0);
    }
}

#[test]
fn pushes_and_exports_name_their_times_in_the_body() {
    let rig = failing(9, unavailable());
    let otlp = Request::post("/v1development/profiles", &export(&[("a", "1")]))
        .field("Content-Type", "application/x-protobuf");
    for request in [packed(&small()), otlp] {
        for _ in 0..3 {
            assert_eq!(rig.send(&request).status(), 503);
        }
    }
    assert_copies(&rig, 2, 4);
}

#[test]
fn an_export_in_another_version_of_its_schema_is_another_profile() {
    let rig = failing(9, unavailable());
    for version in [None, Some("v1"), Some("v2"), Some("v1"), None] {
        let request = Request::post("/v1development/profiles", &export(&[("a", "1")]))
            .field("Content-Type", "application/x-protobuf");
        rig.send(&match version {
            Some(version) => request.field("OTLP-Profiles-Development-Version", version),
            None => request,
        });
    }
    assert_copies(&rig, 3, 2);
}

#[test]
fn a_request_whose_headers_were_corrected_is_no_retry() {
    let rig = failing(9, Answer::error(400, "invalid_argument", "cannot be read"));
    let target = "/push.v1.PusherService/Push";
    let (plain, zipped) = (small(), gzip(&small()));
    for content_type in ["application/json", "application/proto"] {
        rig.send(&Request::post(target, &plain).field("Content-Type", content_type));
    }
    for encoding in ["identity", "gzip"] {
        let request = Request::post(target, &zipped).field("Content-Type", "application/proto");
        rig.send(&request.field("Content-Encoding", encoding));
    }
    assert_copies(&rig, 4, 0);
}

/// Asserts that the target got `sent` profiles and that `duplicates` retries were not teed.
fn assert_copies(rig: &Rig, sent: u64, duplicates: u64) {
    let ledger = rig.settled(sent + duplicates);
    let counts = (ledger.sent.profiles, ledger.dropped("duplicate").profiles);
    assert_eq!(counts, (sent, duplicates), "{ledger:?}");
    assert_eq!(ledger.dropped("rejected"), Count::default(), "{ledger:?}");
}
