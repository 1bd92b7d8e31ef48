//! pyrotee-queue
