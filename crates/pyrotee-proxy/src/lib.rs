//! pyrotee-proxy
