"""An API in the place of Footnote's: ready at once, without what AWAY names."""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        checks = {name: "away" if name == os.environ.get("AWAY") else "ok" for name in ("postgres", "redis", "store")}
        status = "ready" if set(checks.values()) == {"ok"} else "degraded"
        models = {"embedder": "stand-in embedder", "generator": "stand-in generator"}
        body = json.dumps({"status": status, "checks": checks} | models).encode()
        self.send_response(200 if self.path == "/readyz" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
