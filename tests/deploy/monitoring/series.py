"""The series of a healthy relay.

Series have promtool's form: `0+5x60` is a start, a step and the number of steps, one a minute.
"""

INSTANCE = 'job="pyrotee",instance="relay-0:4041"'
TARGET = f'{INSTANCE},target="central"'
NAMED = f'{INSTANCE},target_name="central",target_address="https://profiles.example.com"'

# Length of the series in minutes, and the time at which alerts are evaluated.
MINUTES = 75
ASKED = f"{MINUTES}m"

PREFIX = "pyroscope_remote_write_"
REASONS = (
    "queue_full spool_full budget too_large invalid_name undecodable expired rejected ambiguous "
    "upload_failed duplicate corrupt disk_error shutdown target_removed admin"
).split()

# Reasons without an alert: nothing is lost, an operator asked for the loss, or the cause is over when the loss is seen.
ON_PURPOSE = {"duplicate", "admin", "target_removed", "shutdown"}


def steady(value):
    return f"{value}x{MINUTES}"


def rising(step, start=0):
    return f"{start}+{step}x{MINUTES}"


def dropped(reason):
    return f'{PREFIX}dropped_profiles_total{{{TARGET},reason="{reason}"}}'


def state(name):
    return f'{PREFIX}target_state{{{TARGET},state="{name}"}}'


def of_target(name):
    return f"{PREFIX}{name}{{{TARGET}}}"


def of_spool(name):
    return f"{PREFIX}spool_{name}{{{INSTANCE}}}"


def of_shared(name):
    return of_target(f"shared_{name}")


def letters_lost(reason):
    return f'{PREFIX}dead_letters_lost_total{{{INSTANCE},reason="{reason}"}}'


def teed(result):
    return f'pyroscope_relay_tee_total{{{INSTANCE},result="{result}"}}'


def of_config(name):
    return f"pyroscope_relay_config_{name}{{{INSTANCE}}}"


def skipped(reason):
    return f'pyroscope_relay_scrape_skipped_total{{{JOB},reason="{reason}"}}'


def scrape_failed(reason):
    return f'pyroscope_relay_scrape_failures_total{{{JOB},reason="{reason}"}}'


DAY = 24 * 3600


def certificate(role):
    return f'pyroscope_relay_tls_certificate_expiry_timestamp_seconds{{{INSTANCE},role="{role}",file="/tls/{role}.crt"}}'


UP = f"up{{{INSTANCE}}}"
STARTED = f"process_start_time_seconds{{{INSTANCE}}}"
SUSPENDED = f'{PREFIX}surface_suspended{{{TARGET},surface="push"}}'
QUEUED = f'pyroscope_relay_memory_bytes{{{INSTANCE},pool="queues"}}'
MODE = f'{PREFIX}spool_mode{{{INSTANCE},mode="memory_only"}}'
WAITING = f'{PREFIX}spool_mode{{{INSTANCE},mode="waiting"}}'
VALID = of_config("last_reload_successful")
LETTERS_OPEN = f"{PREFIX}dead_letters_open{{{INSTANCE}}}"
LETTERS_EVICTED = f"{PREFIX}dead_letters_evicted_total{{{INSTANCE}}}"
LOSSES = ["full", "disk_error", "too_large", "panic"]
UPSTREAM_ERRORS = f'pyroscope_relay_upstream_errors_total{{{INSTANCE},kind="connect"}}'
LIMIT_HITS = f"pyroscope_relay_connection_limit_hits_total{{{INSTANCE}}}"
PANICS = f'pyroscope_relay_thread_panics_total{{{INSTANCE},thread="deliverer"}}'
INGESTED = f'pyroscope_relay_ingested_total{{{INSTANCE},source="pushed",surface="ingest",format="pprof"}}'
JOB = f'{INSTANCE},scrape_job="shop"'
LOOPS = f"pyroscope_scrape_target_pool_targets{{{JOB}}}"
SCRAPES = f"pyroscope_scrape_target_pool_scrapes_total{{{JOB}}}"
SCRAPES_FAILED = f"pyroscope_scrape_target_pool_scrapes_failed_total{{{JOB}}}"
SKIPS = ["first", "empty", "budget", "overrun", "reset", "state", "limit"]
QUEUE_PENDING = f"{PREFIX}queue_pending{{{NAMED}}}"
ACCEPTED = of_target("accepted_profiles_total")
SENT = of_target("sent_profiles_total")

MEMORY = {
    UP: steady(1),
    certificate("listen"): steady(365 * DAY),
    certificate("target_ca"): steady(365 * DAY),
    of_target("target_certificate_expiry_timestamp_seconds"): steady(365 * DAY),
    f'pyroscope_relay_build_info{{{INSTANCE},version="0.1.0"}}': steady(1),
    STARTED: steady(0),
    VALID: steady(1),
    of_config("stale_files"): steady(0),
    of_config("restart_required"): steady(0),
    of_config("reloads_total"): rising(0),
    of_config("reloads_errors_total"): rising(0),
    f'pyroscope_relay_requests_total{{{INSTANCE},route="ingest",code="200"}}': rising(600),
    INGESTED: rising(600),
    UPSTREAM_ERRORS: rising(0),
    LIMIT_HITS: rising(0),
    PANICS: rising(0),
    LOOPS: steady(10),
    SCRAPES: rising(60),
    SCRAPES_FAILED: rising(3),
    **{skipped(reason): rising(0) for reason in SKIPS},
    scrape_failed("connect"): rising(3),
    scrape_failed("refused"): rising(0),
    f"pyroscope_relay_scrape_state_bytes{{{INSTANCE}}}": steady(1 << 20),
    teed("accepted"): rising(600),
    teed("loop"): rising(0),
    QUEUED: steady(100_000),
    f'pyroscope_relay_memory_bytes{{{INSTANCE},pool="inflight"}}': steady(100_000),
    f'pyroscope_relay_memory_bytes{{{INSTANCE},pool="unpacking"}}': steady(100_000),
    f"pyroscope_relay_memory_limit_bytes{{{INSTANCE}}}": steady(256 << 20),
    state("healthy"): steady(1),
    state("rejecting"): steady(0),
    state("throttled"): steady(0),
    state("open"): steady(0),
    state("suspended"): steady(0),
    state("removed"): steady(0),
    SUSPENDED: steady(0),
    ACCEPTED: rising(600, 2),
    SENT: rising(600),
    of_target("pending_profiles"): steady(2),
    of_target("pending_bytes"): steady(40_000),
    of_target("pending_limit_bytes"): steady(64 << 20),
    of_target("oldest_pending_age_seconds"): steady(0.2),
    of_target("ambiguous_total"): rising(0),
    QUEUE_PENDING: steady(2),
    LETTERS_OPEN: steady(1),
    LETTERS_EVICTED: rising(0),
    **{letters_lost(reason): rising(0) for reason in LOSSES},
    f"{PREFIX}queue_capacity{{{NAMED}}}": steady(100),
    **{dropped(reason): rising(0) for reason in REASONS},
}

SPOOL = {
    **MEMORY,
    # Far more than a queue in memory may hold; with a spool this is normal.
    QUEUE_PENDING: steady(5_000),
    f'{PREFIX}spool_mode{{{INSTANCE},mode="disk"}}': steady(1),
    of_spool("unreadable_segments"): steady(0),
    MODE: steady(0),
    WAITING: steady(0),
    of_spool("bytes"): steady(100 << 20),
    of_spool("limit_bytes"): steady(1 << 30),
    of_spool("free_bytes"): steady(9 << 30),
    of_spool("segments"): steady(13),
    of_spool("corrupt_profiles_total"): rising(0),
    of_spool("quarantined_segments"): steady(0),
    of_spool("orphaned_targets"): steady(0),
    of_spool("unreadable_segments"): steady(0),
}

CONNECTED = f"{PREFIX}shared_connected{{{INSTANCE}}}"
TAKEN_OVER = of_target("taken_over_profiles_total")
HANDED_OVER = of_target("handed_over_profiles_total")

# While the target is slow: each minute ten profiles come back from NATS, to which eight were published and two given back.
SHARED = {
    **MEMORY,
    CONNECTED: steady(1),
    f"{PREFIX}shared_relays{{{INSTANCE}}}": steady(3),
    TAKEN_OVER: rising(10),
    HANDED_OVER: rising(10),
    of_shared("usable"): steady(1),
    of_shared("waiting_profiles"): steady(40),
    of_shared("bytes"): steady(100 << 20),
    of_shared("max_bytes"): steady(1 << 30),
    of_shared("oldest_seconds"): steady(60),
    of_shared("published_total"): rising(8),
    of_shared("redelivered_total"): rising(2),
    of_shared("mismatched_total"): rising(0),
}
