use std::sync::Arc;
use std::time::SystemTime;

use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::{Authority, Pair, ca, dates, of_version, shake, shake_as, system};
use crate::trust::anchors;
use crate::{Alpn, ClientAuth, ClientTls, ClientTlsSettings, PemFile, TlsPart, pem, provider};

const HOST: &str = "pyroscope.example";

/// The certificate of one pair with the key of another.
fn forged(cert: &Pair, key: &Pair) -> SingleCertAndKey {
    let (key, _) = crate::identity::identity(&key.identity(), &provider()).unwrap();
    let cert = pem::certificates(TlsPart::CertFile, &cert.identity().cert).unwrap();
    CertifiedKey::new(cert, key.key.clone()).into()
}

#[test]
fn a_server_with_a_certificate_of_the_configured_authority_is_accepted() {
    let authority = Authority::new("root");
    let server = authority.issue(&[HOST, "127.0.0.1", "::1"]).server();
    for host in [
        HOST,
        "127.0.0.1",
        "[::1]",
        "::1",
        "PYROSCOPE.example",
        "pyroscope.example.",
    ] {
        shake(&ca(&authority.pem()).tls(), host, &server).assert_ok();
    }
}

#[test]
fn handshakes_show_when_the_server_s_certificate_expires_and_whether_it_asks() {
    let authority = Authority::new("root");
    let pair = authority.issue_with(&[HOST], |params| dates(params, 2020, 2105));
    let client = ca(&authority.pem()).showing(&pair).tls();
    let observer = client.observer();
    assert_eq!(observer.server_not_after(), None);
    shake(&client, HOST, &pair.server()).assert_ok();
    let shown = client.certificates().last().unwrap();
    assert_eq!(shown.part(), TlsPart::CertFile);
    assert_eq!(observer.server_not_after(), shown.not_after());
    assert!(!observer.server_asks_for_certificate());
    let asking = pair.asking(&authority.pem(), ClientAuth::Request);
    shake(&client, HOST, &asking).assert_ok();
    assert!(observer.server_asks_for_certificate() && client.context().asked);
}

#[test]
fn an_intermediate_alone_works_as_an_authority() {
    let intermediate = Authority::new("root").intermediate("between");
    let server = intermediate.issue(&[HOST]).server();
    shake(&ca(&intermediate.pem()).tls(), HOST, &server).assert_ok();
}

#[test]
fn an_expired_authority_works_and_is_told() {
    let authority = Authority::with("root", |params| dates(params, 2000, 2020));
    let client = ca(&authority.pem()).tls();
    shake(&client, HOST, &authority.issue(&[HOST]).server()).assert_ok();
    let expired: Vec<_> = client
        .certificates()
        .iter()
        .map(|info| info.is_expired(SystemTime::now()))
        .collect();
    assert_eq!(expired, [true]);
}

#[test]
fn the_roots_of_the_system_are_replaced_or_kept() {
    let store = |settings: &ClientTlsSettings| anchors(settings, system()).unwrap().0.len();
    let public = system().0.len();
    assert!(public > 100);
    let mut settings = ca(&Authority::new("root").pem());
    assert_eq!(store(&settings), 1);
    settings.system_roots = true;
    assert_eq!(store(&settings), public + 1);
    assert_eq!(store(&ClientTlsSettings::default()), public);
}

#[test]
fn another_server_name_may_be_expected() {
    let authority = Authority::new("root");
    let settings = ClientTlsSettings {
        server_name: Some("a.example".into()),
        ..ca(&authority.pem())
    };
    let server = authority.issue(&["a.example"]).server();
    shake(&settings.tls(), "10.0.0.1", &server).assert_ok();
    let words = ca(&authority.pem()).tls().server_name("").unwrap_err();
    assert_eq!(
        words.text,
        "\"\" is no name that a certificate can be checked for"
    );
    assert!(words.remedy.contains("server-name"));
}

#[test]
fn an_authority_shown_as_its_own_is_accepted_only_from_the_file() {
    let pair = Pair::self_signed(&[HOST], true);
    let other = Pair::self_signed(&[HOST], true);
    shake(&ca(&pair.cert).tls(), HOST, &pair.server()).assert_ok();
    for client in [ca(&other.cert).tls(), ClientTls::system(system()).unwrap()] {
        let shaken = shake(&client, HOST, &pair.server());
        assert_eq!(
            shaken.text(),
            "the server shows the certificate of an authority (CA:TRUE) as its own"
        );
        assert!(shaken.remedy().contains("ca-file"));
    }
}

#[test]
fn a_certificate_in_the_file_still_needs_name_and_dates() {
    for is_ca in [true, false] {
        let pair = Pair::self_signed(&[HOST], is_ca);
        let shaken = shake(&ca(&pair.cert).tls(), "other.example", &pair.server());
        assert!(
            shaken.text().contains("not for other.example"),
            "{}",
            shaken.text()
        );
        for (from, to, word) in [(2020, 2021, "expired"), (2090, 2091, "valid only from")] {
            let pair = Pair::self_signed_with(&[HOST], is_ca, |params| dates(params, from, to));
            let shaken = shake(&ca(&pair.cert).tls(), HOST, &pair.server());
            assert!(shaken.text().contains(word), "{}", shaken.text());
        }
    }
}

#[test]
fn a_leaf_of_an_authority_that_is_not_in_the_file_is_accepted_from_the_file() {
    let pair = Authority::new("unknown").issue(&[HOST]);
    shake(&ca(&pair.cert).tls(), HOST, &pair.server()).assert_ok();
    let shaken = shake(&ca(&pair.cert).tls(), "other.example", &pair.server());
    assert!(shaken.text().contains("not for other.example"));
}

#[test]
fn a_pinned_certificate_is_accepted_whatever_its_name_and_no_other() {
    let pair = Pair::self_signed_with(&["a.example"], true, |params| dates(params, 2020, 2021));
    let file = PemFile::new("/etc/admin.pem", pair.cert.clone().into());
    let client = ClientTls::pinned(&file, None).unwrap();
    shake(&client, "127.0.0.1", &pair.server()).assert_ok();

    let other = Pair::self_signed(&["a.example"], false);
    let shaken = shake(&client, "a.example", &other.server());
    assert_eq!(
        shaken.text(),
        "the server shows another certificate than /etc/admin.pem"
    );
    // The certificate of the file with another key.
    let mut config = (*other.server().config()).clone();
    config.cert_resolver = Arc::new(forged(&pair, &other));
    let shaken = shake_as(
        &client,
        client.config(Alpn::Http1),
        "a.example",
        config.into(),
    );
    assert!(
        shaken.text().starts_with("a signature"),
        "{}",
        shaken.text()
    );
}

#[test]
fn without_verification_any_certificate_passes_but_signatures_are_checked() {
    let settings = ClientTlsSettings {
        insecure_skip_verify: true,
        ..ClientTlsSettings::default()
    };
    let client = settings.tls();
    assert!(client.skips_verification());
    let pair = Pair::self_signed_with(&[], true, |params| dates(params, 2020, 2021));
    shake(&client, HOST, &pair.server()).assert_ok();

    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut config = of_version(&pair, version);
        config.cert_resolver = Arc::new(forged(&pair, &Pair::self_signed(&[], false)));
        let shaken = shake_as(&client, client.config(Alpn::Http1), HOST, config.into());
        assert!(
            shaken.text().starts_with("a signature"),
            "{}",
            shaken.text()
        );
    }
}
