//! Files that arrive damaged and are mended, a mounted Secret, and authorities that change.

use std::fs;

use pyrotee_tls::testing::{Authority, Pair, dates};
use rustls::ALL_VERSIONS;

use super::{
    damage::DAMAGES,
    rig::{Rotating, SECTIONS, put},
};
use crate::support::{
    Mount, Relay, Request, SOON, Speech, TlsClient, Upstream, eventually, tls,
    tls_client::{alert, der},
};

#[test]
fn damaged_files_keep_the_last_good_ones_in_force_until_they_are_mended() {
    let it = Rotating::new();
    let mut in_force = it.shown();
    for damage in DAMAGES {
        let word = damage.word;
        let new = SECTIONS.map(|_| it.authority.issue(&["localhost"]));
        it.damage(&damage, &new);
        let stale = it.wait_damage(&damage);
        assert_eq!(it.stale_gauge(), stale.len() as f64, "{word}: {stale:?}");
        let log = it.relay.output();
        assert!(
            log.contains("file keeps its last good content") && log.contains(damage.says),
            "{word}"
        );
        assert!(it.shown() == in_force, "{word}: the last good pair");

        it.mend(&new);
        assert_eq!(it.stale_gauge(), 0.0, "{word}");
        in_force = new.each_ref().map(|pair| der(&pair.cert));
        eventually(SOON, &format!("the pair after the {word}"), || {
            it.shown() == in_force
        });
    }
}

/// Lines of the log about files that keep their last good content.
fn stale_lines(relay: &Relay) -> usize {
    let log = relay.output();
    let lines = log.lines();
    lines
        .filter(|line| line.contains("keeps its last good content"))
        .count()
}

#[test]
fn a_mounted_secret_is_taken_whole_at_each_swap() {
    let it = Rotating::new();
    let ca = it.authority.pem();
    let (mut mounts, mut stale_before) = (Vec::<Mount>::new(), None);
    let mut expires = 0.0;
    for round in 0..6 {
        let dated = |_| {
            let years = |params: &mut _| dates(params, 2020, 2040 + round);
            it.authority.issue_with(&["localhost"], years)
        };
        let new = SECTIONS.map(dated);
        for (nth, pair) in new.iter().enumerate() {
            let files = [
                ("ca.crt", &*ca),
                ("tls.crt", &pair.cert),
                ("tls.key", &pair.key),
            ];
            match mounts.get_mut(nth) {
                Some(mount) => mount.swap(&files),
                // The plain files are replaced one by one here.
                None => mounts.push(Mount::new(&it.directory(SECTIONS[nth]), &files)),
            }
        }
        let expected = new.each_ref().map(|pair| der(&pair.cert));
        eventually(SOON, &format!("swap {round}"), || it.shown() == expected);
        let stale = stale_lines(&it.relay);
        let before = *stale_before.get_or_insert(stale);
        assert_eq!(stale, before, "no half of a swap was seen");
        let expiries = it.expiries();
        assert!(expiries.iter().all(|expiry| *expiry == expiries[0]));
        assert!(expiries[0] > expires, "round {round}: {expiries:?}");
        expires = expiries[0];
    }
}

#[test]
fn a_reload_that_is_asked_for_takes_new_files_and_names_damaged_ones() {
    let builder = Relay::builder().env("PYROTEE__RELOAD__INTERVAL", "0");
    let it = Rotating::with(builder, Upstream::ok(), &Pair::clone);
    let reload = || {
        let reload = Request::new("POST", "/-/reload");
        let response = it.client.send(it.relay.admin(), &reload).unwrap();
        assert_eq!(response.status(), 200, "{response:?}");
        response.json()
    };
    eventually(SOON, "readiness", || {
        let ready = it
            .client
            .send(it.relay.admin(), &Request::get("/-/ready"))
            .unwrap();
        ready.status() == 200
    });
    let old = it.shown();
    let new = SECTIONS.map(|_| it.authority.issue(&["localhost"]));
    for (section, pair) in SECTIONS.iter().zip(&new) {
        put(&it.directory(section), pair);
    }
    assert!(it.shown() == old, "nobody has asked");
    let report = reload();
    assert_eq!(report["result"], "changed", "{report}");
    let in_force = new.each_ref().map(|pair| der(&pair.cert));
    assert!(it.shown() == in_force);

    for damage in DAMAGES {
        it.damage(&damage, &new);
        let report = reload();
        assert_eq!(report["result"], "unchanged", "{report}");
        let stale = report["stale_files"].to_string();
        for section in SECTIONS {
            assert!(stale.contains(section), "{}: {stale}", damage.word);
        }
        assert!(stale.contains(damage.says), "{}: {stale}", damage.word);
        assert!(it.shown() == in_force, "{}", damage.word);
    }
}

#[test]
fn an_authority_that_changes_counts_from_the_next_connection() {
    let it = Rotating::new();
    let other = Authority::new("another authority");
    let ca = it.authority.pem();
    let client = |authority: &Authority| {
        let own = authority.issue(&["client"]);
        TlsClient::new(tls::client(&ca, Some(&own), ALL_VERSIONS))
    };
    let (old, new) = (client(&it.authority), client(&other));
    let get = |client: &TlsClient| {
        let mut connection = client.connect(it.relay.addr())?;
        let status = connection.exchange(&Request::get("/render"))?.status();
        Ok::<_, std::io::Error>((status, connection.is_resumed()))
    };
    assert_eq!(get(&old).unwrap(), (200, false));
    assert_eq!(get(&old).unwrap(), (200, true), "sessions are resumed");
    assert!(alert(&get(&new).unwrap_err()).is_some());

    let write = |section: &str, ca: &str| {
        fs::write(it.directory(section).join("ca.crt"), ca).expect("a file can be written");
    };
    write("listen-tls", &other.pem());
    eventually(SOON, "the new authority of clients", || get(&new).is_ok());
    let refused = get(&old).expect_err("a resumed session would be let in");
    assert!(alert(&refused).is_some(), "{refused}");
    assert_eq!(get(&new).unwrap(), (200, true));

    // The servers change first.
    let before = it.target.arrivals().len();
    for front in &it.fronts {
        let config = tls::server_with(&other.issue(&["localhost"]), Some(&ca), ALL_VERSIONS);
        front.set(Speech::Tls(config.into()));
        front.hang_up();
    }
    assert_eq!(get(&new).unwrap().0, 502);
    let profile = Request::profile("kept", b"profile");
    let response = new.send(it.relay.addr(), &profile);
    assert_eq!(response.unwrap().status(), 502);
    assert_eq!(it.target.arrivals().len(), before);
    write("upstream.tls", &other.pem());
    write("remote-write.targets.central.tls", &other.pem());
    eventually(SOON, "the new authority of the upstream", || {
        get(&new).unwrap().0 == 200
    });
    it.target.wait_for(before + 1, SOON);
}
