"""A proxy that stands between a client and an HTTP server and is a bad network: by chance it drops
requests before or after the server has carried them out, delays them, carries them out late when
the client has long heard of a broken connection, cuts answers short, and answers 500 and 503 itself.

    proxy = ChaosProxy(("127.0.0.1", 7480), seed=1, faults={"drop_before": 0.01, ...})
    proxy.address                # ("127.0.0.1", port)
    proxy.faults = {}            # an honest network from now on
    proxy.counts                 # how often each fault was met
    proxy.close()

It reads HTTP/1.1 as far as it needs to know where a message ends: Content-Length, chunked bodies,
no body for HEAD, 204 and 304. Bodies pass in pieces, so their size does not matter. One thread, by
asyncio. The faults, each a chance per request:

  drop_before   the connection is closed, the server never hears of it
  drop_after    the server carries it out, the client's connection is closed without an answer
  late          the client's connection is closed; the server gets the request some time later
  cut           the answer breaks off after some of its bytes
  delay         the answer waits
  error_500     500 without the server having heard of it
  error_500_after  500 although the server has carried it out
  error_503     503, as a proxy's page of HTML

ChaosProcess is the same as a process of its own, for tests that keep their own busy.
"""

import asyncio
import collections
import json
import random
import subprocess
import sys
import threading

PIECE = 64 << 10
HEAD_MAX = 64 << 10
FAULTS = ("drop_before", "drop_after", "late", "cut", "delay", "error_500", "error_500_after",
          "error_503")
PAGE = b"<html><body>this page is from a proxy</body></html>"


class Broken(Exception):
    """The other side has gone."""


class Message:
    def __init__(self, head):
        self.head = head
        lines = head.decode("latin-1").split("\r\n")
        self.first = lines[0].split(" ", 2)
        self.fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.fields[name.strip().lower()] = value.strip()

    def keeps(self):
        return self.fields.get("connection", "").lower() != "close"


async def read_head(reader):
    """The head with its empty line; None at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise Broken from None
        return None
    except (asyncio.LimitOverrunError, ConnectionError):
        raise Broken from None


async def body_pieces(reader, message, has_body=True):
    """The body's bytes as they are on the wire."""
    if not has_body:
        return
    if "chunked" in message.fields.get("transfer-encoding", "").lower():
        while True:
            line = await reader.readuntil(b"\r\n")
            yield line
            size = int(line.split(b";")[0], 16)
            left = size + 2
            while left:
                piece = await reader.read(min(left, PIECE))
                if not piece:
                    raise Broken
                left -= len(piece)
                yield piece
            if size == 0:
                return
    elif "content-length" in message.fields:
        left = int(message.fields["content-length"])
        while left:
            piece = await reader.read(min(left, PIECE))
            if not piece:
                raise Broken
            left -= len(piece)
            yield piece
    elif message.first[0].startswith("HTTP/"):  # until the end of the connection
        while piece := await reader.read(PIECE):
            yield piece


class ChaosProxy:
    def __init__(self, server, seed=0, faults=None, delay_seconds=0.5):
        self.server = server
        self.faults = dict(faults or {})
        assert set(self.faults) <= set(FAULTS)
        self.delay_seconds = delay_seconds
        self.random = random.Random(seed)
        self.counts = collections.Counter()
        self.loop = asyncio.new_event_loop()
        self.tasks = set()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def close(self):
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join()

    # ---- in the thread ----

    def _run(self, ready):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve(ready))
        self.loop.close()

    async def _serve(self, ready):
        self.stopping = asyncio.Event()
        listener = await asyncio.start_server(self._client, "127.0.0.1", 0, limit=HEAD_MAX)
        self.address = listener.sockets[0].getsockname()
        ready.set()
        await self.stopping.wait()
        listener.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _choose(self):
        """The fault of a request; '' for none."""
        number = self.random.random()
        for name, chance in self.faults.items():
            if number < chance:
                self.counts[name] += 1
                return name
            number -= chance
        return ""

    async def _client(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        upstream = None
        try:
            while True:
                head = await read_head(reader)
                if head is None:
                    break
                request = Message(head)
                self.counts["requests"] += 1
                if upstream is None:
                    upstream = await asyncio.open_connection(*self.server, limit=HEAD_MAX)
                if not await self._request(request, reader, writer, upstream):
                    break
        except (Broken, ConnectionError, asyncio.IncompleteReadError, OSError):
            self.counts["broken"] += 1
        except asyncio.CancelledError:
            pass
        finally:
            self.tasks.discard(task)
            for side in (writer, upstream[1] if upstream else None):
                if side:
                    side.transport.abort() if side is writer else side.close()

    async def _request(self, request, reader, writer, upstream):
        """One request and its answer; False when the connection has come to its end."""
        fault = self._choose()
        if fault == "drop_before":
            return False
        if fault in ("error_500", "error_503"):
            async for _ in body_pieces(reader, request):
                pass
            await self._answer(writer, fault)
            return request.keeps()
        if fault == "late":
            body = [piece async for piece in body_pieces(reader, request)]
            late = asyncio.ensure_future(self._late(request.head, body))
            self.tasks.add(late)
            late.add_done_callback(self.tasks.discard)
            return False

        from_server, to_server = upstream
        to_server.write(request.head)
        if "100-continue" in request.fields.get("expect", "").lower():
            raise Broken  # no client of ours asks so
        async for piece in body_pieces(reader, request):
            to_server.write(piece)
            await to_server.drain()
        await to_server.drain()
        head = await read_head(from_server)
        if head is None:
            raise Broken
        answer = Message(head)
        has_body = request.first[0] != "HEAD" and answer.first[1] not in ("204", "304")
        if fault in ("drop_after", "error_500_after"):
            async for _ in body_pieces(from_server, answer, has_body):
                pass
            if fault == "drop_after":
                return False
            await self._answer(writer, "error_500")
            return request.keeps() and answer.keeps()
        if fault == "delay":
            await asyncio.sleep(self.random.random() * self.delay_seconds)
        if fault == "cut":
            await self._cut(head, from_server, answer, has_body, writer)
            return False
        writer.write(head)
        async for piece in body_pieces(from_server, answer, has_body):
            writer.write(piece)
            await writer.drain()
        await writer.drain()
        return request.keeps() and answer.keeps()

    async def _cut(self, head, from_server, answer, has_body, writer):
        """Some bytes of the answer, of its head or of its body."""
        size = int(answer.fields.get("content-length", 0)) if has_body else 0
        if size and self.random.random() < 0.8:
            left = self.random.randrange(size)
            writer.write(head)
            async for piece in body_pieces(from_server, answer):
                writer.write(piece[:left])
                await writer.drain()
                left -= len(piece)
                if left <= 0:
                    break
        else:
            writer.write(head[:self.random.randrange(len(head))])
        try:
            await asyncio.wait_for(writer.drain(), 5)
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, asyncio.TimeoutError):
            pass

    async def _late(self, head, body):
        await asyncio.sleep(self.random.random() * self.delay_seconds * 4)
        try:
            from_server, to_server = await asyncio.open_connection(*self.server, limit=HEAD_MAX)
            to_server.write(head)
            to_server.writelines(body)
            await to_server.drain()
            await read_head(from_server)
            to_server.close()
            self.counts["late landed"] += 1
        except (Broken, OSError):
            pass

    async def _answer(self, writer, fault):
        status = b"500 Internal Server Error" if fault == "error_500" else b"503 Slow Down"
        writer.write(b"HTTP/1.1 %b\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b"
                     % (status, len(PAGE), PAGE))
        await writer.drain()


class ChaosProcess:
    """A ChaosProxy in another process, used in the same way."""

    def __init__(self, server, seed=0, faults=None):
        self.process = subprocess.Popen([sys.executable, __file__, *map(str, server), str(seed)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = tuple(json.loads(self.process.stdout.readline()))
        self.faults = faults or {}

    def _ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    @property
    def counts(self):
        return collections.Counter(self._ask(None))

    def __setattr__(self, name, value):
        if name == "faults":
            self._ask(value)
        else:
            super().__setattr__(name, value)

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


def main(host, port, seed):
    proxy = ChaosProxy((host, int(port)), int(seed))
    print(json.dumps(proxy.address), flush=True)
    for line in sys.stdin:
        faults = json.loads(line)
        if faults is not None:
            proxy.faults = faults
        print(json.dumps(proxy.counts), flush=True)
    proxy.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
