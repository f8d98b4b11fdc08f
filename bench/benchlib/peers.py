"""The two servers that are compared: Firsthand, and nginx with a configuration of its own."""
import http.client
import json
import os
import socket
import subprocess
import time
import uuid

from . import process

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.join(REPOSITORY, "build", "firsthand")
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("FIRSTHAND_")}

# Limits that would refuse the load are off; what would use the CPU beside it, too. The rest, the
# access log included, is as it comes.
SETTINGS = {
    "listen": "127.0.0.1:0",
    "rate-limit-per-minute": "0",
    "worker-reservations-max": "10000",
    "worker-submissions-per-day": "0",
    "tasks": "off",
}


def command(data_dir, *words):
    """Run a command of the server that prints one JSON object."""
    done = subprocess.run([BINARY, *words, "--data-dir", data_dir], env=ENVIRONMENT, check=True,
                          stdout=subprocess.PIPE)
    return json.loads(done.stdout)


class Firsthand:
    def __init__(self, data_dir, **settings):
        wanted = {**SETTINGS, "data-dir": data_dir, "log-file": os.path.join(data_dir, "log"),
                  **{name.replace("_", "-"): value for name, value in settings.items()}}
        os.makedirs(data_dir, mode=0o700, exist_ok=True)
        flags = [word for name, value in wanted.items() for word in (f"--{name}", value)]
        began = time.monotonic()
        self.child = subprocess.Popen([BINARY, "serve", *flags], env=ENVIRONMENT,
                                      stdout=subprocess.PIPE, text=True)
        line = self.child.stdout.readline()
        if "http://" not in line:
            raise SystemExit("bench: the server did not start")
        self.url = line.split()[-1]
        self.port = int(self.url.rpartition(":")[2])
        assert self.call("GET", "/readyz")[0] == 200
        self.ready_ms = (time.monotonic() - began) * 1000

    def pids(self):
        return [self.child.pid]

    def zygote_pids(self):
        return process.children_of(self.child.pid)

    def call(self, method, path, token=None, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, text

    def make(self, method, path, token, body=None):
        """A call that must succeed; its JSON."""
        headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else None
        status, text = self.call(method, path, token, body, headers)
        if status not in (200, 201):
            raise SystemExit(f"bench: {method} {path} answered {status}: {text[:300]}")
        return json.loads(text)

    def stop(self):
        process.stop(self.child)
        self.child.stdout.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# A parameter may have 4 KiB in nginx's configuration, so a long body comes in pieces.
PIECE_BYTES = 3000


def quoted(text):
    assert "'" not in text and "$" not in text and "\\" not in text
    return f"'{text}'"


def return_location(path, body):
    pieces = [body[i:i + PIECE_BYTES] for i in range(0, len(body), PIECE_BYTES)]
    sets = "".join(f"set $piece{i} {quoted(piece)}; " for i, piece in enumerate(pieces))
    names = "".join(f"$piece{i}" for i in range(len(pieces)))
    return f"location {path} {{ default_type application/json; {sets}return 200 \"{names}\"; }}\n"


class Nginx:
    """return 200 with the given bytes under each path; DAV PUT under /upload/. Nothing is logged."""

    def __init__(self, directory, bodies):
        os.makedirs(os.path.join(directory, "root", "upload"))
        os.makedirs(os.path.join(directory, "body"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = os.path.join(directory, "nginx.conf")
        with open(config, "w") as file:
            file.write(f"""
worker_processes auto; daemon off; pid {directory}/pid; error_log {directory}/error.log;
{"user root;" if os.getuid() == 0 else ""}
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f;
    uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    server {{
        listen 127.0.0.1:{self.port}; root {directory}/root;
        location /upload/ {{ dav_methods PUT; }}
        {"".join(return_location(path, body) for path, body in bodies.items())}
    }}
}}
""")
        self.child = subprocess.Popen([nginx_binary(), "-p", directory, "-c", config])
        process.wait_until(self.answers, "nginx")

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def pids(self):
        return [self.child.pid, *process.children_of(self.child.pid)]

    def stop(self):
        process.stop(self.child)


def nginx_binary():
    for path in ("/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"):
        if os.path.exists(path):
            return path
    raise SystemExit("bench: nginx is missing: tools/install-deps bench")
