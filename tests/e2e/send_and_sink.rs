//! The commands `send` and `sink`: sending a profile by hand, and a receiver that prints it.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{
    Answer, Relay, SOON, Upstream,
    command::{Run, run, start},
    key::Key,
    poll,
    ports::Refusing,
};

#[test]
fn what_is_sent_arrives_at_the_sink() {
    let sink = start("", &["sink", "--listen", "127.0.0.1:0", "--json"], &[]);
    let to = format!("http://{}/base", sink.address("stdout", "http://"));
    let name = "shop{region=eu}";
    let sent = run(
        "",
        &["send", "--to", &to, "--name", name, "--count", "3"],
        &[],
    );
    assert_eq!((sent.code, sent.err.as_str()), (Some(0), ""), "{sent:?}");
    let lines = received(&sink, 3);
    assert_eq!(sent.out.lines().count(), 3);
    for (line, sent) in lines.iter().zip(sent.out.lines()) {
        assert_eq!(line["app"], "shop");
        assert_eq!(line["tags"]["region"], "eu");
        assert_eq!(line["status"], 200);
        assert!(sent.starts_with("200 "), "{sent}");
        assert!(sent.contains(line["digest"].as_str().unwrap()), "{sent}");
    }
}

fn received(sink: &Run, count: usize) -> Vec<Value> {
    let lines = poll(SOON, || {
        let text = sink.read("stdout");
        let lines = text.lines().filter_map(|l| serde_json::from_str(l).ok());
        let lines: Vec<Value> = lines.collect();
        (lines.len() >= count).then_some(lines)
    });
    lines.unwrap_or_else(|| panic!("no {count} lines:\n{}", sink.read("stdout")))
}

#[test]
fn what_is_sent_through_a_relay_arrives_at_upstream_and_target() {
    let sink = start("", &["sink", "--listen", "127.0.0.1:0", "--json"], &[]);
    let (upstream, address) = (Upstream::ok(), sink.address("stdout", "http://"));
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address(
            "central",
            &format!("http://{address}"),
            &["tags: { env: x }"],
        )
        .spawn();
    let to = format!("http://{}", relay.addr());
    let sent = run("", &["send", "--to", &to, "--name", "app"], &[]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let lines = received(&sink, 1);
    assert_eq!(
        (&lines[0]["app"], &lines[0]["tags"]["env"]),
        (&"app".into(), &"x".into())
    );
    assert!(sent.out.contains(lines[0]["digest"].as_str().unwrap()));
    assert_eq!(Key::of(&upstream.only().head.query()), Key::new("app", &[]));
}

#[test]
fn a_refused_profile_is_an_exit_with_the_answer_and_the_next_step() {
    let args = ["sink", "--listen", "127.0.0.1:0", "--status", "401"];
    let sink = start("", &args, &[]);
    let to = format!("http://{}", sink.address("stdout", "http://"));
    let done = run("", &["send", "--to", &to, "--count", "5"], &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.out.starts_with("401 "), "{done:?}");
    assert!(
        done.err.contains("401") && done.err.contains("credentials"),
        "{done:?}"
    );
    let lines = done.out.lines().filter(|line| line.starts_with("401 "));
    assert_eq!(lines.count(), 1, "the first failure ends it");
}

#[test]
fn a_destination_that_is_gone_silent_or_no_address_is_an_exit_that_says_so() {
    let refusing = Refusing::new();
    let silent = Upstream::answering(Answer::never());
    for (to, part) in [
        (refusing.url(), refusing.url()),
        (silent.url(), "--timeout".to_owned()),
        ("localhost:4040".to_owned(), "http://".to_owned()),
        (
            "http://nowhere.invalid".to_owned(),
            "nowhere.invalid".to_owned(),
        ),
    ] {
        let done = run("", &["send", "--to", &to, "--timeout", "1s"], &[]);
        assert_eq!(done.code, Some(1), "{to}: {done:?}");
        assert!(done.err.contains(&part), "{to}: {done:?}");
        assert_eq!(done.out, "", "{to}");
    }
}

#[test]
fn a_sink_without_a_free_port_is_an_exit_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = run("", &["sink", "--listen", &address], &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.err.contains(&address), "{done:?}");
}

#[test]
fn a_target_of_the_configuration_in_the_environment_is_sent_to() {
    let target = Upstream::ok();
    let file = format!(
        "remote-write: {{ targets: {{ central: {{ address: \"http://{}\", auth-token: s3cret }} }} }}",
        target.address()
    );
    let variable = [("PYROTEE_CONFIG", "pyrotee.yaml")];
    let done = run(&file, &["send", "--target", "central"], &variable);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.starts_with("200  "), "{done:?}");
    assert!(!format!("{done:?}").contains("s3cret"), "{done:?}");
    let head = target.requests()[0].head.clone();
    assert_eq!(head.get("authorization").as_deref(), Some("Bearer s3cret"));

    for (args, part) in [
        (&["send", "--target", "typo"][..], "there are: central"),
        (
            &["send", "--target", "central", "--to", "http://a"],
            "cannot be used with",
        ),
    ] {
        let done = run(&file, args, &variable);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.err.contains(part), "{done:?}");
    }
    let done = run(&file, &["send", "--target", "central"], &[]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("--config FILE"), "{done:?}");
}
