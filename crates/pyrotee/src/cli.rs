//! The command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::build_info::LONG_VERSION;
use crate::config::{self, Config, Flags, Sources};
use crate::run::Signals;
use crate::spool::{self, Ended};
use crate::terminal::print;
use crate::{dead_letters, generate, healthcheck, run, send, sink, status};

/// A bind failure, a crash, an upload that failed, a relay that does not answer.
const FAILED: u8 = 1;

/// The configuration is wrong; clap uses the same for the command line.
const MISCONFIGURED: u8 = 2;

const RUN_HELP: &str = "\
Examples:
  pyrotee run --config pyrotee.yaml
  PYROTEE__REMOTE_WRITE__TARGETS__CENTRAL__AUTH_TOKEN=… pyrotee run --config pyrotee.yaml
  pyrotee run --upstream http://127.0.0.1:4042     a plain proxy, without a file

Signals: SIGTERM and SIGINT stop accepting, finish requests, drain the queues until
shutdown.grace and exit; a second one exits at once. What could not be delivered is counted
as dropped by `shutdown` and logged, or waits on disk if there is a spool.

Exit codes: 0 stopped, 1 an address cannot be bound or a part of the relay crashed,
2 the configuration is wrong (every fault is on stderr).";

const CHECK_HELP: &str = "\
Example:
  pyrotee check --config pyrotee.yaml > /dev/null && kubectl rollout restart …

Exit codes: 0 valid, 2 not (every fault is on stderr, with file, line, key and remedy).";

/// Relays profiles to the local Pyroscope and tees them to remote ones.
#[derive(Debug, Parser)]
#[command(name = "pyrotee", version = LONG_VERSION, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay
    #[command(after_help = RUN_HELP)]
    Run(Settings),
    /// Check a configuration and print what it comes to, without its secrets
    #[command(after_help = CHECK_HELP)]
    Check(Settings),
    Sink(sink::Args),
    Send(send::Args),
    Status(status::Args),
    DeadLetters(dead_letters::Args),
    Spool(spool::Args),
    Healthcheck(healthcheck::Args),
    Completions(generate::CompletionsArgs),
    // For those who make packages.
    #[command(hide = true)]
    Man(generate::ManArgs),
}

/// Where the configuration comes from: defaults < file < environment < flags.
#[derive(Debug, clap::Args)]
struct Settings {
    /// Configuration file (YAML); without one, defaults and environment alone
    #[arg(long, value_name = "FILE", env = config::FILE_VARIABLE)]
    config: Option<PathBuf>,
    /// Address for clients, such as :4040 (all interfaces) or 127.0.0.1:4040
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address for /metrics, /api/v1/status, /-/healthy and /-/ready
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Address of the local Pyroscope, such as http://127.0.0.1:4042
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Settings {
    fn load(self) -> Result<Config, config::Faults> {
        let flags = Flags {
            listen: self.listen,
            admin: self.admin,
            upstream: self.upstream,
            log_level: self.log_level,
            log_format: self.log_format,
        };
        config::load(Sources::of_process(self.config, flags))
    }
}

/// Runs what the command line asks for; the process ends with what it returns.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(settings) => with_config(settings, |config| report(run::run(&config))),
        Command::Check(settings) => with_config(settings, |config| report(check(&config))),
        Command::Sink(args) => report(blocking(async {
            // In a container it is the first process, which no signal ends by itself.
            let mut signals = Signals::listen()?;
            tokio::select! {
                result = sink::run(args, CancellationToken::new()) => result,
                _ = signals.next() => Ok(()),
            }
        })),
        Command::Send(args) => report(blocking(send::run(args))),
        Command::Status(args) => report(blocking(status::run(args))),
        Command::DeadLetters(args) => report(blocking(dead_letters::run(args))),
        Command::Spool(args) => match blocking(spool::run(args)) {
            Ok(Ended::Well) => ExitCode::SUCCESS,
            Ok(Ended::Badly) => ExitCode::from(FAILED),
            Err(error) => failed(&error),
        },
        Command::Healthcheck(args) => report(blocking(healthcheck::run(args))),
        Command::Completions(args) => report(generate::completions(&args, Cli::command())),
        Command::Man(args) => report(generate::man(&args, Cli::command())),
    }
}

fn with_config(settings: Settings, run: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match settings.load() {
        Ok(config) => run(config),
        Err(faults) => {
            complain(&faults);
            ExitCode::from(MISCONFIGURED)
        }
    }
}

fn check(config: &Config) -> anyhow::Result<()> {
    for warning in config.warnings() {
        complain(&format!("warning: {warning}"));
    }
    print(&config.to_yaml())
}

/// Runs a short command on a runtime of one thread.
fn blocking<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(command)
}

fn report(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    if let Some(faults) = error.downcast_ref::<config::Faults>() {
        complain(faults);
        return ExitCode::from(MISCONFIGURED);
    }
    complain(&format!("error: {error:#}"));
    match error.is::<spool::Misused>() {
        true => ExitCode::from(MISCONFIGURED),
        false => ExitCode::from(FAILED),
    }
}

/// To stderr, which may be closed: then there is nobody to tell.
fn complain(text: &dyn std::fmt::Display) {
    let _told = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
