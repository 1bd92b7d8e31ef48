//! What was found becomes what is pending, and what was not becomes a loss.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use pyrotee_queue::{Queue, Reason};
use tracing::warn;

use super::{Remains, saved};
use crate::book::{Book, Cursor, Orphan, Share};
use crate::counters::Counters;
use crate::entry::{Claim, Entry, EntryState, Location, Place};
use crate::format::{Names, SavedCursor, TargetId};
use crate::segments::Segment;
use crate::settled::Settled;
use crate::writer::seconds;

/// No damage is counted as more records than this: numbers in a damaged file can be anything.
const MOST_LOST: usize = 1 << 20;

/// One target's view of what was found.
struct View<'a> {
    id: TargetId,
    saved: SavedCursor,
    queue: Option<&'a Queue<Claim>>,
    pending: BTreeSet<u64>,
    by_segment: BTreeMap<u64, Share>,
    /// A record that is still there lists it.
    is_listed: bool,
}

/// What cannot be delivered.
struct Losses<'a> {
    damaged: Vec<(u64, Vec<TargetId>, u64)>,
    /// Numbers whose records may have lain in bytes that cannot be read.
    gaps: Vec<Range<u64>>,
    /// Numbers of segments that the disk does not give.
    unread: Vec<Range<u64>>,
    counters: &'a Counters,
}

impl View<'_> {
    /// Whether it took the record and, as far as is known, did not settle it.
    fn wants(&self, number: u64, takers: &[TargetId]) -> bool {
        takers.contains(&self.id) && self.may_want(number)
    }

    fn may_want(&self, number: u64) -> bool {
        !self.saved.settled.contains(number)
    }

    /// It is lost, and was never part of this process' account.
    fn lose(&mut self, number: u64, bytes: u64, losses: &Losses<'_>) {
        self.saved.settled.insert(number..number + 1);
        let Some(queue) = self.queue else { return };
        if losses.unread.iter().any(|range| range.contains(&number)) {
            queue.ledger().refuse(bytes, Reason::DiskError);
        } else {
            queue.ledger().refuse(bytes, Reason::Corrupt);
            losses.counters.corrupt_records.add(1);
        }
    }
}

/// Fills book and queues; `queues` are in the order of `configured`. Returns the number of the next
/// record and the names for new segments.
pub(crate) fn adopt(
    remains: Remains,
    configured: &[String],
    queues: &[Arc<Queue<Claim>>],
    book: &Arc<Book>,
    counters: &Counters,
) -> (u64, Names) {
    let mut names = remains.names.clone();
    let mut views = views(&remains, configured, queues, &mut names);
    let seen = remains.segments.iter().flat_map(|segment| {
        let last = segment.scan.found.last().map(|found| found.number);
        [segment.first, last.unwrap_or(0)]
    });
    let next = seen.map(|number| number + 1).max().unwrap_or(0);
    let next = next.max(remains.cursors.next);
    let mut losses = Losses {
        damaged: Vec::new(),
        gaps: Vec::new(),
        unread: Vec::new(),
        counters,
    };
    let mut adopted = BTreeSet::new();
    counters.quarantined.set(remains.quarantined.0);
    counters.quarantined_bytes.set(remains.quarantined.1);
    for remnant in remains.segments {
        counters.corrupt_stretches.add(remnant.scan.stretches);
        if remnant.scan.stretches > 0 {
            warn!(segment = remnant.first, "segment of the spool is damaged");
        }
        let segment = Segment {
            file: remnant.file.clone(),
            bytes: remnant.bytes,
            pending: 0,
            closed: true,
            damaged: remnant.damaged,
        };
        book.with(|book| book.segments.insert(remnant.first, segment));
        losses.gaps.extend(remnant.scan.gaps);
        losses.unread.extend(remnant.unread);
        if remnant.file.is_none() {
            continue;
        }
        for found in remnant.scan.found {
            let number = found.number;
            for view in &mut views {
                view.is_listed |= found.takers.contains(&view.id);
            }
            if !found.whole {
                losses.damaged.push((number, found.takers, found.bytes));
                continue;
            }
            // Numbers of segments do not overlap, so that none comes twice.
            adopted.insert(number);
            let wanting = views.iter_mut().enumerate();
            let wanting: Vec<_> = wanting
                .filter(|(_, view)| view.wants(number, &found.takers))
                .collect();
            let entry = Arc::new(Entry {
                number,
                surface: found.surface,
                received: found.received,
                bytes: found.bytes,
                book: Arc::clone(book),
                state: Mutex::new(EntryState {
                    claims: u32::try_from(wanting.len()).unwrap_or(u32::MAX),
                    judged: false,
                    place: Place::Disk {
                        location: Location {
                            segment: remnant.first,
                            offset: found.offset,
                            before_body: found.before_body,
                        },
                        shared: Weak::new(),
                    },
                }),
            });
            for (index, view) in wanting {
                view.pending.insert(number);
                let share = view.by_segment.entry(remnant.first).or_default();
                share.add(found.bytes, found.received);
                book.with(|book| book.segments.claim(remnant.first, 1));
                if let (Some(queue), Ok(target)) = (view.queue, u16::try_from(index)) {
                    counters.recovered.add(1);
                    let again = view.saved.in_flight.contains(&number);
                    counters.redelivered.add(u64::from(again));
                    let entry = Arc::clone(&entry);
                    queue.recover(number, Claim { entry, target });
                }
            }
        }
    }
    if remains.cursors.clean {
        // Nothing was written after them.
        losses.gaps.clear();
    }
    for view in &mut views {
        account(view, &losses, &adopted);
    }
    settle(views, configured.len(), next, book);
    (next, names)
}

/// The configured targets, in their order, then those that are gone.
fn views<'a>(
    remains: &Remains,
    configured: &[String],
    queues: &'a [Arc<Queue<Claim>>],
    names: &mut Names,
) -> Vec<View<'a>> {
    let known = names.clone();
    let id_of = |name: &String, names: &mut Names| {
        let known = names.iter().find(|(_, known)| *known == name);
        let free = || (0..TargetId::MAX).find(|id| !names.contains_key(id));
        let id = known
            .map(|(id, _)| *id)
            .or_else(free)
            .unwrap_or(TargetId::MAX);
        names.insert(id, name.clone());
        id
    };
    let now = seconds(SystemTime::now());
    let view = |id, name: &String, queue| View {
        id,
        saved: saved(&remains.cursors, id, name)
            .cloned()
            .unwrap_or_else(|| SavedCursor {
                id,
                name: name.clone(),
                last_seen: now,
                ..SavedCursor::default()
            }),
        queue,
        pending: BTreeSet::new(),
        by_segment: BTreeMap::new(),
        is_listed: false,
    };
    let mut views = Vec::new();
    for (name, queue) in configured.iter().zip(queues) {
        let id = id_of(name, names);
        views.push(view(id, name, Some(&**queue)));
    }
    let gone = known.iter().filter(|(_, name)| !configured.contains(name));
    views.extend(gone.map(|(id, name)| view(*id, name, None)));
    views
}

/// Counts what a target can never get.
fn account(view: &mut View<'_>, losses: &Losses<'_>, adopted: &BTreeSet<u64>) {
    for (number, takers, bytes) in &losses.damaged {
        if view.wants(*number, takers) && !adopted.contains(number) {
            view.lose(*number, *bytes, losses);
        }
    }
    // The cursor knows what was pending when it was saved …
    let missing = view
        .saved
        .settled
        .gaps(view.saved.horizon)
        .into_iter()
        .flatten();
    let missing = missing.filter(|number| !view.pending.contains(number));
    for number in missing.take(MOST_LOST).collect::<Vec<_>>() {
        view.lose(number, 0, losses);
    }
    // … and where nothing can be read, what was written later may have been.
    let later = losses.gaps.iter().cloned().flatten().take(MOST_LOST);
    for number in later {
        if number >= view.saved.horizon && view.may_want(number) && !adopted.contains(&number) {
            view.lose(number, 0, losses);
        }
    }
}

fn settle(views: Vec<View<'_>>, configured: usize, next: u64, book: &Book) {
    book.with(|book| {
        book.unsaved = 1;
        for (index, view) in views.into_iter().enumerate() {
            if index < configured {
                book.cursors.push(Cursor {
                    id: view.id,
                    name: view.saved.name,
                    settled: Settled::all_but(view.pending, next),
                });
            } else if view.is_listed {
                let settled = Settled::all_but(view.pending, next);
                book.orphans.push(Orphan {
                    saved: SavedCursor {
                        horizon: next,
                        settled,
                        in_flight: Vec::new(),
                        ..view.saved
                    },
                    pending: view.by_segment,
                });
            }
        }
    });
}
