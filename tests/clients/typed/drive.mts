/* Every operation of the contract, called as an integrator would: with types generated from the
 * contract and nothing cast. tests/clients/typed.test.mjs generates, compiles and runs this. */
import createClient, { type Client } from "openapi-fetch";
import type { components, operations, paths } from "./schema.js";

type Schemas = components["schemas"];
type Reply<Data> = { data?: Data; error?: unknown; response: Response };

/* What the test lends: a server with one organisation and one worker. */
export interface World {
  base: string;
  fetch: (request: Request) => Promise<Response>;
  liveKey: string;
  workerToken: string;
  invite: string;
  stripe: { base: string; event: string; signature: string }; /* a server that takes Stripe's events, and one */
  good: Uint8Array; /* a JPEG that is approved */
  blurred: Uint8Array; /* and one that is not, but may be retried */
  uuid: () => string;
  until: <T>(what: string, ask: () => Promise<T | false | undefined>) => Promise<T>;
}

/* One call for each operation; a success, or a way on, is expected. The order matters: later ones use what the
 * earlier made. A missing or misspelt operation is a type error. */
export type Calls = { [operationId in keyof operations]: () => Promise<Reply<unknown>> };

const TUS = { "Tus-Resumable": "1.0.0" };
const PASSWORD = "correct horse battery";
const SCOPES: Schemas["CreateApiKeyRequest"]["scopes"] = ["jobs:read"];

export function connect(world: World, token?: string): Client<paths> {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  return createClient<paths>({ baseUrl: world.base, fetch: world.fetch, headers });
}

/* The data of a reply that must be a success. */
function must<Data>({ data, error, response }: Reply<Data>): NonNullable<Data> {
  if (data === undefined || data === null) throw new Error(`${response.status}: ${JSON.stringify(error)}`);
  return data;
}

function theFirst<Row>(rows: Row[]): Row {
  const [first] = rows;
  if (first === undefined) throw new Error("the list is empty");
  return first;
}

const asSent = (bytes: unknown) => bytes; /* a bodySerializer */
function uploadIdOf({ response }: Reply<unknown>): string {
  return response.headers.get("Location")?.split("/").pop() ?? "";
}

export function callsOf(world: World): Calls {
  const anybody = connect(world);
  const buyer = connect(world, world.liveKey);
  const worker = connect(world, world.workerToken);
  const once = () => ({ "Idempotency-Key": world.uuid() });

  const newJob = async (overrides: Partial<Schemas["CreateJobRequest"]> = {}) =>
    must(await buyer.POST("/v1/jobs", {
      params: { header: once() },
      body: {
        type: "data_collection",
        description: "Photos of street signs by daylight.",
        files_needed: 1,
        accepted_formats: ["image/jpeg"],
        price_per_file_cents: 50,
        ...overrides,
      },
    }));
  const accept = (job_id: string) => worker.POST("/worker/v1/jobs/{job_id}/accept", { params: { path: { job_id } } });
  const put = (reservation_id: string, bytes: Uint8Array) =>
    worker.PUT("/worker/v1/reservations/{reservation_id}/file", {
      params: { path: { reservation_id }, header: { "Content-Disposition": 'attachment; filename="sign.jpg"' } },
      headers: { "Content-Type": "image/jpeg" },
      body: bytes,
      bodySerializer: asSent,
    });
  const beginUpload = (reservation: string, length: number) =>
    worker.POST("/worker/v1/uploads", {
      params: { query: { reservation }, header: { ...TUS, "Upload-Length": String(length) } },
      body: new Uint8Array(0),
      bodySerializer: asSent,
    });
  const purchase = () =>
    buyer.POST("/v1/billing/credits/purchase", { params: { header: once() }, body: { amount_cents: 2500 } });
  const tokenOf = (reply: Reply<Schemas["PurchaseCreditsResponse"]>) => must(reply).checkout_url.split("/").pop() ?? "";
  const scored = (submission_id: string) =>
    world.until(`${submission_id} is scored`, async () => {
      const reply = await worker.GET("/worker/v1/submissions/{submission_id}", { params: { path: { submission_id } } });
      return must(reply).status !== "pending_score" && reply;
    });

  /* What the calls hand on. */
  let session = "";
  let key_id = "";
  let job_id = "";
  let reservation_id = "";
  let upload_id = "";
  let submission_id = "";
  let endpoint_id = "";
  let event_id = "";
  let occurrence_id = "";
  let checkout_token = "";
  let file: Schemas["FileResponse"];

  return {
    /* The server. */
    healthz: () => anybody.GET("/healthz"),
    readyz: () => anybody.GET("/readyz"),
    getMetrics: () => anybody.GET("/metrics", { parseAs: "text" }),
    getContract: () => anybody.GET("/openapi.json"),
    advanceTestClock: () => anybody.POST("/test/clock/advance", { body: { seconds: 1 } }),

    /* Accounts. */
    signUp: () => anybody.POST("/v1/auth/signup", { body: { name: "New", email: "new@example.com" } }),
    getJoinPage: () => anybody.GET("/join", { params: { query: { invite: world.invite } }, parseAs: "text" }),
    joinWithInvite: () =>
      anybody.POST("/worker/v1/join", {
        body: { invite: world.invite, name: "Wanda", email: "wanda@example.com", password: PASSWORD },
      }),
    createWorkerSession: async () => {
      const reply = await anybody.POST("/worker/v1/sessions", { body: { email: "wanda@example.com", password: PASSWORD } });
      session = must(reply).token;
      return reply;
    },
    deleteWorkerSession: () => connect(world, session).DELETE("/worker/v1/sessions/current"),
    createApiKey: async () => {
      const body = { name: "typed", scopes: SCOPES, environment: "live" as const };
      const reply = await buyer.POST("/v1/api_keys", { params: { header: once() }, body });
      key_id = must(reply).id;
      return reply;
    },
    listApiKeys: () => buyer.GET("/v1/api_keys", { params: { query: { limit: 5 } } }),
    rotateApiKey: async () => {
      const reply = await buyer.POST("/v1/api_keys/{key_id}/rotate", { params: { path: { key_id } } });
      key_id = must(reply).new_key.id;
      return reply;
    },
    revokeApiKey: () => buyer.POST("/v1/api_keys/{key_id}/revoke", { params: { path: { key_id } } }),
    getOrganizationSettings: () => buyer.GET("/v1/organization/settings"),
    updateOrganizationSettings: () => buyer.PATCH("/v1/organization/settings", { body: { default_platform_fee_pct: 0.2 } }),

    /* Webhooks: disabled, so that what they are told of waits. */
    createWebhookEndpoint: async () => {
      const body: Schemas["CreateWebhookEndpointRequest"] = { url: "https://hooks.example.invalid/", events: ["job.completed"] };
      const reply = await buyer.POST("/v1/webhook_endpoints", { params: { header: once() }, body });
      endpoint_id = must(reply).id;
      return reply;
    },
    listWebhookEndpoints: () => buyer.GET("/v1/webhook_endpoints"),
    getWebhookEndpoint: () => buyer.GET("/v1/webhook_endpoints/{endpoint_id}", { params: { path: { endpoint_id } } }),
    updateWebhookEndpoint: () =>
      buyer.PATCH("/v1/webhook_endpoints/{endpoint_id}", { params: { path: { endpoint_id } }, body: { status: "disabled" } }),
    rotateWebhookSecret: () =>
      buyer.POST("/v1/webhook_endpoints/{endpoint_id}/rotate_secret", { params: { path: { endpoint_id } } }),

    /* A job that is done. */
    createJob: async () => {
      const reply = await buyer.POST("/v1/jobs", {
        params: { header: once() },
        body: {
          type: "data_collection",
          description: "One photo of a street sign by daylight.",
          files_needed: 1,
          accepted_formats: ["image/jpeg"],
          price_per_file_cents: 50,
          metadata: { batch: "typed" },
        },
      });
      job_id = must(reply).id;
      return reply;
    },
    listJobs: () => buyer.GET("/v1/jobs", { params: { query: { status: "open", type: "data_collection", limit: 1 } } }),
    getWorkerFeed: () => worker.GET("/worker/v1/jobs", { params: { query: { limit: 5 } } }),
    getWorkerJob: () => worker.GET("/worker/v1/jobs/{job_id}", { params: { path: { job_id } } }),
    acceptJob: async () => {
      const reply = await accept(job_id);
      reservation_id = must(reply).id;
      return reply;
    },
    getReservations: () => worker.GET("/worker/v1/reservations"),
    tusOptions: () => anybody.OPTIONS("/worker/v1/uploads"),
    createUpload: async () => {
      const reply = await beginUpload(reservation_id, world.good.length);
      upload_id = uploadIdOf(reply);
      return reply;
    },
    getUploadOffset: () => worker.HEAD("/worker/v1/uploads/{upload_id}", { params: { path: { upload_id }, header: TUS } }),
    appendUpload: async () => {
      const reply = await worker.PATCH("/worker/v1/uploads/{upload_id}", {
        params: { path: { upload_id }, header: { ...TUS, "Upload-Offset": "0" } },
        headers: { "Content-Type": "application/offset+octet-stream" },
        body: world.good,
        bodySerializer: asSent,
      });
      submission_id = reply.response.headers.get("Firsthand-Submission-Id") ?? "";
      return reply;
    },
    listUploads: () => worker.GET("/worker/v1/uploads"),
    getWorkerSubmission: () => scored(submission_id),
    listWorkerSubmissions: () => worker.GET("/worker/v1/submissions"),
    getEarnings: () => worker.GET("/worker/v1/earnings"),
    getJob: () => buyer.GET("/v1/jobs/{job_id}", { params: { path: { job_id }, header: { Prefer: "wait=60" } } }),
    getJobFiles: async () => {
      const reply = await buyer.GET("/v1/jobs/{job_id}/files", { params: { path: { job_id }, query: { min_score: 1 } } });
      file = theFirst(must(reply).data);
      return reply;
    },
    getJobSubmissions: () => buyer.GET("/v1/jobs/{job_id}/submissions", { params: { path: { job_id } } }),
    listSubmissions: () => buyer.GET("/v1/submissions", { params: { query: { job_id, status: "approved" } } }),
    getSubmissionSummary: () => buyer.GET("/v1/submissions/summary", { params: { query: { job_id } } }),
    getSubmission: () => buyer.GET("/v1/submissions/{submission_id}", { params: { path: { submission_id } } }),
    refreshFileUrl: () => buyer.POST("/v1/files/{file_id}/refresh_url", { params: { path: { file_id: file.id } } }),
    downloadFile: () => {
      const link = new URL(file.download_url).searchParams;
      const query = { expires: link.get("expires") ?? "", key: link.get("key") ?? "", signature: link.get("signature") ?? "" };
      return anybody.GET("/files/{file_id}", { params: { path: { file_id: file.id }, query }, parseAs: "arrayBuffer" });
    },
    rateJob: () => buyer.POST("/v1/jobs/{job_id}/rate", { params: { path: { job_id } }, body: { rating: 5, comment: "Sharp." } }),

    /* What the endpoint would be told, and what happened. */
    listWebhookEvents: async () => {
      const query = { endpoint_id, event_type: "job.completed", status: "pending" } as const;
      const reply = await buyer.GET("/v1/webhook_events", { params: { query } });
      event_id = theFirst(must(reply).data).id;
      return reply;
    },
    getWebhookEvent: () => buyer.GET("/v1/webhook_events/{event_id}", { params: { path: { event_id } } }),
    listWebhookAttempts: () => buyer.GET("/v1/webhook_events/{event_id}/attempts", { params: { path: { event_id } } }),
    replayWebhookEvent: () => buyer.POST("/v1/webhook_events/{event_id}/replay", { params: { path: { event_id } } }),
    replayWebhookEvents: () =>
      buyer.POST("/v1/webhook_endpoints/{endpoint_id}/replay", {
        params: { path: { endpoint_id } },
        body: { since: "2026-01-01T00:00:00Z", until: "2200-01-01T00:00:00Z", status: "pending" },
      }),
    deleteWebhookEndpoint: () => buyer.DELETE("/v1/webhook_endpoints/{endpoint_id}", { params: { path: { endpoint_id } } }),
    listOccurrences: async () => {
      const reply = await buyer.GET("/v1/events", { params: { query: { type: "job.completed" } } });
      occurrence_id = theFirst(must(reply).data).id;
      return reply;
    },
    getOccurrence: () => buyer.GET("/v1/events/{occurrence_id}", { params: { path: { occurrence_id } } }),

    /* A job that is not. */
    flagJob: async () => {
      job_id = (await newJob({ files_needed: 2 })).id;
      return worker.POST("/worker/v1/jobs/{job_id}/flag", { params: { path: { job_id } }, body: { reason: "It asks for faces." } });
    },
    terminateUpload: async () => {
      reservation_id = must(await accept(job_id)).id;
      upload_id = uploadIdOf(await beginUpload(reservation_id, 1000));
      return worker.DELETE("/worker/v1/uploads/{upload_id}", { params: { path: { upload_id }, header: TUS } });
    },
    releaseReservation: () => worker.DELETE("/worker/v1/reservations/{reservation_id}", { params: { path: { reservation_id } } }),
    putReservationFile: async () => {
      const reply = await put(must(await accept(job_id)).id, world.blurred);
      submission_id = must(reply).id;
      return reply;
    },
    retrySubmission: async () => {
      await scored(submission_id);
      return worker.POST("/worker/v1/submissions/{submission_id}/retry", { params: { path: { submission_id } } });
    },
    cancelJob: () => buyer.POST("/v1/jobs/{job_id}/cancel", { params: { path: { job_id } } }),

    /* Money. */
    purchaseCredits: async () => {
      const reply = await purchase();
      checkout_token = tokenOf(reply);
      return reply;
    },
    getCheckoutPage: () => anybody.GET("/checkout/{checkout_token}", { params: { path: { checkout_token } }, parseAs: "text" }),
    payCheckout: () =>
      anybody.POST("/checkout/{checkout_token}/pay", { params: { path: { checkout_token } }, redirect: "manual" }),
    cancelCheckout: async () => {
      checkout_token = tokenOf(await purchase());
      return anybody.POST("/checkout/{checkout_token}/cancel", { params: { path: { checkout_token } }, redirect: "manual" });
    },
    receiveStripeEvent: () =>
      connect({ ...world, base: world.stripe.base }).POST("/v1/stripe/webhook", {
        params: { header: { "Stripe-Signature": world.stripe.signature } },
        headers: { "Content-Type": "application/json" },
        body: world.stripe.event,
        bodySerializer: asSent,
      }),
    getCreditBalance: () => buyer.GET("/v1/billing/credits"),
    listTransactions: () => buyer.GET("/v1/billing/transactions", { params: { query: { type: "deduction" } } }),
    listAuditEvents: () => buyer.GET("/v1/audit_events", { params: { query: { limit: 5 } } }),
  };
}

/* What the types tell of a refusal. */
export async function refusalOf(world: World): Promise<{ type: Schemas["ErrorEnvelope"]["error"]["type"]; code: string | undefined }> {
  const path = { job_id: "job_01ARZ3NDEKTSV4RRFFQ69G5FAV" };
  const { data, error } = await connect(world, world.liveKey).GET("/v1/jobs/{job_id}", { params: { path } });
  if (error === undefined) throw new Error(`there is a job ${data.id}`);
  return { type: error.error.type, code: error.error.details?.[0]?.code };
}

/* Never called: each of these must be an error of types, or the types say nothing. */
export async function mistakes(buyer: Client<paths>): Promise<void> {
  // @ts-expect-error no such path
  await buyer.GET("/v1/job");
  // @ts-expect-error no such method there
  await buyer.DELETE("/v1/jobs");
  // @ts-expect-error the path's parameter is missing
  await buyer.GET("/v1/jobs/{job_id}", {});
  // @ts-expect-error the Idempotency-Key is required
  await buyer.POST("/v1/jobs", { body: {} });
  // @ts-expect-error a page's length is a number
  await buyer.GET("/v1/jobs", { params: { query: { limit: "5" } } });
  const { data } = await buyer.GET("/v1/billing/credits");
  // @ts-expect-error not a property of the reply
  data?.balance;
  // @ts-expect-error cents are a number
  data?.balance_cents satisfies string | undefined;
}
