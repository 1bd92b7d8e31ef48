//! pyroscope-wire
