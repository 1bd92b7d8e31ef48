use std::fmt::Debug;

use super::{Authority, Pair, ca, shake, system};
use crate::{Alpn, ClientTls, IdentityPem, PemFile, ServerTls, SystemRoots};

/// The middle of a PEM block's first line of base64: it occurs in nothing else.
fn body(pem: &str) -> &str {
    let line = pem.lines().nth(1).unwrap();
    &line[line.len() / 2..]
}

#[test]
fn no_output_contains_a_key_or_a_passphrase() {
    let pair = Pair::self_signed(&["a.example"], false);
    let other = Authority::new("other").issue(&["a.example"]);
    let secrets = [body(&pair.key), body(&other.key), "hunter2", "PLANTED"];
    let mut outputs: Vec<String> = Vec::new();
    let mut show = |value: &dyn Debug| outputs.push(format!("{value:?} {value:#?}"));

    let settings = ca(&pair.cert).showing(&pair);
    show(&settings);
    show(&pair.settings());
    show(&pair.server());
    show(&pair.server().config());
    show(&settings.tls());
    show(&settings.tls().config(Alpn::H2));
    show(&settings.tls().observer());
    let shaken = shake(&ca(&other.cert).tls(), "a.example", &pair.server());
    show(&shaken.client);
    show(&shaken.words);

    let broken = [
        format!("# passphrase hunter2\n{}", &pair.key[..pair.key.len() / 2]),
        pair.key.replacen(
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN PLANTED KEY----",
            1,
        ),
        pair.key.replacen('\n', "\nPLANTED!\n", 1),
        pair.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        format!("hunter2 {}", pair.key.replace("PRIVATE", "PLANTED")),
        other.key.clone(),
        "hunter2".to_owned(),
    ];
    for content in broken {
        let file = PemFile::new("key.pem", content.clone().into());
        let as_key = IdentityPem {
            cert: pair.identity().cert,
            key: file.clone(),
        };
        let as_both = IdentityPem {
            cert: file.clone(),
            key: file.clone(),
        };
        for identity in [as_key, as_both] {
            let mut server = pair.settings();
            server.identity = identity.clone();
            show(&ServerTls::build(&server, &[]).unwrap_err());
            let mut client = ca(&content);
            client.identity = Some(identity);
            let faults = ClientTls::build(&client, system()).unwrap_err();
            faults.iter().for_each(|fault| show(&fault.to_string()));
            show(&faults);
        }
    }
    for output in outputs {
        for secret in secrets {
            assert!(!output.contains(secret), "{secret} in {output}");
        }
    }
}

#[test]
fn a_variable_without_certificates_is_an_error_that_quotes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    let load = |file: Option<&str>, folders: Option<&str>| {
        SystemRoots::from_variables(file.map(Into::into), folders.map(Into::into))
    };
    let (file_name, folder_name) = (file.to_str().unwrap(), folder.path().to_str().unwrap());

    let missing = load(Some(file_name), None).unwrap_err().to_string();
    assert!(missing.starts_with(&format!(
        "SSL_CERT_FILE names {file_name}, which cannot be read"
    )));
    assert!(
        missing.ends_with(": correct or unset SSL_CERT_FILE"),
        "{missing}"
    );
    for content in ["", "hunter2", &Pair::self_signed(&[], false).key] {
        std::fs::write(&file, content).unwrap();
        for result in [load(Some(file_name), None), load(None, Some(folder_name))] {
            let text = result.unwrap_err().to_string();
            assert!(
                text.contains("which holds no certificate (PEM): correct or unset"),
                "{text}"
            );
        }
    }
    assert!(load(None, Some("/nowhere")).is_err());

    std::fs::write(&file, Authority::new("root").pem()).unwrap();
    let public = webpki_roots::TLS_SERVER_ROOTS.len();
    assert_eq!(load(Some(file_name), None).unwrap().0.len(), public + 1);
    let two = format!("/nowhere:{folder_name}");
    assert_eq!(load(None, Some(&two)).unwrap().0.len(), public + 1);
    assert!(load(Some(file_name), Some("/nowhere")).is_err());
    assert!(load(Some(""), Some("")).is_ok());
}
