//! The lines of a status about the upstream, the spool, the shared backlog and the dead letters.

use std::iter;

use pyrotee_admin::json::shared::{READY, SharedJson, SharedTargetJson};
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
    lines.extend(page.shared.iter().flat_map(of_shared));
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

/// A line for the connection, and one for each target.
fn of_shared(shared: &SharedJson) -> Vec<String> {
    let server = shared.server.as_deref().unwrap_or("NATS");
    let version = shared.server_version.iter();
    let version: String = version.map(|it| format!(" (version {it})")).collect();
    let state = match shared.connected {
        true => "connected",
        false => "not connected",
    };
    let relays = counted(shared.relays, "relay");
    let mut lines = vec![format!("shared: {server}{version}, {state}, {relays}")];
    let error = shared.error.iter();
    lines.extend(error.map(|error| format!("  error: {error}")));
    lines.extend(shared.targets.iter().flat_map(of_stream));
    lines
}

fn of_stream(target: &SharedTargetJson) -> Vec<String> {
    let (name, state, waiting) = (&target.name, &target.state, target.waiting);
    let text = target.text.as_ref();
    match (state.as_str(), text) {
        (READY, _) => {}
        (_, Some(text)) => return vec![format!("  {name}: {state}: {text}")],
        (_, None) => return vec![format!("  {name}: {state}")],
    }
    let (bytes, most) = (size(target.bytes), size(target.max_bytes));
    let oldest = target.oldest_seconds.and_then(age_of);
    let oldest = oldest.map_or_else(String::new, |age| format!(", the oldest {age}"));
    let here = target.buffered + target.leased;
    let line = format!("  {name}: {waiting} waiting, {bytes} of {most}{oldest}, {here} here");
    let notes = target.notes.iter().map(|it| format!("    {it}"));
    iter::once(line).chain(notes).collect()
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

#[cfg(test)]
mod tests {
    use pyrotee_admin::json::shared::UNUSABLE;

    use super::*;

    #[test]
    fn the_shared_backlog_has_a_line_for_the_connection_and_one_for_each_target() {
        let target = SharedTargetJson {
            name: "eu".to_owned(),
            state: READY.to_owned(),
            waiting: 120,
            bytes: 6 << 20,
            max_bytes: 1 << 30,
            oldest_seconds: Some(200.5),
            buffered: 1,
            leased: 2,
            ..SharedTargetJson::default()
        };
        let shared = SharedJson {
            connected: true,
            server: Some("nats:4222".to_owned()),
            server_version: Some("2.15.3".to_owned()),
            relays: 3,
            targets: vec![target.clone()],
            ..SharedJson::default()
        };
        let shown = [
            "shared: nats:4222 (version 2.15.3), connected, 3 relays",
            "  eu: 120 waiting, 6.0 MiB of 1.0 GiB, the oldest 3m20s, 3 here",
        ];
        assert_eq!(of_shared(&shared), shown);
        let noted = SharedTargetJson {
            notes: vec!["the stream was full: raise its limit".to_owned()],
            ..target.clone()
        };
        assert_eq!(
            of_stream(&noted).last().map(String::as_str),
            Some("    the stream was full: raise its limit")
        );
        let unusable = SharedTargetJson {
            state: UNUSABLE.to_owned(),
            text: Some("its retention is `limits`".to_owned()),
            ..target
        };
        let away = SharedJson {
            error: Some("connection refused".to_owned()),
            relays: 1,
            targets: vec![unusable],
            ..SharedJson::default()
        };
        let shown = [
            "shared: NATS, not connected, 1 relay",
            "  error: connection refused",
            "  eu: unusable: its retention is `limits`",
        ];
        assert_eq!(of_shared(&away), shown);
    }
}
