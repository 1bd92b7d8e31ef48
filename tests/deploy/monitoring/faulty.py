"""A server that takes the place of a Pyroscope and answers each upload in one wrong way."""

import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultyServer:
    """Answers with `status`, `headers` and `body` after `delay` seconds; without a status it never answers.
    `tls`, a context of ssl, has it speak TLS."""

    def __init__(self, status=None, body="", delay=0.0, tls=None, **headers):
        ended = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if status is None:
                    ended.wait()
                    return
                time.sleep(delay)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A client that ends the handshake is what the test wants."""

        self.ended = ended
        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            # The handshake is made in the thread of the connection, at its first read.
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = "{}://127.0.0.1:{}".format("https" if tls else "http", self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @classmethod
    def over_tls(cls, files, client_ca=None):
        """A server that takes every upload, with the certificate in the folder `files`. It requires a certificate of the authority `client_ca`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files / "tls.crt", files / "tls.key")
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        return cls(200, tls=context)

    def stop(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
