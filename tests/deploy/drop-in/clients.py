"""Clients that send without a pause and count every response other than 200 as an error."""

import http.client
import os
import select
import threading

BODY = os.urandom(2_000)
PAUSE = 0.005


class Client(threading.Thread):
    """Sends one profile after another. Opens a new connection after `uploads` profiles. Without `uploads`
    it keeps its connection, as an SDK does."""

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
            # The server closed a kept connection while the request was in flight, without one byte of a
            # response: HTTP libraries such as okhttp send the request again then.
            self.stale += 1
            self.connection = None
            return self._upload(name)

    def _was_closed(self):
        """Whether the server has closed the connection while it was idle."""
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
