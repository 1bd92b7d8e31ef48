//! Tests with nats-servers.

mod campaign;
mod conformance;
mod faults;
mod full;
mod sharing;
mod support;
mod upkeep;
