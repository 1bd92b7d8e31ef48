//! pyrotee

pub mod config;
pub mod send;
pub mod sink;
