"""A service that starts when its port is first connected to."""

import socket
import sys
import threading
import time
import urllib.request

import pytest

from footnote.local_stack.child import Child
from footnote.local_stack.services import Service
from tests.local_stack.stack_under_test import free_port, wait_for


@pytest.fixture
def child(tmp_path):
    port = free_port()
    (tmp_path / "page").write_text("the page")
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    child = Child(Service("flower", command, on_demand=("127.0.0.1", port)), tmp_path, None)
    yield child
    child.kill()
    child.ask_to_stop()
    child.stop(time.monotonic())


def test_it_starts_at_the_first_connection_whose_client_gets_its_page(child):
    _, port = child.service.on_demand
    assert child.check(time.monotonic()) is None
    before = child.process
    assert before is None
    pages = []

    def visit():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=60) as page:
            pages.append(page.read())

    visitor = threading.Thread(target=visit)
    visitor.start()
    wait_for(lambda: child.check(time.monotonic()) is None and pages)
    visitor.join()
    assert pages == [b"the page"]
    assert child.process is not None
    assert child.awaited is None


def test_its_port_is_free_again_when_it_is_stopped_before(child):
    _, port = child.service.on_demand
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", port))
    child.ask_to_stop()
    assert child.check(time.monotonic()) is None
    socket.create_server(("127.0.0.1", port)).close()


def test_a_client_is_not_forgotten_when_it_crashes_at_first(child):
    _, port = child.service.on_demand
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: child.check(0.0) or child.process)
        child.kill()
        wait_for(lambda: child.check(1.0))
        assert child.check(1.1) is None
        wait_for(lambda: child.check(2.0) is None and child.process)
        wait_for(lambda: child.check(2.0) is None and child.awaited is None)
        assert client.recv(1000).startswith(b"HTTP/1.1 307 ")
