use std::sync::Arc;
use std::time::SystemTime;

use rcgen::ExtendedKeyUsagePurpose;
use rustls::ClientConfig;

use super::{Authority, Pair, ca, dates, for_servers_only, of_version, shake, shake_as, system};
use crate::trust::anchors;
use crate::{
    Alpn, ClientAuth, ClientTls, ClientTlsSettings, MinVersion, ServerTls, TlsWords, client_words,
    provider,
};

const HOST: &str = "pyroscope.example";

#[test]
fn an_authority_that_is_not_configured_is_not_trusted() {
    let authority = Authority::new("root");
    let intermediate = authority.intermediate("between");
    let stranger = Authority::new("stranger");
    let with_file = "the server's certificate is signed by no authority in ca-file";
    for server in [
        stranger.issue(&[HOST]),
        Pair::self_signed(&[HOST], false),
        // The server does not send the intermediate.
        intermediate.issue(&[HOST]),
    ] {
        let shaken = shake(&ca(&authority.pem()).tls(), HOST, &server.server());
        assert_eq!(shaken.text(), with_file);
        assert!(shaken.remedy().starts_with("set ca-file"));
        let shaken = shake(
            &ClientTls::system(system()).unwrap(),
            HOST,
            &server.server(),
        );
        assert_eq!(
            shaken.text(),
            "the server's certificate is signed by no authority that this machine trusts"
        );
    }
}

#[test]
fn an_authority_that_was_made_again_under_its_name_has_words() {
    let (old, new) = (Authority::new("root"), Authority::new("root"));
    let shaken = shake(&ca(&old.pem()).tls(), HOST, &new.issue(&[HOST]).server());
    assert!(
        shaken.text().starts_with("a signature"),
        "{}",
        shaken.text()
    );
    assert!(shaken.remedy().contains("ca-file"));
}

#[test]
fn a_wrong_name_is_told_with_the_names_that_are_right() {
    let authority = Authority::new("root");
    let client = ca(&authority.pem()).tls();
    let shaken = shake(
        &client,
        HOST,
        &authority.issue(&["a.example", "10.0.0.1"]).server(),
    );
    assert_eq!(
        shaken.text(),
        "the server's certificate is for a.example, 10.0.0.1, not for pyroscope.example"
    );
    assert!(shaken.remedy().contains("server-name"));

    let many: Vec<_> = (0..7).map(|index| format!("n{index}.example")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let shaken = shake(&client, "10.0.0.1", &authority.issue(&many).server());
    assert_eq!(
        shaken.text(),
        "the server's certificate is for n0.example, n1.example, n2.example, n3.example, n4.example, 2 more, not for 10.0.0.1"
    );

    let shaken = shake(&client, HOST, &authority.issue(&[]).server());
    assert_eq!(
        shaken.text(),
        "the server's certificate has no subjectAltName, so it is not for pyroscope.example"
    );
}

#[test]
fn dates_are_told() {
    let authority = Authority::new("root");
    let client = ca(&authority.pem()).tls();
    let expired = authority.issue_with(&[HOST], |params| dates(params, 2020, 2021));
    let shaken = shake(&client, HOST, &expired.server());
    assert_eq!(
        shaken.text(),
        "a certificate that the server shows expired on 2021-01-01T00:00:00Z"
    );
    assert!(shaken.remedy().contains("clock"));
    assert!(client.observer().server_not_after().unwrap() < SystemTime::now());

    let future = authority.issue_with(&[HOST], |params| dates(params, 2090, 2091));
    let shaken = shake(&client, HOST, &future.server());
    assert_eq!(
        shaken.text(),
        "a certificate that the server shows is valid only from 2090-01-01T00:00:00Z on"
    );
}

#[test]
fn a_certificate_for_clients_only_is_not_one_of_a_server() {
    let authority = Authority::new("root");
    let pair = authority.issue_with(&[HOST], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let shaken = shake(&ca(&authority.pem()).tls(), HOST, &pair.server());
    assert_eq!(
        shaken.text(),
        "the server's certificate is not issued for servers"
    );
}

#[test]
fn a_server_may_want_a_certificate() {
    let authority = Authority::new("root");
    let pair = authority.issue(&[HOST]);
    for min_version in [MinVersion::Tls12, MinVersion::Tls13] {
        let client = ClientTlsSettings {
            min_version,
            ..ca(&authority.pem())
        };
        let server = pair.asking(&authority.pem(), ClientAuth::Require);
        let bare = client.tls();
        let shaken = shake(&bare, HOST, &server);
        let wanted = "the server wants a client certificate, and none is configured";
        assert_eq!(shaken.text(), wanted);
        assert!(shaken.remedy().contains("cert-file"));
        assert!(bare.observer().server_asks_for_certificate());

        let own = client.clone().showing(&authority.issue(&[]));
        shake(&own.tls(), HOST, &server).assert_ok();
        for (pair, text) in [
            (
                Authority::new("stranger").issue(&[]),
                "the server does not know the authority that signed the certificate in cert-file",
            ),
            (
                authority.issue_with(&[], |params| dates(params, 2020, 2021)),
                "the server says that the certificate in cert-file has expired",
            ),
            (
                authority.issue_with(&[], for_servers_only),
                "the server says that the certificate in cert-file is of the wrong kind",
            ),
        ] {
            let own = client.clone().showing(&pair).tls();
            assert_eq!(shake(&own, HOST, &server).text(), text);
        }
    }
}

#[test]
fn a_server_wants_a_certificate_within_a_handshake_of_tls_1_2() {
    let authority = Authority::new("root");
    let server = authority
        .issue(&[HOST])
        .asking(&authority.pem(), ClientAuth::Require);
    let settings = ca(&authority.pem());
    let client = settings.tls();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(anchors(&settings, system()).unwrap().0)
        .with_client_cert_resolver(Arc::clone(
            &client.config(Alpn::Http1).client_auth_cert_resolver,
        ));
    let shaken = shake_as(&client, config.into(), HOST, server.config());
    assert_eq!(
        shaken.text(),
        "the server wants a client certificate, and none is configured"
    );
}

#[test]
fn a_common_version_is_needed() {
    let authority = Authority::new("root");
    let pair = authority.issue(&[HOST]);
    let client = ClientTlsSettings {
        min_version: MinVersion::Tls13,
        ..ca(&authority.pem())
    };
    let config = of_version(&pair, &rustls::version::TLS12);
    let tls = client.tls();
    let shaken = shake_as(&tls, tls.config(Alpn::Http1), HOST, config.into());
    assert_eq!(
        shaken.text(),
        "the server does not speak TLS 1.3, which min-version asks for"
    );
    assert!(shaken.remedy().contains("min-version"));
    let config = of_version(&pair, &rustls::version::TLS13);
    let shaken = shake_as(&tls, tls.config(Alpn::Http1), HOST, config.into());
    shaken.assert_ok();
}

#[test]
fn each_configuration_offers_one_protocol() {
    let authority = Authority::new("root");
    let pair = authority.issue(&[HOST]);
    let client = ca(&authority.pem()).tls();
    for alpn in [Alpn::Http1, Alpn::H2] {
        let shaken = shake_as(&client, client.config(alpn), HOST, pair.server().config());
        shaken.assert_ok();
        assert_eq!(shaken.alpn.as_deref(), Some(alpn.as_bytes()));
    }
    let other = ServerTls::build(&pair.settings(), &[Alpn::H2]).unwrap();
    assert_eq!(
        shake(&client, HOST, &other).text(),
        "the server speaks no version of HTTP that the relay needs on this port (ALPN)"
    );
}

#[test]
fn a_server_without_tls_is_told() {
    let client = ClientTls::system(system()).unwrap();
    let name = client.server_name(HOST).unwrap();
    let mut connection = rustls::ClientConnection::new(client.config(Alpn::Http1), name).unwrap();
    let mut response = b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice();
    connection.read_tls(&mut response).unwrap();
    let error = connection.process_new_packets().unwrap_err();
    let words = client_words(&error, client.context()).unwrap();
    assert_eq!(words, TlsWords::answered_without_tls());
}
