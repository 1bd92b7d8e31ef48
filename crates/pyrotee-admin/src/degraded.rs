//! Lists the parts of the relay that do not work as configured, for `/-/ready` and the status page. A degraded relay
//! still accepts requests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyrotee_letters::{Monitor as LetterMonitor, Opening as LetterOpening};
use pyrotee_spool::{Mode, Monitor as SpoolMonitor, Opening};

use crate::json::spool::{MEMORY_ONLY, READ_ERRORS, SCANNING, WAITING};
use crate::json::status::DegradationJson;
use crate::{SharedBacklog, shared};

/// The state of a spool of which at most one profile is delivered at a time.
const CAREFUL: &str = "careful";

/// The parts that may be degraded.
#[derive(Debug, Clone, Default)]
pub struct DegradableParts {
    /// `None` without a spool.
    pub spool: Option<DiskPart<SpoolMonitor>>,
    /// `None` if the relay keeps no dead letters.
    pub dead_letters: Option<DiskPart<LetterMonitor>>,
    /// `None` if the relay shares no backlog.
    pub shared: Option<Arc<dyn SharedBacklog>>,
}

/// A part with a directory of its own.
#[derive(Debug, Clone)]
pub struct DiskPart<M> {
    pub dir: PathBuf,
    pub monitor: M,
}

impl DegradableParts {
    /// The parts that are degraded now.
    pub(crate) fn degraded(&self) -> Vec<DegradationJson> {
        let spool = self.spool.as_ref();
        let spool = spool.and_then(|part| of_spool(&part.monitor));
        let dead_letters = self.dead_letters.as_ref();
        let dead_letters = dead_letters.and_then(|part| of_dead_letters(&part.monitor));
        let shared = self.shared.iter();
        let shared = shared.flat_map(|it| shared::degraded(&**it));
        spool
            .into_iter()
            .chain(dead_letters)
            .chain(shared)
            .collect()
    }
}

fn degradation(part: &str, state: &str, text: String) -> DegradationJson {
    DegradationJson {
        part: part.to_owned(),
        state: state.to_owned(),
        text,
    }
}

fn of_spool(spool: &SpoolMonitor) -> Option<DegradationJson> {
    let (state, text) = match spool.mode() {
        Mode::Disk if spool.stats().careful => (
            CAREFUL,
            "the relay ended soon after its start again and again: it delivers one profile at a time"
                .to_owned(),
        ),
        Mode::Disk => return None,
        Mode::Waiting => of_opening(&spool.opening())?,
        Mode::MemoryOnly => {
            let text = "the disk cannot be written, new profiles wait in memory".to_owned();
            (MEMORY_ONLY, text)
        }
        Mode::ReadErrors => {
            let segments = spool.stats().unreadable_segments;
            let s = if segments == 1 { "" } else { "s" };
            let text = format!("the disk does not return {segments} segment{s}, profiles in them wait");
            (READ_ERRORS, text)
        }
    };
    // While it is scanned or careful there is nothing to do.
    let text = match state {
        SCANNING | CAREFUL => text,
        _ => format!("{text}; {}", spool.mode().remedy()),
    };
    Some(degradation("spool", state, text))
}

/// State and text of a spool that is not open; `None` if the spool is open.
fn of_opening(opening: &Opening) -> Option<(&'static str, String)> {
    match opening {
        Opening::Open => None,
        Opening::Waiting { reason, since } => {
            let text = format!(
                "not open for {}, profiles wait in memory: {reason}",
                age(*since)
            );
            Some((WAITING, text))
        }
        Opening::Scanning { read, of } => {
            let text = match percent(*read, *of) {
                None => "it is being opened: profiles wait in memory".to_owned(),
                Some(percent) => format!(
                    "{percent}% of the segments are read: new profiles wait in memory until all are"
                ),
            };
            Some((SCANNING, text))
        }
    }
}

fn of_dead_letters(letters: &LetterMonitor) -> Option<DegradationJson> {
    let LetterOpening::Waiting { reason, since } = letters.opening() else {
        return None;
    };
    let text = format!(
        "not open for {}, {} of them wait in memory: {reason}",
        age(since),
        letters.unwritten()
    );
    Some(degradation("dead_letters", WAITING, text))
}

/// How much of `of` is read, in percent; `None` while the total is unknown (0).
fn percent(read: u64, of: u64) -> Option<u64> {
    read.saturating_mul(100).checked_div(of)
}

/// The time since an instant, in whole seconds.
fn age(since: Instant) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(since.elapsed().as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_that_is_not_open_says_why_or_how_far_it_is() {
        let of = |opening: Opening| of_opening(&opening);
        assert_eq!(of(Opening::Open), None);
        let since = tokio::time::Instant::now().into_std();
        let reason = "it is locked".to_owned();
        let (state, text) = of(Opening::Waiting { reason, since }).unwrap();
        assert_eq!(state, "waiting");
        assert!(
            text.starts_with("not open for 0s, ") && text.ends_with(": it is locked"),
            "{text}"
        );
        let (state, text) = of(Opening::Scanning { read: 0, of: 0 }).unwrap();
        assert_eq!(state, "scanning");
        assert!(text.starts_with("it is being opened"), "{text}");
        let (_, text) = of(Opening::Scanning { read: 1, of: 3 }).unwrap();
        assert!(text.starts_with("33% of the segments"), "{text}");
    }
}
