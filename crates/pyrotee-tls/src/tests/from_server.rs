use std::collections::BTreeSet;
use std::io;

use super::{Authority, Pair, ca, dates, for_servers_only, shake, shake_as};
use crate::{Alpn, ClientAuth, ClientTlsSettings, HandshakeErrorKind, provider};

const HOST: &str = "relay.example";

#[test]
fn a_client_without_a_certificate_passes_if_it_is_only_asked() {
    let authority = Authority::new("root");
    let server = authority
        .issue(&[HOST])
        .asking(&authority.pem(), ClientAuth::Request);
    let client = ca(&authority.pem());
    let shaken = shake(&client.tls(), HOST, &server);
    shaken.assert_ok();
    assert!(shaken.seen_by_server.is_empty());

    let known = client.clone().showing(&authority.issue(&[]));
    let shaken = shake(&known.tls(), HOST, &server);
    shaken.assert_ok();
    assert_eq!(shaken.seen_by_server.len(), 1);

    // The second has the name of the authority in the file.
    for name in ["stranger", "root"] {
        let stranger = client.clone().showing(&Authority::new(name).issue(&[]));
        let shaken = shake(&stranger.tls(), HOST, &server);
        assert_eq!(shaken.kind(), HandshakeErrorKind::CertificateUnknownCa);
    }
}

#[test]
fn the_kinds_of_refused_clients_are_told_apart() {
    let authority = Authority::new("root");
    let server = authority
        .issue(&[HOST])
        .asking(&authority.pem(), ClientAuth::Require);
    let client = ca(&authority.pem());
    let kind = |client: &ClientTlsSettings| shake(&client.tls(), HOST, &server).kind();
    assert_eq!(kind(&client), HandshakeErrorKind::NoCertificate);
    let expired = authority.issue_with(&[], |params| dates(params, 2020, 2021));
    assert_eq!(
        kind(&client.clone().showing(&expired)),
        HandshakeErrorKind::CertificateExpired
    );
    let server_only = authority.issue_with(&[], for_servers_only);
    assert_eq!(
        kind(&client.showing(&server_only)),
        HandshakeErrorKind::CertificateInvalid
    );
    let trusts_others = ca(&Authority::new("other").pem());
    assert_eq!(kind(&trusts_others), HandshakeErrorKind::Untrusted);
}

#[test]
fn a_self_signed_client_is_accepted_only_from_the_file() {
    let authority = Authority::new("root");
    let pair = authority.issue(&[HOST]);
    for is_ca in [true, false] {
        let own = Pair::self_signed(&[], is_ca);
        let client = ca(&authority.pem()).showing(&own).tls();
        let server = pair.asking(&own.cert, ClientAuth::Require);
        shake(&client, HOST, &server).assert_ok();
        let server = pair.asking(&Pair::self_signed(&[], is_ca).cert, ClientAuth::Require);
        assert_eq!(
            shake(&client, HOST, &server).kind(),
            HandshakeErrorKind::CertificateUnknownCa
        );
        let expired = Pair::self_signed_with(&[], is_ca, |params| dates(params, 2020, 2021));
        let server = pair.asking(&expired.cert, ClientAuth::Require);
        let client = ca(&authority.pem()).showing(&expired).tls();
        assert_eq!(
            shake(&client, HOST, &server).kind(),
            HandshakeErrorKind::CertificateExpired
        );
    }
}

#[test]
fn clients_that_speak_something_else_are_told_apart() {
    let authority = Authority::new("root");
    let server = authority.issue(&[HOST]).server();
    let mut connection = rustls::ServerConnection::new(server.config()).unwrap();
    let mut request = b"GET /ready HTTP/1.1\r\n\r\n".as_slice();
    connection.read_tls(&mut request).unwrap();
    let error = connection.process_new_packets().unwrap_err();
    assert_eq!(HandshakeErrorKind::of(&error), HandshakeErrorKind::NotTls);

    let client = ca(&authority.pem()).tls();
    let http1 = crate::ServerTls::build(&authority.issue(&[HOST]).settings(), &[Alpn::Http1]);
    let shaken = shake_as(
        &client,
        client.config(Alpn::H2),
        HOST,
        http1.unwrap().config(),
    );
    assert_eq!(shaken.kind(), HandshakeErrorKind::Incompatible);

    let mut settings = authority.issue(&[HOST]).settings();
    settings.min_version = crate::MinVersion::Tls13;
    let server = crate::ServerTls::build(&settings, &[Alpn::Http1]).unwrap();
    let old = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let shaken = shake_as(&client, old.into(), HOST, server.config());
    assert_eq!(shaken.kind(), HandshakeErrorKind::Incompatible);

    for (error, kind) in [
        (io::ErrorKind::UnexpectedEof, HandshakeErrorKind::Closed),
        (io::ErrorKind::ConnectionReset, HandshakeErrorKind::Closed),
        (io::ErrorKind::TimedOut, HandshakeErrorKind::Timeout),
        (io::ErrorKind::Other, HandshakeErrorKind::Other),
    ] {
        assert_eq!(HandshakeErrorKind::of(&io::Error::from(error)), kind);
    }
}

#[test]
fn every_kind_has_a_label_of_its_own_and_a_remedy() {
    let labels: BTreeSet<_> = HandshakeErrorKind::ALL
        .map(HandshakeErrorKind::as_str)
        .into();
    assert_eq!(labels.len(), HandshakeErrorKind::ALL.len());
    for kind in HandshakeErrorKind::ALL {
        assert!(!kind.text().is_empty());
        assert!(!kind.remedy().ends_with('.') && kind.remedy().len() <= 120);
    }
}
