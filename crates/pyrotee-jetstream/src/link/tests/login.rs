use secrecy::SecretString;

use super::link;
use crate::settings::{Auth, Settings};
use crate::testing::{CREDENTIALS, NKEY, Nats, OPERATOR};

fn with(nats: &Nats, auth: Auth) -> Settings {
    Settings {
        auth,
        ..nats.settings("p")
    }
}

#[tokio::test]
async fn a_relay_connects_without_a_login() {
    for (nats, is_supported) in [(Nats::start().await, true), (Nats::old().await, false)] {
        let linked = link(&nats.settings("p"));
        let session = linked.session().await;
        assert_eq!(session.number, 1);
        assert_eq!(session.max_payload, 1 << 20);
        assert_eq!(session.version.is_supported(), is_supported);
        session.client.flush().await.unwrap();
        let state = linked.link.state();
        assert!(state.is_connected && state.since.is_some());
        assert_eq!((state.connects, state.error), (1, None));
        assert_eq!(state.server, Some(nats.server().name()));
        assert_eq!(state.version, Some(session.version.to_string()));
        linked.stop.cancel();
        linked.tasks.close();
        linked.tasks.wait().await;
        assert!(linked.link.session().is_none());
        assert_eq!(linked.link.state().disconnects, 1);
    }
}

#[tokio::test]
async fn a_wrong_token_is_told_and_the_right_one_connects() {
    let nats = Nats::with("authorization { token: right }").await;
    let wrong = link(&with(&nats, Auth::Token(SecretString::from("wrong"))));
    let error = wrong.error(|it| it.contains("authorization")).await;
    let remedy = "correct shared.auth.token, or add the login to the server";
    assert!(error.ends_with(remedy), "{error}");
    assert!(!error.contains("wrong"), "{error}");
    let none = link(&nats.settings("p"));
    let error = none.error(|it| it.contains("authorization")).await;
    assert!(error.ends_with("set shared.auth"), "{error}");
    let right = link(&with(&nats, Auth::Token(SecretString::from("right"))));
    right.session().await;
}

#[tokio::test]
async fn a_relay_connects_as_a_user() {
    let nats = Nats::with("authorization { users: [ { user: u, password: p } ] }").await;
    let (user, password) = ("u".to_owned(), SecretString::from("p"));
    link(&with(&nats, Auth::User { user, password }))
        .session()
        .await;
}

#[tokio::test]
async fn a_relay_connects_by_an_nkey_once_its_file_is_right() {
    let [seed, public] = NKEY;
    let config = format!("authorization {{ users: [ {{ nkey: {public} }} ] }}");
    let nats = Nats::with(&config).await;
    let path = nats.path("seed");
    let linked = link(&with(&nats, Auth::NkeyFile(path)));
    let error = linked.error(|it| it.contains("cannot read")).await;
    assert!(error.contains("create the file"), "{error}");
    nats.write("seed", "nothing of the kind");
    linked.error(|it| it.contains("holds no seed")).await;
    nats.write("seed", "SUBROKEN");
    let error = linked.error(|it| it.contains("cannot sign")).await;
    assert!(error.ends_with("correct shared.auth.nkey-file"), "{error}");
    nats.write("seed", format!("# the relay's\n{seed}\n"));
    linked.session().await;
}

#[tokio::test]
async fn a_relay_connects_by_credentials_once_their_file_is_right() {
    let nats = Nats::with(OPERATOR).await;
    let path = nats.write("relay.creds", "nothing of the kind");
    let linked = link(&with(&nats, Auth::CredsFile(path)));
    linked
        .error(|it| it.contains("holds no JWT and seed"))
        .await;
    nats.write("relay.creds", CREDENTIALS);
    let session = linked.session().await;
    session.jetstream.query_account().await.unwrap();
}

#[tokio::test]
async fn what_the_user_may_not_do_is_told() {
    let user = "{ user: u, password: p, permissions: { publish: { deny: [\"closed\"] } } }";
    let nats = Nats::with(&format!("authorization {{ users: [ {user} ] }}")).await;
    let (user, password) = ("u".to_owned(), SecretString::from("p"));
    let linked = link(&with(&nats, Auth::User { user, password }));
    let session = linked.session().await;
    session.client.publish("closed", "".into()).await.unwrap();
    let error = linked.error(|it| it.contains("closed")).await;
    assert!(
        error.ends_with("allow this subject to the relay's user"),
        "{error}"
    );
    assert!(linked.link.session().is_some());
}

#[tokio::test]
async fn an_account_without_jetstream_is_told() {
    let accounts = "accounts: {
        BARE: { users: [ { user: u, password: p } ] },
        OTHER: { jetstream: enabled, users: [ { user: o, password: p } ] }
    }";
    let nats = Nats::with(accounts).await;
    let (user, password) = ("u".to_owned(), SecretString::from("p"));
    let linked = link(&with(&nats, Auth::User { user, password }));
    linked.session().await;
    let error = linked
        .error(|it| it.contains("JetStream is not enabled"))
        .await;
    assert!(
        error.contains("enable JetStream for the account"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_takes_no_headers_is_told() {
    let nats = Nats::with("no_header_support: true").await;
    let linked = link(&nats.settings("p"));
    linked.error(|it| it.contains("no message headers")).await;
    assert_eq!(linked.link.state().connects, 0);
}

#[test]
fn no_secret_is_in_the_settings_as_text() {
    let mut settings = Nats::never().settings("p");
    for auth in [
        Auth::Token(SecretString::from("hidden")),
        Auth::User {
            user: "u".to_owned(),
            password: SecretString::from("hidden"),
        },
    ] {
        settings.auth = auth;
        assert!(!format!("{settings:?}").contains("hidden"));
    }
}
