"""The faults that are injected, and where each is seen."""

from collections.abc import Callable
from dataclasses import dataclass, field

from disk import SmallDisk
from faulty import FaultyServer
from loopback.pki import Authority
from loopback.processes import Family, Relay

# Nobody listens there.
NOBODY = "http://127.0.0.1:1"

# Reserved by RFC 6761: the name does not resolve.
NO_NAME = "http://no-such-host.invalid:4040"


@dataclass
class Fault:
    """One fault of a target, of the upstream or of the disk."""

    title: str
    # A pattern for the line of the log, without its time.
    log: str
    # A pattern for the line of `pyrotee status`.
    status: str
    # The name of the alert; `None`: `no_alert` says why.
    alert: str | None
    # What the target is: an address, or a server that is started.
    target: str | FaultyServer | None = None
    # The same for the upstream.
    upstream: str | FaultyServer | None = None
    # Keys of the target, and of the top level.
    options: dict = field(default_factory=dict)
    config: dict = field(default_factory=dict)
    # The file system of the spool; `None` for no spool.
    disk: SmallDisk | None = None
    # Called with the processes of the tests and the relay once that runs: what happens to it then.
    then: Callable[[Family, Relay], None] | None = None
    # The target of a second relay with the same shared backlog; `None`: there is no such relay.
    other_target: str | None = None
    # The profile that clients send.
    profile: bytes = b"main;work 10\n" * 1000
    # The part of the line of the log that the table shows, of a line that has no field `remedy`; empty: level, message and fields.
    log_shown: str = ""
    # The fields of the line of the log that the table shows, as a pattern.
    fields: str = "kind|status|reason|state"
    # The part of the line of the status that the table shows.
    shown: str = r"(?<=central ) *\w+"
    # Why there is no alert or no line in the log, and the remedy if no line has it.
    no_alert: str = ""
    no_log: str = ""
    remedy: str = ""

    def stop(self):
        """Ends what the fault started."""
        for part in (self.target, self.upstream, self.disk):
            if part is not None and not isinstance(part, str):
                part.stop()


def pyroscope(status, code, text):
    """A refusal in the form of Pyroscope."""
    return FaultyServer(status, f'{{"code":"{code}","message":"{text}"}}', Content_Type="application/json")


def of_target(title, target, log, state, alert, **others):
    return Fault(f"target: {title}", log, rf"^central +{state}\b", alert, target=target, **others)


def of_upstream(title, upstream, kind):
    log = rf'WARN upstream .*kind="{kind}"'
    status = r"^upstream: http\S+, failing"
    shown = r"(?<=, )failing"
    return Fault(f"upstream: {title}", log, status, "PyroteeUpstreamFailing", upstream=upstream, shown=shown)


def refused(status):
    return rf"did not take a profile .*status={status}\b"


def failed(kind):
    return rf'failed to upload a profile .*kind="{kind}"'


def of_listener(title, files, verb, alert):
    """A fault of the certificate of the clients' port. The relay warns at its start, so that the line of the log has no fields."""
    return Fault(
        f"listener: {title}",
        rf"WARN listen-tls\.cert-file: .* {verb}",
        rf"^configuration: listen-tls\.cert-file: .* {verb}\b.*; renew it",
        alert,
        config={"listen-tls": {"cert-file": str(files / "tls.crt"), "key-file": str(files / "tls.key")}},
        shown=verb,
        log_shown=r"WARN listen-tls\.cert-file: certificate 1",
        remedy="renew it",
    )


def of_certificates(folder):
    """Faults of TLS, of servers whose certificates are made in `folder`."""
    authority = Authority(folder / "authority")
    names = ["IP:127.0.0.1"]
    good, expired, soon = (authority.issue(folder / name, names, days=days) for name, days in (("good", 90), ("expired", -2), ("soon", 10)))
    trusted = {"tls": {"ca-file": str(authority.certificate)}}
    refusing = "suspended", "PyroteeTargetRefusing"
    wants = FaultyServer.over_tls(good, authority.certificate)
    return [
        of_target("wants a client certificate", wants, failed("tls"), *refusing, options=trusted),
        of_target("certificate has expired", FaultyServer.over_tls(expired), failed("tls"), *refusing, options=trusted),
        of_target("certificate of an unknown authority", FaultyServer.over_tls(good), failed("tls"), *refusing),
        of_upstream("certificate of an unknown authority", FaultyServer.over_tls(good), "tls"),
        of_listener("certificate expires in 10 days", soon, "expires soon", "PyroteeCertificateExpiring"),
        of_listener("certificate has expired", expired, "expired on", "PyroteeCertificateExpired"),
    ]


def faults(folder):
    """All faults, with their servers and disks running; `Fault.stop` ends these. `folder` gets the files that they need."""
    plain = FaultyServer(200)
    return [
        of_target("name does not resolve", NO_NAME, failed("dns"), "open", "PyroteeTargetFailing"),
        of_target("connection refused", NOBODY, failed("connect"), "open", "PyroteeTargetFailing"),
        of_target("hangs", FaultyServer(), failed("timeout"), "open", "PyroteeTargetFailing", options={"timeout": "1s"}),
        of_target("no TLS at an `https://` address", plain.url.replace("http", "https"), failed("tls"), "suspended", "PyroteeTargetRefusing"),
        of_target("401", pyroscope(401, "unauthenticated", "invalid token"), refused(401), "suspended", "PyroteeTargetRefusing"),
        of_target("404", FaultyServer(404, "404 page not found"), refused(404), "suspended", "PyroteeTargetRefusing"),
        of_target(
            "HTML with 200",
            FaultyServer(200, "<html><body>Sign in</body></html>", Content_Type="text/html"),
            refused(200),
            "suspended",
            "PyroteeTargetRefusing",
        ),
        of_target("413", FaultyServer(413, "request entity too large"), refused(413), "rejecting", "PyroteeTargetRejecting"),
        of_target("422", FaultyServer(422, "parsing IngestInput-pprof failed"), refused(422), "rejecting", "PyroteeTargetRejecting"),
        of_target(
            "429",
            FaultyServer(429, "rate limit", Retry_After="1"),
            refused(429),
            "throttled",
            None,
            no_alert="not visible here, because a target may throttle for a while: `PyroteeTargetThrottling` fires after half an hour",
        ),
        of_target("503", FaultyServer(503, "no healthy upstream"), refused(503), "open", "PyroteeTargetFailing"),
        Fault(
            "target: slow",
            "",
            r"^central +healthy +\d\d",
            "PyroteeQueueAlmostFull",
            target=FaultyServer(200, delay=1.0),
            options={"queue-workers": 1, "queue-size": 20},
            no_log="not visible here, because every upload succeeds until the queue is full",
            remedy="raise `queue-size`"
        ),
        Fault(
            "queue full",
            r'dropped profiles .*reason="queue_full"',
            r"^  dropped \d+: queue_full",
            "PyroteeDroppingProfiles",
            target=FaultyServer(),
            options={"queue-workers": 1, "queue-size": 2},
            shown=r"dropped(?= )",
        ),
        Fault(
            "spool: disk full",
            "spool cannot write",
            r"^spool \(memory_only\)",
            "PyroteeSpoolInMemory",
            target=NOBODY,
            disk=SmallDisk(2 << 20),
            shown=r"spool \(\w+\)",
        ),
        of_upstream("name does not resolve", NO_NAME, "dns"),
        of_upstream("connection refused", NOBODY, "connect"),
        of_upstream("hangs", FaultyServer(), "timeout"),
        *of_certificates(folder),
    ]
