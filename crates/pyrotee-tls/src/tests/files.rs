use std::time::SystemTime;

use super::{Authority, Pair, ca, dates, system};
use crate::{
    Alpn, ClientAuth, ClientTls, ClientTlsSettings, IdentityPem, PemFile, ServerTls,
    ServerTlsSettings, TlsPart,
};

fn file(content: impl Into<Vec<u8>>) -> PemFile {
    PemFile::new("/tls/file", content.into())
}

/// The faults of a client that shows this certificate and key.
fn faults(cert: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Vec<String> {
    let settings = ClientTlsSettings {
        identity: Some(IdentityPem {
            cert: file(cert),
            key: file(key),
        }),
        ..ClientTlsSettings::default()
    };
    match ClientTls::build(&settings, system()) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

fn ca_fault(content: impl Into<Vec<u8>>) -> String {
    let settings = ClientTlsSettings {
        ca: Some(file(content)),
        ..ClientTlsSettings::default()
    };
    let faults = ClientTls::build(&settings, system()).unwrap_err();
    assert_eq!(faults.len(), 1);
    faults[0].to_string()
}

/// The bytes of the first block.
fn der(pem: &str) -> Vec<u8> {
    let file = PemFile::new("", pem.into());
    let list = crate::pem::certificates(TlsPart::CaFile, &file).unwrap();
    list[0].to_vec()
}

#[test]
fn a_file_without_a_certificate_is_a_fault_that_says_what_it_is() {
    let pair = Pair::self_signed(&[], false);
    let cut = &pair.cert[..pair.cert.len() / 2];
    let cut_at_the_end = pair.cert.trim_end().trim_end_matches('-');
    let damaged = pair.cert.replacen('\n', "\n!!!!", 1);
    for (content, expected) in [
        (b"".to_vec(), "is empty"),
        (b" \n".to_vec(), "is empty"),
        (
            b"hello".to_vec(),
            "holds no PEM block -----BEGIN CERTIFICATE-----",
        ),
        (
            format!("  {}", pair.cert).into(),
            "BEGIN that is not at the beginning of a line",
        ),
        (
            pair.key.clone().into(),
            "holds a private key and no certificate",
        ),
        (cut.into(), "ends within a PEM block"),
        (cut_at_the_end.into(), "ends within a PEM block"),
        (damaged.into(), "is not base64"),
        (
            pair.cert
                .replacen("CERTIFICATE-----", "CERTIFICATE----", 1)
                .into(),
            "BEGIN line",
        ),
        (der(&pair.cert), "is not text but DER"),
        (
            pair.cert
                .replace("CERTIFICATE", "TRUSTED CERTIFICATE")
                .into(),
            "OpenSSL's own form",
        ),
        (
            pair.cert
                .replace("CERTIFICATE", "CERTIFICATE REQUEST")
                .into(),
            "a certificate request",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
            "something else than an X.509",
        ),
    ] {
        let text = ca_fault(content.clone());
        assert!(text.starts_with("ca-file: /tls/file "), "{text}");
        assert!(text.contains(expected) && text.contains(": "), "{text}");
        let texts = faults(content, pair.key.clone());
        assert_eq!(texts.len(), 1);
        assert!(texts[0].starts_with("cert-file: /tls/file "), "{texts:?}");
        assert!(texts[0].contains(expected), "{texts:?}");
    }
}

#[test]
fn a_file_without_a_usable_key_is_a_fault_that_says_what_it_is() {
    let pair = Pair::self_signed(&[], false);
    let other = Pair::self_signed(&[], false);
    let headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00";
    let old_form = pair.key.replacen('\n', &format!("\n{headers}\n\n"), 1);
    for (content, expected) in [
        (String::new(), "is empty"),
        (
            "hello".to_owned(),
            "holds no PEM block -----BEGIN PRIVATE KEY-----",
        ),
        (pair.cert.clone(), "holds a certificate and no private key"),
        (
            pair.key.replace("PRIVATE", "ENCRYPTED PRIVATE"),
            "openssl pkey",
        ),
        (old_form, "openssl pkey"),
        (pair.key.replace("PRIVATE", "PUBLIC"), "a public key"),
        (
            pair.key[..pair.key.len() / 2].to_owned(),
            "ends within a PEM block",
        ),
        (format!("{}{}", pair.key, other.key), "holds 2 private keys"),
        (other.key.clone(), "holds the key of another certificate"),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned(),
            "that cannot be used",
        ),
    ] {
        let texts = faults(pair.cert.clone(), content);
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].starts_with("key-file: /tls/file "), "{texts:?}");
        assert!(texts[0].contains(expected), "{texts:?}");
    }
}

#[test]
fn swapped_files_are_told_for_both_keys() {
    let pair = Pair::self_signed(&[], false);
    let texts = faults(pair.key.clone(), pair.cert);
    assert_eq!(texts.len(), 2);
    assert!(
        texts.iter().all(|text| text.contains("are swapped")),
        "{texts:?}"
    );
}

#[test]
fn a_chain_in_the_wrong_order_is_told() {
    let authority = Authority::new("root");
    let pair = authority.issue(&[]);
    let texts = faults(
        format!("{}{}", authority.pem(), pair.cert),
        pair.key.clone(),
    );
    assert_eq!(
        texts,
        [
            "cert-file: /tls/file holds the chain in the wrong order: certificate 2 belongs to the key, put it first"
        ]
    );
    assert!(faults(format!("{}{}", pair.cert, authority.pem()), pair.key).is_empty());
}

#[test]
fn certificate_and_key_may_stand_in_one_file() {
    let pair = Pair::self_signed(&[], false);
    let both = format!("Bag Attributes\n\u{e4}:\r\n{}{}", pair.key, pair.cert);
    assert!(faults(both.clone(), both.clone()).is_empty());
    // Editors of Windows put a mark in front of the first block.
    let marked = format!("\u{feff}{}{}", pair.cert, pair.key);
    assert!(faults(marked.clone(), marked).is_empty());
    // Text of another encoding around the blocks does no harm.
    let mut latin = b"# Z\xfcrich\n".to_vec();
    latin.extend(both.into_bytes());
    assert!(faults(latin.clone(), latin).is_empty());
}

#[test]
fn all_faults_are_found_at_once() {
    let settings = ClientTlsSettings {
        ca: Some(file("")),
        identity: Some(IdentityPem {
            cert: file(""),
            key: file(""),
        }),
        server_name: Some("not a name".into()),
        insecure_skip_verify: true,
        ..ClientTlsSettings::default()
    };
    let faults = ClientTls::build(&settings, system()).unwrap_err();
    let parts: Vec<_> = faults.iter().map(|fault| fault.part.as_str()).collect();
    assert_eq!(parts, ["ca-file", "cert-file", "key-file", "server-name"]);
    assert!(faults[3].text.contains("\"not a name\" is no DNS name"));
}

#[test]
fn keys_of_a_listener_must_fit_together() {
    let pair = Pair::self_signed(&[], false);
    let mut settings = pair.settings();
    let part = |settings: &ServerTlsSettings| {
        ServerTls::build(settings, &[Alpn::Http1]).unwrap_err()[0].part
    };
    settings.client_auth = ClientAuth::Require;
    assert_eq!(part(&settings), TlsPart::ClientAuth);
    settings.client_ca = Some(file(""));
    assert_eq!(part(&settings), TlsPart::ClientCaFile);
    settings.client_ca = Some(file(pair.cert));
    settings.client_auth = ClientAuth::None;
    assert_eq!(part(&settings), TlsPart::ClientAuth);
}

#[test]
fn every_certificate_is_listed_with_its_dates() {
    let authority = Authority::with("root", |params| dates(params, 2000, 2020));
    let pair = authority.issue_with(&[], |params| dates(params, 2090, 2105));
    let settings = ca(&format!("{}{}", authority.pem(), pair.cert)).showing(&pair);
    let client = settings.tls();
    let now = SystemTime::now();
    let list: Vec<_> = client
        .certificates()
        .iter()
        .map(|info| {
            (
                info.path().to_str().unwrap(),
                info.part().as_str(),
                info.position(),
                info.is_expired(now),
                info.is_not_valid_yet(now),
            )
        })
        .collect();
    assert_eq!(
        list,
        [
            ("ca.pem", "ca-file", 1, true, false),
            ("ca.pem", "ca-file", 2, false, true),
            ("cert.pem", "cert-file", 1, false, true),
        ]
    );
    let server = pair.asking(&authority.pem(), ClientAuth::Request);
    let parts: Vec<_> = server
        .certificates()
        .iter()
        .map(|info| info.part().as_str())
        .collect();
    assert_eq!(parts, ["cert-file", "client-ca-file"]);
}
