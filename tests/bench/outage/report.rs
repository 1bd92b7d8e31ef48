//! The figures of a run, compared with the promises.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use super::{
    Arrival, REPLAY_RATE, Run, SIZE,
    pyroscope::{back, taken},
    watch::attempts,
};

/// Seconds allowed from the target's response until the relay has read it.
const ON_THE_WAY: f64 = 0.02;

/// A figure, the required value, and whether the figure meets it.
#[derive(Debug)]
struct Row {
    what: &'static str,
    is: String,
    wanted: &'static str,
    kept: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

impl Report {
    pub(crate) fn kept(&self) -> bool {
        self.0.iter().all(|row| row.kept)
    }

    fn check(&mut self, what: &'static str, is: impl fmt::Display, wanted: &'static str, ok: bool) {
        self.0.push(Row {
            what,
            is: is.to_string(),
            wanted,
            kept: ok,
        });
    }

    fn tell(&mut self, what: &'static str, is: impl fmt::Display) {
        self.check(what, is, "", true);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n| figure | this run | promised | |\n|---|---|---|---|")?;
        for Row {
            what,
            is,
            wanted,
            kept,
        } in &self.0
        {
            let verdict = match (wanted.is_empty(), kept) {
                (true, _) => "",
                (_, true) => "kept",
                (_, false) => "BROKEN",
            };
            writeln!(f, "| {what} | {is} | {wanted} | {verdict} |")?;
        }
        Ok(())
    }
}

pub(crate) fn of(run: &Run) -> Report {
    let mut report = Report::default();
    clients(run, &mut report);
    outage(run, &mut report);
    match back(&run.target) {
        Some(back) => recovery(run, back, &mut report),
        None => report.check("the target took", "nothing", "something", false),
    }
    accounts(run, &mut report);
    report
}

/// Clients must not notice the outage.
fn clients(run: &Run, report: &mut Report) {
    let errors = run.sent.iter().filter(|sent| sent.status != Some(200));
    let errors = errors.count();
    let late = largest(run.sent.iter().map(|sent| sent.at - sent.due));
    let answer = largest(run.sent.iter().map(|sent| sent.answered - sent.at));
    let sent = run.sent.len();
    report.tell("profiles sent", format!("{sent} in {:.0} s", run.ended));
    report.check(
        "answers other than 200 to clients",
        errors,
        "0",
        errors == 0,
    );
    report.tell("slowest answer to a client", millis(answer));
    report.check(
        "load behind its schedule",
        millis(late),
        "< 500 ms",
        late < 0.5,
    );
}

fn outage(run: &Run, report: &mut Report) {
    let away = format!("{:.1} s", run.opened);
    report.tell("the target was away for", away);
    let attempts = attempts(&run.samples);
    let early = attempts.iter().filter(|at| **at < 60.0).count();
    report.tell("attempts in the first minute", early);
    let late = attempts.iter().filter(|at| **at >= 60.0);
    let within = |first: &f64| {
        let minute = *first..*first + 60.0;
        attempts.iter().filter(|at| minute.contains(at)).count()
    };
    let most = late.map(within).max().unwrap_or(0);
    report.check(
        "most attempts in a minute after that",
        most,
        "≤ 6",
        most <= 6,
    );
    let failed = run.samples.last().map_or(0.0, |sample| sample.failed);
    report.tell("uploads that failed otherwise", failed);
    let bytes = run.samples.iter().map(|sample| sample.pending.bytes);
    let bytes = bytes.max().unwrap_or(0) as f64 / 1e6;
    report.tell("most bytes pending", format!("{bytes:.1} MB"));
}

fn recovery(run: &Run, back: f64, report: &mut Report) {
    let known = back + ON_THE_WAY;
    report.check(
        "first success after the target's return",
        format!("{:.1} s", back - run.opened),
        "≤ 31 s",
        back - run.opened <= 31.0,
    );
    let first = taken(&run.target).next().expect("one was taken");
    let probe = run.sent.iter().find(|sent| sent.number == first.number);
    let age = probe.map_or(f64::INFINITY, |probe| first.at - probe.at);
    report.tell("age of the profile that went first", format!("{age:.1} s"));
    let arrived: HashMap<_, _> = taken(&run.target)
        .map(|arrival| (arrival.number, arrival.at))
        .collect();
    let fresh = run.sent.iter().filter(|sent| sent.at > known);
    let waited = fresh.map(|sent| {
        let at = arrived.get(&sent.number);
        at.map_or(f64::INFINITY, |at| at - sent.at)
    });
    let waited: Vec<_> = waited.collect();
    let longest = largest(waited.iter().copied());
    let what = "longest way of a profile sent after that";
    let ok = longest <= 2.0 && !waited.is_empty();
    report.check(what, millis(longest), "≤ 2000 ms", ok);

    let times: Vec<_> = backlog(run, back).map(|arrival| arrival.at).collect();
    let (first, last) = (times[0], times[times.len() - 1]);
    let rate = ((times.len() - 1) * SIZE) as f64 / (last - first);
    let took = format!("{} profiles in {:.1} s", times.len(), last - first);
    report.tell("backlog", took);
    let counted = run.samples.last().map_or(0.0, |sample| sample.as_backlog);
    report.tell("backlog by the relay's own count", counted);
    report.check(
        "its rate",
        format!("{:.2} MB/s", rate / 1e6),
        "2 MB/s ± 15 %",
        (rate / REPLAY_RATE - 1.0).abs() <= 0.15,
    );
    let throttled = run.target.iter().filter(|arrival| !arrival.taken).count();
    report.check("answers 429", throttled, "≤ 5", throttled <= 5);
    let after = run.samples.iter().filter(|sample| sample.at > known + 1.0);
    let states: Vec<_> = after.map(|sample| sample.state.as_str()).collect();
    let healthy = states.iter().filter(|state| **state == "healthy").count();
    report.tell(
        "scrapes after that that show it healthy",
        format!("{healthy} of {}", states.len()),
    );
    let opened = run.samples.last().map_or(0.0, |sample| sample.opened);
    report.tell("connections made", opened);
    report.tell("most uploads at once", run.most_at_once);
    let limit = largest(run.samples.iter().map(|sample| sample.limit));
    report.tell("most uploads allowed at once", limit);
}

fn accounts(run: &Run, report: &mut Report) {
    let sent = run.sent.len();
    for (what, arrivals) in [
        ("profiles not exactly once at the target", &run.target),
        ("profiles not exactly once at the local one", &run.local),
    ] {
        let mut times: BTreeMap<_, _> = run.sent.iter().map(|sent| (sent.number, 0)).collect();
        for arrival in taken(arrivals) {
            *times.entry(arrival.number).or_default() += 1;
        }
        let wrong = times.values().filter(|times| **times != 1).count();
        report.check(what, wrong, "0", wrong == 0);
    }
    let all = run.target.iter().chain(&run.local);
    let damaged = all.filter(|arrival| !arrival.intact).count();
    report.check("bodies that were changed", damaged, "0", damaged == 0);
    let ledger = &run.ledger;
    let [accepted, gone, lost] =
        [ledger.accepted, ledger.sent, ledger.lost()].map(|count| count.profiles);
    report.check(
        "the relay's account: accepted, sent, dropped",
        format!("{accepted}, {gone}, {lost}"),
        "all, all, 0",
        (accepted, gone, lost) == (sent as u64, sent as u64, 0),
    );
}

/// Accepted profiles that were sent before the target's first acceptance, in order of arrival.
pub(crate) fn backlog(run: &Run, back: f64) -> impl Iterator<Item = &Arrival> {
    let before = run.sent.iter().filter(move |sent| sent.at <= back);
    let before: HashMap<_, _> = before.map(|sent| (sent.number, sent)).collect();
    taken(&run.target).filter(move |arrival| before.contains_key(&arrival.number))
}

fn largest(of: impl Iterator<Item = f64>) -> f64 {
    of.fold(0.0, f64::max)
}

fn millis(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1_000.0)
}
