"""Google Cloud Storage through its S3 interface, as its documents describe it: a server of our own that
takes no condition but x-goog-if-generation-match, checks each signature on its own and refuses Amazon's
headers. No emulator that could be had is honest about that condition, and the service itself was not
asked."""

import hashlib
import hmac
import re
import urllib.parse

import pytest
from s3_servers import KEY, SECRET, Fake
from test_s3 import Glis, assert_error, environment, rows_of


class Google(Fake):
    """What Google's XML interface does otherwise than Amazon's, checked in each request."""

    def __init__(self):
        super().__init__()
        self.refused, self.conditional = [], 0
        self.wrong = self.check

    def check(self, handler, method, key):
        reason = self.unsigned(handler, method)
        if not reason and any(name.lower().startswith("x-amz-") for name in handler.headers):
            reason = "a header of Amazon's"
        if not reason and method == "PUT" and "If-None-Match" in handler.headers:
            reason = "If-None-Match with a put"
        if reason:
            self.refused.append((method, key, reason))
            self.error(handler, 403, "SignatureDoesNotMatch")
            return True
        if "?delete" in handler.path:
            self.error(handler, 400, "InvalidArgument")
            return True
        if handler.headers.get("x-goog-if-generation-match") == "0":
            assert method == "PUT" and "partNumber" not in handler.path
            self.conditional += 1
            handler.headers["If-None-Match"] = "*"  # what the dict below knows
        return False

    @staticmethod
    def unsigned(handler, method):
        """Google's signing process, version 4, with an HMAC key, from its documents."""
        found = re.fullmatch(r"GOOG4-HMAC-SHA256 Credential=([^/]+)/(\d{8}/[\w-]+/storage/goog4_request), "
                             r"SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})",
                             handler.headers.get("Authorization", ""))
        if not found or found[1] != KEY:
            return "no signature of Google's"
        scope, names = found[2], found[3].split(";")
        sent = {name.lower() for name in handler.headers}
        if not {name for name in sent if name.startswith("x-goog-")} | {"host"} <= set(names):
            return "a header of Google's that is not signed"
        url = urllib.parse.urlsplit(handler.path)
        query = "&".join(sorted(url.query.split("&"))) if url.query else ""
        text = "\n".join([method, url.path, query, *(f"{name}:{handler.headers[name]}" for name in names), "",
                          ";".join(names), handler.headers["x-goog-content-sha256"]])
        now = handler.headers["x-goog-date"]
        text = f"GOOG4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(text.encode()).hexdigest()}"
        key = ("GOOG4" + SECRET).encode()
        for part in [*scope.split("/"), text]:
            key = hmac.digest(key, part.encode(), "sha256")
        return None if key.hex() == found[4] else "another signature"

    def answer(self, handler, status, body=b"", headers=(), length=None):
        super().answer(handler, status, body, {**dict(headers), "X-GUploader-UploadID": "test"}, length)


@pytest.fixture
def google():
    server = Google()
    yield server
    server.close()


def test_the_command_line_on_google(google, tmp_path):
    glis = Glis("s3://bucket/a b/+x", tmp_path, environment(google.port, GLIS_S3_SERVICE="google")).begin()
    for i in range(3):
        glis.ok("ingest", "t", glis.csv(rows_of(i, 400, start=i)), "--job", f"j{i}")
    assert glis.read() == glis.rows
    glis.ok("compact", "t", "--force")
    glis.ok("gc", "t", "--now", "--full")
    glis.ok("maintain", "t", "--until-idle")
    assert glis.read() == glis.rows
    assert "all is well" in glis.ok("check", "--read-data")
    assert "an instance can be kept here" in glis.ok("store", "probe", glis.root)
    assert google.conditional > 20 and google.refused == []


def test_google_is_known_by_its_host(google, tmp_path):
    """Asked by its own name (through a proxy, so that nothing leaves this machine)."""
    env = environment(google.port, AWS_ENDPOINT_URL="http://storage.googleapis.com",
                      http_proxy=f"http://127.0.0.1:{google.port}", GLIS_S3_ADDRESSING="path")
    # A proxy is sent the whole address.
    check = google.check

    def from_proxy(handler, method, key):
        handler.path = handler.path.replace("http://storage.googleapis.com", "")
        return check(handler, method, key)
    google.wrong = from_proxy
    serve = google.serve

    def rewritten(handler):
        handler.path = handler.path.replace("http://storage.googleapis.com", "")
        return serve(handler)
    google.serve = rewritten
    glis = Glis("s3://bucket/x", tmp_path, env).begin()
    glis.ok("ingest", "t", glis.csv(rows_of(1, 100)))
    assert glis.read() == glis.rows
    assert google.refused == [] and google.conditional > 0


def test_without_the_condition_nothing_is_written(google, tmp_path):
    """As Amazon's: Google would ignore the condition, so the signature alone must fail first; and a
    server of that kind that took the signature would be refused by the probe."""
    glis = Glis("s3://bucket/x", tmp_path, environment(google.port))
    assert_error(glis, 10, "SignatureDoesNotMatch")
    assert google.objects == {}

    def ignores(handler, method, key):
        if google.check(handler, method, key):
            return True
        if "If-None-Match" in handler.headers:
            del handler.headers["If-None-Match"]
        return False
    google.wrong = ignores
    glis = Glis("s3://bucket/x", tmp_path, environment(google.port, GLIS_S3_SERVICE="google"))
    assert_error(glis, 10, "x-goog-if-generation-match", "accepts a conditional put")
    assert_error(glis, 10, "GLIS_S3_SERVICE", GLIS_S3_SERVICE="other")
    assert google.objects == {}
