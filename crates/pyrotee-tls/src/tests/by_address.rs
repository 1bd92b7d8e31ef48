use std::sync::Arc;

use super::pump::Shaken;
use super::{Authority, Pair, ca, shake_as};
use crate::{ClientTls, ClientTlsSettings};

const HOST: &str = "relay.example";

/// A handshake of a library that was given an address of [`HOST`].
fn shake(client: &ClientTls, pair: &Pair) -> Shaken {
    let config = client.config_for_address(HOST).unwrap();
    shake_as(client, Arc::new(config), "10.0.0.1", pair.server().config())
}

#[test]
fn a_certificate_is_checked_for_the_name_though_the_address_is_dialled() {
    let authority = Authority::new("root");
    let client = ca(&authority.pem()).tls();
    let pair = authority.issue(&[HOST]);
    for _ in 0..2 {
        let shaken = shake(&client, &pair);
        shaken.assert_ok();
        assert!(!shaken.is_resumed);
        assert_eq!(shaken.alpn, None);
    }
    let of_address = shake(&client, &authority.issue(&["10.0.0.1"]));
    assert!(of_address.text().contains(HOST), "{}", of_address.text());
    let stranger = shake(&client, &Authority::new("stranger").issue(&[HOST]));
    assert!(stranger.client.is_err());
    assert!(
        stranger.remedy().contains("ca-file"),
        "{}",
        stranger.remedy()
    );
}

#[test]
fn a_configured_server_name_is_checked_instead() {
    let authority = Authority::new("root");
    let client = ClientTlsSettings {
        server_name: Some("other.example".to_owned()),
        ..ca(&authority.pem())
    };
    shake(&client.tls(), &authority.issue(&["other.example"])).assert_ok();
    let shaken = shake(&client.tls(), &authority.issue(&[HOST]));
    assert!(shaken.text().contains("other.example"), "{}", shaken.text());
}

#[test]
fn a_host_that_no_certificate_can_name_is_refused() {
    let client = ClientTlsSettings::default().tls();
    let words = client.config_for_address("no name").unwrap_err();
    assert!(words.remedy.contains("server-name"));
}
