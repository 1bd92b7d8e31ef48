//! Whole scrapes in paused time: applications at the end of pipes, and a stand-in for the relay's own stack.

mod bodies;
mod counts;
mod deltas;
mod discovery;
mod limits;
mod reload;
mod schedule;
mod support;
