//! The status page: the state and the accounts of each target.

mod parts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyrotee_delivery as delivery;
use pyrotee_queue::{Counts, Reason};
use pyrotee_spool::RemovedTarget;

use crate::degraded::DegradableParts;
use crate::json::Amount;
use crate::json::scrape::ScrapeTargetJson;
use crate::json::status::{
    DegradationJson, LastErrorJson, RemovedJson, ScrapeJson, StatusPage, SuspensionJson,
    TargetJson, UploadsJson,
};
use crate::json::{VERSION, seconds, time};
use parts::Backlog;

use crate::{ConfigState, ScrapeState, SharedBacklog, TargetList, TargetView, UpstreamState};

/// The sources of the status page.
#[derive(Debug)]
pub struct StatusSource {
    started: SystemTime,
    targets: TargetList,
    parts: DegradableParts,
    config: Arc<dyn ConfigState>,
    upstream: Option<Arc<dyn UpstreamState>>,
    scrape: Arc<dyn ScrapeState>,
}

impl StatusSource {
    /// The status of a relay that started just now; `upstream` is `None` if the relay has none.
    pub fn new(
        targets: TargetList,
        parts: DegradableParts,
        config: Arc<dyn ConfigState>,
        upstream: Option<Arc<dyn UpstreamState>>,
        scrape: Arc<dyn ScrapeState>,
    ) -> Self {
        Self {
            started: SystemTime::now(),
            targets,
            parts,
            config,
            upstream,
            scrape,
        }
    }

    /// The text of `/-/ready` of a relay that is ready: `ready`, then a line for each degraded part.
    pub(crate) fn ready(&self) -> String {
        let lines = self.parts.degraded();
        let lines = lines.iter().map(DegradationJson::line);
        std::iter::once("ready\n".to_owned()).chain(lines).collect()
    }

    /// The shared backlog; `None` if the relay shares none.
    pub(crate) fn shared(&self) -> Option<&dyn SharedBacklog> {
        self.parts.shared.as_deref()
    }

    /// All scrape targets at this instant.
    pub(crate) fn scrape_targets(&self) -> Vec<ScrapeTargetJson> {
        self.scrape.targets()
    }

    /// The page of this instant.
    pub(crate) fn page(&self) -> StatusPage {
        let targets = self.targets.load();
        let shared = self.parts.shared.as_ref();
        let of = |it: &Arc<TargetView>| {
            let counts = it.counts();
            TargetJson {
                draining_until: it.draining_until().map(time),
                taken_over: shared.map(|_| counts.taken_over.into()),
                handed_over: shared.map(|_| counts.handed_over.into()),
                ..target(
                    (&it.name, &it.address),
                    it.monitor.status(),
                    &counts,
                    it.oldest(),
                )
            }
        };
        let now = SystemTime::now();
        let spool = self.parts.spool.as_ref();
        let removed = spool.map(|it| it.monitor.removed()).unwrap_or_default();
        // The spool counts a draining target as removed, too.
        let is_shown = |it: &RemovedTarget| targets.iter().any(|target| target.name == it.name);
        let removed = removed.into_iter();
        let removed = removed.filter(|it| it.has_records() && !is_shown(it));
        let removed: Vec<_> = removed.map(|it| of_removed(it, now)).collect();
        let targets: Vec<_> = targets.iter().map(of).collect();
        let backlog = Backlog::of(&targets, &removed);
        StatusPage {
            version: VERSION.to_owned(),
            started: time(self.started),
            time: time(now),
            degraded: self.parts.degraded(),
            config: Some(self.config.state()),
            upstream: self.upstream.as_ref().map(|it| it.state()),
            spool: spool.map(|it| match shared {
                None => parts::spool(it, &backlog),
                Some(_) => parts::spool(it, &Backlog::of_former(&it.monitor)),
            }),
            shared: shared.map(|it| it.state()),
            dead_letters: self.parts.dead_letters.as_ref().map(parts::dead_letters),
            scrape: ScrapeJson::of(self.scrape.jobs(), &self.scrape.targets()),
            targets,
            removed,
        }
    }
}

fn target(
    (name, address): (&str, &str),
    status: delivery::TargetStatus,
    counts: &Counts,
    oldest: Option<Duration>,
) -> TargetJson {
    let suspension = |it: delivery::SuspendedSurface| SuspensionJson {
        surface: it.surface.name().to_owned(),
        next_try_seconds: it.next_try.map(seconds),
    };
    let last_error = |it: delivery::LastError| LastErrorJson {
        at: time(it.at),
        outcome: it.outcome.to_owned(),
        status: it.status,
        text: it.text,
        remedy: Some(it.remedy.to_owned()),
    };
    TargetJson {
        name: name.to_owned(),
        address: address.to_owned(),
        state: status.state.as_str().to_owned(),
        draining_until: None,
        next_try_seconds: status.next_try.map(seconds),
        suspended: status.suspended.into_iter().map(suspension).collect(),
        last_success: status.last_success.map(time),
        last_error: status.last_error.map(last_error),
        oldest_pending_age_seconds: oldest.map(seconds),
        attempts: status.attempts,
        uploads: UploadsJson {
            in_flight: status.in_flight,
            limit: status.limit,
            most: status.workers,
            at_ceiling: status.at_ceiling,
        },
        accepted: counts.accepted.into(),
        taken_over: None,
        sent: counts.sent.into(),
        pending: counts.pending.into(),
        handed_over: None,
        dropped: dropped(counts),
    }
}

fn of_removed(target: RemovedTarget, now: SystemTime) -> RemovedJson {
    let age = |oldest| now.duration_since(oldest).unwrap_or_default();
    RemovedJson {
        name: target.name,
        since: time(target.since),
        oldest_pending_age_seconds: target.oldest.map(|oldest| seconds(age(oldest))),
        unread: target.unread,
        accepted: target.counts.accepted.into(),
        sent: target.counts.sent.into(),
        pending: target.counts.pending.into(),
        dropped: dropped(&target.counts),
    }
}

/// Dropped profiles and bytes by reason, without the reasons whose count is zero.
fn dropped(counts: &Counts) -> BTreeMap<String, Amount> {
    let reasons = Reason::ALL.into_iter();
    let dropped = reasons.map(|reason| (reason.as_str().to_owned(), counts.dropped(reason)));
    let dropped = dropped.filter(|(_, tally)| tally.profiles > 0);
    dropped
        .map(|(reason, tally)| (reason, tally.into()))
        .collect()
}

#[cfg(test)]
mod tests;
