//! Runs a set of trials in rounds and writes down what came of them.
//!
//! In a round every candidate of a cell runs once, one after the other in an order that is drawn anew, so that a machine that
//! changes its mood changes it for all of them. Ratios are taken within a round.

mod expect;
mod figures;
mod footprint;
mod ledger;
mod outcome;
mod rig;
mod session;
mod sets;
mod spool;
mod trial;
mod watch;

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;

use self::{session::Session, sets::Plan};
use crate::{
    candidate::{Candidate, missing},
    machine::{Cores, Role, open_more_files},
};
pub(crate) use outcome::{About, Line, Outcome, Results};
pub(crate) use sets::Set;

/// What the command line asks for.
#[derive(Args, Debug)]
pub(crate) struct Settings {
    /// What to run, one after the other
    #[arg(long = "set", value_enum, value_delimiter = ',', required = true)]
    sets: Vec<Set>,
    /// Rounds, instead of those of the set
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds of a trial, instead of those of the set
    #[arg(long)]
    seconds: Option<f64>,
    /// For the order of trials; drawn and printed without it
    #[arg(long)]
    seed: Option<u64>,
    /// Only cells whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Only these candidates, as in relay-3,bare-3
    #[arg(long, value_delimiter = ',')]
    candidates: Vec<Candidate>,
    /// Minutes that repetitions of noisy trials may take, instead of those of the set
    #[arg(long)]
    patience: Option<f64>,
    /// To what the spool grows, in GiB, in the set `growth`
    #[arg(long, default_value_t = 1.0)]
    spool_gib: f64,
    /// Where results go, and the spool
    #[arg(long, default_value = "target/bench")]
    into: PathBuf,
}

/// Runs sets, and writes one file of results.
///
/// # Errors
///
/// If a program is missing, something cannot be started, or a candidate of ours does not do what it has to.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let plans: Vec<_> = settings
        .sets
        .iter()
        .map(|set| (*set, plan(settings, *set)))
        .collect();
    let trials = plans.iter().flat_map(|(_, plan)| plan.trials());
    let candidates: Vec<_> = trials.map(|trial| trial.candidate).collect();
    ensure!(
        !candidates.is_empty(),
        "no cell and candidate is left to run"
    );
    let missing = missing(&candidates);
    ensure!(missing.is_empty(), "{}", missing.join("\n"));
    let cores = cores();
    open_more_files().context("cannot raise the limit of open files")?;
    let seed = settings.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let mut session = Session::create(&settings.into, cores)?;
    for (set, plan) in plans {
        // Every set is drawn from the seed that it is told with, so that it can be run again alone.
        let mut random = fastrand::Rng::with_seed(seed);
        session.begin(set, &plan, seed)?;
        for round in 1..=plan.rounds {
            for group in &mut plan.groups(round, &mut random) {
                random.shuffle(group);
                for trial in group {
                    session.measure(trial, round)?;
                }
            }
        }
    }
    session.end()
}

fn plan(settings: &Settings, set: Set) -> Plan {
    let mut plan = set.plan(settings.spool_gib, &settings.into);
    plan.rounds = settings.rounds.unwrap_or(plan.rounds);
    plan.patience = settings.patience.unwrap_or(plan.patience);
    plan.retain(|trial| {
        let named = settings
            .only
            .as_ref()
            .is_none_or(|only| trial.cell.contains(only));
        let wanted = &settings.candidates;
        named && (wanted.is_empty() || wanted.contains(&trial.candidate))
    });
    if let Some(seconds) = settings.seconds {
        plan.each(|trial| trial.last_for(seconds));
    }
    plan
}

/// The cores, and this program on the one that measures.
#[expect(clippy::print_stderr, reason = "a warning to whoever started it")]
fn cores() -> Cores {
    let cores = Cores::find();
    match cores.of(Role::Measures) {
        None => eprintln!(
            "warning: there is one core only, so that load and candidate get into each other's way"
        ),
        Some(core) => {
            if let Err(error) = crate::machine::bind(core) {
                eprintln!("warning: cannot stay on core {core}: {error}");
            }
        }
    }
    cores
}
