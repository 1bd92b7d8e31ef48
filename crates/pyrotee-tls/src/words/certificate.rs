//! Words for a server's certificate that is not accepted.

use rustls::{CertificateError, OtherError};

use super::TlsWords;
use crate::ClientContext;
use crate::date::unix_date;
use crate::verify::{NotPinned, is_authority_as_leaf};

/// Most names of a certificate that are listed.
const MAX_NAMES: usize = 5;

/// Longest name that is listed whole, in characters. A DNS name has 253 at most.
const MAX_NAME: usize = 253;

const RENEW: &str = "renew the server's certificate, or correct this machine's clock";

const REISSUE: &str =
    "issue the server's certificate again, with SHA-256 and RSA of 2048 bits or ECDSA P-256";

pub(super) fn words(error: &CertificateError, context: ClientContext) -> TlsWords {
    match error {
        CertificateError::UnknownIssuer => TlsWords::new(
            match context.ca_file {
                true => "the server's certificate is signed by no authority in ca-file",
                false => {
                    "the server's certificate is signed by no authority that this machine trusts"
                }
            },
            "set ca-file to the authority that signed it; if a browser is content, let the server send its intermediate",
        ),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => wrong_name(&expected.to_str(), presented),
        CertificateError::NotValidForName => TlsWords::new(
            "the server's certificate is for another name",
            "correct the address, or set server-name to a name of the certificate",
        ),
        CertificateError::ExpiredContext { not_after, .. } => TlsWords::new(
            format!(
                "a certificate that the server shows expired on {}",
                unix_date(*not_after)
            ),
            RENEW,
        ),
        CertificateError::Expired => {
            TlsWords::new("a certificate that the server shows has expired", RENEW)
        }
        CertificateError::NotValidYetContext { not_before, .. } => TlsWords::new(
            format!(
                "a certificate that the server shows is valid only from {} on",
                unix_date(*not_before)
            ),
            "correct this machine's clock, or issue the server's certificate again",
        ),
        CertificateError::NotValidYet => TlsWords::new(
            "a certificate that the server shows is not valid yet",
            "correct this machine's clock, or issue the server's certificate again",
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            TlsWords::new(
                "the server's certificate is not issued for servers",
                "issue the server's certificate again, with extendedKeyUsage serverAuth",
            )
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            TlsWords::new(
                "a certificate that the server shows has a signature of a kind that is not supported",
                REISSUE,
            )
        }
        CertificateError::BadSignature => TlsWords::new(
            "a signature of the server or of its certificate is wrong",
            "check that the server's key and certificate belong together, and that ca-file has the newest authority",
        ),
        CertificateError::BadEncoding => {
            TlsWords::new("the server's certificate cannot be read", REISSUE)
        }
        CertificateError::Other(other) => other_words(other),
        error => TlsWords::new(
            format!("the server's certificate is not accepted: {error}"),
            REISSUE,
        ),
    }
}

fn other_words(error: &OtherError) -> TlsWords {
    if is_authority_as_leaf(error) {
        return TlsWords::new(
            "the server shows the certificate of an authority (CA:TRUE) as its own",
            "put this certificate into ca-file, or issue it with basicConstraints=critical,CA:FALSE",
        );
    }
    if let Some(pinned) = error.0.downcast_ref::<NotPinned>() {
        return TlsWords::new(
            pinned.to_string(),
            "ask the relay that has this certificate; after a renewal, try again when it has read the file",
        );
    }
    TlsWords::new(
        format!("the server's certificate is not accepted: {error}"),
        REISSUE,
    )
}

fn wrong_name(expected: &str, presented: &[String]) -> TlsWords {
    if presented.is_empty() {
        return TlsWords::new(
            format!("the server's certificate has no subjectAltName, so it is not for {expected}"),
            "issue the server's certificate with its name as subjectAltName: a common name does not count",
        );
    }
    let more = presented.len().saturating_sub(MAX_NAMES);
    let mut names: Vec<_> = presented
        .iter()
        .take(MAX_NAMES)
        .map(|name| bare(name))
        .collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    TlsWords::new(
        format!(
            "the server's certificate is for {}, not for {expected}",
            names.join(", ")
        ),
        "correct the address, or set server-name to a name of the certificate",
    )
}

/// The name without the kind that webpki writes around it, `DnsName("a.example")`. It comes from the network:
/// only printable characters of ASCII are kept.
fn bare(presented: &str) -> String {
    let inner = presented
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(presented);
    inner
        .trim_matches('"')
        .chars()
        .take(MAX_NAME)
        .map(|letter| {
            if letter.is_ascii_graphic() {
                letter
            } else {
                '?'
            }
        })
        .collect()
}
