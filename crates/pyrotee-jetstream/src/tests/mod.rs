//! Tests with nats-servers.

mod conformance;
mod faults;
mod full;
mod nats;
mod sharing;
mod support;
mod upkeep;
