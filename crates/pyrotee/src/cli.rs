//! The command line.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use pyrotee_config::{
    ConfigText, FILE_VARIABLE, Faults, FileContents, Flags, Loaded, Loader, Sources,
};
use pyrotee_relay::build_info::LONG_VERSION;
use pyrotee_relay::{Misconfigured, Signals, check_build};
use pyrotee_terminal::{print, print_error};
use tokio_util::sync::CancellationToken;

use crate::commands::reload::Refused;
use crate::commands::{
    UsageError, check, dead_letters, generate, healthcheck, reload, runbook, scrape, send, shared,
    sink, spool, status,
};

/// Exit code for faults of the configuration and of the command line; clap uses the same code. All other failures are
/// [`ExitCode::FAILURE`], which is 1.
const MISCONFIGURED: u8 = 2;

const RUN_HELP: &str = "\
Examples:
  pyrotee run --config pyrotee.yaml
  PYROTEE__REMOTE_WRITE__TARGETS__CENTRAL__AUTH_TOKEN=… pyrotee run --config pyrotee.yaml
  pyrotee run --upstream http://127.0.0.1:4042     a plain proxy, without a file
  sops decrypt pyrotee.yaml | pyrotee run --config -     a reload keeps this text

Signals: at SIGTERM, SIGINT or SIGQUIT the relay stops accepting, finishes requests, drains the
queues until shutdown.grace and exits, at most 3 s later even if a disk hangs. At a second signal
it exits at once. Undelivered profiles are counted as dropped by `shutdown` and logged, or stay on
disk if there is a spool. At SIGHUP it reloads the configuration, as for `pyrotee reload`. SIGUSR1
and SIGUSR2 are logged and change nothing.

If the directory of the spool or of the dead letters cannot be used, the relay works in memory,
shows the reason in `pyrotee status`, and tries again.

Exit codes: 0 stopped, 1 an address cannot be bound, a part of the relay crashed or was stuck at
the end, 2 the configuration is wrong (every fault is on stderr).";

/// Relays profiles to the local Pyroscope and tees them to remote ones.
#[derive(Debug, Parser)]
#[command(name = "pyrotee", version = LONG_VERSION, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay
    #[command(after_help = RUN_HELP)]
    Run(ConfigArgs),
    Check(CheckArgs),
    Sink(sink::Args),
    Send(send::Args),
    Status(status::Args),
    Reload(reload::Args),
    DeadLetters(dead_letters::Args),
    Spool(spool::Args),
    Scrape(scrape::Args),
    Shared(shared::Args),
    Healthcheck(healthcheck::Args),
    Runbook(runbook::Args),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
    /// Print the version and the revision
    Version,
}

/// Where the configuration comes from: defaults < file < environment < flags.
#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// Configuration file (YAML), or - for the standard input; without --config the file in PYROTEE_CONFIG, and without
    /// a file, defaults, environment and flags apply
    #[arg(long, value_name = "FILE")]
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
    /// Log level: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Log format: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl ConfigArgs {
    fn loader(self) -> Loader {
        let flags = Flags {
            listen: self.listen,
            admin: self.admin,
            upstream: self.upstream,
            log_level: self.log_level,
            log_format: self.log_format,
        };
        let variable = || env::var_os(FILE_VARIABLE).filter(|file| !file.is_empty());
        let file = self.config.or_else(|| variable().map(PathBuf::from));
        Loader::new(Sources::of_process(file, flags))
    }
}

/// Validate a configuration and say what it does, without secrets
#[derive(Debug, clap::Args)]
#[command(after_help = check::EXAMPLES)]
struct CheckArgs {
    /// Configuration file, as --config
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print every key with its effective value, as YAML
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

impl CheckArgs {
    /// The arguments of the configuration with the file that is checked.
    ///
    /// # Errors
    /// Two different files are named.
    fn config(self) -> Result<ConfigArgs, UsageError> {
        let Some(file) = self.file else {
            return Ok(self.config);
        };
        match &self.config.config {
            Some(other) if *other != file => Err(UsageError(format!(
                "{} and --config {} name two files: give one of them",
                file.display(),
                other.display()
            ))),
            _ => Ok(ConfigArgs {
                config: Some(file),
                ..self.config
            }),
        }
    }
}

/// Runs the command line and returns the exit code of the process.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => with_config(args, |loader, text, loaded| {
            exit_code(pyrotee_relay::run(loader, text, loaded))
        }),
        Command::Check(args) => {
            let output = match args.print {
                true => check::Output::Yaml,
                false => check::Output::Summary,
            };
            match args.config() {
                Ok(args) => with_config(args, |_, _, loaded| {
                    exit_code(check::run(&loaded.config, output))
                }),
                Err(error) => report_error(&error.into()),
            }
        }
        Command::Sink(args) => exit_code(blocking(async {
            // In a container the sink is the first process, for which signals have no default action.
            let mut signals = Signals::listen()?;
            tokio::select! {
                result = sink::run(args, CancellationToken::new()) => result,
                _ = signals.next() => Ok(()),
            }
        })),
        Command::Send(args) => exit_code(blocking(send::run(args))),
        Command::Status(args) => exit_code(blocking(status::run(args))),
        Command::Reload(args) => exit_code(blocking(reload::run(args))),
        Command::DeadLetters(args) => exit_code(blocking(dead_letters::run(args))),
        Command::Spool(args) => {
            blocking(spool::run(args)).unwrap_or_else(|error| report_error(&error))
        }
        Command::Shared(args) => {
            blocking(shared::run(args)).unwrap_or_else(|error| report_error(&error))
        }
        Command::Scrape(args) => exit_code(blocking(scrape::run(args))),
        Command::Healthcheck(args) => exit_code(blocking(healthcheck::run(args))),
        Command::Runbook(args) => exit_code(runbook::run(&args)),
        Command::Completions(args) => exit_code(generate::completions(&args, Cli::command())),
        Command::Man(args) => exit_code(generate::man(&args, Cli::command())),
        Command::Version => exit_code(print(&Cli::command().render_version())),
    }
}

fn with_config(
    args: ConfigArgs,
    run: impl FnOnce(Loader, ConfigText, Loaded) -> ExitCode,
) -> ExitCode {
    let loader = args.loader();
    let loaded = loader.read().and_then(|text| {
        let loaded = loader.load(&text, &FileContents::default())?;
        Ok((text, loaded))
    });
    match loaded {
        Ok((text, loaded)) => match check_build(&loaded.config) {
            Ok(()) => run(loader, text, loaded),
            Err(fault) => report_error(&fault.into()),
        },
        Err(faults) => {
            print_error(&faults);
            ExitCode::from(MISCONFIGURED)
        }
    }
}

/// Runs a short command on a runtime of one thread.
fn blocking<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(command)
}

fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report_error(&error),
    }
}

fn report_error(error: &anyhow::Error) -> ExitCode {
    if let Some(faults) = error.downcast_ref::<Faults>() {
        print_error(faults);
        return ExitCode::from(MISCONFIGURED);
    }
    if let Some(fault) = error.downcast_ref::<Misconfigured>() {
        print_error(fault);
        return ExitCode::from(MISCONFIGURED);
    }
    if let Some(refused) = error.downcast_ref::<Refused>() {
        print_error(refused);
        return ExitCode::from(MISCONFIGURED);
    }
    print_error(&format!("error: {error:#}"));
    match error.is::<UsageError>() {
        true => ExitCode::from(MISCONFIGURED),
        false => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
