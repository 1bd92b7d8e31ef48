//! The lines below the row of a target.

use std::collections::BTreeMap;

use pyrotee_admin::json::Amount;
use pyrotee_admin::json::status::{
    HEALTHY, LastErrorJson, RemovedJson, SuspensionJson, TargetJson,
};
use pyrotee_queue::Reason;

use super::ages::{Now, age_of};

/// Exchanges with the shared backlog, reasons of dropped profiles, and suspended surfaces.
pub(super) fn of_target(target: &TargetJson) -> Vec<String> {
    let dropped = dropped(&target.dropped);
    let suspended = target.suspended.iter().map(suspended);
    let shared = shared(target).into_iter();
    shared.chain(dropped).chain(suspended).collect()
}

/// The line for the profiles that the relay exchanged with the shared backlog; `None` if there were none.
fn shared(target: &TargetJson) -> Option<String> {
    let profiles = |amount: Option<Amount>| amount.map_or(0, |it| it.profiles);
    let (handed, taken) = (profiles(target.handed_over), profiles(target.taken_over));
    (handed > 0 || taken > 0)
        .then(|| format!("  shared backlog: {handed} handed over, {taken} taken over"))
}

/// What the narrow table has no column for.
pub(super) fn details(target: &TargetJson, now: Now) -> String {
    let next = target.next_try_seconds.and_then(age_of);
    let next = next.map(|next| format!("next try in {next}"));
    let draining = target.draining_until.as_deref();
    let draining = draining.map(|until| format!("removed, draining for {}", now.left(until)));
    let success = match &target.last_success {
        Some(at) => format!("last success {}", now.ago(at)),
        None => "no success yet".to_owned(),
    };
    let oldest = oldest(target.oldest_pending_age_seconds);
    joined([next, draining, oldest, Some(success)])
}

/// What the narrow table has no column for.
pub(super) fn removed_details(target: &RemovedJson, now: Now) -> String {
    let removed = format!("removed {}", now.ago(&target.since));
    joined([Some(removed), oldest(target.oldest_pending_age_seconds)])
}

/// A line for each reason of dropped profiles, with its remedy, the most frequent first.
pub(super) fn dropped(dropped: &BTreeMap<String, Amount>) -> impl Iterator<Item = String> {
    let mut reasons: Vec<_> = dropped.iter().filter(|(_, it)| it.profiles > 0).collect();
    reasons.sort_by_key(|(_, amount)| std::cmp::Reverse(amount.profiles));
    reasons.into_iter().map(|(reason, amount)| {
        let line = format!("  dropped {}: {reason}", amount.profiles);
        // A newer relay may have reasons that this command does not know.
        match Reason::ALL.into_iter().find(|it| it.as_str() == reason) {
            Some(reason) => format!("{line}; {}", reason.remedy()),
            None => line,
        }
    })
}

/// Number of dropped profiles, for all reasons together.
pub(super) fn dropped_total(dropped: &BTreeMap<String, Amount>) -> String {
    let profiles = dropped.values().map(|amount| amount.profiles);
    profiles.fold(0, u64::saturating_add).to_string()
}

/// An error without its time.
pub(super) fn failure(status: Option<u16>, text: &str) -> String {
    match status {
        Some(status) => format!("{status} {text}"),
        None => text.to_owned(),
    }
}

/// The line for an error that has no place in a row.
pub(super) fn error_line(at: &str, failure: &str, now: Now) -> String {
    format!("  error {}: {failure}", now.ago(at))
}

pub(super) fn remedy_line(remedy: &str) -> String {
    format!("  remedy: {remedy}")
}

/// The line for the remedy of a target's last error; `None` if the target is healthy and an upload has succeeded since.
pub(super) fn remedy(target: &TargetJson) -> Option<String> {
    let error = target.last_error.as_ref()?;
    // Times in this form have the order of their texts.
    let is_over = target.state == HEALTHY && target.last_success.as_ref() > Some(&error.at);
    let remedy = error.remedy.as_deref().filter(|_| !is_over);
    remedy.map(remedy_line)
}

/// The line for the last error of a target.
pub(super) fn error(error: &LastErrorJson, now: Now) -> String {
    error_line(&error.at, &failure(error.status, &error.text), now)
}

fn suspended(suspension: &SuspensionJson) -> String {
    let surface = &suspension.surface;
    match suspension.next_try_seconds.and_then(age_of) {
        Some(next) => format!("  {surface} suspended, next try in {next}"),
        None => format!("  {surface} suspended, being tried now"),
    }
}

fn oldest(seconds: Option<f64>) -> Option<String> {
    let age = seconds.and_then(age_of)?;
    Some(format!("oldest pending {age}"))
}

fn joined<const N: usize>(parts: [Option<String>; N]) -> String {
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("  {}", parts.join(", "))
}
