"""The proxy that is a bad network does what it says: seen from both sides of it."""

import http.client
import http.server
import threading
import time

import pytest
from chaos_proxy import FAULTS, ChaosProxy


class Server(http.server.ThreadingHTTPServer):
    """Keeps what was put; an object is gone through a GET."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects, self.seen = {}, []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        self.server.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(self.path)
        self.answer(200, b"")

    def do_GET(self):
        body = self.server.objects.get(self.path)
        self.answer(404 if body is None else 200, body or b"no such object")

    do_HEAD = do_GET

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass

    def log_message(self, *_):
        pass


@pytest.fixture
def pair():
    server = Server()
    proxy = ChaosProxy(server.server_address, seed=7, delay_seconds=0.1)
    yield server, proxy
    proxy.close()
    server.shutdown()
    server.server_close()


def request(proxy, method, path, body=None):
    """The status and the body, or the name of what went wrong."""
    connection = http.client.HTTPConnection(*proxy.address, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (http.client.HTTPException, OSError) as failure:
        return "broken", failure
    finally:
        connection.close()


def test_without_faults_it_is_not_there(pair):
    server, proxy = pair
    body = bytes(range(256)) * 5000
    assert request(proxy, "PUT", "/a", body) == (200, b"")
    assert request(proxy, "GET", "/a") == (200, body)
    assert request(proxy, "HEAD", "/a") == (200, b"")
    assert request(proxy, "GET", "/b") == (404, b"no such object")
    connection = http.client.HTTPConnection(*proxy.address)
    for i in range(20):  # one connection for all
        connection.request("PUT", f"/k{i}", b"x" * i)
        assert connection.getresponse().read() == b""
    connection.close()
    assert len(server.seen) == 21 and proxy.counts["requests"] == 24


@pytest.mark.parametrize("fault, reaches, answer", [
    ("drop_before", False, "broken"), ("drop_after", True, "broken"),
    ("error_500", False, 500), ("error_500_after", True, 500), ("error_503", False, 503),
    ("delay", True, 200)])
def test_a_fault_is_what_it_is_called(pair, fault, reaches, answer):
    server, proxy = pair
    proxy.faults = {fault: 1}
    for i in range(10):
        assert request(proxy, "PUT", f"/{i}", b"body")[0] == answer
        assert (f"/{i}" in server.objects) == reaches
    assert proxy.counts[fault] == 10


def test_a_late_request_comes_when_nobody_waits_any_more(pair):
    server, proxy = pair
    proxy.faults = {"late": 1}
    assert request(proxy, "PUT", "/a", b"body")[0] == "broken"
    end = time.monotonic() + 10
    while "/a" not in server.objects and time.monotonic() < end:
        time.sleep(0.01)
    assert server.objects["/a"] == b"body"


def test_an_answer_is_cut_within_its_body(pair):
    server, proxy = pair
    assert request(proxy, "PUT", "/a", b"x" * 1_000_000) == (200, b"")
    proxy.faults = {"cut": 1}
    for _ in range(20):
        status, body = request(proxy, "GET", "/a")
        assert status == "broken" or not body  # Python takes half a head for a whole one


def test_all_faults_by_chance(pair):
    server, proxy = pair
    proxy.faults = {fault: 0.08 for fault in FAULTS}
    done = [request(proxy, "PUT", f"/{i}", b"body")[0] for i in range(150)]
    assert {"broken", 200, 500, 503} == set(done)
    for i, status in enumerate(done):
        assert status != 200 or f"/{i}" in server.objects
    assert all(proxy.counts[fault] > 0 for fault in FAULTS), proxy.counts
