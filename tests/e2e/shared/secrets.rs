use super::{numbered, send};
use crate::support::{
    Builder, Relay, Request, SOON, client,
    command::pyrotee,
    eventually,
    nats::{CREDENTIALS, Login, NKEY, Nats},
    ports::Refusing,
};

const TOKEN: &str = "S3cr-broker-token";
const PASSWORD: &str = "S3cr-broker-password";

fn relay(nats: &Nats, port: &Refusing, auth: &str) -> Builder {
    Relay::builder()
        .yaml(&super::block(
            nats,
            &format!("after: 1s, auth: {{ {auth} }}"),
        ))
        .env("PYROTEE__LOG__LEVEL", "trace")
        .yaml("shutdown: { grace: 1s }")
        .remote_write("disable-local-writes: true")
        .target_address("central", &port.url(), &[])
}

/// Everything that the relay and the commands show while it runs with this configuration.
fn shown(mut relay: Relay) -> String {
    send(&relay, &numbered(3));
    eventually(2 * SOON, "an attempt to connect", || {
        let metrics = relay.metrics();
        let count = |name| metrics.sum(&format!("pyroscope_remote_write_shared_{name}_total"), &[]);
        count("connects") + count("connection_errors") > 0.0
    });
    let mut text = String::new();
    for page in ["/metrics", "/api/v1/status", "/api/v1/shared", "/"] {
        let answer = client::send(relay.admin(), &Request::get(page));
        text += &String::from_utf8_lossy(&answer.body.data);
    }
    let config = relay.home().join("pyrotee.yaml").display().to_string();
    for args in [
        &["check", "--print", &config][..],
        &["shared", "list", "--config", &config],
        &["shared", "check", "--config", &config],
        &["status", "--admin", &relay.admin().to_string()],
    ] {
        text += &pyrotee(args).all();
    }
    relay.sigterm();
    relay.wait(2 * SOON).expect("an end");
    assert!(relay.output().contains("DEBUG") || relay.output().contains("TRACE"));
    text + &relay.output()
}

fn assert_clean(text: &str, secret: &str) {
    assert!(text.len() > 1_000, "too little proves nothing: {text}");
    let bytes = format!("{:?}", secret.as_bytes());
    for spelling in [secret, bytes.trim_matches(['[', ']'])] {
        assert!(!text.contains(spelling), "{spelling} in\n{text}");
    }
}

#[test]
fn a_token_and_a_password_are_shown_nowhere_whether_accepted_or_refused() {
    let port = Refusing::new();
    for server in [TOKEN, "another"] {
        let nats = Nats::with(
            &format!("authorization {{ token: {server} }}"),
            Login::Token("-"),
        );
        let text = shown(relay(&nats, &port, &format!("token: {TOKEN}")).spawn());
        assert_clean(&text, TOKEN);
    }
    for server in [PASSWORD, "another"] {
        let config = format!("authorization {{ user: u, password: {server} }}");
        let nats = Nats::with(&config, Login::User("u", "-"));
        let auth = "user: u, password: \"${E2E_PASSWORD}\"";
        let builder = relay(&nats, &port, auth).env("E2E_PASSWORD", PASSWORD);
        assert_clean(&shown(builder.spawn()), PASSWORD);
    }
}

#[test]
fn the_contents_of_key_files_are_shown_nowhere() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let seed = CREDENTIALS
        .lines()
        .find(|line| line.starts_with("SU"))
        .expect("a seed");
    for (key, content, secret) in [
        ("creds-file", CREDENTIALS, seed),
        ("nkey-file", NKEY[0], NKEY[0]),
    ] {
        let file = nats.path("secret");
        std::fs::write(&file, content).expect("a file can be written");
        let auth = format!("{key}: \"{}\"", file.display());
        let text = shown(relay(&nats, &port, &auth).spawn());
        assert_clean(&text, secret);
    }
    // Of a damaged file a fault names the path, and nothing in it.
    for key in ["creds-file", "nkey-file"] {
        let file = nats.path("damaged");
        std::fs::write(&file, "S3cr-damaged").expect("a file can be written");
        let auth = format!("{key}: \"{}\"", file.display());
        let ended = relay(&nats, &port, &auth).refused();
        assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
        assert!(ended.output.contains("damaged"), "{}", ended.output);
        assert!(!ended.output.contains("S3cr-damaged"), "{}", ended.output);
    }
}

#[test]
fn a_password_in_the_address_of_a_server_is_a_fault_that_does_not_show_it() {
    let ended = Relay::builder()
        .yaml(&format!(
            "shared: {{ servers: [\"nats://u:{PASSWORD}@127.0.0.1:4222\"] }}"
        ))
        .remote_write("disable-local-writes: true")
        .target_address("central", &Refusing::new().url(), &[])
        .refused();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
    assert!(ended.output.contains("shared.servers"), "{}", ended.output);
    assert!(
        ended.output.contains("auth"),
        "the remedy: {}",
        ended.output
    );
    assert!(!ended.output.contains(PASSWORD), "{}", ended.output);
}
