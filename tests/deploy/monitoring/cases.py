"""For each alert the series that differ from those of a healthy relay when the alert fires."""

import re
from dataclasses import dataclass, field

from series import (
    ACCEPTED,
    CONNECTED,
    DAY,
    HANDED_OVER,
    INGESTED,
    INSTANCE,
    LETTERS_EVICTED,
    LETTERS_OPEN,
    LIMIT_HITS,
    LOOPS,
    LOSSES,
    MEMORY,
    MINUTES,
    MODE,
    ON_PURPOSE,
    PANICS,
    PREFIX,
    QUEUED,
    QUEUE_PENDING,
    SCRAPES,
    SCRAPES_FAILED,
    SENT,
    SHARED,
    SPOOL,
    STARTED,
    SUSPENDED,
    TAKEN_OVER,
    UP,
    UPSTREAM_ERRORS,
    VALID,
    WAITING,
    certificate,
    dropped,
    letters_lost,
    of_config,
    of_shared,
    of_spool,
    of_target,
    rising,
    scrape_failed,
    skipped,
    state,
    steady,
    teed,
)


@dataclass
class Case:
    """The series that differ, and the alerts that they raise: names of alerts with their labels other than job and instance."""

    title: str
    changed: dict
    fires: dict
    well: dict = field(default_factory=lambda: MEMORY)


# A target in every kind of trouble that a series shows at once.
IN_TROUBLE = {
    state("healthy"): steady(0),
    state("rejecting"): steady(1),
    state("open"): steady(1),
    state("throttled"): steady(1),
    state("suspended"): steady(1),
    SUSPENDED: steady(1),
    of_target("oldest_pending_age_seconds"): steady(3_000),
    of_target("pending_profiles"): steady(95),
    of_target("pending_bytes"): rising(10_000, 60 << 20),
    QUEUE_PENDING: steady(95),
    SENT: rising(600, -93),
}
TROUBLE_FIRES = {
    "PyroteeTargetFailing": {"target": "central", "state": "open"},
    "PyroteeTargetRefusing": {"target": "central", "surface": "push"},
    "PyroteeTargetRejecting": {"target": "central", "state": "rejecting"},
    "PyroteeTargetThrottling": {"target": "central", "state": "throttled"},
    "PyroteeBacklogGrowing": {"target": "central"},
    "PyroteeBacklogExpiring": {"target": "central"},
    "PyroteeQueueAlmostFull": {"target": "central"},
}

# The series that name the address of before, for five minutes after the target got another one.
FORMER = f'{INSTANCE},target_name="central",target_address="https://former.example.com"'
MOVED = {
    **MEMORY,
    f"{PREFIX}queue_pending{{{FORMER}}}": steady(0),
    f"{PREFIX}queue_capacity{{{FORMER}}}": steady(0),
}


def gone(series, after):
    """The series of a target that is removed and empty: not scraped any more `after` this number of minutes."""
    return {
        name: f"{values.split('x')[0]}x{after} stale" if "target" in name else values for name, values in series.items()
    }


def back(series, after, again):
    """The series of a target that is scraped for `after` minutes, not for some, and again from the minute `again` on."""

    def cut(values):
        start, step, _ = re.fullmatch(r"(-?[\d.]+)(?:\+([\d.]+))?x(\d+)", values).groups()
        at = float(start) + float(step or 0) * after
        rest = f"{at:g}+{step or 0}x{MINUTES - again}"
        return f"{start}+{step or 0}x{after} stale _x{again - after - 2} {rest}"

    return {name: cut(values) if "target" in name else values for name, values in series.items()}


def lost(reason, alert, labels):
    """600 profiles a minute arrive, 60 of them are dropped."""
    changed = {dropped(reason): rising(60), SENT: rising(540)}
    return Case(f"dropped as {reason}", changed, {alert: labels})


PER_JOB = {"scrape_job": "shop"}
PER_TARGET = {"target": "central"}

# Nothing is taken out of the stream, or put into it.
STUCK = {
    name: rising(0)
    for name in [TAKEN_OVER, HANDED_OVER, of_shared("published_total"), of_shared("redelivered_total")]
}

CASES = [
    Case("it is gone", {UP: steady(0)}, {"PyroteeDown": {}}),
    Case(
        "it crashes every seven minutes",
        {STARTED: " ".join(str(minute // 7 * 420) for minute in range(MINUTES + 1))},
        {"PyroteeRestarting": {}},
    ),
    Case("the file has a fault", {VALID: steady(0), of_config("reloads_errors_total"): rising(0, 1)}, {"PyroteeConfigRefused": {}}),
    Case("a file had a fault for three minutes", {VALID: f"1x{MINUTES - 20} 0x2 1x20"}, {}),
    Case("a token file is empty", {of_config("stale_files"): steady(1)}, {"PyroteeSecretFileStale": {}}),
    Case(
        "a certificate of its own expires within 14 days",
        {certificate("listen"): steady(10 * DAY)},
        {"PyroteeCertificateExpiring": {"role": "listen", "file": "/tls/listen.crt"}},
    ),
    Case(
        "the certificate of a target expires within 2 days",
        {of_target("target_certificate_expiry_timestamp_seconds"): steady(1 * DAY)},
        {"PyroteeCertificateExpired": {"target": "central"}},
    ),
    Case(
        "an authority has expired, among others or alone",
        {certificate("target_ca"): steady(60)},
        {"PyroteeCertificateExpiring": {"role": "target_ca", "file": "/tls/target_ca.crt"}},
    ),
    Case(
        "an authority expires within 2 days",
        {certificate("target_ca"): steady(1 * DAY)},
        {"PyroteeCertificateExpiring": {"role": "target_ca", "file": "/tls/target_ca.crt"}},
    ),
    Case(
        "a certificate of its own has expired",
        {certificate("listen"): steady(60)},
        {"PyroteeCertificateExpired": {"role": "listen", "file": "/tls/listen.crt"}},
    ),
    Case("a certificate expires in 15 days", {certificate("listen"): steady(15 * DAY)}, {}),
    Case("listen was changed", {of_config("restart_required"): steady(1)}, {"PyroteeRestartRequired": {}}),
    Case("listen was changed half an hour ago", {of_config("restart_required"): f"0x{MINUTES - 30} 1x30"}, {}),
    Case("a target has every trouble", IN_TROUBLE, TROUBLE_FIRES),
    Case("the target was removed in the middle of its trouble", {**IN_TROUBLE, state("removed"): f"0x{MINUTES - 3} 1x5"}, {}),
    Case(
        "a removed target keeps its profiles in the spool for a day",
        {**IN_TROUBLE, state("removed"): steady(1), of_spool("orphaned_targets"): steady(1)},
        {"PyroteeSpoolOrphans": {}},
        SPOOL,
    ),
    Case(
        "the spool has dropped the profiles of a removed target, whose last state is still scraped",
        {
            **IN_TROUBLE,
            state("removed"): f"1x{MINUTES - 4} 0x5",
            of_target("pending_profiles"): f"95x{MINUTES - 4} 0x5",
            of_target("pending_bytes"): f"{60 << 20}x{MINUTES - 4} 0x5",
            dropped("target_removed"): f"0x{MINUTES - 4} 95x5",
            SENT: f"-93+600x{MINUTES - 4} {600 * (MINUTES - 3) + 2 - 95}+600x5",
        },
        {},
        SPOOL,
    ),
    Case(
        "a removed target was drained, and its series are no longer scraped",
        gone({**MEMORY, **IN_TROUBLE, **{dropped("target_removed"): rising(1)}}, MINUTES - 3),
        {},
    ),
    Case("a removed target came back, with the counts of before", back(MEMORY, 20, 50), {}),
    Case("the target has another address, and the queue of the former one is gone", {}, {}, MOVED),
    Case(
        "the target is down",
        {state("open"): steady(1), state("healthy"): steady(0)},
        {"PyroteeTargetFailing": {**PER_TARGET, "state": "open"}},
    ),
    Case(
        "the token is wrong",
        {SUSPENDED: steady(1), state("suspended"): steady(1), state("healthy"): steady(0)},
        {"PyroteeTargetRefusing": {**PER_TARGET, "surface": "push"}},
    ),
    Case(
        "the target rejects everything",
        {
            state("rejecting"): steady(1),
            state("healthy"): steady(0),
            dropped("rejected"): rising(600),
            SENT: rising(0),
        },
        {"PyroteeTargetRejecting": {**PER_TARGET, "state": "rejecting"}},
    ),
    Case(
        "the target rejected everything for a moment, an hour ago",
        {
            state("rejecting"): f"0x10 1x2 0x{MINUTES}",
            state("healthy"): f"1x10 0x2 1x{MINUTES}",
            dropped("rejected"): f"0x10 3x{MINUTES}",
            SENT: f"0+600x10 5997+600x{MINUTES}",
            ACCEPTED: f"2+600x10 6002+600x{MINUTES}",
        },
        {},
    ),
    Case(
        "the target answers 429",
        {state("throttled"): steady(1), state("healthy"): steady(0)},
        {"PyroteeTargetThrottling": {**PER_TARGET, "state": "throttled"}},
    ),
    *(
        lost(reason, "PyroteeDroppingProfiles", {**PER_TARGET, "reason": reason})
        for reason in ["queue_full", "spool_full", "expired", "ambiguous"]
    ),
    lost("rejected", "PyroteeProfilesRejected", {**PER_TARGET, "reason": "rejected"}),
    *(
        lost(reason, "PyroteeProfilesUnusable", {**PER_TARGET, "reason": reason})
        for reason in ["invalid_name", "undecodable", "too_large", "upload_failed"]
    ),
    *(
        Case(f"dropped as {reason}", {dropped(reason): rising(60), SENT: rising(540)}, {})
        for reason in sorted(ON_PURPOSE)
    ),
    lost("budget", "PyroteeMemoryLimit", {}),
    Case("memory is almost used up", {QUEUED: steady(180 << 20)}, {"PyroteeMemoryLimit": {}}),
    Case(
        "more arrives than the target takes",
        {
            of_target("pending_profiles"): rising(1),
            of_target("pending_bytes"): rising(20_000),
            ACCEPTED: rising(600),
            SENT: rising(599),
        },
        {"PyroteeBacklogGrowing": PER_TARGET},
    ),
    Case(
        "profiles wait for too long",
        {of_target("oldest_pending_age_seconds"): steady(2_500)},
        {"PyroteeBacklogExpiring": PER_TARGET},
    ),
    Case("90 of 100 places are taken", {QUEUE_PENDING: steady(90)}, {"PyroteeQueueAlmostFull": PER_TARGET}),
    Case(
        "60 of 64 MiB are taken",
        {of_target("pending_bytes"): steady(60 << 20)},
        {"PyroteeQueueAlmostFull": PER_TARGET},
    ),
    Case(
        "60 of 64 MiB are taken, but on disk", {of_target("pending_bytes"): steady(60 << 20)}, {}, SPOOL
    ),
    Case("the spool is almost full", {of_spool("bytes"): steady(900 << 20)}, {"PyroteeSpoolAlmostFull": {}}, SPOOL),
    Case(
        "the spool grows by 4 MiB a minute",
        {of_spool("bytes"): rising(4 << 20, 100 << 20)},
        {"PyroteeSpoolFillingUp": {}},
        SPOOL,
    ),
    Case(
        "the volume is smaller than the spool may be",
        {of_spool("free_bytes"): steady(200 << 20)},
        {"PyroteeSpoolDiskShort": {}},
        SPOOL,
    ),
    Case(
        "a spool that was full is empty, and nothing has been written since",
        {
            of_spool("bytes"): f"{900 << 20}x10 0x{MINUTES}",
            of_spool("free_bytes"): steady(200 << 20),
            of_spool("segments"): steady(1),
        },
        {},
        SPOOL,
    ),
    Case(
        "a spool before its first profile",
        {of_spool(name): steady(0) for name in ["free_bytes", "bytes", "segments"]},
        {},
        SPOOL,
    ),
    Case(
        "the disk fails",
        {MODE: steady(1), f'{PREFIX}spool_mode{{{INSTANCE},mode="disk"}}': steady(0)},
        {"PyroteeSpoolInMemory": {"mode": "memory_only"}},
        SPOOL,
    ),
    Case(
        "another relay has the spool, and the dead letters in it",
        {
            WAITING: steady(1),
            f'{PREFIX}spool_mode{{{INSTANCE},mode="disk"}}': steady(0),
            LETTERS_OPEN: steady(0),
        },
        {"PyroteeSpoolWaiting": {"mode": "waiting"}},
        SPOOL,
    ),
    Case(
        "one pod has handed the spool over to the next within a minute",
        {WAITING: f"0x{MINUTES - 2} 1x0 0x2"},
        {},
        SPOOL,
    ),
    Case("only the dead letters are read-only", {LETTERS_OPEN: steady(0)}, {"PyroteeDeadLettersWaiting": {}}, SPOOL),
    Case("the dead letters of a relay without a spool are read-only", {LETTERS_OPEN: steady(0)}, {"PyroteeDeadLettersWaiting": {}}),
    *(
        Case(f"dead letters are lost: {reason}", {letters_lost(reason): rising(1)}, {"PyroteeDeadLettersLost": {"reason": reason}})
        for reason in LOSSES
    ),
    Case("dead letters were lost two hours ago", {letters_lost("disk_error"): rising(0, 7)}, {}),
    Case("dead letters make room for others", {LETTERS_EVICTED: rising(1)}, {"PyroteeDeadLettersEvicted": {}}),
    Case("dead letters made room for others two hours ago", {LETTERS_EVICTED: rising(0, 7)}, {}),
    Case("the disk cannot be read", {of_spool("unreadable_segments"): steady(1)}, {"PyroteeSpoolUnreadable": {}}, SPOOL),
    Case("the spool is damaged", {of_spool("corrupt_profiles_total"): rising(1)}, {"PyroteeSpoolDamaged": {}}, SPOOL),
    *(
        Case(
            f"dropped as {reason}",
            {dropped(reason): rising(60), SENT: rising(540)},
            {"PyroteeSpoolDamaged": {}},
            SPOOL,
        )
        for reason in ["corrupt", "disk_error"]
    ),
    Case("a file was set aside", {of_spool("quarantined_segments"): steady(1)}, {"PyroteeSpoolDamaged": {}}, SPOOL),
    Case("a target was renamed", {of_spool("orphaned_targets"): steady(1)}, {"PyroteeSpoolOrphans": {}}, SPOOL),
    Case("NATS is away", {CONNECTED: steady(0)}, {"PyroteeSharedDisconnected": {}}, SHARED),
    Case("NATS is away for three minutes", {CONNECTED: f"1x{MINUTES - 20} 0x2 1x20"}, {}, SHARED),
    Case("a stream cannot be used", {of_shared("usable"): steady(0)}, {"PyroteeSharedDisconnected": PER_TARGET}, SHARED),
    Case(
        "a target with a shared backlog was removed",
        {
            state("removed"): f"0x{MINUTES - 8} 1x3 0x5",
            **{of_shared(name): f"1x{MINUTES - 8} 0x8" for name in ["usable", "waiting_profiles", "bytes", "max_bytes"]},
            of_shared("oldest_seconds"): steady(0),
        },
        {},
        SHARED,
    ),
    Case("nobody takes what waits on NATS", STUCK, {"PyroteeSharedBacklogStuck": {**PER_TARGET, "instance": None}}, SHARED),
    Case(
        "the target of what waits on NATS is down",
        {**STUCK, state("open"): steady(1), state("healthy"): steady(0)},
        {"PyroteeTargetFailing": {**PER_TARGET, "state": "open"}},
        SHARED,
    ),
    Case("nothing waits on NATS", {**STUCK, of_shared("waiting_profiles"): steady(0)}, {}, SHARED),
    Case(
        "profiles have waited on NATS for too long",
        {of_shared("oldest_seconds"): steady(2_500)},
        {"PyroteeBacklogExpiring": PER_TARGET},
        SHARED,
    ),
    Case(
        "a stream is almost full",
        {of_shared("bytes"): steady(900 << 20)},
        {"PyroteeSharedStreamNearlyFull": {**PER_TARGET, "instance": None}},
        SHARED,
    ),
    Case("the stream has not been looked at", {of_shared("bytes"): steady(0), of_shared("max_bytes"): steady(0)}, {}, SHARED),
    Case(
        "relays do not acknowledge what they got",
        {of_shared("redelivered_total"): rising(4)},
        {"PyroteeSharedRedeliveries": {**PER_TARGET, "instance": None}},
        SHARED,
    ),
    Case(
        "a relay that held 60 profiles was lost",
        {of_shared("redelivered_total"): f"0+2x{MINUTES - 12} {2 * (MINUTES - 11) + 60}+2x12"},
        {},
        SHARED,
    ),
    Case(
        "a target that fails gives every profile back",
        {TAKEN_OVER: rising(100), HANDED_OVER: rising(100), of_shared("redelivered_total"): rising(92)},
        {},
        SHARED,
    ),
    Case(
        "two relays mean different remotes",
        {of_shared("mismatched_total"): rising(5), of_shared("redelivered_total"): rising(7)},
        {"PyroteeSharedMismatch": PER_TARGET},
        SHARED,
    ),
    Case(
        "three profiles are missing between memory and NATS",
        {TAKEN_OVER: rising(10, 3)},
        {"PyroteeUnaccountedProfiles": PER_TARGET},
        SHARED,
    ),
    Case("the local Pyroscope is down", {UPSTREAM_ERRORS: rising(300)}, {"PyroteeUpstreamFailing": {}}),
    Case("a target leads back", {teed("loop"): rising(1)}, {"PyroteeLoop": {"result": "loop"}}),
    Case(
        "a gateway cuts uploads",
        {of_target("ambiguous_total"): rising(1)},
        {"PyroteeProfilesMayBeDoubled": PER_TARGET},
    ),
    Case("too many clients", {LIMIT_HITS: rising(1)}, {"PyroteeConnectionLimit": {}}),
    Case("clients go past it", {INGESTED: f"0+600x20 12000x{MINUTES - 20}"}, {"PyroteeNoProfiles": {"instance": None}}),
    Case("a job finds nothing", {LOOPS: steady(0)}, {"PyroteeScrapeNoTargets": PER_JOB}),
    Case("applications are gone", {SCRAPES_FAILED: rising(40)}, {"PyroteeScrapeTargetsDown": PER_JOB}),
    Case("nobody is scraped", {SCRAPES: rising(0), SCRAPES_FAILED: rising(0)}, {}),
    *(
        Case(
            f"scrapes are skipped: {reason}",
            {skipped(reason): rising(1)},
            {"PyroteeScrapeSkipping": {**PER_JOB, "reason": reason}},
        )
        for reason in ["budget", "limit", "state"]
    ),
    *(Case(f"scrapes are skipped: {it}", {skipped(it): rising(1)}, {}) for it in ["first", "empty", "overrun", "reset"]),
    Case(
        "the upstream refuses scraped profiles",
        {scrape_failed("refused"): rising(1)},
        {"PyroteeScrapeSkipping": {**PER_JOB, "reason": "refused"}},
    ),
    Case("a thread panicked", {PANICS: f"0x{MINUTES - 20} 1x20"}, {"PyroteeThreadPanicked": {"thread": "deliverer"}}),
    Case(
        "three profiles are missing",
        {ACCEPTED: rising(600, 5)},
        {"PyroteeUnaccountedProfiles": PER_TARGET},
    ),
]
