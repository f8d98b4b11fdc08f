/* A site of somebody else's: pages of an origin of their own, and who asked for what. */
import { once } from "node:events";
import http from "node:http";

export class Site {
  #http;
  pages = {}; /* path → HTML, or { type, bytes, policy } */
  asked = []; /* the path of every request */

  static async open() {
    const site = new Site();
    site.#http = http.createServer((request, response) => site.#serve(request, response));
    site.#http.listen(0, "127.0.0.1");
    await once(site.#http, "listening");
    site.origin = `http://127.0.0.1:${site.#http.address().port}`;
    return site;
  }

  #serve(request, response) {
    this.asked.push(request.url);
    const page = this.pages[request.url];
    response.setHeader("content-type", page?.type ?? "text/html; charset=utf-8");
    if (page?.policy) response.setHeader("content-security-policy", page.policy);
    response.statusCode = page === undefined ? 404 : 200;
    response.end(page?.bytes ?? page);
  }

  close() {
    this.#http.closeAllConnections();
    return new Promise((done) => this.#http.close(done));
  }
}
