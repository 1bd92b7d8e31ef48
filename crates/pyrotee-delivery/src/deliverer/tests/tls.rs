//! Tests of TLS to the target: certificates that change while the deliverer runs, and certificates that are refused.

use pyrotee_tls::ClientAuth;
use pyrotee_tls::testing::{Authority, Pair, ca};

use super::*;

const HOST: &str = "target.example";

/// Settings of a target that is reached with `tls`.
fn over(tls: &pyrotee_tls::ClientTlsSettings) -> Settings {
    Settings {
        address: Address::parse("https://target.example:4040")
            .unwrap()
            .address,
        tls: Some(tls.tls()),
        on_ambiguous: OnAmbiguous::Drop,
        ..settings()
    }
}

/// A server that demands a certificate of `authority`, and takes each profile after a second.
fn demanding(authority: &Authority) -> Server {
    let server = Server::new(|_| Act::Take(Duration::from_secs(1)));
    let pair = authority.issue(&[HOST]);
    server.set_tls(pair.asking(&authority.pem(), ClientAuth::Require));
    server
}

/// The certificates that the client showed.
fn shown(rig: &Rig) -> Vec<String> {
    let known = |leaf: Option<Vec<u8>>| leaf.map_or_else(String::new, |leaf| format!("{leaf:?}"));
    rig.server
        .seen(|seen| seen.certificates.iter().cloned().map(known).collect())
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_rotates_fails_no_upload_and_is_shown_by_the_next_connection() {
    let authority = Authority::new("root");
    let with = |pair: &Pair| over(&ca(&authority.pem()).showing(pair));
    let (old, new) = (authority.issue(&["old"]), authority.issue(&["new"]));
    let rig = Rig::with(&with(&old), demanding(&authority));
    for name in ["a", "b", "c"] {
        rig.offer(name);
    }
    pause(0.5).await;
    // The same files once more.
    rig.handle.update(&with(&old)).unwrap();
    // In the middle of three uploads.
    rig.handle.update(&with(&new)).unwrap();
    assert_eq!(rig.settled().await.sent.profiles, 3);
    rig.offer("d");
    assert_eq!(rig.settled().await.sent.profiles, 4);
    let status = rig.monitor.status();
    assert_eq!((status.attempts, status.last_error), (4, None));
    let shown = shown(&rig);
    assert_eq!(shown.len(), 4, "each upload had a connection");
    assert!(shown[..3].iter().all(|old| *old == shown[0]));
    assert_ne!(shown[3], shown[0]);
    assert_eq!(rig.connections.open(), 1, "the old connections are closed");
}

#[tokio::test(start_paused = true)]
async fn equal_tls_keeps_connections() {
    let authority = Authority::new("root");
    let pair = authority.issue(&["us"]);
    let with = || over(&ca(&authority.pem()).showing(&pair));
    let rig = Rig::with(&with(), demanding(&authority));
    for workers in 1..=3 {
        let settings = Settings { workers, ..with() };
        rig.handle.update(&settings).unwrap();
        rig.offer("app");
        assert_eq!(rig.settled().await.sent.profiles, workers as u64);
    }
    assert_eq!(shown(&rig).len(), 1);
    assert!(rig.monitor.status().certificate_expiry.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_refused_after_the_handshake_loses_no_profile() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let none = ca(&authority.pem());
    let other = ca(&authority.pem()).showing(&stranger.issue(&["us"]));
    for (settings, text) in [
        (&none, "wants a client certificate"),
        (&other, "does not know the authority"),
    ] {
        for bytes in [100, 1_000_000] {
            let rig = Rig::with(&over(settings), demanding(&authority));
            rig.offer_sized(Surface::Ingest, "app", bytes);
            pause(60.0).await;
            let error = rig.monitor.status().last_error.unwrap();
            assert_eq!((error.outcome, error.status), ("broken", None));
            assert!(error.text.contains(text), "{}", error.text);
            assert!(error.remedy.contains("cert-file"), "{}", error.remedy);
            assert_eq!(rig.counts().pending.profiles, 1);

            // The right certificate is tried at once.
            let ours = ca(&authority.pem()).showing(&authority.issue(&["us"]));
            rig.handle.update(&over(&ours)).unwrap();
            pause(1.5).await;
            assert_eq!(rig.counts().sent.profiles, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_with_another_authority_is_accepted_once_its_authority_is_configured() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let rig = Rig::with(&over(&ca(&old.pem())), Server::new(|_| Act::OK));
    assert_eq!(rig.monitor.status().certificate_expiry, None);
    rig.server.set_tls(new.issue(&[HOST]).server());
    rig.offer("app");
    pause(60.0).await;
    let status = rig.monitor.status();
    let error = status.last_error.unwrap();
    assert_eq!(error.outcome, "broken");
    assert!(error.text.contains("signed by"), "{}", error.text);
    assert!(error.remedy.contains("ca-file"), "{}", error.remedy);
    assert!(status.certificate_expiry.is_some(), "it was shown");

    rig.handle.update(&over(&ca(&new.pem()))).unwrap();
    assert_eq!(rig.monitor.status().certificate_expiry, None);
    pause(0.5).await;
    assert_eq!(rig.counts().sent.profiles, 1);
    assert!(rig.monitor.status().certificate_expiry.is_some());
}
