//! The limits that all jobs share: `max-concurrent`, `max-targets` and `state-limit`.

mod loops;
mod places;
mod state;

pub(crate) use loops::{LoopLimit, LoopPermit};
pub(crate) use places::{Place, Places};
pub(crate) use state::{StateLimit, StateShare};
