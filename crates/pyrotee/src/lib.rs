//! pyrotee

pub mod send;
pub mod sink;
