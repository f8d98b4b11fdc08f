#!/usr/bin/env python3
"""Everything bench/run prints; see bench/README.md."""
import argparse
import os
import shutil
import statistics
import subprocess

from benchlib import load, peers, process, stock, upload
from benchlib.report import Report

BUILD = os.path.join(peers.REPOSITORY, "build", "bench")
CONNECTIONS = 64
PHOTO_BYTES = 5_000_000
VIDEO_BYTES = 500_000_000


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="length of a round (3)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (3)")
    parser.add_argument("--organisations", type=int, default=100, help="(100)")
    parser.add_argument("--only", default="idle,get,list,post,photos,video",
                        help="parts to run (all: %(default)s)")
    return parser.parse_args()


class Bench:
    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.report = Report()
        self.data_dir = os.path.join(directory, "store")
        self.raw_runs = 0

    def path(self, name):
        return os.path.join(self.directory, name)

    def interleave(self, measures):
        return load.interleave(self.options.rounds, measures)

    # --- start and rest

    def idle(self):
        starts_ms = []
        for i in range(5):
            server = peers.Firsthand(self.path(f"empty{i}"), tasks="on")
            starts_ms.append(server.ready_ms)
            if i == 0:
                rss, zygote = process.rss_mb(server.pids()), process.rss_mb(server.zygote_pids())
            server.stop()
        print(f"\nAt rest: server {rss:.1f} MB, zygote {zygote:.1f} MB of RSS")
        self.report.at_most("start to ready, empty store", statistics.median(starts_ms), 100, "ms")
        self.report.at_most("idle RSS without zygote", rss, 40, "MB")

    # --- what the measured store holds

    def fill(self):
        made = stock.organisations(self.data_dir, self.options.organisations)
        self.keys = [key for _, key in made]
        self.worker = stock.worker(self.data_dir)
        self.server = peers.Firsthand(self.data_dir)
        self.jobs = stock.jobs(self.server, self.keys)
        job_path = f"/v1/jobs/{self.jobs[0][0]}"
        bodies = {"/v1/jobs/": self.server.call("GET", job_path, self.keys[0])[1].decode(),
                  "= /v1/jobs": self.server.call("GET", "/v1/jobs?limit=20",
                                                 self.keys[0])[1].decode()}
        self.nginx = peers.Nginx(self.path("nginx"), bodies)

    # --- reading

    def compare(self, name, rows, aim):
        requests = load.write_requests(self.path(name), rows)
        seconds = self.options.seconds
        found = self.interleave({
            "firsthand": lambda: load.wrk(self.server, requests, CONNECTIONS, seconds),
            "nginx return 200": lambda: load.wrk(self.nginx, requests, CONNECTIONS, seconds),
        })
        self.report.heading(f"{name}, {CONNECTIONS} connections")
        for who, result in found.items():
            self.report.row(who, result)
        ratio = found["firsthand"].per_second / found["nginx return 200"].per_second
        self.report.at_least(f"{name}: share of nginx", ratio, aim)

    def get(self):
        rows = [("GET", f"/v1/jobs/{job}", key, "") for job, key in self.jobs]
        self.compare("GET job", rows, 0.4)

    def list(self):
        rows = [("GET", "/v1/jobs?limit=20", key, "") for key in self.keys]
        self.compare("list 20", rows, 0.12)

    # --- writing

    def schema(self):
        """All migrations as one script."""
        path = self.path("schema.sql")
        folder = os.path.join(peers.REPOSITORY, "sql")
        with open(path, "w", encoding="utf-8") as out:
            for name in sorted(os.listdir(folder)):
                with open(os.path.join(folder, name), encoding="utf-8") as one:
                    out.write(one.read())
        return path

    def raw(self, organisations_count):
        self.raw_runs += 1
        store = self.path(f"raw{self.raw_runs}.db")
        done = subprocess.run(
            [os.path.join(BUILD, "raw_insert"), store, self.schema(), str(organisations_count),
             str(self.options.seconds)], check=True, stdout=subprocess.PIPE, text=True)
        jobs, seconds, cpu_s = map(float, done.stdout.split())
        for suffix in ("", "-wal", "-shm"):
            os.unlink(store + suffix)
        return load.Round(jobs / seconds, 0, 0, cpu_s, cpu_s / jobs * 1e6, 0)

    def post(self):
        seconds, count = self.options.seconds, self.options.organisations
        many = load.write_requests(
            self.path("post-many"), [("POST", "/v1/jobs", key, load.JOB_BODY) for key in self.keys])
        one = load.write_requests(
            self.path("post-one"), [("POST", "/v1/jobs", self.keys[0], load.JOB_BODY)])
        found = self.interleave({
            f"firsthand, {count} orgs": lambda: load.wrk(self.server, many, CONNECTIONS, seconds),
            f"raw inserts, {count} orgs": lambda: self.raw(count),
            "firsthand, one org": lambda: load.wrk(self.server, one, CONNECTIONS, seconds),
            "raw inserts, one org": lambda: self.raw(1),
        })
        self.report.heading(f"POST job, durable, {CONNECTIONS} connections")
        for who, result in found.items():
            self.report.row(who, result)
        over_many, raw_many, over_one, raw_one = found.values()
        self.report.at_least("POST job: share of raw inserts",
                             over_many.per_second / raw_many.per_second, 0.6)
        self.report.at_least("POST job: one hot organisation against many",
                             over_one.per_second / over_many.per_second, 1.0)
        print(f"  (one organisation: {over_one.per_second / raw_one.per_second:.2f} of raw inserts)")

    # --- uploads

    def put(self, server, streams, count, head, size_bytes, formats):
        if server is self.nginx:
            targets = [(f"/upload/{i}", "none") for i in range(count)]
        else:
            targets = stock.upload_targets(server, self.keys[0], self.worker, count, formats)
        result = upload.upload(server, streams, targets, head, size_bytes)
        shutil.rmtree(self.path("nginx/root/upload"))
        os.makedirs(self.path("nginx/root/upload"))
        return result

    def compare_put(self, what, aim, *how):
        found = self.interleave({
            "firsthand": lambda: self.put(self.server, *how),
            "nginx DAV PUT": lambda: self.put(self.nginx, *how),
        })
        self.report.heading(f"upload, {what}", "MB/s")
        for who, result in found.items():
            self.report.row(who, result)
        ratio = found["firsthand"].per_second / found["nginx DAV PUT"].per_second
        if aim:
            self.report.at_least(f"upload, {what}: share of nginx", ratio, aim)
        else:
            print(f"  share of nginx: {ratio:.2f}")

    def photos(self):
        photo = (upload.JPEG_HEAD, PHOTO_BYTES, ["image/jpeg"])
        self.compare_put("photos of 5 MB, one stream", 0.25, 1, 24, *photo)
        self.compare_put("photos of 5 MB, four streams", 0.8, 4, 48, *photo)

    def video(self):
        self.compare_put("a video of 500 MB", None, 1, 1, upload.MP4_HEAD, VIDEO_BYTES,
                         ["video/mp4"])

    def run(self):
        parts = self.options.only.split(",")
        if "idle" in parts:
            self.idle()
        if parts == ["idle"]:
            return
        self.fill()
        try:
            for part in parts:
                if part != "idle":
                    getattr(self, part)()
            print(f"\nAfter all: server {process.rss_mb(self.server.pids()):.1f} MB, zygote "
                  f"{process.rss_mb(self.server.zygote_pids()):.1f} MB of RSS")
        finally:
            self.nginx.stop()
            self.server.stop()


def main():
    directory = os.path.join(BUILD, "work")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    bench = Bench(arguments(), directory)
    try:
        bench.run()
        bench.report.summary()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
