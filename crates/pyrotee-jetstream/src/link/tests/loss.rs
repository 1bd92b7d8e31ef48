use std::time::Duration;

use tokio::net::TcpListener;

use super::link;
use crate::settings::Server;
use crate::testing::{self, Nats};

#[tokio::test]
async fn a_server_that_comes_back_has_another_session() {
    let mut nats = Nats::start().await;
    let linked = link(&nats.settings("p"));
    let first = linked.session().await.number;
    nats.kill();
    linked.lost().await;
    let error = linked.error(|_| true).await;
    assert!(error.starts_with(&nats.server().name()), "{error}");
    linked.error(|it| it.contains("refused")).await;
    assert!(!linked.link.state().is_connected);
    nats.restart().await;
    let second = linked.session_after(first).await;
    second.jetstream.query_account().await.unwrap();
    let state = linked.link.state();
    assert_eq!((state.connects, state.disconnects), (2, 1));
    assert_eq!(state.error, None);
}

#[tokio::test]
async fn a_server_that_is_there_later_is_connected_then() {
    let mut nats = Nats::never();
    let linked = link(&nats.settings("p"));
    let error = linked.error(|_| true).await;
    assert!(error.contains("start NATS there"), "{error}");
    nats.restart().await;
    linked.session().await;
}

#[tokio::test]
async fn a_stopped_server_ends_the_session() {
    let nats = Nats::start().await;
    let linked = link(&nats.settings("p"));
    let first = linked.session().await.number;
    nats.pause();
    linked.lost().await;
    linked.error(|it| it.contains("does not answer")).await;
    nats.resume();
    linked.session_after(first).await;
}

#[tokio::test]
async fn the_client_of_a_lost_session_ends() {
    let mut nats = Nats::start().await;
    let linked = link(&nats.settings("p"));
    let session = linked.session().await;
    nats.kill();
    linked.lost().await;
    let ended = async {
        while session.client.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(super::SOON, ended).await.unwrap();
}

#[tokio::test]
async fn another_server_takes_over() {
    let (mut one, other) = (Nats::start().await, Nats::never());
    let servers = vec![other.server(), one.server()];
    let linked = link(&testing::settings(servers, "p"));
    let first = linked.session().await.number;
    assert_eq!(linked.link.state().server, Some(one.server().name()));
    one.kill();
    let mut other = other;
    other.restart().await;
    linked.session_after(first).await;
    assert_eq!(linked.link.state().server, Some(other.server().name()));
}

#[tokio::test]
async fn a_server_that_shuts_down_is_left_for_another() {
    let servers = [Nats::start().await, Nats::start().await];
    let known = servers.iter().map(Nats::server).collect();
    let linked = link(&testing::settings(known, "p"));
    let first = linked.session().await.number;
    let at = linked.link.state().server;
    let [left, other] = match at == Some(servers[0].server().name()) {
        true => [&servers[0], &servers[1]],
        false => [&servers[1], &servers[0]],
    };
    left.retire();
    linked.session_after(first).await;
    assert_eq!(linked.link.state().server, Some(other.server().name()));
}

#[tokio::test]
async fn all_addresses_of_a_name_are_tried() {
    let nats = Nats::start().await;
    let server = Server {
        // 127.0.0.1 and ::1, at which nothing listens.
        host: "localhost".to_owned(),
        ..nats.server()
    };
    let linked = link(&testing::settings(vec![server], "p"));
    linked.session().await;
    let state = linked.link.state();
    assert_eq!(state.server, Some(format!("localhost:{}", nats.port())));
}

#[tokio::test]
async fn a_name_without_an_address_is_told() {
    let server = Server {
        host: "nowhere.invalid".to_owned(),
        port: 4222,
        tls: false,
    };
    let linked = link(&testing::settings(vec![server], "p"));
    let error = linked.error(|_| true).await;
    assert_eq!(
        error,
        "nowhere.invalid:4222: cannot resolve nowhere.invalid: there is no address of that name: correct the name in \
         shared.servers, or the name service"
    );
}

#[tokio::test]
async fn a_server_of_something_else_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        tls: false,
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let linked = link(&testing::settings(vec![server], "p"));
    let error = linked.error(|_| true).await;
    assert!(error.contains("read the log of the server"), "{error}");
}

#[tokio::test]
async fn a_client_without_acknowledgements_is_replaced() {
    let nats = Nats::start().await;
    let mut settings = nats.settings("p");
    settings.timing.stalled = Duration::from_millis(300);
    let linked = link(&settings);
    let first = linked.session().await.number;
    linked.link.note_sent();
    linked.link.note_acked();
    linked.link.note_sent();
    linked.session_after(first).await;
    assert_eq!(linked.link.state().disconnects, 1);
    assert_eq!(linked.link.unanswered(), None);
}
