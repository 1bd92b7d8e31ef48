"""A stand-in for a Pyroscope with TLS, which prints its address: secure_sink.py CERTIFICATE KEY"""

import http.server
import ssl
import sys


class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code="-", size="-"):
        pass


server = http.server.ThreadingHTTPServer(("localhost", 0), Sink)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(*sys.argv[1:])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(f"listening on https://localhost:{server.server_port}", flush=True)
server.serve_forever()
