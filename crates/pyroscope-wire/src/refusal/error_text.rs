//! The structure of an error response: the codes of connect and gRPC in it, and the reason behind them.
//!
//! A response quotes labels of the profile, and a label may have any text. So no text is searched for in the
//! whole response: a code and a reason count only where a server writes them, which is at the start of the
//! message or behind a known wrapper.

use serde_json::Value;

use super::{html, truncated};
use crate::error_response::RpcCode;

/// An error response without its wrappers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorText {
    /// The outermost specific code. `unknown` and `internal` are codes of a wrapper if there is another code
    /// inside the wrapper.
    pub(super) code: Option<RpcCode>,
    /// Pyroscope failed to parse the profile.
    pub(super) is_parse_error: bool,
    /// The message without wrappers and codes.
    pub(super) reason: String,
}

impl ErrorText {
    /// Reads the start of a decompressed body.
    pub(super) fn parse(body: &str) -> Self {
        let body = body.trim();
        let mut text = Self::default();
        let message = match json(body) {
            Some((code, message)) => {
                code.into_iter().for_each(|code| text.add(code));
                message
            }
            None => html::first_text(body).unwrap_or(body).to_owned(),
        };
        let mut rest = message.as_str();
        while let Some(inner) = text.unwrap(rest) {
            rest = inner.trim_start();
        }
        rest.clone_into(&mut text.reason);
        text
    }

    /// Whether the reason begins with one of these texts, which are in lower case.
    pub(super) fn starts_with(&self, texts: &[&str]) -> bool {
        texts
            .iter()
            .any(|text| without_prefix(&self.reason, text).is_some())
    }

    fn add(&mut self, code: RpcCode) {
        let replaces = match self.code {
            None => true,
            Some(RpcCode::Unknown | RpcCode::Internal) => code != RpcCode::Unknown,
            Some(_) => false,
        };
        if replaces {
            self.code = Some(code);
        }
    }

    /// Removes one wrapper from `text`; `None` if it has none.
    fn unwrap<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        // The wrapper of Go's gRPC, which Pyroscope uses between its parts and for OTLP.
        if let Some(rest) = without_prefix(text, "rpc error: code = ") {
            let (code, rest) = rest.split_once(" desc = ")?;
            self.add(RpcCode::parse(code)?);
            return Some(rest);
        }
        // The wrapper of connect, which Pyroscope puts into its own messages, and Alloy too.
        if let Some((word, rest)) = text.split_once(": ")
            && let Some(code) = RpcCode::parse(word)
        {
            self.add(code);
            return Some(rest);
        }
        // The wrappers of Pyroscope's `/ingest`.
        if let Some(rest) = without_prefix(text, "parsing IngestInput-") {
            self.is_parse_error = true;
            return rest.split_once(" failed ").map(|(_format, rest)| rest);
        }
        if let Some(rest) = without_prefix(text, "pushing IngestInput-") {
            return rest.split_once(" failed ").map(|(_format, rest)| rest);
        }
        push_series(text)
            .or_else(|| several_errors(text))
            .or_else(|| without_prefix(text, "failed to make a GRPC request: "))
            .or_else(|| alloy(text))
    }
}

/// The code and the message of a JSON error: of connect, or of gRPC's gateway, whose codes are numbers.
fn json(body: &str) -> Option<(Option<RpcCode>, String)> {
    if !body.starts_with('{') {
        return None;
    }
    let error = truncated::read(body, "\"}")?;
    let code = match error.get("code") {
        Some(Value::String(word)) => RpcCode::parse(word),
        Some(Value::Number(number)) => number.as_u64().and_then(RpcCode::from_grpc_status),
        _ => None,
    };
    let message = ["message", "error"]
        .into_iter()
        .find_map(|key| error.get(key)?.as_str());
    Some((code, message.unwrap_or_default().trim().to_owned()))
}

/// The error of one series of a Push: `push series with index 0 and id … failed: …`.
fn push_series(text: &str) -> Option<&str> {
    let rest = without_prefix(text, "push series with index ")?;
    let (index, rest) = rest.split_once(" and id ")?;
    let is_number = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    // The client chooses the id; the ids of SDKs have no space.
    let (id, rest) = rest.split_once(" failed: ")?;
    (is_number && !id.contains(' ')).then_some(rest)
}

/// The first of several errors: `2 errors: …; …`.
fn several_errors(text: &str) -> Option<&str> {
    let (count, rest) = text.split_once(" errors: ")?;
    let is_number = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(rest)
}

/// The two wrappers of Alloy: `unable to append series {…} to appendable 0: …` and
/// `failed to push to endpoint http://… (0 retries): …`.
fn alloy(text: &str) -> Option<&str> {
    if let Some(rest) = without_prefix(text, "unable to append series ") {
        let rest = without_prefix(without_labels(rest)?, " to appendable ")?;
        return rest.split_once(": ").map(|(_number, rest)| rest);
    }
    let rest = without_prefix(text, "failed to push to endpoint ")?;
    let (_address, rest) = rest.split_once(" (")?;
    rest.split_once(" retries): ").map(|(_count, rest)| rest)
}

/// The text behind labels as Go prints them: `{a="b", c="d"}` with values in quotes.
fn without_labels(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('{')?;
    let (mut quoted, mut escaped) = (false, false);
    let end = rest.find(|c| {
        let ends = !quoted && c == '}';
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
        ends
    })?;
    rest.split_at_checked(end)?.1.strip_prefix('}')
}

/// `text` without `prefix`, which may be in any case; `None` if `text` does not begin with it.
pub(super) fn without_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> (Option<RpcCode>, String) {
        let text = ErrorText::parse(body);
        (text.code, text.reason)
    }

    #[test]
    fn wrappers_are_removed_and_the_outermost_code_that_says_something_is_kept() {
        use RpcCode::*;
        for (body, code, reason) in [
            ("  plain \n", None, "plain"),
            (
                r#"{"code":"unknown","message":"a: b"}"#,
                Some(Unknown),
                "a: b",
            ),
            (r#"{"code":3,"message":"a"}"#, Some(InvalidArgument), "a"),
            (r#"{"error":"slow down"}"#, None, "slow down"),
            (
                r#"{"code":"internal","message":"unavailable: a"}"#,
                Some(Unavailable),
                "a",
            ),
            (
                r#"{"code":"internal","message":"unknown: a"}"#,
                Some(Internal),
                "a",
            ),
            (
                "invalid_argument: resource_exhausted: a",
                Some(InvalidArgument),
                "a",
            ),
            (
                "rpc error: code = Unavailable desc = a: b",
                Some(Unavailable),
                "a: b",
            ),
            (
                "rpc error: code = Odd desc = a",
                None,
                "rpc error: code = Odd desc = a",
            ),
            (
                "pushing IngestInput-pprof failed unknown: rpc error: code = Canceled desc = a",
                Some(Canceled),
                "a",
            ),
            (
                "push series with index 12 and id 3f-4 failed: resource_exhausted: a",
                Some(ResourceExhausted),
                "a",
            ),
            (
                "2 errors: push series with index 0 and id  failed: internal: a; invalid_argument: b",
                Some(Internal),
                "a; invalid_argument: b",
            ),
            (
                "failed to make a GRPC request: aborted: a",
                Some(Aborted),
                "a",
            ),
            (
                r#"unable to append series {a="} to appendable 0: unavailable: \"", b="c"} to appendable 1: failed to push to endpoint http://h:1 (12 retries): data_loss: a"#,
                Some(DataLoss),
                "a",
            ),
            ("<html><title>429 Slow down</title>", None, "Slow down"),
        ] {
            assert_eq!(parsed(body), (code, reason.to_owned()), "{body}");
        }
    }

    #[test]
    fn what_only_looks_like_a_wrapper_is_part_of_the_reason() {
        for body in [
            "a label: resource_exhausted: b",
            "push series with index x and id y failed: resource_exhausted: a",
            "push series with index 1 and id y z failed: resource_exhausted: a",
            "many errors: resource_exhausted: a",
            "unable to append series {a=\"b to appendable 0: resource_exhausted: a",
            "failed to push to endpoint resource_exhausted: a",
        ] {
            assert_eq!(parsed(body), (None, body.to_owned()), "{body}");
        }
    }
}
