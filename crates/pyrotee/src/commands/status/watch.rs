//! `pyrotee status --watch`: one status after the other.

use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use anyhow::Error;
use pyrotee_client::RelayClient;
use pyrotee_terminal::write;
use tokio::time::MissedTickBehavior;

use super::layout::Layout;
use super::{Args, show, table};

/// Moves the cursor home and clears below it: one write for a whole frame does not flicker.
const CLEAR: &str = "\x1b[H\x1b[J";

/// The last status that the relay gave.
struct Last {
    text: String,
    at: SystemTime,
    /// When the relay first did not respond after that; `None` if it did.
    silent_since: Option<SystemTime>,
}

/// Shows one status after the other until the reader closes the output. While the relay does not respond, the last status
/// stays, with a line above that says so.
///
/// # Errors
/// The relay does not respond to the first request: the address may be wrong. Later the relay may be restarting.
pub(super) async fn run(
    relay: &RelayClient,
    args: &Args,
    interval: Duration,
) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<Last> = None;
    loop {
        ticks.tick().await;
        let text = match (relay.status().await, &mut last) {
            (Ok(response), last) => {
                let text = match args.json {
                    true => show(&response, args),
                    false => format!(
                        "{}\n{}",
                        table::title(&response.value),
                        show(&response, args)
                    ),
                };
                let shown = last.insert(Last {
                    text,
                    at: SystemTime::now(),
                    silent_since: None,
                });
                match args.json {
                    true => shown.text.clone(),
                    false => frame(&shown.text),
                }
            }
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) if args.json => {
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
    fn the_line_above_an_old_status_says_since_when_and_of_when() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 + 3_600);
        let error = Error::msg("refused").context("failed to reach the relay");
        assert_eq!(
            notice(at + Duration::from_secs(5), at, &error),
            "no response since 01:00:05 UTC: failed to reach the relay: refused; the table is of 01:00:00 UTC"
        );
    }
}
