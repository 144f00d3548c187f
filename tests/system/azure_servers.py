"""Azurite, Microsoft's emulator of Azure's storage, and a small client of it that signs on its own."""

import base64
import datetime
import hashlib
import hmac
import http.client
import os
import shutil
import urllib.parse

from s3_servers import Program, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAIN = os.path.join(ROOT, ".venv", "npm", "node_modules", "azurite", "dist", "src", "blob", "main.js")
ACCOUNT = "glisaccount"
KEY = base64.b64encode(b"a key of our own, which nobody published, of 64 bytes in all, so").decode()
VERSION = "2021-12-02"


class Azurite:
    """The blob service of the emulator, with everything in memory."""

    @staticmethod
    def is_there():
        return os.path.exists(MAIN) and (shutil.which("node") or shutil.which("nodejs"))

    def __init__(self, folder, certificate=None):
        self.port, self.folder = free_port(), str(folder)
        self.scheme = "https" if certificate else "http"
        words = [shutil.which("node") or shutil.which("nodejs"), MAIN, "--blobHost", "127.0.0.1", "--blobPort",
                 str(self.port), "--inMemoryPersistence", "--disableTelemetry", "--silent"]
        if certificate:
            words += ["--cert", str(certificate[0]), "--key", str(certificate[1])]
        os.environ["AZURITE_ACCOUNTS"] = f"{ACCOUNT}:{KEY}"
        try:
            self.program = Program(words, self.port, os.path.join(self.folder, "log"))
        finally:
            del os.environ["AZURITE_ACCOUNTS"]
        self.endpoint = f"{self.scheme}://127.0.0.1:{self.port}/{ACCOUNT}"
        self.connection = (f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"
                           f"DefaultEndpointsProtocol={self.scheme}")

    def request(self, method, path, query=(), body=b"", headers=()):
        """Signed by Shared Key."""
        path = f"/{ACCOUNT}/" + urllib.parse.quote(path, safe="/~")
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
        sent = {"x-ms-date": now, "x-ms-version": VERSION, **dict(headers)}
        text = "\n".join([method, "", "", str(len(body)) if body else "", "", "", "", "", "", "", "", "",
                          *(f"{name}:{sent[name]}" for name in sorted(sent) if name.startswith("x-ms-")),
                          f"/{ACCOUNT}{path}", *(f"{n}:{v}" for n, v in sorted(query))])
        digest = hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")
        sent["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path + ("?" + urllib.parse.urlencode(query) if query else ""), body=body,
                           headers=sent)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def make(self, container):
        status, data = self.request("PUT", container, query=[("restype", "container")])
        assert status == 201, data
        return f"az://{container}"

    def keys(self, container, prefix=""):
        import re
        found, marker = [], ""
        while True:
            query = [("comp", "list"), ("restype", "container"), ("prefix", prefix)]
            status, data = self.request("GET", container, query=query + ([("marker", marker)] if marker else []))
            assert status == 200, data
            text = data.decode()
            found += re.findall(r"<Name>(.*?)</Name>", text)
            marker = (re.findall(r"<NextMarker>(.*?)</NextMarker>", text) or [""])[0]
            if not marker:
                return found

    def signature(self, container, permissions, minutes=60):
        """A shared access signature for a container."""
        def when(minute):
            return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minute)).strftime(
                "%Y-%m-%dT%H:%M:%SZ")
        start, end = when(-120), when(minutes)
        text = "\n".join([permissions, start, end, f"/blob/{ACCOUNT}/{container}", "", "", "", VERSION, "c", "",
                          "", "", "", "", "", ""])
        digest = hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")
        return urllib.parse.urlencode({"sv": VERSION, "st": start, "se": end, "sr": "c", "sp": permissions,
                                       "sig": base64.b64encode(digest).decode()})

    def close(self):
        self.program.close()
