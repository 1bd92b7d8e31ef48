//! Makes one client.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, Event};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::auth;
use super::words::{self, Fault};
use crate::settings::{Server, Settings};

/// Attempts of a client to connect again before it ends.
const RECONNECTS: usize = 3;

/// Most commands that wait in a client. Each may hold a whole record, also after its caller gave up.
const CAPACITY: usize = 64;

/// Most publishes whose acknowledgement is awaited.
const IN_FLIGHT: usize = 64;

/// Most events that wait to be read.
const MOST_EVENTS: usize = 64;

/// Longest time for the broker to answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A client, and what happens to it. The events end when the client has ended.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) events: mpsc::Receiver<Event>,
}

/// The addresses of a server.
pub(super) async fn addresses(
    settings: &Settings,
    server: &Server,
) -> Result<Vec<SocketAddr>, Fault> {
    let port = server.port;
    if let Ok(address) = server.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let looked_up = timeout(
        settings.timing.connect,
        settings.resolver.lookup(&server.host),
    );
    let remedy = "correct the name in shared.servers, or the name service";
    match looked_up.await {
        Ok(Ok(found)) => Ok(found
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect()),
        Ok(Err(error)) => Err(Fault::new(error.to_string(), remedy)),
        Err(_) => {
            let text = format!("cannot resolve {}: no name server answers", server.host);
            Err(Fault::new(text, remedy))
        }
    }
}

/// Connects to one address of a server. The library is given the address, never the name, which it would resolve by
/// `getaddrinfo`.
pub(super) async fn connect(
    settings: &Settings,
    server: &Server,
    address: SocketAddr,
) -> Result<Connected, Fault> {
    let timing = settings.timing;
    let (sender, events) = mpsc::channel(MOST_EVENTS);
    let mut options = auth::options(&settings.auth)
        .await?
        .name(format!("pyrotee {}", settings.boot))
        .max_reconnects(RECONNECTS)
        .reconnect_delay_callback(move |attempt| delay(timing.back_off, attempt))
        .ping_interval(timing.ping)
        .connection_timeout(timing.connect)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .client_capacity(CAPACITY)
        .ignore_discovered_servers()
        .retain_servers_order()
        .event_callback(move |event| {
            let sender = sender.clone();
            async move {
                // Nobody reads the events of a client that was replaced.
                let _read = sender.send(event).await;
            }
        });
    if let Some(tls) = settings.tls.as_ref().filter(|_| server.tls) {
        let config = tls.config_for_address(&server.host)?;
        options = options.require_tls(true).tls_client_config(config);
    }
    let scheme = if server.tls { "tls" } else { "nats" };
    let connecting = Box::pin(options.connect(format!("{scheme}://{address}")));
    let connected = connecting.await;
    let client = connected.map_err(|error| words::of(&error, settings, server))?;
    if !client.server_info().headers {
        return Err(words::without_headers());
    }
    Ok(Connected { client, events })
}

/// JetStream on a client.
pub(super) fn jetstream(client: &Client) -> Context {
    ContextBuilder::new()
        .timeout(REQUEST_TIMEOUT)
        .max_ack_inflight(IN_FLIGHT)
        .backpressure_on_inflight(false)
        .build(client.clone())
}

/// Time before an attempt: doubles from `shortest` to `longest`, and is jittered down to nothing, so that a fleet does
/// not come back at once.
pub(super) fn delay((shortest, longest): (Duration, Duration), attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    let most = shortest.saturating_mul(factor).min(longest);
    most.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_are_jittered() {
        let (shortest, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        let most = |attempt| {
            (0..200)
                .map(move |_| delay((shortest, longest), attempt))
                .max()
        };
        let expected = [
            (1, 100),
            (2, 200),
            (4, 800),
            (7, 5_000),
            (usize::MAX, 5_000),
        ];
        for (attempt, millis) in expected {
            let (most, bound) = (most(attempt).unwrap(), Duration::from_millis(millis));
            assert!(most <= bound && most > bound / 2, "{attempt}: {most:?}");
        }
    }
}
