use proptest::prelude::*;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};

use super::*;

const KIB: u64 = 1024;

#[test]
fn a_reservation_returns_all_it_took() {
    let budget = Budget::new(100);
    let mut held = budget.reserve(40).unwrap();
    assert!(!held.grow(36), "36 more would pass three quarters");
    assert!(held.grow(35));
    assert_eq!(budget.recorded(), 75);
    assert!(held.resize(20));
    assert_eq!(budget.recorded(), 20);
    assert!(!held.resize(76));
    drop(held);
    assert_eq!((budget.receiving(), budget.recorded()), (0, 0));
}

#[test]
fn what_does_not_fit_is_not_charged() {
    let budget = Budget::new(100);
    assert!(budget.reserve(76).is_none());
    assert!(budget.reserve(u64::MAX).is_none());
    assert!(budget.reserve_recording(u64::MAX).is_none());
    assert_eq!((budget.receiving(), budget.recorded()), (0, 0));
    assert!(budget.reserve(75).is_some());
}

#[test]
fn recordings_leave_room_for_records_and_become_them_without_more_room() {
    let budget = Budget::for_bodies(16_000, 100);
    let recording = budget.reserve_recording(8_000).unwrap();
    assert!(budget.reserve_recording(1).is_none(), "half of the limit");
    let queued = budget.reserve(4_000).expect("a quarter is left");
    assert!(budget.reserve(1).is_none());
    let record = recording.into_recorded();
    assert_eq!((budget.receiving(), budget.recorded()), (0, 12_000));
    drop((record, queued));
    assert_eq!(budget.recorded(), 0);
}

#[test]
fn the_longest_body_has_room_up_to_eleven_sixteenths() {
    for (longest, expected) in [
        (0, 8_000),
        (9_000, 10_300),
        (11_000, 11_000),
        (u64::MAX, 11_000),
    ] {
        assert_eq!(
            Budget::for_bodies(16_000, longest).most_receiving(),
            expected
        );
    }
    let budget = Budget::for_bodies(16_000, 0);
    for (longest, expected) in [(11_000, 11_000), (9_000, 10_300), (0, 8_000)] {
        budget.set_longest_body(longest);
        assert_eq!(budget.most_receiving(), expected);
    }
    // The warning of `pyrotee-config` states this figure.
    assert_eq!(longest_recordable(32 << 20), 22 << 20);
    for limit in [0, 1, 7, u64::MAX] {
        let budget = Budget::new(limit);
        assert!(budget.most_receiving() <= budget.most_held());
    }
}

#[test]
fn workspaces_are_handed_out_in_order_and_apart_from_all_else() {
    let budget = Budget::new(16 * KIB);
    let _records = budget.reserve(budget.most_held()).unwrap();
    assert_eq!(budget.largest_workspace(), 4 * KIB);
    let first = assert_ready!(spawn(budget.workspace(3 * KIB)).poll()).unwrap();
    let mut large = spawn(budget.workspace(4 * KIB));
    assert_pending!(large.poll());
    let mut small = spawn(budget.workspace(1));
    assert_pending!(small.poll(), "it came later");
    assert!(budget.try_workspace(1).is_none());
    drop(first);
    let large = assert_ready!(large.poll()).unwrap();
    assert_pending!(small.poll());
    drop(large);
    assert!(assert_ready!(small.poll()).is_some());
    let never = assert_ready!(spawn(budget.workspace(4 * KIB + 1)).poll());
    assert!(never.is_none());
}

#[test]
fn a_workspace_grows_while_there_is_room_and_never_takes_what_another_waits_for() {
    let budget = Budget::new(16 * KIB);
    let mut growing = budget.try_workspace(1).unwrap();
    assert!(growing.grow_to(2 * KIB));
    let mut waiting = spawn(budget.workspace(3 * KIB));
    assert_pending!(waiting.poll());
    assert!(!growing.grow_to(3 * KIB));
    assert_eq!(growing.bytes(), 2 * KIB);
    growing.shrink_to(KIB - 1);
    assert_eq!(growing.bytes(), KIB, "rounded up");
    assert!(waiting.is_woken());
    assert!(assert_ready!(waiting.poll()).is_some());
}

#[derive(Debug, Clone)]
enum Step {
    Record(u64),
    Recording(u64),
    Workspace(u64),
    Resize(usize, u64),
    Complete(usize),
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || 0..20 * KIB;
    prop_oneof![
        bytes().prop_map(Step::Record),
        bytes().prop_map(Step::Recording),
        bytes().prop_map(Step::Workspace),
        (any::<usize>(), bytes()).prop_map(|(at, bytes)| Step::Resize(at, bytes)),
        any::<usize>().prop_map(Step::Complete),
        any::<usize>().prop_map(Step::Drop),
    ]
}

/// Takes an entry out of a list. `None`: the list is empty.
fn at<T>(list: &mut Vec<T>, index: usize) -> Option<T> {
    (!list.is_empty()).then(|| list.swap_remove(index % list.len()))
}

proptest! {
    #[test]
    fn the_parts_always_add_up_and_none_exceeds_its_limit(
        limit in 0..64 * KIB,
        longest in 0..64 * KIB,
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let budget = Budget::for_bodies(limit, longest);
        let (mut held, mut spaces) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Record(bytes) => held.extend(budget.reserve(bytes)),
                Step::Recording(bytes) => held.extend(budget.reserve_recording(bytes)),
                Step::Workspace(bytes) => spaces.extend(budget.try_workspace(bytes)),
                Step::Resize(index, bytes) => {
                    if let Some(mut reservation) = at(&mut held, index) {
                        reservation.resize(bytes);
                        held.push(reservation);
                    }
                    if let Some(mut space) = at(&mut spaces, index) {
                        if !space.grow_to(bytes) {
                            space.shrink_to(bytes / 2);
                        }
                        spaces.push(space);
                    }
                }
                Step::Complete(index) => {
                    let whole = at(&mut held, index).map(Reservation::into_recorded);
                    held.extend(whole);
                }
                Step::Drop(index) => {
                    drop((at(&mut held, index), at(&mut spaces, index)));
                }
            }
            let charged: u64 = held.iter().map(Reservation::bytes).sum();
            prop_assert_eq!(budget.receiving() + budget.recorded(), charged);
            let working: u64 = spaces.iter().map(Workspace::bytes).sum();
            prop_assert_eq!(budget.unpacking(), working);
            prop_assert!(budget.receiving() <= budget.most_receiving());
            prop_assert!(charged <= budget.most_held());
            prop_assert!(charged + working <= limit);
        }
        drop((held, spaces));
        prop_assert_eq!((budget.receiving(), budget.recorded(), budget.unpacking()), (0, 0, 0));
    }
}
