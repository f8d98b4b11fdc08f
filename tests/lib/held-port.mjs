/* A free port of 127.0.0.1 for somebody who listens on it, goes away and comes back. Bound here all the
 * while, and not listening, it is given to nobody else and refuses; who says SO_REUSEADDR may listen on it. */
import assert from "node:assert/strict";
import net from "node:net";

export class HeldPort {
  #handle = net._createServerHandle("127.0.0.1", 0, 4); /* node has no other way to bind alone */

  constructor() {
    assert.equal(typeof this.#handle, "object", `no free port: ${this.#handle}`);
    const at = {};
    this.#handle.getsockname(at);
    this.port = at.port;
  }

  release() {
    this.#handle.close();
  }
}
