use super::{Authority, ca, shake};
use crate::{Alpn, ClientAuth, MinVersion, ServerTls, ServerTlsSettings};

const HOST: &str = "pyroscope.example";

#[test]
fn values_of_equal_contents_are_equal_and_any_change_makes_another() {
    let authority = Authority::new("root");
    let (one, other) = (authority.issue(&[]), authority.issue(&[]));
    let base = ca(&authority.pem()).showing(&one);
    assert_eq!(base.tls(), base.clone().tls());

    let mut changed = vec![base.clone(); 5];
    changed[0].identity = Some(other.identity());
    changed[1].system_roots = true;
    changed[2].server_name = Some(HOST.into());
    changed[3].min_version = MinVersion::Tls13;
    changed[4].insecure_skip_verify = true;
    let another_ca = ca(&Authority::new("root").pem()).showing(&one);
    for settings in changed.iter().chain([&another_ca]) {
        assert_ne!(base.tls(), settings.tls());
    }

    let server = one.settings();
    let build = |settings: &ServerTlsSettings| ServerTls::build(settings, &[Alpn::Http1]).unwrap();
    assert_eq!(build(&server), build(&server.clone()));
    assert_ne!(build(&server), build(&other.settings()));
    assert_ne!(
        build(&server),
        ServerTls::build(&server, &[Alpn::H2]).unwrap()
    );
    assert_ne!(
        one.asking(&authority.pem(), ClientAuth::Request),
        one.asking(&authority.pem(), ClientAuth::Require)
    );
}

#[test]
fn a_session_is_resumed_within_a_value_and_never_across_values() {
    let authority = Authority::new("root");
    let server = authority
        .issue(&[HOST])
        .asking(&authority.pem(), ClientAuth::Require);
    let settings = ca(&authority.pem()).showing(&authority.issue(&["one.example"]));
    let client = settings.tls();
    let first = shake(&client, HOST, &server);
    assert!(!first.is_resumed);
    assert!(shake(&client, HOST, &server).is_resumed);

    let renewed = ca(&authority.pem()).showing(&authority.issue(&["two.example"]));
    let shaken = shake(&renewed.tls(), HOST, &server);
    assert!(!shaken.is_resumed);
    assert_ne!(shaken.seen_by_server, first.seen_by_server);

    let new_server = authority
        .issue(&[HOST])
        .asking(&authority.pem(), ClientAuth::Require);
    let shaken = shake(&client, HOST, &new_server);
    shaken.assert_ok();
    assert!(!shaken.is_resumed);
    assert_ne!(shaken.seen_by_client, first.seen_by_client);
}
