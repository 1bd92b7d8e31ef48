//! The tests that every backend must pass. The tests of a backend call [`run`], or [`run_on_disk`] and
//! [`run_before_disk`], with the backend's constructor.

mod basics;
mod harness;
mod lanes;
mod limits;
mod registry;
mod shutdown;

use crate::{OpenBackend, Reason, TargetQueue};
use harness::Open;

/// Runs the suite for a backend that keeps pending records in memory only.
///
/// # Panics
/// At the first promise that the backend breaks.
pub async fn run(open: impl Fn(Vec<TargetQueue>) -> OpenBackend) {
    run_for_all_backends(&open).await;
    run_for_memory(&open).await;
    shutdown::an_abandoned_queue_counts_what_it_loses(&open, Reason::Shutdown).await;
    registry::a_target_whose_draining_ends_loses_its_records(&open).await;
}

/// Runs the suite for a backend whose pending records survive the process: limits count only the records
/// that are in memory, and a shutdown drops no record.
///
/// # Panics
/// At the first promise that the backend breaks.
pub async fn run_on_disk(open: impl Fn(Vec<TargetQueue>) -> OpenBackend) {
    run_for_all_backends(&open).await;
    limits::what_lies_on_disk_does_not_count(&open).await;
    registry::a_target_whose_draining_ends_keeps_its_records(&open).await;
    shutdown::an_abandoned_queue_counts_what_it_loses(&open, Reason::Admin).await;
    shutdown::what_is_pending_at_shutdown_stays_pending(&open).await;
}

/// Runs the suite for a backend that keeps pending records on disk, but cannot use its disk yet: all records are in
/// memory, within the in-memory limits.
///
/// # Panics
/// At the first promise that the backend breaks.
pub async fn run_before_disk(open: impl Fn(Vec<TargetQueue>) -> OpenBackend) {
    run_for_all_backends(&open).await;
    run_for_memory(&open).await;
    shutdown::an_abandoned_queue_counts_what_it_loses(&open, Reason::Admin).await;
    shutdown::what_is_pending_at_shutdown_stays_pending(&open).await;
}

/// Tests of the limits for records in memory.
async fn run_for_memory(open: &Open<'_>) {
    limits::both_limits_hold_and_leased_records_count(open).await;
    limits::drop_newest_refuses_and_drop_oldest_displaces(open).await;
    limits::a_full_queue_refuses_alone(open).await;
    limits::a_deferred_record_gives_way_and_is_drained(open).await;
    registry::removed_targets_shed_their_oldest_records(open).await;
}

async fn run_for_all_backends(open: &Open<'_>) {
    basics::records_come_out_in_order(open).await;
    basics::a_released_record_comes_again_in_its_place(open).await;
    basics::targets_do_not_touch_each_other(open).await;
    shutdown::a_closed_queue_is_drained_then_ends(open).await;
    basics::the_budget_gets_everything_back(open).await;
    limits::a_purge_loses_what_waits_and_nothing_else(open).await;
    basics::an_offer_to_one_target_is_none_to_the_others(open).await;
    lanes::a_retried_record_comes_when_it_is_due_and_remembers(open).await;
    lanes::what_is_asked_for_first_comes_first(open).await;
    lanes::surfaces_are_leased_apart(open).await;
    lanes::what_is_too_old_is_lost_unless_it_is_leased(open).await;
    registry::each_target_gets_what_is_offered_while_it_is_in_force(open).await;
    registry::a_target_that_returns_has_its_queue_and_account(open).await;
    registry::a_record_reaches_a_renamed_target_under_one_name(open).await;
    registry::no_queue_opens_after_the_producer_is_gone(open).await;
}
