//! Keys set by variables of the environment.

use secrecy::ExposeSecret;

use super::{target, yaml};

#[test]
fn kubernetes_service_links_mean_nothing() {
    yaml("")
        .env("PYROTEE_SERVICE_HOST", "10.0.0.1")
        .env("PYROTEE_PORT_4040_TCP", "tcp://10.0.0.1:4040")
        .env("PYROTEE_PORT", "tcp://10.0.0.1:4040")
        .config();
}

#[test]
fn fixed_keys_take_any_case_and_either_line() {
    let config = yaml("")
        .env("PYROTEE__MEMORY_LIMIT", "24MiB")
        .env("pyrotee__upstream__forwarded-headers", "false")
        .env("Pyrotee__Tee__Max_Body", "1MiB")
        .config();
    assert_eq!(config.memory_limit, 24 << 20);
    assert_eq!(config.tee.max_body, 1 << 20);
    assert!(!config.upstream.unwrap().forwarded_headers);
}

#[test]
fn an_unknown_variable_is_a_fault_that_names_it() {
    yaml("").env("PYROTEE__UPSTREAM__ADRESS", "x").fault_is(
        "environment PYROTEE__UPSTREAM__ADRESS: upstream.adress: unknown key; \
         did you mean `address`?",
    );
    yaml("").env("PYROTEE__UPSTREAM", "http://x").fault_is(
        "environment PYROTEE__UPSTREAM: upstream: is a section; \
         add `__` and one of address, timeout, forwarded-headers, max-connections, tls",
    );
    yaml("")
        .env("PYROTEE__REMOTE_WRITE__TARGETS", "{}")
        .fault_is(
            "environment PYROTEE__REMOTE_WRITE__TARGETS: remote-write.targets: is a map; \
         add `__` and a name",
        );
    yaml("").env("PYROTEE__LISTEN__PORT", "1").fault_is(
        "environment PYROTEE__LISTEN__PORT: listen: has no keys below it; \
         end the name of the variable here",
    );
    yaml("").env("PYROTEE__REMOTE_WRITE__TARGETS____ADDRESS", "x").fault_is(
        "environment PYROTEE__REMOTE_WRITE__TARGETS____ADDRESS: remote-write.targets: a name is \
         missing between the underscores; write one",
    );
}

#[test]
fn names_are_those_of_the_file_but_for_their_case() {
    let config = target("      tags: { Env: dev }\n    Baz-1: { address: http://baz }\n")
        .env("PYROTEE__REMOTE_WRITE__TARGETS__BAR__TAGS__ENV", "prod")
        .env("PYROTEE__REMOTE_WRITE__TARGETS__BAR__TAGS__POD__ID", "p1")
        .env("PYROTEE__REMOTE_WRITE__TARGETS__BAZ-1__QUEUE_SIZE", "7")
        .config();
    let targets = &config.remote_write.targets;
    let tags: Vec<_> = targets[0].tags.iter().collect();
    assert_eq!(tags, [("Env", "prod"), ("pod__id", "p1")]);
    assert_eq!(
        (targets[1].name.as_str(), targets[1].queue_size),
        ("Baz-1", 7)
    );
}

#[test]
fn a_new_target_comes_last_and_in_lower_case() {
    let config = target("")
        .env(
            "PYROTEE__REMOTE_WRITE__TARGETS__ALPHA__ADDRESS",
            "https://alpha",
        )
        .env("PYROTEE__REMOTE_WRITE__TARGETS__ALPHA__HEADERS__X_KEY", "1")
        .config();
    let target = &config.remote_write.targets[1];
    assert_eq!(target.name, "alpha");
    assert_eq!(target.headers[0].0, "x_key");
    assert_eq!(target.queue_size, 100);
}

#[test]
fn a_target_made_by_mistake_is_told_which_was_meant() {
    target("    my-cluster: { address: http://baz }\n")
        .env(
            "PYROTEE__REMOTE_WRITE__TARGETS__MY_CLUSTER__AUTH_TOKEN",
            "t0ken",
        )
        .fault_is(
            "environment PYROTEE__REMOTE_WRITE__TARGETS__MY_CLUSTER__AUTH_TOKEN: \
             remote-write.targets.my_cluster.address: is missing; write http://HOST:PORT \
             (or did you mean the target `my-cluster`?)",
        );
}

#[test]
fn a_name_that_fits_two_of_the_file_must_be_exact() {
    let two = || target("    BAR: { address: http://baz }\n");
    let faults = two()
        .env("PYROTEE__REMOTE_WRITE__TARGETS__Bar__QUEUE_SIZE", "7")
        .faults();
    assert!(faults.contains("differs only in case"), "{faults}");
    let exact = two()
        .env("PYROTEE__REMOTE_WRITE__TARGETS__BAR__QUEUE_SIZE", "7")
        .config();
    assert_eq!(exact.remote_write.targets[1].queue_size, 7);
}

#[test]
fn two_variables_for_one_key_are_refused() {
    yaml("").env("PYROTEE__LISTEN", ":1").env("pyrotee__listen", ":2").fault_is(
        "environment pyrotee__listen: listen: is also set by PYROTEE__LISTEN; keep one of the two",
    );
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let config = yaml("listen: :1\n").env("PYROTEE__LISTEN", "").config();
    assert_eq!(config.listen.to_string(), ":1");
}

#[test]
fn variables_are_not_substituted_in_variables() {
    let config = target("")
        .env("PYROTEE__REMOTE_WRITE__TARGETS__BAR__TAGS__A", "${B")
        .config();
    assert_eq!(
        config.remote_write.targets[0].tags.iter().next(),
        Some(("a", "${B"))
    );
}

#[test]
fn a_variable_with_one_underscore_is_warned_of() {
    let config = yaml("").env("PYROTEE_MEMORY_LIMIT", "24MiB").config();
    assert_eq!(config.memory_limit, 256 << 20);
    assert_eq!(
        config.warnings(),
        [
            "environment PYROTEE_MEMORY_LIMIT: sets no key; did you mean PYROTEE__MEMORY_LIMIT (two underscores between the keys)?"
        ]
    );
}

#[test]
fn a_reference_in_a_variable_or_a_flag_is_taken_as_it_stands_and_warned_of() {
    let config = yaml("")
        .env("X", "expanded")
        .env("PYROTEE__ADMIN_TOKEN", "s3cret-${X}")
        .config();
    let token = config.admin_token.as_ref().unwrap();
    assert_eq!(token.expose_secret(), "s3cret-${X}");
    assert_eq!(
        config.warnings(),
        [
            "environment PYROTEE__ADMIN_TOKEN: `${…}` is not expanded here and is taken as it stands; write the value \
          itself, or set the key in the file"
        ]
    );
    let mut case = yaml("").env(
        "PYROTEE__REMOTE_WRITE__TARGETS__A__ADDRESS",
        "http://${HOST}",
    );
    case.flags.upstream = Some("http://${HOST}".to_owned());
    let faults = case.faults();
    assert_eq!(
        faults.matches("`${…}` is not expanded here").count(),
        2,
        "{faults}"
    );
}
