//! Three servers that are one cluster.

use serde_json::{Value, json};

use super::{Login, Nats, newest};
use crate::support::{
    poll::{SOON, eventually, poll},
    ports::Refusing,
};

/// Three servers, each of which runs or is down.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) servers: [Nats; 3],
    /// Keep the ports of the routes for restarts.
    _routes: [Refusing; 3],
}

impl Cluster {
    /// A running cluster that can create streams.
    pub(crate) fn start() -> Self {
        Self::of(3)
    }

    /// A running cluster of two servers, which the third joins when it is started.
    pub(crate) fn of_two() -> Self {
        Self::of(2)
    }

    fn of(size: usize) -> Self {
        let servers = [(); 3].map(|()| Nats::down(newest(), Login::Nobody));
        let routes = [(); 3].map(|()| Refusing::new());
        for (number, (server, route)) in servers.iter().zip(&routes).enumerate() {
            // A cluster elects its first leader once all servers run that are named here.
            let named = routes.iter().take(size.max(number + 1));
            let named = named.map(|port| format!("\"nats://{port}\""));
            let named = named.collect::<Vec<_>>().join(", ");
            let config = format!(
                "server_name: n{number}\ncluster {{ name: test, listen: \"{route}\", routes: [{named}] }}\n"
            );
            server.configure(&config);
        }
        let mut cluster = Self {
            servers,
            _routes: routes,
        };
        for server in cluster.servers.iter_mut().take(size) {
            server.restart();
        }
        cluster.wait_until_ready();
        cluster
    }

    /// Waits until the servers have elected one that creates streams.
    fn wait_until_ready(&self) {
        eventually(3 * SOON, "a leader of the cluster", || {
            let mut logs = self.servers.iter().map(Nats::log);
            logs.any(|log| log.contains("new JetStream cluster metadata leader"))
        });
    }

    /// The addresses as a configuration has them: a list without its brackets.
    pub(crate) fn urls(&self) -> String {
        let urls = self.servers.iter().map(|it| format!("\"{}\"", it.url()));
        urls.collect::<Vec<_>>().join(", ")
    }

    /// Calls JetStream on a server that runs; the response may take until another leader is elected.
    pub(crate) fn api(&self, call: &str, body: &Value) -> Value {
        let mut running = self.servers.iter().filter(|it| it.child.is_some()).cycle();
        let answer = poll(3 * SOON, || running.next()?.try_api(call, body));
        answer.unwrap_or_else(|| panic!("no response to {call}"))
    }

    /// Configuration and state of a stream.
    pub(crate) fn stream(&self, name: &str) -> Value {
        let is_there = |info: &Value| info["error"].is_null();
        let ask = || Some(self.api(&format!("STREAM.INFO.{name}"), &Value::Null));
        let info = poll(3 * SOON, || ask().filter(is_there));
        info.unwrap_or_else(|| panic!("no stream {name}"))
    }

    /// Number of records in a stream.
    pub(crate) fn stored(&self, stream: &str) -> u64 {
        let state = &self.stream(stream)["state"];
        state["messages"].as_u64().expect("a number")
    }

    /// Makes a server the leader of a stream.
    pub(crate) fn lead(&self, stream: &str, server: usize) {
        let name = format!("n{server}");
        let wanted = json!({ "placement": { "preferred": name } });
        let leads = || self.stream(stream)["cluster"]["leader"] == name.as_str();
        let moved = poll(SOON, || {
            if !leads() {
                self.api(&format!("STREAM.LEADER.STEPDOWN.{stream}"), &wanted);
            }
            leads().then_some(())
        });
        assert!(moved.is_some(), "n{server} does not lead {stream}");
    }

    /// The server at an address, as the status of a relay has it.
    pub(crate) fn at(&self, address: &str) -> usize {
        let place = |it: &Nats| it.url() == format!("nats://{address}");
        let found = self.servers.iter().position(place);
        found.unwrap_or_else(|| panic!("no server at {address}"))
    }
}
