"""A table in a bucket lives through the deaths of everybody who works on it (test_life.py), over a bad
network (chaos_proxy.py): requests that are dropped before and after the server has carried them out,
that come late, answers cut short, 500 and 503 out of nothing, and a server that goes away and comes
back. What must hold is the same: every acknowledged row is there once, every query saw a state that
was, and nothing is left that nothing refers to.

GLIS_LIFE_MINUTES=N lets it live so long; GLIS_LIFE_WRITERS=N has N ingesting processes and a quarter
as many readers at the same time.
"""

import os
import signal
import subprocess
import threading
import time

import pytest
from chaos_proxy import ChaosProcess
from s3_servers import KEY, SECRET, Ceph, wait_for
from test_life import SECONDS, SEED, Life, begin, judge, live

WRITERS = int(os.environ.get("GLIS_LIFE_WRITERS", 4))
WORKERS = {"ingest": WRITERS, "compact": 2, "maintain": 1, "split": 1, "collect": 1,
           "query": max(2, WRITERS // 4), "bulk": 1, "change": 1, "trim": 1}
FAULTS = {"drop_before": 0.01, "drop_after": 0.01, "late": 0.005, "cut": 0.01, "delay": 0.02,
          "error_500": 0.01, "error_500_after": 0.005, "error_503": 0.01}
# What a command may end with when the network leaves it no way: the work is done again then.
TROUBLE = ["tries", "Empty reply", "within its head", "the outcome", "unknown", "GLIS_EUNKNOWN",
           "nothing can tell", "time limit", "timed out", "time-out", "Failed to connect",
           "Connection reset", "closed without an answer", "broke off", "HTTP status 50",
           "was begun anew by somebody else"]  # by a request that came late


class BucketLife(Life):
    # A command waits for its share of the processor: the more there are the longer it lasts.
    orphan_seconds = 20 + WRITERS
    run_seconds_max = 600 + SECONDS

    def __init__(self, folder, ceph, port):
        self.ceph = ceph
        super().__init__(folder, "s3://life/an/instance", {
            "HOME": "/nonexistent", "GLIS_CACHE_DISK": "0",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "GLIS_COMPACTION_LEASE": "15s"}, TROUBLE)

    def objects(self, prefix):
        return self.ceph.client.keys("life", f"an/instance/{prefix}")


class Outages(threading.Thread):
    """Has a server go away and come back, again and again."""

    def __init__(self, interrupt, pause_seconds):
        super().__init__()
        self.interrupt, self.pause_seconds = interrupt, pause_seconds
        self.n, self.failure, self.over = 0, None, threading.Event()

    def run(self):
        try:
            while not self.over.wait(self.pause_seconds):
                self.interrupt(self.n)
                self.n += 1
        except BaseException as failure:
            self.failure = failure

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        if self.failure:
            raise self.failure


def interrupt_gateway(ceph):
    """The gateway is killed, or asked to end; the objects outlive it."""
    def interrupt(number):
        gateway = ceph.processes.pop()
        gateway.send_signal((signal.SIGKILL, signal.SIGTERM)[number % 2])
        try:
            gateway.wait(5)
        except subprocess.TimeoutExpired:
            gateway.kill()
            gateway.wait()
        time.sleep(1)
        gateway = ceph.start("radosgw", "--no-mon-config", "-f", "-n", "client.rgw.a")
        assert wait_for(ceph.port, gateway), "the gateway did not come back"
    return interrupt


def test_a_table_in_a_bucket_lives_through_deaths_and_a_bad_network(tmp_path):
    if not Ceph.is_there():
        pytest.skip("no Ceph (Debian: ceph-mon ceph-osd radosgw ceph-common)")
    print(f"GLIS_LIFE_SEED={SEED}")
    ceph = Ceph(tmp_path / "ceph")
    proxy = ChaosProcess(("127.0.0.1", ceph.port), seed=SEED)
    try:
        ceph.client.ok("PUT", "life")
        life = BucketLife(tmp_path, ceph, proxy.address[1])
        begin(life)
        proxy.faults = FAULTS
        with Outages(interrupt_gateway(ceph), min(SECONDS / 3, 40)) as outages:
            live(life, WORKERS, SECONDS)
        print(f"{outages.n} outages; {dict(proxy.counts)}")
        time.sleep(3)  # what is late comes now
        proxy.faults = {}
        assert all(proxy.counts[fault] > 0 for fault in FAULTS), proxy.counts
        judge(life, WORKERS)
    finally:
        proxy.close()
        ceph.close()
