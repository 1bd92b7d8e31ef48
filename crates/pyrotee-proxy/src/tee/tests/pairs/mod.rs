//! Tests which request counts as a retry of another: pairs of requests that differ in one respect at most, against an
//! oracle that compares the requests themselves and uses no hash.

mod sent;

use proptest::prelude::*;

use super::exchange::Exchange;
use super::retries::watched;
use sent::{
    Content, Sent, Surface, Time, agent, boundary, content, encoding, forwarded, frames, one_of,
    peer, sent, surface, version,
};

/// The respect in which the second request differs from the first.
#[derive(Debug, Clone)]
enum Difference {
    Nothing,
    Peer(&'static str),
    Forwarded(Option<&'static str>),
    Prefix(&'static str),
    Surface(Surface),
    Version(Option<&'static str>),
    Encoding(Option<&'static str>),
    Agent(Option<&'static str>),
    Frames(Vec<usize>, bool),
    Boundary(String),
    Body(Content),
    /// One byte of the content.
    Byte(prop::sample::Index, u8),
}

fn difference() -> impl Strategy<Value = Difference> {
    prop_oneof![
        Just(Difference::Nothing),
        peer().prop_map(Difference::Peer),
        forwarded().prop_map(Difference::Forwarded),
        one_of(&["", "/base"]).prop_map(Difference::Prefix),
        surface().prop_map(Difference::Surface),
        version().prop_map(Difference::Version),
        encoding().prop_map(Difference::Encoding),
        agent().prop_map(Difference::Agent),
        (frames(), any::<bool>())
            .prop_map(|(sizes, announced)| Difference::Frames(sizes, announced)),
        boundary().prop_map(Difference::Boundary),
        content().prop_map(Difference::Body),
        (any::<prop::sample::Index>(), 1u8..=255)
            .prop_map(|(place, bits)| Difference::Byte(place, bits)),
    ]
}

impl Difference {
    fn applied_to(self, first: &Sent) -> Sent {
        let mut second = first.clone();
        match self {
            Self::Nothing => {}
            Self::Peer(peer) => second.peer = peer,
            Self::Forwarded(forwarded) => second.forwarded = forwarded,
            Self::Prefix(prefix) => second.prefix = prefix,
            Self::Surface(surface) => second.surface = surface,
            Self::Version(version) => second.version = version,
            Self::Encoding(encoding) => second.encoding = encoding,
            Self::Agent(agent) => second.agent = agent,
            Self::Frames(frames, announced) => {
                (second.frames, second.announced) = (frames, announced)
            }
            Self::Boundary(new) => match &mut second.body {
                Content::Multipart { boundary, .. } => *boundary = new,
                Content::Plain(_) => {}
            },
            Self::Body(body) => second.body = body,
            Self::Byte(place, bits) => {
                let bytes = match &mut second.body {
                    Content::Plain(bytes) => bytes,
                    Content::Multipart { parts, .. } => &mut parts[0],
                };
                if !bytes.is_empty() {
                    let place = place.index(bytes.len());
                    bytes[place] ^= bits;
                }
            }
        }
        second
    }
}

impl Sent {
    /// The values in which a retry equals its first try; `None` if the request is never a retry.
    fn identity(&self) -> Option<impl PartialEq> {
        let surface = match &self.surface {
            Surface::Ingest { app, from, until } => match (from, until) {
                (Time::Absolute(from), Time::Absolute(until)) => format!("{app} {from} {until}"),
                _ => return None,
            },
            Surface::Push => "push".to_owned(),
            Surface::Otlp => "otlp".to_owned(),
        };
        let client = match (self.forwarded, self.peer) {
            (Some("unknown"), _) => "unknown",
            (Some("10.0.0.1"), _) => "10.0.0.1",
            (Some("10.9.9.9, 10.0.0.2"), _) => "10.9.9.9",
            (Some("10.0.0.2" | "10.0.0.2, 10.9.9.9" | "10.0.0.2:6000"), _) => "10.0.0.2",
            (None | Some(""), "10.0.0.2:5000") => "10.0.0.2",
            (None | Some(""), _) => "10.0.0.1",
            (Some(other), _) => panic!("{other} is not listed"),
        };
        let content = match &self.body {
            Content::Plain(bytes) => (false, vec![bytes.clone()]),
            Content::Multipart { parts, .. } => (true, parts.clone()),
        };
        Some((surface, client, self.version, self.encoding, content))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_request_is_a_retry_as_the_oracle_says(
        first in sent().prop_filter("multipart beyond /ingest", |it| !it.has_meaningless_boundary()),
        difference in difference(),
    ) {
        let second = difference.applied_to(&first);
        prop_assume!(!second.has_meaningless_boundary());
        let watched = watched(0);
        for sent in [&first, &second] {
            let exchange = Exchange::begin_attached(&watched.bench.layer, sent.write());
            exchange.read().fail().read();
        }
        let is_retry = match (first.identity(), second.identity()) {
            (Some(first), Some(second)) => first == second,
            _ => false,
        };
        let expected = if is_retry { (1, 1) } else { (2, 0) };
        prop_assert_eq!(watched.counts(), expected, "{:?}", second);
    }
}
