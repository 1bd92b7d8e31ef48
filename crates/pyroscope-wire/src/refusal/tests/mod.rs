mod products;
mod seen;

use proptest::prelude::*;

use self::products::PRODUCTS;
use self::seen::SEEN;
use super::*;

#[test]
fn every_answer_that_was_seen_is_understood() {
    let rules = Rules::default();
    for (status, text, meaning) in SEEN.iter().chain(PRODUCTS) {
        assert_eq!(rules.judge(*status, text), *meaning, "{status} {text}");
    }
}

#[test]
fn without_a_text_the_status_decides() {
    let rules = Rules::default();
    for status in 0..=u16::MAX {
        let expected = match status {
            429 => Meaning::Throttled,
            400 | 411 | 413 | 414 | 416 | 431 => Meaning::Rejected,
            408 | 425 | 499 => Meaning::Transient,
            300..=399 => Meaning::Broken,
            401..=405 | 407 | 410 | 415 | 421 | 426 | 501 | 505 => Meaning::Broken,
            500..=599 => Meaning::Transient,
            _ => Meaning::Unknown,
        };
        assert_eq!(rules.judge(status, ""), expected, "{status}");
    }
}

#[test]
fn the_code_in_a_text_counts_more_than_words_that_a_label_may_hold() {
    let rules = Rules::default();
    let pushed = |code: &str, labels: &str| {
        let text =
            format!("pushing IngestInput-pprof failed {code}: profile with labels '{labels}'");
        rules.judge(422, &text)
    };
    for labels in [
        "{state=\"unavailable\"}",
        "{span=\"context canceled: x\"}",
        "{span=\"rate limit\"}",
    ] {
        assert_eq!(
            pushed("invalid_argument", labels),
            Meaning::Rejected,
            "{labels}"
        );
    }
    let labels = "{why=\"malformed\"}";
    assert_eq!(pushed("unavailable", labels), Meaning::Transient);
    assert_eq!(pushed("resource_exhausted", labels), Meaning::Throttled);
    // Several series in one profile, each with its own error: the first one counts, since a later one may be
    // part of a label that the first one quotes.
    let both =
        "invalid_argument: invalid labels\nresource_exhausted: push rate limit (1 B) exceeded";
    assert_eq!(rules.judge(422, both), Meaning::Rejected);
}

#[test]
fn a_text_that_a_client_can_choose_means_nothing() {
    let rules = Rules::default();
    let texts = SEEN.iter().chain(PRODUCTS).map(|(_, text, _)| *text);
    let texts = texts.chain([
        "push rate limit (1 B) exceeded while adding 9 B",
        "no org id",
    ]);
    for text in texts {
        for quote in [
            "label 'x' is odd: ",
            "name x is not allowed ",
            "{\"code\":\"unknown\",\"message\":\"invalid label: ",
            "{\"code\":\"unknown\",\"message\":\"unable to append series {a=\\\"",
        ] {
            let quoted = text.replace('"', "\\\"");
            for (status, meaning) in [
                (400, Meaning::Rejected),
                (422, Meaning::Unknown),
                (429, Meaning::Throttled),
                (500, Meaning::Transient),
            ] {
                let body = format!("{quote}{quoted}\\\"}}\"}}");
                assert_eq!(rules.judge(status, &body), meaning, "{status} {body}");
            }
        }
    }
}

#[test]
fn no_text_changes_what_a_gateway_or_a_refusal_of_the_address_means() {
    let rules = Rules::default();
    for (_, text, _) in SEEN.iter().chain(PRODUCTS) {
        for status in [401, 403, 404] {
            assert_eq!(
                rules.judge(status, text),
                Meaning::Broken,
                "{status} {text}"
            );
        }
        for status in [502, 503, 504] {
            assert_eq!(
                rules.judge(status, text),
                Meaning::Transient,
                "{status} {text}"
            );
        }
    }
}

#[test]
fn a_response_of_which_the_end_is_missing_keeps_its_code() {
    let rules = Rules::default();
    let long = "x".repeat(5_000);
    for (code, meaning) in [
        ("invalid_argument", Meaning::Rejected),
        ("resource_exhausted", Meaning::Throttled),
        ("unauthenticated", Meaning::Broken),
    ] {
        let body = format!("{{\"code\":\"unknown\",\"message\":\"{code}: {long}\"}}");
        assert_eq!(rules.judge(500, &body[..4_096]), meaning, "{code}");
    }
}

fn rules(rows: &[(&str, &str)]) -> Rules {
    let read = rows
        .iter()
        .map(|(pattern, meaning)| Rule::parse(pattern, meaning).unwrap());
    Rules::new(read.collect())
}

#[test]
fn own_rules_go_before_the_table() {
    let rules = rules(&[
        ("404", "transient"),
        ("422", "rejected"),
        ("504", "ambiguous"),
        ("409 Duplicate", "ok"),
        ("422 quota used up", "throttled"),
        ("422 QUOTA", "broken"),
    ]);
    for (status, text, meaning) in [
        (404, "", Meaning::Transient),
        (504, "", Meaning::Ambiguous),
        (409, "a DUPLICATE profile", Meaning::Taken),
        (409, "", Meaning::Unknown),
        (422, "", Meaning::Rejected),
        (422, "unavailable", Meaning::Rejected),
        // Rules with a text go before rules without one; among rules with a text, the first one decides.
        (422, "the Quota used up, unavailable", Meaning::Throttled),
        (422, "no quota", Meaning::Broken),
        (403, "", Meaning::Broken),
    ] {
        assert_eq!(rules.judge(status, text), meaning, "{status} {text}");
    }
    let asked: Vec<_> = rules.own().iter().map(Rule::pattern).collect();
    assert_eq!(
        asked,
        [
            "409 Duplicate",
            "422 quota used up",
            "422 QUOTA",
            "404",
            "422",
            "504"
        ]
    );
    assert_eq!(Rules::default().own(), []);
}

#[test]
fn a_rule_is_a_status_a_text_and_a_word() {
    for (pattern, written) in [
        ("404", "404"),
        (" 404 ", "404"),
        ("422  Out of Order: é ", "422 Out of Order: é"),
        ("100", "100"),
        ("599", "599"),
    ] {
        let rule = Rule::parse(pattern, "rejected").unwrap();
        assert_eq!(
            (rule.pattern().as_str(), rule.meaning()),
            (written, Meaning::Rejected)
        );
    }
    let parsed = |pattern| Rule::parse(pattern, "ok").unwrap();
    assert!(parsed("422 A b").is_same_pattern(&parsed("422 a B")));
    assert!(!parsed("422").is_same_pattern(&parsed("422 a")));
    for word in [
        "ok",
        "throttled",
        "transient",
        "ambiguous",
        "rejected",
        "broken",
    ] {
        assert_eq!(Rule::parse("404", word).unwrap().meaning().as_str(), word);
    }
}

#[test]
fn a_rule_that_cannot_be_meant_is_refused() {
    for pattern in [
        "",
        " ",
        "99",
        "600",
        "0404",
        "+404",
        "4o4",
        "40",
        "4xx",
        "404x",
        "text",
        "４０４",
    ] {
        assert_eq!(
            Rule::parse(pattern, "ok"),
            Err(RuleFault::Status),
            "{pattern}"
        );
    }
    for pattern in ["200", "204", "299 text"] {
        assert!(Rule::parse(pattern, "ok").is_ok(), "{pattern}");
        assert_eq!(
            Rule::parse(pattern, "broken"),
            Err(RuleFault::Success),
            "{pattern}"
        );
    }
    for word in ["", "unknown", "OK", "drop", "rejected "] {
        assert_eq!(Rule::parse("404", word), Err(RuleFault::Meaning), "{word}");
    }
    let words: Vec<_> = Meaning::OF_RULES
        .iter()
        .map(|meaning| meaning.as_str())
        .collect();
    assert_eq!(
        RuleFault::Meaning.to_string(),
        format!("is not known; write one of {}", words.join(", "))
    );
}

proptest! {
    #[test]
    fn any_answer_is_judged_without_a_panic(
        status: u16,
        text in any::<String>(),
        pattern in "[0-9]{3}( \\PC{0,8})?",
        own_text in prop::bool::ANY,
    ) {
        let own = Rule::parse(&pattern, "ok").ok();
        let rules = Rules::new(own.clone().into_iter().collect());
        let text = if own_text { format!("{text}{pattern}") } else { text };
        let meaning = rules.judge(status, &text);
        prop_assert_eq!(meaning, rules.judge(status, &text.to_ascii_uppercase()));
        if !(300..=599).contains(&status) && own.is_none() {
            prop_assert_eq!(meaning, Meaning::Unknown);
        }
        // A rule for a success can only have the meaning `ok`.
        for success in [200, 204, 299] {
            let meaning = rules.judge(success, &text);
            prop_assert!(matches!(meaning, Meaning::Unknown | Meaning::Taken));
            prop_assert_eq!(rules.acknowledges(success, &text), meaning == Meaning::Taken);
        }
    }

    #[test]
    fn a_pattern_is_read_back_as_the_same(pattern in "[1-5][0-9]{2}( \\PC{0,12})?") {
        if let Ok(rule) = Rule::parse(&pattern, "transient") {
            prop_assert_eq!(Rule::parse(&rule.pattern(), "transient"), Ok(rule));
        }
    }
}
