//! Where `send` sends: to an address as an SDK would, or to a target of a configuration as the relay would.

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use pyrotee_client::PyroscopeClient;
use pyrotee_config::{FILE_VARIABLE, Flags, Sources};
use pyrotee_delivery::Trial;
use pyrotee_letters::read_captured;
use pyrotee_net::{Address, Connector, Resolver};
use pyrotee_queue::{Budget, Payload, Record};
use pyrotee_relay::delivery_settings;
use pyrotee_tls::{ClientTls, SystemRoots};

use super::Args;
use super::request::RawRequest;
use crate::commands::relay::file_of_environment;
use crate::commands::{UsageError, configured_target};

/// Timeout of an upload to an address, unless `--timeout` is given.
pub(super) const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// The receiver of the uploads.
#[derive(Debug)]
pub(super) enum Destination {
    Address(PyroscopeClient),
    Target(Box<TrialTarget>),
}

/// A target of a configuration.
#[derive(Debug)]
pub(super) struct TrialTarget {
    name: String,
    address: Address,
    trial: Trial,
}

/// The response to one upload.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) status: u16,
    /// What the response says; empty if there is nothing to show.
    pub(super) text: String,
    /// Why the upload is a failure, and what to do next; `None` for a success.
    pub(super) failure: Option<anyhow::Error>,
}

impl Destination {
    /// # Errors
    /// An argument cannot be used, the configuration has faults, or it has no target of that name.
    pub(super) fn open(args: &Args) -> anyhow::Result<Self> {
        if let Some(to) = &args.to {
            let client = PyroscopeClient::new(to, args.timeout.unwrap_or(TIMEOUT), |address| {
                args.tls.of_address(address)
            })?;
            return Ok(Self::Address(client));
        }
        if args.tls.is_given() {
            let text =
                "--ca-file, --cert-file and --key-file are for --to: a target has its own `tls`";
            return Err(UsageError(text.to_owned()).into());
        }
        let name = args.target.as_deref().unwrap_or_default();
        let Some(file) = args.config.clone().or_else(file_of_environment) else {
            return Err(UsageError(format!(
                "--target needs the configuration that has the target: give --config FILE, or set {FILE_VARIABLE}"
            ))
            .into());
        };
        let config = pyrotee_config::load(Sources::of_process(Some(file), Flags::default()))?;
        let mut target = configured_target(config.remote_write.targets, name)?;
        if let Some(timeout) = args.timeout {
            target.timeout = timeout;
        }
        let tls = ClientTls::system(&SystemRoots::load()?)?;
        let connector = Connector::new(&Resolver::system()?, &tls);
        let trial = Trial::new(&delivery_settings(&target), &connector);
        Ok(Self::Target(Box::new(TrialTarget {
            trial: trial.with_context(|| format!("failed to prepare target {name}"))?,
            name: target.name,
            address: target.address,
        })))
    }

    pub(super) fn address(&self) -> &Address {
        match self {
            Self::Address(client) => client.address(),
            Self::Target(target) => &target.address,
        }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// There is no response; the text says what to do next.
    pub(super) async fn send(&self, request: RawRequest) -> anyhow::Result<Sent> {
        match self {
            Self::Address(client) => {
                let response = client.send_raw(&request.bytes).await?;
                let is_success = response.status.is_success();
                Ok(Sent {
                    status: response.status.as_u16(),
                    text: match is_success {
                        true => String::new(),
                        false => response.text(),
                    },
                    failure: (!is_success).then(|| client.refusal(&response)),
                })
            }
            Self::Target(target) => target.send(request).await,
        }
    }
}

impl TrialTarget {
    /// Sends the record that the relay would make of `request`.
    async fn send(&self, request: RawRequest) -> anyhow::Result<Sent> {
        let (head, body) = read_captured(&Bytes::from(request.bytes))
            .context("the request has no profile that a relay would tee")?;
        // One record at a time: the budget need not limit how many are in memory.
        let reservation = Budget::new(u64::MAX).reserve(Record::OVERHEAD);
        let reservation = reservation.context("no memory for the profile")?;
        let record = Record::new(head, Payload::from(body.to_vec()), reservation);
        let result = self.trial.upload(&record).await;
        let Self { name, address, .. } = self;
        let remedy = result.remedy.map(|it| format!("; {it}"));
        let remedy = remedy.unwrap_or_default();
        let Some(status) = result.status else {
            bail!(
                "target {name} ({address}) gave no response: {}{remedy}",
                result.text
            );
        };
        let failure = (!result.is_accepted).then(|| {
            anyhow!(
                "target {name} ({address}) answered {status}: the relay takes this for `{}`{remedy}",
                result.outcome
            )
        });
        Ok(Sent {
            status: status.as_u16(),
            text: result.text,
            failure,
        })
    }
}
