/* Receivers of webhooks: an HTTP server of the test's own on 127.0.0.1 that remembers what it was
 * sent, and answers well or, by path, as badly as receivers can. */
import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import { until } from "./market.mjs";

function reply(response, status, headers = {}, body = "") {
  response.writeHead(status, headers).end(body);
}

async function flood(response) {
  const piece = Buffer.alloc(1 << 20, "x");
  response.on("error", () => {});
  response.writeHead(200, { "content-length": 100 << 20 });
  for (let i = 0; i < 100 && !response.destroyed; i++)
    if (!response.write(piece)) await Promise.race([once(response, "drain"), once(response, "close")]);
}

/* What a path does: (request, response) → nothing. Everything else is a 200. */
export const MANNERS = Object.freeze({
  "/hang": () => {},
  "/drip": (request, response) => {
    response.writeHead(200, { "content-length": 1000 });
    const timer = setInterval(() => response.write("x"), 1000);
    response.on("close", () => clearInterval(timer));
  },
  "/reset": (request) => request.socket.resetAndDestroy(),
  "/close": (request) => request.socket.destroy(),
  "/flood": (request, response) => flood(response),
  "/metadata": (request, response) => reply(response, 302, { location: "http://169.254.169.254/latest/" }),
  "/gone": (request, response) => reply(response, 410),
  "/later": (request, response) => reply(response, 429, { "retry-after": "7200" }, "later\u0007, please"),
  "/broken": (request, response) => reply(response, 500, {}, "no"),
});

export class Receiver {
  static async open({ tls, host = "127.0.0.1", port = 0, onRequest } = {}) {
    const receiver = new Receiver();
    receiver.onRequest = onRequest;
    receiver.requests = []; /* { path, headers, text, json } in the order they came */
    receiver.connections = 0;
    receiver.scheme = tls ? "https" : "http";
    const answer = (request, response) => receiver.#take(request, response);
    receiver.server = tls ? https.createServer(tls, answer) : http.createServer(answer);
    receiver.server.on("connection", (socket) => {
      receiver.connections++;
      socket.on("error", () => {});
    });
    receiver.server.listen(port, host);
    await once(receiver.server, "listening");
    receiver.port = receiver.server.address().port;
    return receiver;
  }

  async #take(request, response) {
    const pieces = [];
    try {
      for await (const piece of request) pieces.push(piece);
    } catch {
      return; /* the sender went away */
    }
    const text = Buffer.concat(pieces).toString("utf8");
    const taken = { path: request.url, headers: request.headers, text, json: JSON.parse(text) };
    this.requests.push(taken);
    if (this.onRequest?.(taken, response)) return;
    const manner = MANNERS[request.url.split("?")[0]];
    if (manner) manner(request, response);
    else reply(response, 200, {}, "thanks");
  }

  url(path = "/", host = "127.0.0.1") {
    return `${this.scheme}://${host}:${this.port}${path}`;
  }

  /* What was sent to a path. */
  at(path) {
    return this.requests.filter((one) => one.path === path);
  }

  /* → the requests to a path, once there are so many */
  async received(path, count) {
    return until(`${count} requests at ${path}`, () => this.at(path).length >= count && this.at(path));
  }

  close() {
    this.server.closeAllConnections?.();
    this.server.close();
  }
}
