"""Long polls from one process: sockets that have asked and wait."""
import gc
import http.client
import select
import socket
import time

REPLY_SECONDS_MAX = 30


class Pollers:
    """count requests for one path, of the tokens in turn, each on a connection of its own."""

    def __init__(self, port, path, tokens, count, wait_seconds):
        self.sockets = []
        for i in range(count):
            request = (f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer "
                       f"{tokens[i % len(tokens)]}\r\nPrefer: wait={wait_seconds}\r\n\r\n")
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(request.encode())
            self.sockets.append(connection)

    def when_answered(self, act):
        """Act, and the seconds from then until each poller had something to read, in order."""
        poll = select.epoll()
        for connection in self.sockets:
            poll.register(connection, select.EPOLLIN | select.EPOLLONESHOT)
        took = []
        gc.disable()
        began = time.monotonic()
        act()
        while len(took) < len(self.sockets):
            events = poll.poll(REPLY_SECONDS_MAX, len(self.sockets))
            if not events:
                raise SystemExit(f"bench: {len(self.sockets) - len(took)} long polls unanswered")
            took.extend([time.monotonic() - began] * len(events))
        gc.enable()
        poll.close()
        return took

    def replies(self):
        for connection in self.sockets:
            response = http.client.HTTPResponse(connection)
            response.begin()
            yield response.status, response.read()

    def close(self):
        for connection in self.sockets:
            connection.close()
