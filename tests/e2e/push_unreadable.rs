//! Pushes that cannot be read: a target without tags gets them, a target with tags does not.

use crate::{
    push::{PATH, Pair, body, packed, push, small},
    support::{
        Answer, Builder, Count, Request, SOON, Upstream,
        client::noise,
        eventually,
        message::{bomb, gzip},
    },
};

impl Pair {
    /// Sends a request that cannot be read, and returns the reason why the target with tags did not get it.
    fn unreadable(request: &Request, build: impl FnOnce(Builder) -> Builder) -> (Self, String) {
        let pair = Self::new(Upstream::answering(Answer::status(400, b"no")), build);
        let answer = pair.relay.send(request);
        assert_eq!(answer.status(), 400, "{answer:?}");
        assert_eq!(answer.body.data, b"no");
        assert_eq!(pair.upstream.only().body.data, body(request));
        let ledger = pair.relay.wait_ledger("tagged", "a drop", |ledger| {
            ledger.lost() == Count::new(1, body(request).len())
        });
        let reasons = ["undecodable", "too_large"].into_iter();
        let reason = reasons.max_by_key(|reason| ledger.dropped(reason).profiles);
        assert!(pair.tagged.arrivals().is_empty());
        (pair, reason.unwrap().to_owned())
    }

    fn untouched(&self, request: &Request) {
        assert_eq!(self.plain.only().body.data, body(request));
    }
}

#[test]
fn a_bomb_is_relayed_and_costs_no_more_memory_than_the_limit() {
    const MIB: u64 = 1 << 20;
    let bomb = bomb();
    assert!(bomb.len() < 2 << 20, "{}", bomb.len());
    let request = push(&bomb).field("Content-Encoding", "gzip");
    for (limit, expected) in [(24, "too_large"), (256, "undecodable")] {
        let memory = format!("memory-limit: {limit}MiB");
        let (pair, reason) = Pair::unreadable(&request, |builder| builder.yaml(&memory));
        assert_eq!(reason, expected);
        pair.untouched(&request);
        // At most a quarter of the limit is unpacked. The buffer grows in steps, and the allocator keeps some of them.
        let bound = limit.min(64) * MIB * 3 / 2 + 24 * MIB;
        let peak = pair.relay.rss_peak();
        assert!(peak < bound, "{} of {} KiB", peak / 1024, bound / 1024);
        // The reserved memory was given back: the next Push is unpacked.
        assert_eq!(pair.relay.send(&packed(&small())).status(), 400);
        pair.tagged.only();
        let memory = [("pool", "queues")];
        let left = || {
            pair.relay
                .metrics()
                .sum("pyroscope_relay_memory_bytes", &memory)
        };
        eventually(SOON, "all memory is given back", || left() == 0.0);
    }
}

#[test]
fn what_cannot_be_read_goes_to_those_who_need_not_read_it() {
    let garbage = noise(3_000);
    let cut = &gzip(&small())[..20];
    for (what, request) in [
        ("garbage", push(&garbage)),
        ("no gzip", push(&garbage).field("Content-Encoding", "gzip")),
        ("a cut gzip", push(cut).field("Content-Encoding", "gzip")),
        ("a message that is cut", push(&small()[..30])),
        (
            "no JSON",
            Request::post(PATH, b"{").field("Content-Type", "application/json"),
        ),
    ] {
        let (pair, reason) = Pair::unreadable(&request, |builder| builder);
        assert_eq!(reason, "undecodable", "{what}");
        pair.untouched(&request);
    }
}

#[test]
fn an_unknown_coding_is_relayed_and_not_tagged() {
    for coding in ["zstd", "br", "gzip, gzip"] {
        let request = push(&noise(500)).field("Content-Encoding", coding);
        let (_pair, reason) = Pair::unreadable(&request, |builder| builder);
        assert_eq!(reason, "undecodable", "{coding}");
    }
}
