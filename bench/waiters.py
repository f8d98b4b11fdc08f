#!/usr/bin/env python3
"""Everything bench/waiters prints; see bench/README.md."""
import argparse
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import time

from benchlib import load, peers, process, stock
from benchlib.pollers import Pollers
from benchlib.report import Report

DIRECTORY = os.path.join(peers.REPOSITORY, "build", "bench", "waiters")
CONNECTIONS = 64
WAITERS_OF_A_KEY = 1000
WAIT_SECONDS = 60
KILLED = 1000
KILLED_WAIT_SECONDS = 5


def arguments():
    parser = argparse.ArgumentParser(prog="bench/waiters", description=__doc__)
    parser.add_argument("--waiters", type=int, default=10_000, help="(10000)")
    parser.add_argument("--seconds", type=int, default=5, help="length of a round (5)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (3)")
    parser.add_argument("--organisations", type=int, default=100, help="(100)")
    parser.add_argument("--idle-seconds", type=int, default=10, help="(10)")
    return parser.parse_args()


class Bench:
    def __init__(self, options):
        self.options = options
        self.report = Report()
        self.data_dir = os.path.join(DIRECTORY, "store")
        made = stock.organisations(self.data_dir, options.organisations)
        self.keys = [key for _, key in made]
        self.pollers_keys = stock.keys(self.data_dir, made[0][0],
                                       -(-options.waiters // WAITERS_OF_A_KEY))
        self.server = peers.Firsthand(self.data_dir, waiters_max=str(options.waiters))
        self.jobs = stock.jobs(self.server, self.keys)

    def path(self, name):
        return os.path.join(DIRECTORY, name)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.child.pid}/fd"))

    def descriptors_reach(self, count, what):
        process.wait_until(lambda: self.descriptors() <= count, what, 2 * WAIT_SECONDS)

    def waiting(self):
        lines = self.server.call("GET", "/metrics")[1].decode().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("firsthand_long_polls "))

    def job(self):
        body = json.loads(load.JOB_BODY)
        return self.server.make("POST", "/v1/jobs", self.keys[0], body)["id"]

    def open(self, job):
        pollers = Pollers(self.server.port, f"/v1/jobs/{job}", self.pollers_keys,
                          self.options.waiters, WAIT_SECONDS)
        process.wait_until(lambda: self.waiting() >= self.options.waiters, "long polls to settle")
        return pollers

    def end(self, job):
        self.server.make("POST", f"/v1/jobs/{job}/cancel", self.keys[0])

    # --- what is measured

    def idle_us(self):
        before = process.run_us(self.server.child.pid)
        time.sleep(self.options.idle_seconds)
        return (process.run_us(self.server.child.pid) - before) / self.options.idle_seconds

    def rest(self):
        """Memory and CPU of those that wait, and what it takes until all are answered."""
        job = self.job()
        without_us = self.idle_us()
        before_mb = process.rss_mb(self.server.pids())
        began = time.monotonic()
        pollers = self.open(job)
        opened_s = time.monotonic() - began
        rss_mb = process.rss_mb(self.server.pids())
        with_us = self.idle_us()
        took = pollers.when_answered(lambda: self.end(job))
        for status, body in pollers.replies():
            if status != 200 or json.loads(body)["status"] != "cancelled":
                raise SystemExit(f"bench: a long poll was answered {status}")
        pollers.close()
        self.descriptors_reach(self.descriptors_idle + CONNECTIONS, "answered long polls to go")
        print(f"\n{self.options.waiters} long polls, opened in {opened_s:.1f} s: server "
              f"{before_mb:.1f} -> {rss_mb:.1f} MB of RSS;"
              f"\n  CPU at rest {without_us:.0f} us/s without, {with_us:.0f} us/s with them;"
              f"\n  answered after {took[0] * 1e3:.0f} ms (first), "
              f"{statistics.median(took) * 1e3:.0f} ms (median), {took[-1] * 1e3:.0f} ms (last)")
        self.report.at_most("memory of a long poll",
                            (rss_mb - before_mb) * 1024 / self.options.waiters, 8, "KB")
        self.report.at_most("CPU at rest because of them", with_us - without_us, 1000, "us/s")
        self.report.at_most("job's end to the last answer", took[-1] * 1e3, 200, "ms")

    def beside_waiters(self, measure):
        job = self.job()
        pollers = self.open(job)
        found = measure()
        pollers.when_answered(lambda: self.end(job))
        pollers.close()
        self.descriptors_reach(self.descriptors_idle + CONNECTIONS, "answered long polls to go")
        return found

    def compare(self, name, rows):
        requests = load.write_requests(self.path(name), rows)

        def measure():
            return load.wrk(self.server, requests, CONNECTIONS, self.options.seconds)

        found = load.interleave(self.options.rounds, {
            "alone": measure, "beside long polls": lambda: self.beside_waiters(measure)})
        self.report.heading(f"{name}, {CONNECTIONS} connections")
        for who, result in found.items():
            self.report.row(who, result)
        alone, beside = found.values()
        self.report.at_least(f"{name}: rate beside long polls", beside.per_second / alone.per_second,
                             0.85)

    def rates(self):
        self.compare("GET job", [("GET", f"/v1/jobs/{job}", key, "") for job, key in self.jobs])
        self.compare("POST job", [("POST", "/v1/jobs", key, load.JOB_BODY) for key in self.keys])

    def killed(self):
        before = self.descriptors()
        job = self.job()
        ready, told = multiprocessing.Pipe()

        def poll():
            Pollers(self.server.port, f"/v1/jobs/{job}", self.pollers_keys[:1], KILLED,
                    KILLED_WAIT_SECONDS)
            told.send("all have asked")
            time.sleep(WAIT_SECONDS)

        child = multiprocessing.Process(target=poll)
        child.start()
        ready.recv()
        asked = time.monotonic()
        child.kill()
        child.join()
        most = self.descriptors()
        self.descriptors_reach(before, "killed long polls to go")
        took_s = time.monotonic() - asked
        print(f"\n{KILLED} long polls of {KILLED_WAIT_SECONDS} s whose client was killed: "
              f"{before} -> {most} descriptors, back after {took_s:.2f} s")
        self.report.at_most("killed long polls gone", took_s, KILLED_WAIT_SECONDS + 1, "s")

    def run(self):
        self.descriptors_idle = self.descriptors()
        self.rest()
        self.rates()
        self.killed()
        self.server.stop()
        self.report.summary()


def main():
    options = arguments()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    os.makedirs(DIRECTORY)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        Bench(options).run()
    finally:
        shutil.rmtree(DIRECTORY, ignore_errors=True)


if __name__ == "__main__":
    main()
