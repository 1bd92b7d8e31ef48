use pyrotee_tls::ClientTlsSettings;
use pyrotee_tls::testing::{Authority, Pair, ca};

use super::link;
use crate::settings::{Server, Settings};
use crate::testing::{self, Nats};

/// A server with a certificate; `more` is added to the section `tls`.
async fn serve(pair: &Pair, more: &str) -> Nats {
    let nats = Nats::never();
    let cert = nats.write("cert.pem", &pair.cert);
    let key = nats.write("key.pem", &pair.key);
    nats.configure(&format!(
        "tls {{ cert_file: {cert:?}, key_file: {key:?}, timeout: 5 {more} }}"
    ));
    let mut nats = nats;
    nats.restart().await;
    nats
}

fn settings(nats: &Nats, tls: Option<&ClientTlsSettings>) -> Settings {
    let server = Server {
        host: "localhost".to_owned(),
        port: nats.port(),
        tls: tls.is_some(),
    };
    Settings {
        tls: tls.map(ClientTlsSettings::tls),
        ..testing::settings(vec![server], "p")
    }
}

#[tokio::test]
async fn the_certificate_is_checked_for_the_configured_name() {
    let authority = Authority::new("root");
    let nats = serve(&authority.issue(&["localhost"]), "").await;
    let trusting = ca(&authority.pem());
    let linked = link(&settings(&nats, Some(&trusting)));
    linked.session().await;

    let named = ClientTlsSettings {
        server_name: Some("other.example".to_owned()),
        ..trusting
    };
    let error = link(&settings(&nats, Some(&named))).error(|_| true).await;
    assert!(error.contains("other.example"), "{error}");

    let stranger = ca(&Authority::new("stranger").pem());
    let error = link(&settings(&nats, Some(&stranger)))
        .error(|_| true)
        .await;
    assert!(error.contains("ca-file"), "{error}");
}

#[tokio::test]
async fn a_server_that_demands_tls_is_told() {
    let nats = serve(&Authority::new("root").issue(&["localhost"]), "").await;
    let error = link(&settings(&nats, None)).error(|_| true).await;
    assert!(error.ends_with("write tls:// in shared.servers"), "{error}");
}

#[tokio::test]
async fn the_relay_shows_its_certificate() {
    let authority = Authority::new("root");
    let nats = Nats::never();
    let file = nats.write("ca.pem", authority.pem());
    let more = format!(", ca_file: {file:?}, verify: true");
    let server = serve(&authority.issue(&["localhost"]), &more).await;
    let client = ca(&authority.pem());
    let error = link(&settings(&server, Some(&client)))
        .error(|_| true)
        .await;
    assert!(error.contains("certificate"), "{error}");
    let client = client.showing(&authority.issue(&["relay"]));
    link(&settings(&server, Some(&client))).session().await;
}
