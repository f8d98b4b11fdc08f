#!/usr/bin/env python3
"""What bench/webhooks prints; see bench/README.md."""
import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import time

from benchlib import peers, process, stock
from benchlib.load import JOB_BODY

BUILD = os.path.join(peers.REPOSITORY, "build", "bench")
ENDPOINTS = 16
WIDTH = 8 * ENDPOINTS  # requests under way at a time, for all three
SECONDS_MAX = 120
ULID_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def arguments():
    parser = argparse.ArgumentParser(prog="bench/webhooks", description=__doc__)
    parser.add_argument("--count", type=int, default=20000, help="deliveries a round (20000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (3)")
    return parser.parse_args()


def made_id(prefix, now_ms, number):
    value, digits = now_ms << 80 | number, ""
    for _ in range(26):
        digits = ULID_DIGITS[value & 31] + digits
        value >>= 5
    return prefix + digits


class Sink:
    """The receiver of all three."""

    def __init__(self):
        self.child = subprocess.Popen([os.path.join(BUILD, "sink")], stdout=subprocess.PIPE,
                                      text=True)
        self.url = f"http://127.0.0.1:{self.child.stdout.readline().strip()}/"

    def stop(self):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


def program(name, sink, body, count):
    """(requests a second, CPU us a request) of one of the C programs."""
    words = [os.path.join(BUILD, name), sink.url, body, str(count), str(WIDTH)]
    done, seconds, cpu = subprocess.run(words, check=True, capture_output=True,
                                        text=True).stdout.split()
    return int(done) / float(seconds), float(cpu) / int(done) * 1e6


class Durable:
    """A server with a store of its own: what is told to endpoints, and written down."""

    def __init__(self, directory, sink):
        self.directory = directory
        org_id, key = stock.organisations(directory, 1)[0]
        server = self.started()
        self.job = server.make("POST", "/v1/jobs", key, json.loads(JOB_BODY))
        self.endpoints = [server.make("POST", "/v1/webhook_endpoints", key,
                                      {"url": f"{sink.url}{i}"})["id"] for i in range(ENDPOINTS)]
        server.stop()
        self.org_id, self.made = org_id, 0

    def started(self):
        return peers.Firsthand(self.directory, tasks="on", webhook_allow="127.0.0.1/32")

    def store(self):
        return sqlite3.connect(os.path.join(self.directory, "store.db"))

    def add(self, count):
        """Pending events, as event_emit writes them: one occurrence for all the endpoints."""
        now_ms, data = int(time.time() * 1000), json.dumps(self.job)
        with self.store() as db:
            for _ in range(count // ENDPOINTS):
                self.made += 1
                occurrence = made_id("occ_", now_ms, self.made)
                db.execute("INSERT INTO occurrences (id, org_id, environment, type, subject_id,"
                           " data, created_ms) VALUES (?, ?, 0, 'job.cancelled', ?, ?, ?)",
                           (occurrence, self.org_id, self.job["id"], data, now_ms))
                for endpoint in self.endpoints:
                    self.made += 1
                    db.execute("INSERT INTO webhook_events (id, org_id, environment, endpoint_id,"
                               " occurrence_id, status, attempts_count, next_ms, created_ms)"
                               " VALUES (?, ?, 0, ?, ?, 'pending', 0, ?, ?)",
                               (made_id("evt_", now_ms, self.made), self.org_id, endpoint,
                                occurrence, now_ms, now_ms))

    def count(self, query):
        db = self.store()
        value = db.execute(query).fetchone()[0]
        db.close()
        return value

    def rate(self, count):
        """From the first attempt's begin until every attempt is in the store."""
        self.add(count)
        before = self.count("SELECT count(*) FROM webhook_attempts")
        server = self.started()
        cpu = process.cpu_seconds(server.pids())
        deadline = time.monotonic() + SECONDS_MAX
        while self.count("SELECT count(*) FROM webhook_events WHERE status = 'pending'"
                         " AND awaits_job_id IS NULL") > 0:
            assert time.monotonic() < deadline, "deliveries do not end"
            time.sleep(0.02)
        ended_ms = time.time() * 1000
        cpu = process.cpu_seconds(server.pids()) - cpu
        server.stop()
        began_ms = self.count("SELECT min(started_ms) FROM (SELECT started_ms FROM webhook_attempts"
                              f" ORDER BY rowid DESC LIMIT {count})")
        recorded = self.count("SELECT count(*) FROM webhook_attempts WHERE http_status = 200")
        assert recorded == before + count // ENDPOINTS * ENDPOINTS, "every attempt is written down"
        return count / (ended_ms - began_ms) * 1000, cpu / count * 1e6


def main():
    options = arguments()
    directory = os.path.join(BUILD, "webhooks")
    shutil.rmtree(directory, ignore_errors=True)
    sink = Sink()
    try:
        durable = Durable(directory, sink)
        body = json.dumps({"id": made_id("evt_", 0, 0), "object": "event", "type": "job.cancelled",
                           "api_version": "2026-03-18", "data": durable.job})
        found = {"bare libcurl": [], "sender alone, signed": [], "signed and durable": []}
        for _ in range(options.rounds):
            found["bare libcurl"].append(program("raw_send", sink, body, options.count))
            found["sender alone, signed"].append(
                program("sender_alone", sink, body, options.count))
            found["signed and durable"].append(durable.rate(options.count))
        print(f"{options.count} deliveries of {len(body)} bytes, {WIDTH} at a time,"
              f" {ENDPOINTS} endpoints, medians of {options.rounds}\n")
        print(f"{'':24}{'requests/s':>12}{'ratio':>8}{'CPU us':>8}")
        bare = statistics.median(rate for rate, _ in found["bare libcurl"])
        for name, rounds in found.items():
            rate = statistics.median(rate for rate, _ in rounds)
            cpu = statistics.median(cpu for _, cpu in rounds)
            print(f"{name:24}{rate:12.0f}{rate / bare:8.2f}{cpu:8.1f}")
    finally:
        sink.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
