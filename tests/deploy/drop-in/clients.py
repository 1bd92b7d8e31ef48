"""Clients that never stop sending, and take every answer but 200 for an error."""

import http.client
import os
import select
import threading

BODY = os.urandom(2_000)
PAUSE = 0.005


class Client(threading.Thread):
    """Sends one profile after another. It connects anew after `uploads` of them, or never of its own
    accord, as an SDK does."""

    def __init__(self, name, address, uploads=None):
        super().__init__(daemon=True)
        self.label, self.address, self.uploads = name, address, uploads
        self.sent, self.errors, self.stale = [], [], 0
        self.ending = threading.Event()
        self.connection, self.used = None, 0

    def run(self):
        while not self.ending.wait(PAUSE):
            name = f"{self.label}.{len(self.sent)}"
            try:
                status = self._send(name)
                if status != 200:
                    self.errors.append(f"{name}: {status}")
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(f"{name}: {error!r}")
                self.connection = None
            self.sent.append(name)

    def end(self):
        self.ending.set()
        self.join()

    def _send(self, name):
        if self.connection and (self.used == self.uploads or self._was_closed()):
            self.connection.close()
            self.connection = None
        fresh = self.connection is None
        try:
            return self._upload(name)
        except (http.client.RemoteDisconnected, ConnectionError):
            if fresh:
                raise
            # The server has closed a kept connection at the moment that it was used, and has not
            # answered one byte: HTTP libraries send again then, okhttp for one.
            self.stale += 1
            self.connection = None
            return self._upload(name)

    def _was_closed(self):
        """Whether the other side has ended the connection while it was idle."""
        return bool(select.select([self.connection.sock], [], [], 0)[0])

    def _upload(self, name):
        if self.connection is None:
            self.connection, self.used = http.client.HTTPConnection(self.address, timeout=20), 0
        self.used += 1
        query = f"/ingest?name={name}&format=pprof&from=1795000000&until=1795000010"
        self.connection.request("POST", query, BODY, {"Content-Type": "application/octet-stream"})
        answer = self.connection.getresponse()
        answer.read()
        if answer.will_close:
            self.connection.close()
            self.connection = None
        return answer.status
