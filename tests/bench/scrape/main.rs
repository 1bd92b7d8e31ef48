//! Pull mode under load: the binary scrapes five profiles of 300 applications, with the default limits, with raised
//! ones, and while a tenth of the applications hangs. Run by `make bench-scrape`, which prints a table and fails if a
//! profile is lost without being counted, or memory passes its bound. Times and CPU depend on the machine.
//!
//! Applications and Pyroscopes share the machine with the relay, and their work is not part of the figures.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench, not the product"
)]

#[path = "../../e2e/support/mod.rs"]
mod support;

mod applications;
mod figures;
mod kind;
mod lateness;
mod profiles;
mod pyroscope;
mod report;

use std::{env, process::ExitCode, sync::Arc, thread, time::Duration};

use applications::Applications;
use figures::{Figures, Rest};
use profiles::Profiles;
use pyroscope::Pyroscope;
use support::{Relay, nightly, poll};

/// Number of applications.
const APPLICATIONS: usize = 300;

/// `scrape-interval` of the job.
const INTERVAL: Duration = Duration::from_secs(15);

/// How long a run lasts: each loop scrapes five times, or three in the short form. A loop's first scrape is its
/// baseline.
const LONG: Duration = Duration::from_secs(75);
const SHORT: Duration = Duration::from_secs(45);

/// How long the relay may take to come to rest: two time limits of a request.
const REST: Duration = Duration::from_secs(40);

const MIB: u64 = 1 << 20;

/// The limits of a run, and the applications that hang.
#[derive(Clone, Copy, Debug)]
struct Setup {
    name: &'static str,
    /// `memory-limit` and `scrape.state-limit`, in MiB.
    memory_limit: u64,
    state_limit: u64,
    /// `scrape.max-targets`, in loops, and `scrape.max-concurrent`.
    max_targets: usize,
    max_concurrent: usize,
    /// Each so-manieth application hangs.
    nth_hangs: Option<usize>,
}

/// The default limits.
const DEFAULTS: Setup = Setup {
    name: "defaults",
    memory_limit: 256,
    state_limit: 32,
    max_targets: 1000,
    max_concurrent: 16,
    nth_hangs: None,
};

const RAISED: Setup = Setup {
    name: "raised",
    memory_limit: 512,
    state_limit: 128,
    max_targets: 2000,
    max_concurrent: 32,
    nth_hangs: None,
};

const HANGING: Setup = Setup {
    name: "raised, a tenth hangs",
    nth_hangs: Some(10),
    ..RAISED
};

fn main() -> ExitCode {
    let length = if nightly() { SHORT } else { LONG };
    // Cargo adds `--bench`.
    let only = env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let scrapes = usize::try_from(length.as_secs() / INTERVAL.as_secs()).unwrap() + 4;
    let profiles = Arc::new(Profiles::new(scrapes));
    println!(
        "profiles: {} MB, {} MB compressed",
        profiles.plain / 1_000_000,
        profiles.packed / 1_000_000
    );
    let setups = [DEFAULTS, RAISED, HANGING].into_iter();
    let setups = setups.filter(|setup| only.as_ref().is_none_or(|only| setup.name == only));
    let runs: Vec<_> = setups.map(|setup| run(setup, length, &profiles)).collect();
    println!("{}", report::table(&runs));
    let faults: Vec<_> = runs.iter().flat_map(report::faults).collect();
    for fault in &faults {
        println!("BROKEN: {fault}");
    }
    match faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn run(setup: Setup, length: Duration, profiles: &Arc<Profiles>) -> Figures {
    println!("{}: {} s", setup.name, length.as_secs());
    let applications = Applications::start(profiles, APPLICATIONS, setup.nth_hangs);
    let (upstream, target) = (Pyroscope::start(), Pyroscope::start());
    let relay = Relay::builder()
        .yaml(&limits(&setup))
        .yaml(&job(&applications))
        .upstream_address(&upstream.url)
        .target_address("central", &target.url, &["queue-size: 10000"])
        .spawn();
    let before = relay.cpu_time();
    thread::sleep(length);
    let mut figures = Figures::take(setup, &relay, &applications, &upstream);
    figures.cpu -= before;
    applications.finish();
    // The accounts agree once nothing is on its way. A profile that is lost leaves a difference for ever.
    let rest = || Rest::take(&relay, &applications, &upstream, &target);
    let settled = poll(REST, || Some(rest()).filter(Rest::balances));
    figures.rest = Some(settled.unwrap_or_else(rest));
    figures.resident_at_end = relay.rss_peak();
    figures.repeated = upstream.state().repeated() + target.state().repeated();
    figures
}

fn limits(setup: &Setup) -> String {
    let Setup {
        memory_limit,
        state_limit,
        max_targets,
        max_concurrent,
        ..
    } = setup;
    format!(
        "memory-limit: {memory_limit}MiB\nscrape: {{ state-limit: {state_limit}MiB, \
         max-targets: {max_targets}, max-concurrent: {max_concurrent} }}"
    )
}

fn job(applications: &Applications) -> String {
    let addresses = applications.addresses.iter();
    let addresses: Vec<_> = addresses
        .map(|it| format!("{:?}", it.to_string()))
        .collect();
    format!(
        "scrape-configs:\n  - job-name: load\n    scrape-interval: {}s\n    \
         enabled-profiles: [cpu, mem, goroutines, mutex, block]\n    static-configs:\n      \
         - application: shop\n        targets: [{}]",
        INTERVAL.as_secs(),
        addresses.join(", ")
    )
}
