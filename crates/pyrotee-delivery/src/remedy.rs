//! What an operator does about an upload that failed.

use http::StatusCode;
use pyroscope_wire::refusal::Meaning;
use pyrotee_net::ExchangeErrorKind;
use pyrotee_queue::Reason;

use crate::outcome::Outcome;

const PAGE: &str = "check the address and the credentials of the target: a login page or proxy responds, not a Pyroscope";
const CREDENTIALS: &str =
    "check the token of the target (auth-token, basic-auth-*) and its tenant-id";
const ADDRESS: &str = "check the host, port and path prefix of the target's address, and its paths";
const REDIRECT: &str =
    "write the address to which the target redirects, with its scheme, as the target's address";
const TOO_LARGE: &str = "raise the limit on bodies of the target and of the proxies before it, or send smaller profiles";
const FORMAT: &str = "update the target, which does not support this surface or format of profiles";
const LIMIT: &str =
    "raise the target's limits on ingestion (rate, series, quota), or send it fewer profiles";
const REFUSED: &str = "read the target's response, and the profile with pyrotee dead-letters show, then correct its client";
const GATEWAY: &str =
    "check the health and the log of the target, and of the servers behind its gateway";
const SERVER: &str = "check the health and the log of the target";
const UNKNOWN: &str =
    "read the target's response, and set the meaning of this status under outcomes of the target";

impl Outcome {
    /// What an operator does about the failure: one imperative sentence without a full stop, for logs, status and
    /// runbooks. For a success with a warning, it is about the rejected profiles.
    pub(crate) fn remedy(&self) -> &'static str {
        if let Some(remedy) = self.error_remedy() {
            return remedy;
        }
        match (self.meaning, self.status) {
            (Err(reason), _) => reason.remedy(),
            (Ok(meaning), Some(status)) => of_response(status, meaning),
            // An upload without a response has an error.
            (Ok(_), None) => ExchangeErrorKind::Reset.remedy(),
        }
    }
}

fn of_response(status: StatusCode, meaning: Meaning) -> &'static str {
    match (status.as_u16(), meaning) {
        (200..=299, Meaning::Broken) => PAGE,
        (300..=399, _) => REDIRECT,
        (401 | 403 | 407, _) => CREDENTIALS,
        (413, _) => TOO_LARGE,
        // A gateway that names a time is throttling, and still unavailable.
        (502..=504, _) => GATEWAY,
        (404 | 405 | 410 | 421, Meaning::Broken) => ADDRESS,
        (415 | 426 | 501 | 505, Meaning::Broken) => FORMAT,
        // A tenant or a client certificate that the target does not accept, or plain HTTP at a port for TLS.
        (_, Meaning::Broken) => {
            "check the scheme, port, credentials, tenant-id and tls.cert-file of the target"
        }
        (_, Meaning::Throttled | Meaning::RecordLimit) => LIMIT,
        (_, Meaning::Rejected) => REFUSED,
        (_, Meaning::Transient | Meaning::Ambiguous) => SERVER,
        // An acknowledgement with a warning, or of a part of the profiles.
        (_, Meaning::Taken) => Reason::Rejected.remedy(),
        (_, Meaning::Unknown) => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use pyroscope_wire::refusal::Rules;
    use pyrotee_net::ExchangeError;

    use super::*;

    /// The remedy for a response that the built-in rules judge.
    fn judged(status: u16, body: &str) -> &'static str {
        let meaning = Rules::default().judge(status, body);
        responded(status, meaning)
    }

    fn responded(status: u16, meaning: Meaning) -> &'static str {
        let status = StatusCode::from_u16(status).unwrap();
        Outcome::response(status, meaning, String::new(), None).remedy()
    }

    #[test]
    fn each_typical_response_has_a_remedy_that_fits() {
        let rate = r#"{"code":"resource_exhausted","message":"rate limit exceeded"}"#;
        let labels = r#"{"code":"invalid_argument","message":"malformed labels"}"#;
        for (status, body, expected) in [
            (301, "", "redirects"),
            (308, "", "redirects"),
            (400, labels, "dead-letters show"),
            (
                400,
                "Client sent an HTTP request to an HTTPS server.",
                "scheme",
            ),
            (
                400,
                "<title>400 The SSL certificate error</title>",
                "tls.cert-file",
            ),
            (401, "", "auth-token"),
            (401, "no org id", "tenant-id"),
            (403, "", "auth-token"),
            (404, "", "path prefix"),
            (405, "", "path prefix"),
            (408, "", "health"),
            (413, "", "limit on bodies"),
            (415, "", "update the target"),
            (418, "", "outcomes"),
            (422, labels, "dead-letters show"),
            (422, rate, "limits on ingestion"),
            (422, "unavailable", "health"),
            (429, "", "limits on ingestion"),
            (500, "", "health and the log"),
            (501, "", "update the target"),
            (502, "", "gateway"),
            (503, "", "gateway"),
            (504, "", "gateway"),
        ] {
            let remedy = judged(status, body);
            assert!(remedy.contains(expected), "{status} {body}: {remedy}");
        }
        assert!(responded(200, Meaning::Broken).contains("login page"));
    }

    /// The remedies of all responses of a failed upload.
    fn all() -> BTreeSet<&'static str> {
        let meanings = [
            Meaning::Throttled,
            Meaning::RecordLimit,
            Meaning::Transient,
            Meaning::Ambiguous,
            Meaning::Rejected,
            Meaning::Broken,
            Meaning::Unknown,
        ];
        let of_meaning = |meaning| (200..=599).map(move |status| responded(status, meaning));
        meanings.into_iter().flat_map(of_meaning).collect()
    }

    #[test]
    fn each_remedy_is_one_short_sentence() {
        for remedy in all() {
            assert!(remedy.len() <= 120 && !remedy.ends_with('.'), "{remedy}");
        }
    }

    #[test]
    fn each_remedy_stands_on_a_page_of_the_runbook() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbook");
        let files = fs::read_dir(folder).unwrap();
        let pages: Vec<_> = files
            .map(|it| fs::read_to_string(it.unwrap().path()).unwrap())
            .collect();
        for remedy in all() {
            assert!(pages.iter().any(|page| page.contains(remedy)), "{remedy}");
        }
    }

    #[test]
    fn an_upload_without_a_response_has_the_remedy_of_its_error_or_reason() {
        let lost = Outcome::no_response(ExchangeError::reset("reset"), true);
        assert_eq!(lost.remedy(), ExchangeErrorKind::Reset.remedy());
        let late = Outcome::no_response(ExchangeError::timeout("late", false), true);
        assert_eq!(late.remedy(), ExchangeErrorKind::Timeout.remedy());
        for reason in [Reason::Undecodable, Reason::InvalidName] {
            assert_eq!(Outcome::unsendable(reason).remedy(), reason.remedy());
        }
    }
}
