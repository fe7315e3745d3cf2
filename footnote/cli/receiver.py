"""A receiver of webhooks on the loopback that verifies what arrives and prints it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from footnote.cli.terminal import one_line, say

LONGEST = 1024 * 1024


class EventReceiver(ThreadingHTTPServer):
    """Answers with `status`, or with 400 if the request is not signed with `secret`."""

    daemon_threads = True

    def __init__(self, port: int, status: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.status, self.secret = status, ""
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def wait(self) -> None:
        """Until the process is interrupted."""
        Event().wait()


class _Handler(BaseHTTPRequestHandler):
    server: EventReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), LONGEST))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = Webhook(self.server.secret).verify(body, headers)
        except (WebhookVerificationError, ValueError) as error:
            say(f"refused  {headers.get('webhook-id')}  {error}", err=True)
            self.send_response(400)
        else:
            say(f"{event['type']}  {headers['webhook-id']}  {one_line(json.dumps(event['data'], ensure_ascii=False))}")
            self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Only what arrives is printed."""


@contextmanager
def receiving(port: int, status: int) -> Iterator[EventReceiver]:
    with EventReceiver(port, status) as receiver:
        thread = Thread(target=receiver.serve_forever, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()
