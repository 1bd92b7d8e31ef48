//! Helpers of the tests: the real binary, a stand-in for each Pyroscope around it, and clients that send exactly the
//! bytes that a test gives them. Everything works on port 0, every wait has a limit.

#![allow(
    dead_code,
    unused_imports,
    reason = "a kit is written whole, not call by call"
)]

pub(crate) mod captures;
pub(crate) mod client;
pub(crate) mod command;
mod config;
mod disk;
mod front;
pub(crate) mod h2;
mod hanging_disk;
pub(crate) mod key;
pub(crate) mod line;
mod live_files;
pub(crate) mod message;
mod metrics;
pub(crate) mod nats;
mod paced;
pub(crate) mod pki;
mod poll;
pub(crate) mod ports;
mod pulled;
mod pyroscope2;
mod relay;
mod reload;
mod rig;
mod tests;
pub(crate) mod tls;
pub(crate) mod tls_client;
mod tls_h2;
mod tunnel;
pub(crate) mod upstream;
mod wire;

pub(crate) use self::{
    client::{Client, Request, Response},
    config::Builder,
    disk::SmallDisk,
    front::{Front, Speech},
    hanging_disk::HangingDisk,
    live_files::{LiveFile, Mount},
    metrics::{Count, Ledger, Metrics},
    paced::paced,
    poll::{SOON, eventually, nightly, poll},
    pulled::Pulled,
    pyroscope2::Pyroscope2,
    relay::{Ended, Relay},
    reload::Report,
    rig::{Rig, verbatim},
    tls_client::{TlsClient, TlsConnection},
    tls_h2::TlsHttp2,
    tunnel::Tunnel,
    upstream::{Answer, Arrival, End, Upstream},
    wire::{Body, Framing, Head, Wire},
};
