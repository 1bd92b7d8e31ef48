//! Tests of the YAML reader: accepted and refused files, and input that must neither panic nor take much memory.

use std::path::PathBuf;

use proptest::prelude::*;

use super::{target, yaml};
use crate::{Sources, load};

#[test]
fn an_empty_file_is_an_empty_configuration() {
    let defaults = load(Sources {
        cpus: 2,
        ..Sources::default()
    })
    .unwrap()
    .to_yaml();
    for text in [
        "",
        "\n# nothing\n",
        "---\n",
        "{}",
        "\u{feff}",
        "upstream:\nremote-write:\n",
    ] {
        assert_eq!(yaml(text).config().to_yaml(), defaults, "{text:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_a_fault() {
    let file = Some(PathBuf::from("/nonexistent/pyrotee.yaml"));
    let faults = load(Sources {
        file,
        ..Sources::default()
    })
    .unwrap_err()
    .to_string();
    assert!(
        faults.starts_with("/nonexistent/pyrotee.yaml: cannot be read (No such file"),
        "{faults}"
    );
}

#[test]
fn scalars_are_text_whatever_they_look_like() {
    let config = target("      tenant-id: 0404\n      auth-token: 1e3\n      tags: { a: no, b: 1.0, c: null, d: }\n")
        .config();
    let target = &config.remote_write.targets[0];
    assert_eq!(target.tenant.as_deref(), Some("0404"));
    let tags: Vec<_> = target.tags.iter().collect();
    assert_eq!(tags, [("a", "no"), ("b", "1.0"), ("c", "null"), ("d", "")]);
}

#[test]
fn a_duplicate_key_is_refused_at_its_second_place() {
    target("    bar:\n      address: http://other:4040\n").fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar: is already on line 4; keep one of the two",
    );
    yaml("listen: :1\nlisten: :1\n")
        .fault_is("pyrotee.yaml:2: listen: is already on line 1; keep one of the two");
}

#[test]
fn names_that_differ_only_in_case_are_two_targets() {
    let config = target("    BAR: { address: http://other:4040 }\n").config();
    assert_eq!(config.remote_write.targets.len(), 2);
}

#[test]
fn a_second_document_is_refused() {
    yaml("listen: :1\n---\nlisten: :2\n")
        .fault_is("pyrotee.yaml:2: a second document begins here; keep one document in the file");
}

#[test]
fn a_merge_key_is_refused_and_a_quoted_one_is_only_unknown() {
    target("      <<: { timeout: 1s }\n").fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar: `<<` does not merge maps here; \
         write the keys out",
    );
}

#[test]
fn an_alias_stands_for_what_it_names() {
    let config = target(
        "      tags: &tags { env: prod }\n    baz:\n      address: http://baz:4040\n      tags: *tags\n",
    )
    .config();
    assert_eq!(
        config.remote_write.targets[1]
            .tags
            .iter()
            .collect::<Vec<_>>(),
        [("env", "prod")]
    );
}

#[test]
fn aliases_cannot_make_the_file_grow_without_limit() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let inner = level - 1;
        bomb.push_str(&format!(
            "a{level}: &a{level} {{ k: *a{inner}, l: *a{inner}, m: *a{inner} }}\n"
        ));
    }
    let faults = yaml(&bomb).faults();
    assert!(
        faults.contains("has more than 100000 values, aliases counted"),
        "{faults}"
    );
    assert!(
        yaml("a: &a { b: *a }\n")
            .faults()
            .contains("an alias stands inside of what it names")
    );
}

#[test]
fn depth_is_bounded_with_and_without_aliases() {
    for text in ["[".repeat(40), "{a: ".repeat(40), "- ".repeat(40)] {
        assert!(
            yaml(&text)
                .faults()
                .contains("nested deeper than 32 levels"),
            "{text}"
        );
    }
    let mut chain = format!("a0: &a0 {}x{}\n", "{k: ".repeat(20), "}".repeat(20));
    chain.push_str(&format!("a1: {}*a0{}\n", "{k: ".repeat(20), "}".repeat(20)));
    assert!(
        yaml(&chain)
            .faults()
            .contains("nested deeper than 32 levels")
    );
}

#[test]
fn size_is_bounded() {
    let faults = yaml(&"# a line of some length\n".repeat(50_000)).faults();
    assert!(
        faults.starts_with("pyrotee.yaml: is larger than 1 MiB"),
        "{faults}"
    );
}

#[test]
fn what_is_no_yaml_is_told_with_its_line() {
    let faults = yaml("listen: :4040\nadmin: \"open\n").faults();
    assert!(faults.starts_with("pyrotee.yaml:2: "), "{faults}");
    assert!(faults.contains("not valid YAML: "), "{faults}");
    let tagged = yaml("listen: !secret :4040\n").faults();
    assert!(
        tagged.contains("listen: has a YAML tag that means nothing here"),
        "{tagged}"
    );
}

#[test]
fn variables_are_put_into_values_and_are_never_yaml() {
    let config = target("      tags: { pod: \"${POD}\", zone: \"${ZONE:-none}\", price: 5$ }\n")
        .env("POD", "{a: b}-[1]".replace('}', ")").as_str())
        .config();
    let tags: Vec<_> = config.remote_write.targets[0].tags.iter().collect();
    assert_eq!(
        tags,
        [("pod", "{a: b)-[1]"), ("price", "5$"), ("zone", "none")]
    );
}

#[test]
fn an_unset_variable_is_one_fault() {
    target("      auth-token: ${CENTRAL_TOKEN}\n").fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar.auth-token: the variable `CENTRAL_TOKEN` is not \
         set; set it, or write ${CENTRAL_TOKEN:-default}",
    );
}

#[test]
fn a_fault_shows_the_variable_and_not_what_it_holds() {
    yaml("upstream:\n  timeout: ${WAIT}\n")
        .env("WAIT", "hidden")
        .fault_is(
            "pyrotee.yaml:2: upstream.timeout: `${WAIT}` is not a duration; \
         write one such as 10s, 500ms or 1h30m",
        );
}

#[test]
fn a_bare_variable_is_warned_of() {
    let config = target("      auth-token: $TOKEN\n      tenant-id: x\n").config();
    assert!(
        config.warnings()[0]
            .starts_with("remote-write.targets.bar.auth-token: a value of the form"),
        "{:?}",
        config.warnings()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_file_makes_the_loader_panic(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("remote-write:\n"), Just("  targets:\n"), Just("    a: "), Just("{"),
                Just("}"), Just("["), Just("]"), Just("- "), Just("? "), Just("&a "), Just("*a "),
                Just("<<: "), Just("\""), Just("'"), Just("|\n"), Just(">-\n"), Just("---\n"),
                Just("...\n"), Just("\n"), Just("  "), Just("\t"), Just("!!str "), Just("!x "),
                Just("%YAML 1.2\n"), Just("address: "), Just("${A}"), Just("#"), Just(","),
                Just(": "), Just("listen"), Just("\u{feff}"), Just("é"), Just("\u{0}"),
            ],
            0..40,
        )
    ) {
        let text: String = parts.concat();
        let one = yaml(&text).load().map(|config| config.to_yaml()).map_err(|f| f.to_string());
        let two = yaml(&text).load().map(|config| config.to_yaml()).map_err(|f| f.to_string());
        prop_assert_eq!(one.is_ok(), two.is_ok());
    }
}
