//! `admin-hosts`.

use super::yaml;

fn hosts(value: &str) -> Vec<String> {
    yaml(&format!("admin-hosts: \"{value}\"\n"))
        .config()
        .admin_hosts
}

#[test]
fn names_are_separated_by_commas_and_compared_in_lower_case() {
    assert_eq!(hosts("Relay.Example.com"), ["relay.example.com"]);
    assert_eq!(
        hosts(" a.example. ,*.Corp.example,a.example,xn--bcher-kva.example, host_1.ns "),
        [
            "a.example",
            "*.corp.example",
            "xn--bcher-kva.example",
            "host_1.ns"
        ]
    );
    assert_eq!(yaml("").config().admin_hosts, Vec::<String>::new());
}

#[test]
fn the_environment_sets_them() {
    let config = yaml("").env("PYROTEE__ADMIN_HOSTS", "a.example,b.example");
    assert_eq!(config.config().admin_hosts, ["a.example", "b.example"]);
}

#[test]
fn the_effective_configuration_shows_them() {
    let shown = yaml("admin-hosts: a.example,B.example\n")
        .config()
        .to_yaml();
    assert!(
        shown.contains("admin-hosts: \"a.example, b.example\"\n"),
        "{shown}"
    );
    let shown = yaml("").config().to_yaml();
    assert!(!shown.contains("admin-hosts"), "{shown}");
}

#[test]
fn what_is_no_host_name_is_refused_with_a_remedy() {
    let long = format!("{}.example", "a".repeat(64));
    let longer = ["abcdefghi"; 26].join(".");
    for (value, says) in [
        ("", "has an empty name"),
        ("a.example,,b.example", "has an empty name"),
        ("a.example,", "has an empty name"),
        ("*", "every host"),
        ("a.example, *", "every host"),
        ("*.", "every host"),
        ("*.*.example", "not the first label"),
        ("a*.example", "not the first label"),
        ("a.*", "not the first label"),
        ("a.example:4041", "has a port"),
        ("[::1]", "has a port or an IPv6"),
        ("http://a.example", "scheme"),
        ("a.example/x", "path"),
        ("a b.example", "no host name"),
        ("a..example", "no host name"),
        (".example", "no host name"),
        ("münchen.example", "no host name"),
        (&long, "no host name"),
        (&longer, "no host name"),
    ] {
        let faults = yaml(&format!("admin-hosts: \"{value}\"\n")).load();
        let text = faults.unwrap_err().to_string();
        assert!(text.contains("admin-hosts: "), "{value}: {text}");
        assert!(text.contains(says), "{value}: {text}");
        assert!(text.contains("write names separated by commas"), "{text}");
    }
}

#[test]
fn a_list_of_yaml_is_refused() {
    let faults = yaml("admin-hosts: [a.example]\n").load().unwrap_err();
    assert!(faults.to_string().contains("takes one value"), "{faults}");
}
