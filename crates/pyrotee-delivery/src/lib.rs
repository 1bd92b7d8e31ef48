//! pyrotee-delivery
