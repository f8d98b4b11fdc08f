"""Uploads by PUT over plain sockets: the same client for every server."""
import os
import socket
import statistics
import threading
import time

from . import process
from .load import Round

PIECE_BYTES = 4 << 20
JPEG_HEAD = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb0043")
MP4_HEAD = b"\0\0\0\x1cftypisom\0\0\2\0isomiso2mp41"


def body_pieces(head, size_bytes):
    """size_bytes in pieces: head, chance, and more of the same chance. No two bodies are equal."""
    first = head + os.urandom(min(PIECE_BYTES, size_bytes) - len(head))
    pieces = [first]
    left = size_bytes - len(first)
    while left > 0:
        pieces.append(memoryview(first)[:left])
        left -= len(pieces[-1])
    return pieces


def read_status(connection, buffered):
    """The status of one reply; what it says is dropped."""
    while b"\r\n\r\n" not in buffered:
        got = connection.recv(65536)
        if not got:
            raise SystemExit("bench: the server hung up")
        buffered += got
    head, _, rest = buffered.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(rest) < length:
        rest += connection.recv(65536)
    return int(head.split()[1])


class Stream(threading.Thread):
    """One connection that sends one file after the other."""

    def __init__(self, port, targets, head, size_bytes):
        super().__init__()
        self.port, self.targets = port, targets
        self.bodies = [body_pieces(head, size_bytes) for _ in targets]
        self.size_bytes = size_bytes
        self.took_s, self.statuses = [], []

    def run(self):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for (path, token), pieces in zip(self.targets, self.bodies):
                began = time.monotonic()
                connection.sendall((f"PUT {path} HTTP/1.1\r\nHost: bench\r\n"
                                    f"Authorization: Bearer {token}\r\n"
                                    "Content-Type: application/octet-stream\r\n"
                                    f"Content-Length: {self.size_bytes}\r\n\r\n").encode())
                for piece in pieces:
                    connection.sendall(piece)
                self.statuses.append(read_status(connection, b""))
                self.took_s.append(time.monotonic() - began)


def upload(server, streams_count, targets, head, size_bytes):
    """Send to all targets, shared out over the streams. per_second counts MB."""
    streams = [Stream(server.port, targets[i::streams_count], head, size_bytes)
               for i in range(streams_count)]
    pids = server.pids()
    before, began = process.cpu_seconds(pids), time.monotonic()
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.join()
    took_s = time.monotonic() - began
    cpu_s = process.cpu_seconds(pids) - before
    statuses = [status for stream in streams for status in stream.statuses]
    if len(statuses) != len(targets) or any(status not in (200, 201) for status in statuses):
        raise SystemExit(f"bench: uploads answered {sorted(set(statuses))}")
    times_ms = sorted(t * 1000 for stream in streams for t in stream.took_s)
    size_mb = len(targets) * size_bytes / 1e6
    return Round(size_mb / took_s, statistics.median(times_ms),
                 times_ms[min(len(times_ms) - 1, int(len(times_ms) * 0.99))], cpu_s,
                 cpu_s / size_mb * 1e6, process.rss_mb(pids))
