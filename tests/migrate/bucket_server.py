"""An S3 service as a process: ``python -m tests.migrate.bucket_server`` tells of every request.

moto serves it, from memory, until standard input ends. Lines of JSON go to standard output: first the port, then
method, path, query and status of every request, when it was acted on.
"""

import json
import logging
import os
import sys
import threading


def say(**message):
    """Tell the parent; one write, so that lines of several threads stay whole."""
    os.write(1, (json.dumps(message) + "\n").encode())


class Telling:
    """WSGI in between: tells of every request that was acted on, before the reply goes out."""

    def __init__(self, application):
        self._application = application

    def __call__(self, environ, start_response):
        def start(status, headers, exc_info=None):
            say(
                method=environ["REQUEST_METHOD"],
                path=environ["PATH_INFO"].encode("latin-1").decode("utf-8"),
                query=environ.get("QUERY_STRING", ""),
                status=int(status.split()[0]),
            )
            return start_response(status, headers, exc_info)

        return self._application(environ, start)


def main():
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    # a reply in two small packets would wait for the client's acknowledgement
    WSGIRequestHandler.disable_nagle_algorithm = True
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = Telling(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(port=server.server_port)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
