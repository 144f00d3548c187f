"""Servers for tests of s3:// and a small client of them: a real one (Ceph's gateway), one that keeps
objects in a dict and misbehaves on demand, and what npm and PyPI have. The client signs on its own, so
that what it says of a bucket does not rest on Glis."""

import collections
import datetime
import hashlib
import hmac
import http.client
import http.server
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
import xml.etree.ElementTree as xml
import uuid

KEY, SECRET = "TESTACCESSKEY", "vErY+sEcReT/kEy0123456789abcdefghijklmnop"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process=None, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process and process.poll() is not None:
            return False
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


class Client:
    """Requests to one server, path style, signed by version 4."""

    def __init__(self, port, key=KEY, secret=SECRET):
        self.port, self.key, self.secret = port, key, secret

    def request(self, method, bucket, key="", query=(), body=b"", headers=()):
        path = "/" + urllib.parse.quote(bucket + ("/" + key if key else ""), safe="/~")
        query = "&".join(sorted(f"{urllib.parse.quote(n, safe='~')}={urllib.parse.quote(v, safe='~')}"
                                for n, v in query))
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        signed = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": digest, "x-amz-date": now,
                  **dict(headers)}
        names = ";".join(sorted(signed))
        text = "\n".join([method, path, query, *(f"{n}:{signed[n]}" for n in sorted(signed)), "", names,
                          digest])
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(text.encode()).hexdigest()}"
        key = ("AWS4" + self.secret).encode()
        for part in [*scope.split("/"), text]:
            key = hmac.digest(key, part.encode(), "sha256")
        signed["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}, "
                                   f"SignedHeaders={names}, Signature={key.hex()}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path + ("?" + query if query else ""), body=body, headers=signed)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def ok(self, *words, **rest):
        status, data = self.request(*words, **rest)
        assert status < 300, (words, status, data)
        return data

    def keys(self, bucket, prefix=""):
        found, after = [], ""
        while True:
            tree = xml.fromstring(self.ok("GET", bucket, query=[
                ("list-type", "2"), ("prefix", prefix), ("start-after", after)]))
            page = [element.text for element in tree.iter() if element.tag.endswith("}Key")]
            found += page
            if not page or tree.findtext("{*}IsTruncated") != "true":
                return found
            after = page[-1]


CEPH = """[global]
fsid = {fsid}
mon initial members = a
mon host = [v1:127.0.0.1:{mon_port}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
run dir = {d}/run
admin socket = {d}/run/$name.$pid.asok
log file = {d}/log/$name.log
crash dir = {d}/crash
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 0
paxos propose interval = 0.02
paxos min wait = 0.01
mon data = {d}/mon
osd data = {d}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
rgw data = {d}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 64
"""


class Ceph:
    """One monitor, one OSD in memory and one gateway; stopped by their process ids."""

    TOOLS = ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "monmaptool"]

    @staticmethod
    def is_there():
        return all(map(shutil.which, Ceph.TOOLS))

    def __init__(self, folder):
        self.port, mon_port = free_port(), free_port()
        self.folder, fsid, osd = str(folder), str(uuid.uuid4()), str(uuid.uuid4())
        for name in ("mon", "osd", "rgw", "run", "log", "crash"):
            os.makedirs(os.path.join(self.folder, name))
        conf = os.path.join(self.folder, "ceph.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(CEPH.format(fsid=fsid, d=self.folder, port=self.port, mon_port=mon_port))
        self.environment = {**os.environ, "CEPH_CONF": conf}
        self.processes = []
        try:
            monmap = os.path.join(self.folder, "monmap")
            self.tool("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{mon_port}]",
                      monmap)
            self.tool("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
            self.start("ceph-mon", "-f", "-i", "a")
            self.tool("ceph", "osd", "new", osd)
            self.tool("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
            self.start("ceph-osd", "--no-mon-config", "-f", "-i", "0")
            gateway = self.start("radosgw", "--no-mon-config", "-f", "-n", "client.rgw.a")
            assert wait_for(self.port, gateway), "the gateway did not start"
            self.user("t", KEY, SECRET)
        except BaseException:
            self.close()
            raise
        self.client = Client(self.port)

    def tool(self, *words):
        subprocess.run(words, env=self.environment, check=True, timeout=60, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def start(self, *words):
        with open(os.path.join(self.folder, "log", words[0] + ".out"), "wb") as log:
            process = subprocess.Popen(words, env=self.environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def user(self, name, key, secret):
        self.tool("radosgw-admin", "user", "create", "--uid=" + name, "--display-name=" + name,
                  "--access-key=" + key, "--secret-key=" + secret)

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGKILL)
            process.wait()


class Program:
    """Another server, as a process of its own."""

    def __init__(self, words, port, log):
        self.port = port
        with open(log, "wb") as file:
            self.process = subprocess.Popen(words, stdout=file, stderr=file)
        assert wait_for(port, self.process), open(log, encoding="utf-8").read()

    def close(self):
        self.process.terminate()
        self.process.wait()


class Fake:
    """Objects in a dict, honest about If-None-Match, with `wrong(handler, method, key)` asked before
    each request: True means that it has answered already. Counts requests by kind."""

    def __init__(self, certificate=None):
        self.objects, self.counts, self.lock = {}, collections.Counter(), threading.Lock()
        self.uploads = {}
        self.wrong = lambda handler, method, key: False
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = lambda self: fake.serve(self)

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler, status, body=b"", headers=(), length=None):
        handler.send_response(status)
        handler.send_header("x-amz-request-id", "fake")
        for name, value in dict(headers).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def error(self, handler, status, code, extra="", headers=()):
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>This is {code}</Message>{extra}</Error>"
        self.answer(handler, status, body.encode(), headers)

    def serve(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        bucket, _, key = urllib.parse.unquote(url.path)[1:].partition("/")
        method = handler.command
        kind = {"PUT": "write", "POST": "delete" if "delete" in query else "write", "DELETE": "delete",
                "HEAD": "read", "GET": "read" if key else "list"}[method]
        with self.lock:
            self.counts[kind] += 1
        if self.wrong(handler, method, key):
            return None
        if bucket != "bucket":
            return self.error(handler, 404, "NoSuchBucket")
        with self.lock:
            return self.carry_out(handler, method, key, query, body)

    def carry_out(self, handler, method, key, query, body):
        if method == "PUT" and "partNumber" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = body
            return self.answer(handler, 200, headers={"ETag": '"p"'})
        if method == "PUT":
            if handler.headers.get("If-None-Match") == "*" and key in self.objects:
                return self.error(handler, 412, "PreconditionFailed")
            self.objects[key] = body
            return self.answer(handler, 200, headers={"ETag": '"e"'})
        if method == "POST" and "uploads" in query:
            self.uploads[str(len(self.uploads))] = {}
            return self.answer(handler, 200, b"<InitiateMultipartUploadResult><UploadId>%d</UploadId>"
                                             b"</InitiateMultipartUploadResult>" % (len(self.uploads) - 1))
        if method == "POST" and "uploadId" in query:
            parts = self.uploads.pop(query["uploadId"])
            self.objects[key] = b"".join(parts[i] for i in sorted(parts))
            return self.answer(handler, 200, b"<CompleteMultipartUploadResult/>")
        if method == "POST":
            for element in xml.fromstring(body).iter():
                if element.tag.endswith("Key"):
                    self.objects.pop(element.text, None)
            return self.answer(handler, 200, b"<DeleteResult/>")
        if method == "DELETE":
            self.objects.pop(key, None)
            return self.answer(handler, 204)
        if not key and method == "HEAD":
            return self.answer(handler, 200)
        if not key:
            return self.list(handler, query)
        if key not in self.objects:
            return self.error(handler, 404, "NoSuchKey")
        data, headers, status = self.objects[key], {"Last-Modified": "Sun, 01 Mar 2026 12:00:00 GMT"}, 200
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", handler.headers.get("Range", ""))
        if wanted and data:
            first, last = wanted.groups()
            start = int(first) if first else max(0, len(data) - int(last))
            end = min(int(last) + 1 if first and last else len(data), len(data))
            if start >= len(data):
                return self.error(handler, 416, "InvalidRange")
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            data, status = data[start:end], 206
        return self.answer(handler, status, data, headers)

    def list(self, handler, query):
        if "uploads" in query:
            return self.answer(handler, 200, b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
                                             b"</ListMultipartUploadsResult>")
        prefix, after = query.get("prefix", ""), query.get("start-after", "")
        after = query.get("continuation-token", after)
        keys = sorted((key for key in self.objects if key.startswith(prefix) and key > after),
                      key=str.encode)
        page = keys[:int(query.get("max-keys", 1000))]
        more = len(page) < len(keys)
        text = "".join(f"<Contents><Key>{urllib.parse.quote(key)}</Key><LastModified>2026-03-01T12:00:00.000Z"
                       f"</LastModified><Size>{len(self.objects[key])}</Size></Contents>" for key in page)
        token = f"<NextContinuationToken>{urllib.parse.quote(page[-1])}</NextContinuationToken>" if more else ""
        return self.answer(handler, 200, (
            f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}"
            f"</IsTruncated>{token}{text}</ListBucketResult>").encode())
