//! Status codes as values of a metric label.

use http::StatusCode;

/// Status codes with a label value of their own: those that Pyroscopes, gRPC and the gateways in front of them
/// send, codes of the relay, and 499, which stands for a client that left.
const NAMED: [(u16, &str); 28] = [
    (101, "101"),
    (200, "200"),
    (202, "202"),
    (204, "204"),
    (301, "301"),
    (302, "302"),
    (304, "304"),
    (307, "307"),
    (308, "308"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (409, "409"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (431, "431"),
    (499, "499"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (508, "508"),
];

/// Returns the value of a `code` label for `status`: the code itself, or the class of a code that is rare, such
/// as `5xx`, or `other` from 600 on. Another server chooses the code, so the label has a closed set of values:
/// each value of a histogram's label costs a series per bucket, which stays until the process ends.
pub fn status_label(status: StatusCode) -> &'static str {
    let code = status.as_u16();
    if let Ok(index) = NAMED.binary_search_by_key(&code, |(named, _)| *named)
        && let Some((_, label)) = NAMED.get(index)
    {
        return label;
    }
    match code / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_label_of_a_small_closed_set() {
        let label = |code| status_label(StatusCode::from_u16(code).unwrap());
        let labels: BTreeSet<_> = (100..1000).map(label).collect();
        assert_eq!(labels.len(), NAMED.len() + 6);
        assert!(NAMED.iter().all(|(code, named)| label(*code) == *named));
        assert!(NAMED.iter().all(|(code, named)| code.to_string() == *named));
        assert_eq!(
            [label(103), label(226), label(418), label(511), label(999)],
            ["1xx", "2xx", "4xx", "5xx", "other"]
        );
    }
}
