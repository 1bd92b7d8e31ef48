//! The admin listener: metrics, status, health, dead letters, the spool, and the actions that an operator may
//! request.
//!
//! [`Admin`] serves a [`Site`] on a listener, a thread and a runtime of its own, so that it responds while the
//! data path is saturated. [`json`] holds the types of every JSON document, which the server writes and the
//! commands read. `listener` hosts any tower service within bounds and deadlines. `routes` is the service that it
//! hosts, an axum router: the table of paths, methods and handlers. `site` gives each handler its part of the [`Site`].
//! `hosts` holds the host names that pass, `guard` decides which requests may change state.
//!
//! A reload changes the [`TargetList`], the token of the [`Guard`] and the names of the [`Hosts`] while requests are
//! served. Clones share their state, and a request waits for no lock. Through [`Reload`], [`ConfigState`] and
//! [`Draining`] the listener calls the part of the relay that reloads.
//!
//! `service_manager` tells systemd what the probes tell a cluster: ready, reloading, stopping, and that the process lives.
//!
//! This crate does not depend on an exporter of metrics (a [`Metrics`] renders the metrics) nor on the
//! configuration.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod actions;
mod connection_info;
mod dead_letters;
mod degraded;
#[cfg(test)]
mod fixture;
mod guard;
mod health;
mod hooks;
mod hosts;
pub mod json;
mod listener;
mod open_spool;
mod page_copies;
mod pages;
mod query;
mod reload;
mod response;
mod routes;
mod service_manager;
mod shared;
mod site;
mod spool;
mod status;
mod target_list;
mod target_view;
mod tls;

pub use actions::Actions;
pub use dead_letters::LetterService;
pub use degraded::{DegradableParts, DiskPart};
pub use guard::Guard;
pub use health::Health;
pub use hooks::{
    BoxFuture, ConfigState, Draining, Reload, ScrapeState, SharedBacklog, UpstreamState,
};
pub use hosts::Hosts;
pub use listener::Admin;
pub use open_spool::OpenSpool;
pub use pages::{Copies, Metrics, Pages};
pub use service_manager::{ReloadNotices, ServiceManager};
pub use site::Site;
pub use status::StatusSource;
pub use target_list::TargetList;
pub use target_view::{Membership, TargetView};
pub use tls::AdminTls;
