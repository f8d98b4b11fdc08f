#!/usr/bin/env python3
"""What bench/flat prints: the same calls on a store of a million jobs and on an empty one."""
import argparse
import concurrent.futures
import os
import shutil
import subprocess
import time

from benchlib import load, peers, stock
from benchlib.report import Report

BUILD = os.path.join(peers.REPOSITORY, "build", "bench")
CONNECTIONS = 64
RATIO_MAX = 1.5
BESIDE = "GET job beside the feed"


def arguments():
    parser = argparse.ArgumentParser(prog="bench/flat", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000, help="(1000000)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a round (3)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (3)")
    parser.add_argument("--organisations", type=int, default=100, help="(100)")
    return parser.parse_args()


class Store:
    """A store of its own with a server on it."""

    def __init__(self, directory, name, organisations_count):
        self.data_dir = os.path.join(directory, name)
        self.path = os.path.join(self.data_dir, "store.db")
        self.keys = [key for _, key in stock.organisations(self.data_dir, organisations_count)]
        self.worker = stock.worker(self.data_dir)

    def start(self):
        self.server = peers.Firsthand(self.data_dir)

    def old_jobs(self):
        """Some jobs from all over the store, each with its organisation's key."""
        found = []
        for key in self.keys:
            page, cursor = 0, ""
            while page < 3:
                answer = self.server.make("GET", f"/v1/jobs?limit=100{cursor}", key)
                found += [(row["id"], key) for row in answer["data"]]
                page += 1
                if not answer["has_more"]:
                    break
                cursor = f"&cursor={answer['next_cursor']}"
        return found


def audit(store):
    began = time.monotonic()
    done = subprocess.run([peers.BINARY, "audit", "--data-dir", store.data_dir],
                          env=peers.ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    print(f"audit of the full store: {done.stdout.splitlines()[-1]} ({time.monotonic() - began:.0f} s)",
          flush=True)
    if done.returncode:
        raise SystemExit(done.stdout)


def fill(store, jobs):
    began = time.monotonic()
    subprocess.run([os.path.join(BUILD, "load_store"), store.path, str(jobs)], check=True)
    size_mb = os.path.getsize(store.path) / 1e6
    print(f"{jobs} jobs, {5 * jobs} ledger rows loaded: {size_mb:.0f} MB, "
          f"{time.monotonic() - began:.0f} s", flush=True)


def requests_of(directory, name, store):
    def write(kind, rows):
        return load.write_requests(os.path.join(directory, f"{name}-{kind}"), rows)
    return {
        "GET job": write("get", [("GET", f"/v1/jobs/{job}", key, "")
                                 for job, key in store.old_jobs()]),
        "list 20": write("list", [("GET", "/v1/jobs?limit=20", key, "") for key in store.keys]),
        "feed 20": write("feed", [("GET", "/worker/v1/jobs?limit=20", store.worker, "")]),
        "POST job": write("post", [("POST", "/v1/jobs", key, load.JOB_BODY)
                                   for key in store.keys]),
    }


def compare(report, options, what, on_empty, on_full):
    found = load.interleave(options.rounds, {"empty store": on_empty, "full store": on_full})
    report.heading(what)
    for who, result in found.items():
        report.row(who, result)
    return found["empty store"], found["full store"]


def beside_feeds(server, requests, seconds):
    """Some GETs a second while a few workers read the feed."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        feeds = pool.submit(load.wrk, server, requests["feed 20"], 4, seconds, 20)
        found = load.wrk(server, requests["GET job"], 16, seconds, 8)
        feeds.result()
    return found


def measure(options, directory):
    report = Report()
    empty = Store(directory, "empty", options.organisations)
    full = Store(directory, "full", options.organisations)
    fill(full, options.jobs)
    audit(full)
    try:
        empty.start()
        full.start()
        stock.jobs(empty.server, empty.keys)  # so that a page of 20 is full
        on_empty = requests_of(directory, "empty", empty)
        on_full = requests_of(directory, "full", full)
        for what in on_empty:
            before, after = compare(
                report, options, what,
                lambda: load.wrk(empty.server, on_empty[what], CONNECTIONS, options.seconds),
                lambda: load.wrk(full.server, on_full[what], CONNECTIONS, options.seconds))
            report.at_most(f"{what}: times slower on the full store",
                           before.per_second / after.per_second, RATIO_MAX)
        before, after = compare(
            report, options, BESIDE,
            lambda: beside_feeds(empty.server, on_empty, options.seconds),
            lambda: beside_feeds(full.server, on_full, options.seconds))
        report.at_most(f"{BESIDE}: times the p99 on the full store",
                       after.p99_ms / before.p99_ms, RATIO_MAX)
    finally:
        for store in (empty, full):
            if hasattr(store, "server"):
                store.server.stop()
    audit(full)
    report.summary()


def main():
    options = arguments()
    directory = os.path.join(BUILD, "flat")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    try:
        measure(options, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
