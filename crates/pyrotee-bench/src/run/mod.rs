//! `pyrotee-bench run`: runs sets of trials in rounds and writes the results to a file.
//!
//! In a round every candidate of a cell runs once, one after the other in random order, so that slow changes of the
//! machine's speed affect all candidates alike. Ratios are taken within a round.

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

/// The arguments of `pyrotee-bench run`.
#[derive(Args, Debug)]
pub(crate) struct Settings {
    /// Sets to run, one after the other
    #[arg(long = "set", value_enum, value_delimiter = ',', required = true)]
    sets: Vec<Set>,
    /// Number of rounds, instead of the set's number
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds of a trial, instead of the set's seconds
    #[arg(long)]
    seconds: Option<f64>,
    /// Seed for the order of trials; default: a random seed, which is printed
    #[arg(long)]
    seed: Option<u64>,
    /// Run only cells whose name contains this text
    #[arg(long)]
    only: Option<String>,
    /// Run only these candidates, as in relay-3,bare-3
    #[arg(long, value_delimiter = ',')]
    candidates: Vec<Candidate>,
    /// Minutes for repetitions of noisy trials, instead of the set's minutes
    #[arg(long)]
    patience: Option<f64>,
    /// Size to which the spool grows in the set `growth`, in GiB
    #[arg(long, default_value_t = 1.0)]
    spool_gib: f64,
    /// Directory for results and for the spool
    #[arg(long, default_value = "target/bench")]
    into: PathBuf,
}

/// Runs sets, and writes one file of results.
///
/// # Errors
///
/// If a program is missing, a process cannot be started, or a candidate of this repository breaks a condition.
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
        // Every set starts from the printed seed, so that a set can be repeated alone.
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

/// Finds the cores, and binds this program to the measuring one.
#[expect(clippy::print_stderr, reason = "a warning for the user")]
fn cores() -> Cores {
    let cores = Cores::find();
    match cores.of(Role::Measures) {
        None => eprintln!(
            "warning: this machine has one core only, so load and candidate share it and slow each other down"
        ),
        Some(core) => {
            if let Err(error) = crate::machine::bind(core) {
                eprintln!("warning: cannot stay on core {core}: {error}");
            }
        }
    }
    cores
}
