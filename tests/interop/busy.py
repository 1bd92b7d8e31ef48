"""Keeps a processor busy under the profiler until its server has seen a profile."""

import sys
import time

import pyroscope

pyroscope.configure(
    application_name="interop.python",
    server_address=sys.argv[1],
    basic_auth_username="sdk-user",
    basic_auth_password="sdk-password",
    tenant_id="sdk-tenant",
    tags={"region": "eu", "zone": "a"},
    sample_rate=100,
)
# The agent sends what it has every ten seconds, on the ten, and when it is told to end.
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    sum(number * number for number in range(10_000))
pyroscope.shutdown()
