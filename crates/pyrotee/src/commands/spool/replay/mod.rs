//! `pyrotee spool replay`: sends the pending profiles of a target to an address or to the targets of a
//! configuration, or has a running relay hand them to another target.

mod by_relay;
mod pacer;
mod request;
mod to_address;
mod to_targets;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use pyrotee_client::PyroscopeClient;
use pyrotee_terminal::parse_duration;

use super::directory::DirectoryArgs;
use crate::commands::UsageError;
use crate::commands::relay::relay_at;
use crate::commands::tls_args::TlsArgs;
use pacer::Pacer;
use to_address::AddressReplay;

const EXAMPLES: &str = "\
Examples:
  pyrotee spool replay --admin --from old-name --to central
      A target was renamed in the configuration: the running relay moves the
      pending profiles of the old name to the new one. If a reload removed the old
      target and it is still draining, its delivery is stopped first. A relay with
      an admin-token requires it. The token is taken from PYROTEE_ADMIN_TOKEN, else
      from the configuration of --config (beside --admin) or PYROTEE_CONFIG.

  pyrotee spool replay --dir /var/lib/pyrotee/spool --target central --to http://pyroscope:4040
      Sends the pending profiles of one target to a Pyroscope or a relay, as they
      were captured, with no relay running. Accepted profiles are not pending any
      more; refused ones stay. The command may be interrupted and run again.

  pyrotee spool replay --config pyrotee.yaml
      Sends the pending profiles of each target of the configuration as the relay
      would: with its tags and credentials. max-age does not apply.

  pyrotee spool replay --dir D --to http://pyroscope:4040 --quarantined 00000000000000000042.corrupt
      Sends the whole profiles of a damaged segment that was set aside; most of
      them were delivered before, and arrive twice.

Exit codes: 0 nothing is left, 1 profiles are left or the replay failed, 2 the
command line or the configuration is wrong.";

/// Send the pending profiles of a target, or move them to another target
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    directory: DirectoryArgs,

    /// Ask the running relay with this `admin`, without ADDR as `pyrotee status`; requires --from and --to
    #[arg(long, value_name = "ADDR", num_args = 0..=1, conflicts_with = "dir", requires_all = ["from", "to"])]
    admin: Option<Option<String>>,

    #[command(flatten)]
    tls: TlsArgs,

    /// The removed target, draining or not, whose profiles are moved, with --admin
    #[arg(long, value_name = "OLD", requires = "admin")]
    from: Option<String>,

    /// The target whose profiles are sent; with --config alone all targets
    #[arg(long, value_name = "NAME", conflicts_with_all = ["admin", "quarantined"])]
    target: Option<String>,

    /// Base address of a Pyroscope or a relay; with --admin the name of a target
    #[arg(long, value_name = "URL|NEW")]
    to: Option<String>,

    /// Damaged segments whose whole records are sent, instead of pending profiles
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "admin", requires = "to")]
    quarantined: Vec<PathBuf>,

    /// Maximum rate, in bytes of bodies per second, such as 2MB
    #[arg(long, value_name = "BYTES", conflicts_with = "admin")]
    rate: Option<ByteSize>,

    /// Timeout of each upload as a whole
    #[arg(long, value_name = "D", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,

    /// Failures in a row that end the replay, with --to
    #[arg(long, value_name = "N", default_value = "5")]
    failures: NonZeroU32,

    /// Time without an accepted profile that ends the replay, with --config and without --to
    #[arg(long, value_name = "D", default_value = "60s", value_parser = parse_duration)]
    patience: Duration,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let (Some(admin), Some(from), Some(to)) = (&args.admin, &args.from, &args.to) {
        let relay = relay_at(
            admin.as_deref(),
            args.directory.config.as_deref(),
            &args.tls,
        )?;
        return by_relay::run(&relay, from, to).await;
    }
    let spool = args.directory.find()?;
    if let Some(to) = &args.to {
        let client =
            PyroscopeClient::kept_alive(to, args.timeout, |address| args.tls.of_address(address))?;
        let pacer = Pacer::new(args.rate.map(|rate| rate.as_u64()));
        let replay = AddressReplay::new(client, pacer, args.failures);
        if !args.quarantined.is_empty() {
            return replay.quarantined(spool.dir, args.quarantined).await;
        }
        let Some(target) = args.target else {
            return Err(missing(
                "--to sends the pending profiles of one target: name it with --target",
            ));
        };
        return replay.pending(&spool.dir, target).await;
    }
    match spool.config {
        Some(config) => to_targets::run(config, args.target, args.rate, args.patience).await,
        None => Err(missing(
            "no destination: give --to URL, or --config FILE instead of --dir to send to its targets",
        )),
    }
}

fn missing(text: &str) -> anyhow::Error {
    UsageError(text.to_owned()).into()
}
