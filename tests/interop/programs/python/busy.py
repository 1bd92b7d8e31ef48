"""Keeps a processor busy under the profiler for a while: `busy.py SERVER SECONDS`."""

import inspect
import sys
import time

import pyroscope

options = dict(
    application_name="interop.python",
    server_address=sys.argv[1],
    basic_auth_username="sdk-user",
    basic_auth_password="sdk-password",
    tenant_id="sdk-tenant",
    tags={"region": "eu", "zone": "a"},
    sample_rate=100,
)
# Older agents always upload when the clock shows a multiple of ten seconds.
if "upload_interval" in inspect.signature(pyroscope.configure).parameters:
    options["upload_interval"] = 1
pyroscope.configure(**options)

end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    sum(number * number for number in range(10_000))
pyroscope.shutdown()
