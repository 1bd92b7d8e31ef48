//! Addresses of NATS servers.

use pyrotee_net::Address;

use crate::{reader::Scope, settings::SharedServer};

const KEY: &str = "servers";

/// The port of a server whose address has none.
const PORT: u16 = 4222;

/// The servers in the order of the configuration, at least one. `has_tls`: the relay speaks TLS to all of them.
pub(super) fn servers(scope: &Scope<'_>, has_tls: bool) -> Option<Vec<SharedServer>> {
    let text = scope.text(KEY).unwrap_or_default();
    if text.trim().is_empty() {
        if !scope.is_faulty(KEY) {
            let text =
                "are missing; write the addresses of NATS servers, such as [\"nats://HOST:4222\"]";
            scope.fault(KEY, text);
        }
        return None;
    }
    let mut found: Vec<SharedServer> = Vec::new();
    let mut whole = true;
    for (number, text) in (1..).zip(text.split(',')) {
        match server(text.trim(), has_tls) {
            Ok(server) if found.iter().any(|known| known.text == server.text) => {}
            Ok(server) => found.push(server),
            // Shows no value, which may hold a password or come from a variable.
            Err(problem) => {
                scope.fault(KEY, &format!("entry {number} {problem}"));
                whole = false;
            }
        }
    }
    whole.then_some(found)
}

fn server(text: &str, has_tls: bool) -> Result<SharedServer, String> {
    if text.contains('@') {
        return Err(
            "has a user, a password or a token; write it under `shared.auth`, and the address without it"
                .to_owned(),
        );
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "nats" => has_tls,
        "tls" => true,
        "ws" | "wss" => {
            let text = "is an address of WebSocket, which the relay does not speak; write nats://HOST:PORT or tls://HOST:PORT";
            return Err(text.to_owned());
        }
        _ => {
            let text =
                "has a scheme that is not supported; write nats://HOST:PORT or tls://HOST:PORT";
            return Err(text.to_owned());
        }
    };
    let scheme = if tls { "tls" } else { "nats" };
    // Hosts and ports have the grammar of every address, and its errors name another scheme.
    let parsed = Address::parse(&format!("http://{rest}")).map_err(|error| {
        error
            .to_string()
            .replace("http://", &format!("{scheme}://"))
    })?;
    let address = parsed.address;
    if !address.prefix().is_empty() {
        return Err("has a path; remove everything after the port".to_owned());
    }
    let port = address.authority().port_u16().unwrap_or(PORT);
    let host = address.host().to_owned();
    let text = match host.contains(':') {
        true => format!("{scheme}://[{host}]:{port}"),
        false => format!("{scheme}://{host}:{port}"),
    };
    Ok(SharedServer {
        host,
        port,
        tls,
        text,
    })
}
