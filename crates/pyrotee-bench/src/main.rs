//! Measures what the relay costs. `docs/performance.md` has the figures and says how to measure again.
//!
//! `run` starts sinks, a candidate and a load as separate processes (`sink`, `bare` and `load` are subcommands of this
//! program). `report` and `check` read the results of `run`. The bench is not shipped, and shares no code with the
//! relay.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a bench, not the product"
)]

mod bare;
mod candidate;
mod child;
mod goals;
mod load;
mod machine;
mod report;
mod run;
mod sink;
mod tls;
mod units;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures what pyrotee costs
#[derive(Debug, Parser)]
#[command(name = "pyrotee-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run sets of trials and write the results to a file
    Run(run::Settings),
    /// Compare results with goals; exits 1 if a gate is missed
    Check(goals::Settings),
    /// Print results as Markdown, or write them into a page
    Report(report::Settings),
    /// Stand-ins for Pyroscopes (run starts it)
    Sink(sink::Settings),
    /// Clients (run starts it)
    Load(load::Settings),
    /// The yardstick: a minimal proxy that forwards and mirrors (run starts it)
    Bare(bare::Settings),
}

fn main() -> ExitCode {
    match execute(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a program that fails")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("{error:#}");
    ExitCode::FAILURE
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(settings) => run::run(&settings).map(|()| ExitCode::SUCCESS),
        Command::Check(settings) => goals::check(&settings),
        Command::Report(settings) => report::report(&settings).map(|()| ExitCode::SUCCESS),
        Command::Sink(settings) => on_one_thread(sink::serve(&settings)),
        Command::Load(settings) => on_one_thread(load::run(settings)),
        Command::Bare(settings) => on_one_thread(bare::serve(settings)),
    }
}

fn on_one_thread(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)?;
    Ok(ExitCode::SUCCESS)
}
