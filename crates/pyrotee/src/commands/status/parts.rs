//! The lines of a status about the upstream, the spool and the dead letters.

use pyrotee_admin::json::status::{
    DeadLettersJson, FAILING, ScrapeJson, SpoolJson, StatusPage, UNUSED, UpstreamJson,
};
use pyrotee_terminal::{counted, profiles, size};

use super::ages::{Now, age_of};
use super::notes;

/// One line for each part, and further lines for a failing upstream.
pub(super) fn lines(page: &StatusPage, now: Now) -> Vec<String> {
    let none = |part: &str| format!("{part}: none");
    let upstream = page.upstream.as_ref();
    let mut lines = upstream.map_or_else(|| vec![none("upstream")], |it| of_upstream(it, now));
    let spool = page.spool.as_ref();
    lines.push(spool.map_or_else(|| none("spool"), of_spool));
    let letters = page.dead_letters.as_ref();
    lines.push(letters.map_or_else(|| none("dead letters"), of_dead_letters));
    lines.extend(page.scrape.as_ref().map(of_scrape));
    lines
}

fn of_upstream(upstream: &UpstreamJson, now: Now) -> Vec<String> {
    let (address, state) = (&upstream.address, &upstream.state);
    if state == UNUSED {
        return vec![format!("upstream: {address}, no request yet")];
    }
    let success = match &upstream.last_success {
        Some(at) => format!("last success {}", now.ago(at)),
        None => "no success yet".to_owned(),
    };
    let mut lines = vec![format!("upstream: {address}, {state}, {success}")];
    if let Some(error) = upstream.last_error.as_ref().filter(|_| state == FAILING) {
        let failure = notes::failure(error.status, &error.text);
        lines.push(notes::error_line(&error.at, &failure, now));
        lines.extend(error.remedy.as_deref().map(notes::remedy_line));
    }
    lines
}

fn of_spool(spool: &SpoolJson) -> String {
    let (dir, state) = (&spool.dir, spool.state.replace('_', " "));
    let pending = profiles(spool.pending.profiles, spool.pending.bytes);
    let oldest = spool.oldest_pending_age_seconds.and_then(age_of);
    let oldest = oldest.map_or_else(String::new, |age| format!(", the oldest {age}"));
    let (bytes, most) = (size(spool.bytes), size(spool.max_bytes));
    format!("spool: {dir}, {state}, {bytes} of {most}, {pending} pending{oldest}")
}

fn of_scrape(scrape: &ScrapeJson) -> String {
    let jobs = counted(scrape.jobs, "job");
    let parts = [
        (scrape.up, "up"),
        (scrape.down, "down"),
        (scrape.unknown, "not scraped yet"),
        (scrape.dropped, "dropped"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: String = parts
        .map(|(count, state)| format!(", {count} {state}"))
        .collect();
    format!("scrape: {jobs}{parts}; see pyrotee scrape status")
}

fn of_dead_letters(letters: &DeadLettersJson) -> String {
    let (dir, state) = (&letters.dir, &letters.state);
    let count = counted(letters.letters, "letter");
    let (bytes, most) = (size(letters.bytes), size(letters.max_bytes));
    format!("dead letters: {dir}, {state}, {bytes} of {most}, {count}")
}
