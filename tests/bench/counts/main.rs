//! Counts costs that do not depend on other load of the machine: instructions of the steps that every profile goes
//! through, and allocations of a whole request. `make counts` compares the counts with `docs/counts.md` and fails when
//! one has grown; `make counts-renew` writes the new counts to that page.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench, not the product"
)]

mod allocations;
mod instructions;
mod steps;
mod table;

use std::alloc::System;
use std::path::Path;
use std::process::ExitCode;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use table::Table;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/counts.md");

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let ["step", name, times] = arguments[..] {
        steps::run(name, times.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let mut counted = instructions::count();
    let shared = instructions::compare_shared(&counted);
    counted.extend(allocations::count());
    let path = Path::new(TABLE);
    let table = Table::read(path);
    if arguments.contains(&"renew") {
        table.renewed(&counted).write(path);
        println!("{} is renewed", path.display());
        return ExitCode::SUCCESS;
    }
    match table.compare(&counted).and(shared) {
        Ok(()) => ExitCode::SUCCESS,
        Err(grown) => {
            eprintln!(
                "{grown}\nIf that is meant, say why in the commit and run `make counts-renew`."
            );
            ExitCode::FAILURE
        }
    }
}
