//! Counts the instructions of one step with callgrind. The count is the same for the same binary, whatever else the
//! machine is doing.

use std::process::Command;

use super::steps::{MOST_MORE, SHARED, SHARED_OFFER, STEPS, Step};
use super::table::Count;

/// Repetitions in a short and in a long run. The difference of the two counts is the step alone, without the start of
/// the process.
const SHORT: u64 = 200;
const LONG: u64 = 1_200;

pub(crate) fn count() -> Vec<Count> {
    let count = |step: &Step| Count {
        what: step.what.to_owned(),
        unit: "instructions",
        count: (collected(step.name, LONG) - collected(step.name, SHORT)) / (LONG - SHORT),
        tolerance: step.tolerance,
    };
    STEPS.iter().map(count).collect()
}

/// Compares the steps with the shared backlog with those of the memory queue.
///
/// # Errors
/// If an offer costs more than [`MOST_MORE`] percent beyond memory.
pub(crate) fn compare_shared(counted: &[Count]) -> Result<(), String> {
    let of = |name: &str| {
        let step = STEPS.iter().find(|step| step.name == name).unwrap();
        counted.iter().find(|it| it.what == step.what).unwrap()
    };
    for (shared, memory) in [SHARED_OFFER, SHARED] {
        let (shared, memory) = (of(shared), of(memory));
        let more = shared.count as f64 / memory.count as f64 * 100.0 - 100.0;
        println!("{}: {more:+.2} % beyond memory", shared.what);
    }
    let (shared, memory) = (of(SHARED_OFFER.0), of(SHARED_OFFER.1));
    match shared.count * 100 > memory.count * (100 + MOST_MORE) {
        true => Err(format!(
            "{}: more than {MOST_MORE} % beyond memory",
            shared.what
        )),
        false => Ok(()),
    }
}

/// Instructions of a process that runs `step` so often as `times` says.
fn collected(step: &str, times: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["step", step, &times.to_string()])
        .output();
    let output = output.expect("valgrind is missing: apt-get install valgrind");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "valgrind failed: {said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, number) = collected.unwrap_or_else(|| panic!("valgrind counted nothing: {said}"));
    number.trim().parse().unwrap()
}
