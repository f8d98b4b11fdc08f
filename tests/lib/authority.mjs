/* A certificate authority of a test's own, made with openssl in a folder that ends with it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const KEY_KIND = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

export class Authority {
  #count = 0;

  constructor(name = "test authority") {
    this.folder = mkdtempSync(join(tmpdir(), "firsthand-ca-"));
    this.certPath = join(this.folder, "ca.pem");
    this.keyPath = join(this.folder, "ca.key");
    this.#openssl("req", "-x509", ...KEY_KIND, "-days", "2", "-subj", `/CN=${name}`, "-keyout", this.keyPath, "-out", this.certPath);
    writeFileSync(join(this.folder, "index.txt"), "");
    writeFileSync(join(this.folder, "ca.conf"), [
      "[ca]", "default_ca = here", "[here]", `dir = ${this.folder}`, "new_certs_dir = $dir", "database = $dir/index.txt",
      "rand_serial = yes", "default_md = sha256", "policy = any", "unique_subject = no", "copy_extensions = copy", "[any]", "commonName = supplied",
    ].join("\n"));
  }

  #openssl(...args) {
    execFileSync("openssl", args, { stdio: "pipe" });
  }

  /* A key and a certificate for a name, as "IP:127.0.0.1" or "DNS:api.example.com", that holds from
   * `from` to `to` (openssl's times, such as 20200101000000Z). → as tls.createServer takes them */
  issue(name, { from = "20200101000000Z", to = "20991231000000Z" } = {}) {
    const [key, request, cert] = ["key", "csr", "pem"].map((ending) => join(this.folder, `${this.#count}.${ending}`));
    this.#count++;
    this.#openssl("req", "-new", ...KEY_KIND, "-subj", "/CN=server", "-addext", `subjectAltName=${name}`, "-keyout", key, "-out", request);
    this.#openssl(
      "ca", "-batch", "-notext", "-config", join(this.folder, "ca.conf"), "-cert", this.certPath, "-keyfile", this.keyPath,
      "-startdate", from, "-enddate", to, "-in", request, "-out", cert,
    );
    return { key: readFileSync(key), cert: readFileSync(cert) };
  }

  close() {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
