/* A TCP proxy that cuts connections: after a number of the client's bytes both sides are reset, as
 * when a phone loses its network. */
import { once } from "node:events";
import net from "node:net";

export class CutProxy {
  /* cuts: after how many of its client's bytes each connection in turn is cut; later ones live. */
  constructor(port, cuts) {
    this.cuts = [...cuts];
    this.cutsDone = 0;
    this.sockets = new Set();
    this.server = net.createServer((client) => this.#serve(client, port));
  }

  static async listen(port, cuts) {
    const proxy = new CutProxy(port, cuts);
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    proxy.port = proxy.server.address().port;
    return proxy;
  }

  #serve(client, port) {
    const upstream = net.connect({ host: "127.0.0.1", port });
    for (const socket of [client, upstream]) {
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    upstream.on("data", (bytes) => client.write(bytes));
    this.#forward(client, upstream);
  }

  #forward(client, upstream) {
    let left = this.cuts.length > 0 ? this.cuts.shift() : Infinity;
    client.on("data", (bytes) => {
      if (bytes.length < left) {
        left -= bytes.length;
        if (!upstream.write(bytes)) {
          client.pause();
          upstream.once("drain", () => client.resume());
        }
        return;
      }
      /* What came before the cut still arrives; then both ends are gone. */
      const rest = bytes.subarray(0, left);
      left = Infinity;
      this.cutsDone++;
      client.pause();
      upstream.write(rest, () => {
        client.resetAndDestroy();
        upstream.resetAndDestroy();
      });
    });
  }

  async close() {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, "close");
  }
}
