//! pyrotee
