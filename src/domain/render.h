/* Resources as the API returns them: one writer each, used by every reply and every event that
 * shows one. key is as for the out_ functions. */
#ifndef FIRSTHAND_DOMAIN_RENDER_H
#define FIRSTHAND_DOMAIN_RENDER_H

#include "base/json_out.h"
#include "domain/api_key.h"
#include "domain/audit_event.h"
#include "domain/delivered_file.h"
#include "domain/job_flag.h"
#include "domain/ledger.h"
#include "domain/organisation.h"
#include "domain/sign_up.h"
#include "domain/submission_summary.h"
#include "domain/webhook_event.h"
#include "domain/worker.h"

void render_job(struct json_out *out, const char *key, const struct job *job);

/* Download links expire: what is kept to be told later has places for them, see event_data_render.
 */
enum links { LINKS_NOW, LINKS_LATER };

/* call signs the download link. */
void render_file(struct call *call, struct json_out *out, const char *key,
                 const struct delivered_file *file, enum links links);

/* file is NULL unless the submission is approved. */
void render_submission(struct call *call, struct json_out *out, const char *key,
                       const struct submission *submission, const struct delivered_file *file,
                       enum links links);

/* cursor absent = that was all. */
void render_submission_summary(struct json_out *out, const char *key,
                               const struct submission_summary *summary, struct str cursor);

void render_sign_up(struct json_out *out, const char *key, const struct sign_up *sign_up);
void render_new_key(struct json_out *out, const char *key, const struct api_key *api_key);
void render_key(struct json_out *out, const char *key, const struct api_key *api_key);
void render_balance(struct json_out *out, const char *key, const struct balance *balance);
void render_transaction(struct json_out *out, const char *key, const struct transaction *row);
void render_settings(struct json_out *out, const char *key, const struct settings *settings);
void render_audit_event(struct json_out *out, const char *key, const struct audit_event *event);

void render_new_webhook_endpoint(struct json_out *out, const char *key,
                                 const struct webhook_endpoint *endpoint);
void render_webhook_endpoint(struct json_out *out, const char *key,
                             const struct webhook_endpoint *endpoint);

/* call signs the download links in its data. */
void render_webhook_event(struct call *call, struct json_out *out, const char *key,
                          const struct webhook_event *event);
void render_webhook_attempt(struct call *call, struct json_out *out, const char *key,
                            const struct id *event_id, const struct webhook_attempt *attempt);

void render_worker_session(struct json_out *out, const char *key,
                           const struct worker_session *session);

/* refusal is the slug of why the worker may not accept, or NULL. */
void render_worker_job(struct json_out *out, const char *key, const struct job *job,
                       int64_t slots_open, const char *refusal);
void render_job_flag(struct json_out *out, const char *key, const struct job_flag *flag);
void render_reservation(struct call *call, struct json_out *out, const char *key,
                        const struct reservation *reservation);
void render_worker_submission(struct json_out *out, const char *key,
                              const struct submission *submission);
void render_payout(struct json_out *out, const char *key, const struct payout *payout);

#endif
