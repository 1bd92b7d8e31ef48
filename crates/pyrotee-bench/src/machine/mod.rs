//! The machine of the bench: its cores, and the CPU time and memory of processes.

mod cores;
mod describe;
mod foreign;
mod process;

pub(crate) use cores::{Cores, Role, bind, open_more_files};
pub(crate) use describe::{Machine, describe};
pub(crate) use foreign::Foreign;
pub(crate) use process::{cpu_seconds, forget_peak, rss, rss_peak};
