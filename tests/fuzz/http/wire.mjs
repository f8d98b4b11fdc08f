/* Sends bytes on a connection of its own, in pieces, and takes what comes back until the connection
 * ends. */
import net from "node:net";
import { readReplies } from "../../lib/raw-http.mjs";

const HANG_MS = 60_000;

function pieces(bytes, random) {
  const cuts = Array.from({ length: random.of([0, 0, 0, 1, 2, 5]) }, () => random.int(0, bytes.length)).sort((a, b) => a - b);
  return [0, ...cuts].map((from, i) => bytes.subarray(from, cuts[i] ?? bytes.length)).filter((one) => one.length > 0);
}

function repliesIn(received, methods, most) {
  try {
    return readReplies(Buffer.concat(received), methods, most).replies.length;
  } catch {
    return Infinity; /* the judge says what is wrong with them */
  }
}

class Exchange {
  constructor(port, bytes, model, random) {
    this.methods = model.requests.map(({ method }) => method);
    this.todo = pieces(bytes, random);
    this.piecesCount = this.todo.length;
    this.received = [];
    this.isReset = false;
    this.socket = net.connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
  }

  /* The next piece, once the one before has gone out; then our end, once every whole request was
   * answered: before that an answer might be lost with it. */
  #goOn() {
    if (this.socket.writableEnded || this.socket.destroyed) return;
    if (this.todo.length > 0) {
      this.socket.write(this.todo.shift(), () => setImmediate(() => this.#goOn()));
      return;
    }
    const wanted = this.methods.length;
    if (wanted === 0 || repliesIn(this.received, this.methods, wanted) >= wanted) this.socket.end();
  }

  /* → { received, piecesCount, isReset, isHung } */
  run() {
    return new Promise((done) => {
      let isHung = false;
      const timer = setTimeout(() => {
        isHung = true;
        this.socket.destroy();
      }, HANG_MS);
      this.socket.on("connect", () => this.#goOn());
      this.socket.on("data", (piece) => {
        this.received.push(piece);
        if (this.todo.length === 0) this.#goOn();
      });
      this.socket.on("end", () => this.socket.end());
      this.socket.on("error", () => { this.isReset = true; });
      this.socket.on("close", () => {
        clearTimeout(timer);
        done({ received: Buffer.concat(this.received), piecesCount: this.piecesCount, isReset: this.isReset, isHung });
      });
    });
  }
}

export function exchange(port, bytes, model, random) {
  return new Exchange(port, bytes, model, random).run();
}
