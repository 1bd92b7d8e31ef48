//! pyrotee-net
