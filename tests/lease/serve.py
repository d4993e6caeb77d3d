"""moto's DynamoDB on a free port of loopback, one request at a time; prints its URL.

One at a time, because moto looks at a condition and writes in two steps, and DynamoDB does both in one.
Ends when its standard input does, so that it does not outlive the test that started it.
"""

import os
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

app = DomainDispatcherApplication(create_backend_app)
one = threading.Lock()


def ordered(environ, start_response):
    with one:
        return list(app(environ, start_response))


class Handler(WSGIRequestHandler):
    # Connections stay, as with DynamoDB.
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


server = make_server("127.0.0.1", 0, ordered, threaded=True, request_handler=Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
os._exit(0)
