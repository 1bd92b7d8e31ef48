//! `--watch`: one status after the other.

use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Error};
use pyrotee_terminal::{Layout, parse_duration, write};
use tokio::time::MissedTickBehavior;

/// Shortest interval: less would be a load test.
const SHORTEST: Duration = Duration::from_millis(100);

/// Interval without SECONDS.
const USUAL: Duration = Duration::from_secs(2);

/// How often and in which form a status is shown.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Show {
    /// Repeat every 2 seconds, or every SECONDS, until Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = interval)]
    pub(super) watch: Option<Duration>,

    /// Print the JSON of the relay
    #[arg(long)]
    pub(super) json: bool,
}

/// Moves the cursor home and clears below it: one write for a whole frame does not flicker.
const CLEAR: &str = "\x1b[H\x1b[J";

/// The last status that the relay gave.
struct Last {
    text: String,
    at: SystemTime,
    /// When the relay first did not respond after that; `None` if it did.
    silent_since: Option<SystemTime>,
}

/// Shows one status after the other, of which each is a call of `status`, until the reader closes the output or presses
/// Ctrl-C. While the relay does not respond, the last status stays, with a line above that says so.
///
/// # Errors
/// The relay does not respond to the first request: the address may be wrong. Later the relay may be restarting.
pub(super) async fn run(
    show: &Show,
    status: impl AsyncFn() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    tokio::select! {
        watched = watch(show, status) => watched,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("failed to listen for Ctrl-C"),
    }
}

async fn watch(
    show: &Show,
    status: impl AsyncFn() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(show.watch.unwrap_or(USUAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<Last> = None;
    loop {
        ticks.tick().await;
        let text = match (status().await, &mut last) {
            (Ok(text), last) => {
                let shown = last.insert(Last {
                    text,
                    at: SystemTime::now(),
                    silent_since: None,
                });
                match show.json {
                    true => shown.text.clone(),
                    false => frame(&shown.text),
                }
            }
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) if show.json => {
                write(&mut io::stderr(), &format!("error: {error:#}\n"))?;
                continue;
            }
            (Err(error), Some(last)) => {
                let since = *last.silent_since.get_or_insert_with(SystemTime::now);
                let notice = Layout::of_stdout().lines(&notice(since, last.at, &error));
                frame(&format!("{}\n{}", notice.join("\n"), last.text))
            }
        };
        if !write(&mut io::stdout(), &text)? {
            return Ok(());
        }
    }
}

/// Parses an interval: a number of seconds, or a duration with a unit.
fn interval(text: &str) -> Result<Duration, String> {
    let bare = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let text = if bare { &format!("{text}s") } else { text };
    let interval = parse_duration(text)?;
    match interval < SHORTEST {
        true => Err("is less than a tenth of a second".to_owned()),
        false => Ok(interval),
    }
}

/// The line above a status that is not the one of now. Both times are of this machine's clock.
fn notice(since: SystemTime, at: SystemTime, error: &Error) -> String {
    let (since, at) = (time_of_day(since), time_of_day(at));
    format!("no response since {since}: {error:#}; the table is of {at}")
}

/// The time of a day in UTC, such as `06:00:00 UTC`.
fn time_of_day(time: SystemTime) -> String {
    let time = humantime::format_rfc3339_seconds(time).to_string();
    let of_day = time.split_once('T').map_or(time.as_str(), |(_, rest)| rest);
    format!("{} UTC", of_day.trim_end_matches('Z'))
}

/// The text of one status among several: on a terminal it replaces the previous one.
fn frame(text: &str) -> String {
    match io::stdout().is_terminal() {
        true => format!("{CLEAR}{text}"),
        false => format!("{text}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_seconds_or_has_a_unit() {
        for (text, millis) in [("2", 2_000), ("0.5", 500), ("1m", 60_000), ("300ms", 300)] {
            assert_eq!(interval(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "0", "0.01", "-1", "soon", "1ms"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_line_above_an_old_status_says_since_when_and_of_when() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 + 3_600);
        let error = Error::msg("refused").context("failed to reach the relay");
        assert_eq!(
            notice(at + Duration::from_secs(5), at, &error),
            "no response since 01:00:05 UTC: failed to reach the relay: refused; the table is of 01:00:00 UTC"
        );
    }
}
