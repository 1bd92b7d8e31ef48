//! An SDK profiles a program twice at the same time: once straight to a stand-in for Pyroscope, and once through the
//! relay to another stand-in, with a target. The requests at the two stand-ins must look alike, and the target must
//! have every profile.

use std::{collections::BTreeSet, net::SocketAddr, process::Command, thread, time::Duration};

use crate::{
    push,
    shape::Shape,
    support::{
        Head, Relay, Upstream,
        key::{self, Key},
        verbatim,
    },
    tools::Tools,
};

/// Longest time for a program that needs a few seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Credentials of the client: `sdk-user:sdk-password`, which every program uses.
const CLIENT: &str = "Basic c2RrLXVzZXI6c2RrLXBhc3N3b3Jk";

/// Credentials of the target: `relay-user:relay-password` in the relay's configuration.
const RELAY: &str = "Basic cmVsYXktdXNlcjpyZWxheS1wYXNzd29yZA==";

/// The tags of the target. Every program has another value of `region`.
const TAGS: [(&str, &str); 2] = [("region", "relayed"), ("cluster", "c1")];

/// A request that arrived whole.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// The surface that an SDK uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    Ingest,
    Push,
}

/// Runs the program that `profiled` makes for a server's address, and compares. Returns the uploads that the local
/// upstream got through the relay.
pub(crate) fn compare(
    tools: &Tools,
    surface: Surface,
    profiled: impl Fn(&str) -> Command + Sync,
) -> Vec<Upload> {
    let (direct, upstream, target) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let relay = verbatim(Relay::builder())
        .upstream(&upstream)
        .target(
            "central",
            &target,
            &[
                "tags: { region: relayed, cluster: c1 }",
                "tenant-id: of-the-relay",
                "basic-auth-user: relay-user",
                "basic-auth-password: relay-password",
            ],
        )
        .spawn();
    let run = |server: SocketAddr| tools.run(&mut profiled(&format!("http://{server}")), PATIENCE);
    thread::scope(|scope| {
        scope.spawn(|| run(direct.address()));
        scope.spawn(|| run(relay.addr()));
    });

    let local = uploads(&upstream);
    let direct_shapes = shapes(&uploads(&direct), direct.address());
    assert!(!direct_shapes.is_empty(), "the SDK sent nothing by itself");
    assert_eq!(shapes(&local, relay.addr()), direct_shapes);
    for upload in &local {
        sent_by_the_client(surface, upload);
    }

    let count = local.len() as u64;
    let ledger = relay.wait_ledger("central", "all sent", |ledger| {
        ledger.sent.profiles == count && ledger.pending.profiles == 0
    });
    assert_eq!(ledger.lost().profiles, 0, "{ledger:?}");
    let remote = uploads(&target);
    assert_eq!(remote.len(), local.len());
    for upload in &local {
        let copied = |copy: &&Upload| is_copy(surface, upload, copy);
        let copies: Vec<_> = remote.iter().filter(copied).collect();
        assert_eq!(copies.len(), 1, "copies of {}", upload.head.text());
        sent_by_the_relay(surface, &upload.head, &copies[0].head);
    }
    local
}

fn uploads(stand_in: &Upstream) -> Vec<Upload> {
    let requests = stand_in.requests().into_iter();
    requests
        .map(|request| Upload {
            head: request.head,
            body: request.body.data,
        })
        .collect()
}

fn shapes(uploads: &[Upload], server: SocketAddr) -> BTreeSet<Shape> {
    let shape = |upload| Shape::of(upload, server);
    uploads.iter().map(shape).collect()
}

/// Asserts that an upload has the credentials, tenant and labels that the program set.
fn sent_by_the_client(surface: Surface, upload: &Upload) {
    let head = &upload.head;
    let path = match surface {
        Surface::Ingest => "/ingest",
        Surface::Push => push::PATH,
    };
    assert_eq!((head.method(), head.path()), ("POST".into(), path.into()));
    assert_eq!(head.get("authorization").as_deref(), Some(CLIENT));
    assert_eq!(head.get("x-scope-orgid").as_deref(), Some("sdk-tenant"));
    assert!(!upload.body.is_empty(), "{}", head.text());
    if surface == Surface::Push {
        let all = push::read(head, &upload.body);
        assert!(!all.is_empty(), "no series in {}", head.text());
        for series in all {
            // Without this label the target's tag would replace nothing.
            let region = ("region".to_owned(), "eu".to_owned());
            assert!(series.labels.contains(&region), "{series:?}");
            let profiles = series.samples.iter().map(|sample| sample.raw_profile.len());
            assert!(profiles.min() > Some(0), "{series:?}");
        }
    }
}

/// Asserts that a program whose SDK puts tags into the name has sent both tags.
pub(crate) fn named(uploads: &[Upload], app: &str) {
    for upload in uploads {
        let key = Key::of(&upload.head.query());
        assert_eq!(key.app, app);
        for (tag, value) in [("region", "eu"), ("zone", "a")] {
            assert_eq!(key.tags.get(tag).map(String::as_str), Some(value));
        }
    }
}

/// Whether the target got the profiles of an upload, with its tags.
fn is_copy(surface: Surface, upload: &Upload, copy: &Upload) -> bool {
    if surface == Surface::Ingest {
        return copy.body == upload.body;
    }
    let sent = push::read(&upload.head, &upload.body);
    let got = push::read(&copy.head, &copy.body);
    // Profiles and their ids, byte for byte; each profile has a random id.
    let samples = |all: &[push::Series]| all.iter().map(|s| s.samples.clone()).collect::<Vec<_>>();
    if samples(&got) != samples(&sent) {
        return false;
    }
    for (sent, got) in sent.iter().zip(&got) {
        let mut expected = sent.labels.clone();
        expected.retain(|(name, _)| TAGS.iter().all(|(tag, _)| tag != name));
        expected.extend(TAGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut labels = got.labels.clone();
        // The relay may put a tag anywhere among the labels.
        labels.sort();
        expected.sort();
        assert_eq!(labels, expected);
    }
    true
}

/// Asserts what the target got besides the profile: its own tags, tenant and credentials, and everything else as the
/// client sent it.
fn sent_by_the_relay(surface: Surface, sent: &Head, copy: &Head) {
    assert_eq!((copy.method(), copy.path()), (sent.method(), sent.path()));
    assert_eq!(copy.all("authorization"), [RELAY], "{}", copy.text());
    assert_eq!(copy.all("x-scope-orgid"), ["of-the-relay"]);
    assert_eq!(copy.get("content-type"), sent.get("content-type"));
    if surface == Surface::Push {
        assert_eq!(copy.query(), "");
        return;
    }
    assert_eq!(copy.get("content-encoding"), sent.get("content-encoding"));
    let mut key = Key::of(&sent.query());
    let tags = TAGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    key.tags.extend(tags);
    assert_eq!(Key::of(&copy.query()), key);
    let rest = |head: &Head| {
        let pairs = key::pairs(&head.query()).into_iter();
        pairs.filter(|(name, _)| name != "name").collect::<Vec<_>>()
    };
    assert_eq!(rest(copy), rest(sent));
}
