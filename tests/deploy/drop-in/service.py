"""A stand-in for a Service of Kubernetes: one address whose endpoint can be changed.

Like a Service, it chooses the endpoint when a client connects. Open connections keep their endpoint.
"""

import socket
import threading


class Service:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.endpoint = None
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, address):
        host, port = address.split(":")
        self.endpoint = (host, int(port))

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=_carry, args=(client, self.endpoint), daemon=True).start()


def _carry(client, endpoint):
    try:
        with client, socket.create_connection(endpoint) as server:
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            _pass_on(client, server)
            back.join()
    except OSError:
        pass


def _pass_on(source, sink):
    """Passes bytes on, and the end of the stream."""
    try:
        while data := source.recv(64 * 1024):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # One side has broken off, so both sides are closed.
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
