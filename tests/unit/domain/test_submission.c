#include "domain/submission.h"

#include "base/json_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "marketplace.h"

static enum err retry(struct market *market, const struct submission *submission)
{
    struct reservation reservation;
    return submission_retry(&market->call, id_str(&submission->id), &(struct whereabouts){ 0 },
                            &reservation);
}

static int64_t tasks_of(struct market *market, const struct id *subject_id)
{
    return market_int_of(market, "SELECT count(*) FROM tasks WHERE subject_id = $1", subject_id);
}

static int64_t slots_free(struct market *market, const struct id *job_id)
{
    struct job job = market_job_now(market, job_id);
    return job_slots_free(&job);
}

/* A first attempt that was judged with these stars and no gate. */
static struct submission judged(struct market *market, const struct id *job_id, int stars)
{
    struct id         worker_id = market_worker(market);
    struct submission submission = market_submit(market, &worker_id, job_id);
    return market_judge(market, &submission, stars);
}

/* --- receiving --- */

static void received_file_waits_for_its_score(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 2, 50);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct received    bytes = market_bytes(market);
    struct submission  submission = market_receive(market, &held, &bytes);
    assert_true(id_eq(&submission.id, &held.submission_id));
    assert_int_equal(submission.state, SUBMISSION_PENDING_SCORE);
    assert_int_equal(submission.attempt, 1);
    assert_int_equal(submission.created_ms, market->now_ms);
    assert_true(str_eq(submission.sha256, bytes.sha256));
    assert_int_equal(submission.stars, 0);
    assert_int_equal(tasks_of(market, &submission.id), 1);
    assert_true(market->call.now_ms == market->now_ms);
    struct job now = market_job_now(market, &job.id);
    assert_int_equal(now.files_pending, 1);
    assert_int_equal(now.slots_reserved, 0);
    assert_int_equal(market_reservation_now(market, &held).state, RESERVATION_USED);
}

static void same_bytes_for_the_same_reservation_are_the_same_submission(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 2, 50);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct received    bytes = market_bytes(market);
    struct submission  first = market_receive(market, &held, &bytes), again;
    bool               is_new = true;
    int64_t            changes = market_changes(market);
    DONE(market, submission_receive(&market->call, &held, &bytes, &again, &is_new));
    assert_false(is_new);
    assert_true(id_eq(&again.id, &first.id));
    assert_int_equal(market_changes(market), changes);
    market_judge(market, &first, 4);
    market_as_worker(market, &worker_id);
    DONE(market, submission_receive(&market->call, &held, &bytes, &again, &is_new));
    assert_false(is_new);
    assert_int_equal(again.state, SUBMISSION_APPROVED);
}

static void other_bytes_for_a_used_reservation_are_refused(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 2, 50);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct received    bytes = market_bytes(market), others = market_bytes(market);
    market_receive(market, &held, &bytes);
    REFUSED_UNWRITTEN(market, market_try_receive(market, &held, &others), ERR_CONFLICT,
                      "reservation_used");
}

static void first_attempt_repeated_after_the_second_is_the_same_submission(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 2, 50);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct received    first = market_bytes(market), second = market_bytes(market);
    struct submission  submission = market_receive(market, &held, &first), again;
    bool               is_new;
    submission = market_judge(market, &submission, 2);
    struct reservation retried = market_retry(market, &submission);
    market_receive(market, &retried, &second);
    DONE(market, submission_receive(&market->call, &held, &first, &again, &is_new));
    assert_false(is_new);
    assert_true(id_eq(&again.id, &submission.id));
    REFUSED_UNWRITTEN(market, market_try_receive(market, &held, &second), ERR_CONFLICT,
                      "reservation_used");
    REFUSED_UNWRITTEN(market, market_try_receive(market, &retried, &first), ERR_CONFLICT,
                      "reservation_used");
}

static void unknown_reservation_is_not_found(void **state)
{
    struct market     *market = *state;
    struct reservation nothing = { .id = id_new(ID_RESERVATION, market->now_ms) };
    struct received    bytes = market_bytes(market);
    REFUSED_UNWRITTEN(market, market_try_receive(market, &nothing, &bytes), ERR_NOT_FOUND,
                      "reservation");
}

/* --- duplicates --- */

/* Every score says by whom and of what. */
static void assert_record_of(struct market *market, const struct submission *submission)
{
    struct error error = { 0 };
    json_t      *record = NULL;
    struct stmt *q = db_query(market->db, "SELECT score_record FROM submissions WHERE id = $1");
    bind_id(q, 1, &submission->id);
    assert_true(stmt_step(q));
    struct str text = column_text(q, 0, &market->arena);
    assert_int_equal(stmt_end(q, &error), ERR_OK);
    assert_non_null(text.data);
    assert_int_equal(json_parse(&market->arena, text, &error, &record), ERR_OK);
    assert_int_equal(in_int(record, "scorer_version", 0), SCORER_VERSION);
    assert_true(str_eq(in_text(record, "input_sha256", &market->arena), submission->sha256));
    assert_int_equal(json_array_size(json_object_get(json_object_get(record, "limits"), "formats")),
                     2);
}

static void assert_duplicate(struct market *market, const struct submission *submission)
{
    assert_int_equal(submission->state, SUBMISSION_REJECTED);
    assert_int_equal(submission->stars, 1);
    assert_true(str_eq(submission->gate, STR("duplicate")));
    assert_true(submission->reasoning.len > 0);
    assert_int_equal(submission->scored_ms, market->now_ms);
    assert_int_equal(tasks_of(market, &submission->id), 0);
    assert_false(submission_may_retry(submission));
    assert_record_of(market, submission);
}

static void bytes_the_job_has_seen_are_rejected_whoever_sends_them(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market), other_id = market_worker(market);
    struct job         job = market_job(market, 3, 50);
    struct received    bytes = market_bytes(market);
    struct reservation first = market_accept(market, &worker_id, &job.id);
    struct submission  submission = market_receive(market, &first, &bytes);
    struct reservation others = market_accept(market, &other_id, &job.id);
    struct submission  duplicate = market_receive(market, &others, &bytes);
    assert_duplicate(market, &duplicate);
    assert_int_equal(slots_free(market, &job.id), 2); /* its slot is open again */
    market_judge(market, &submission, 1);             /* also against rejected work */
    struct reservation own = market_accept(market, &worker_id, &job.id);
    duplicate = market_receive(market, &own, &bytes);
    assert_duplicate(market, &duplicate);
    REFUSED_UNWRITTEN(market, retry(market, &duplicate), ERR_CONFLICT, "not_retryable");
}

static void bytes_another_job_has_seen_are_no_duplicate(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 1, 50), other = market_job(market, 1, 50);
    struct received    bytes = market_bytes(market);
    struct reservation first = market_accept(market, &worker_id, &job.id);
    market_receive(market, &first, &bytes);
    struct reservation second = market_accept(market, &worker_id, &other.id);
    assert_int_equal(market_receive(market, &second, &bytes).state, SUBMISSION_PENDING_SCORE);
}

static void retry_with_unchanged_bytes_is_a_duplicate(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 1, 50);
    struct received    bytes = market_bytes(market);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct submission  submission = market_receive(market, &held, &bytes);
    submission = market_judge(market, &submission, 2);
    struct reservation retried = market_retry(market, &submission);
    submission = market_receive(market, &retried, &bytes);
    assert_duplicate(market, &submission);
    assert_int_equal(submission.attempt, 2);
    assert_int_equal(slots_free(market, &job.id), 1);
}

/* --- judging --- */

static void stars_at_the_jobs_minimum_are_approved_and_below_rejected(void **state)
{
    struct market *market = *state;
    for (int stars_min = 1; stars_min <= 5; stars_min++) {
        for (int stars = 1; stars <= 5; stars++) {
            struct job job = market_job_asked(1, 10);
            job.min_stars = stars_min;
            market_as_buyer(market);
            DONE(market, job_create(&market->call, &job));
            struct submission submission = judged(market, &job.id, stars);
            assert_int_equal(submission.state,
                             stars >= stars_min ? SUBMISSION_APPROVED : SUBMISSION_REJECTED);
            assert_int_equal(submission.stars, stars);
        }
    }
}

static void gate_rejects_whatever_the_minimum(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    for (int gate = GATE_NONE + 1; gate < GATE__COUNT; gate++) {
        struct job job = market_job_asked(1, 10);
        job.min_stars = 1;
        market_as_buyer(market);
        DONE(market, job_create(&market->call, &job));
        struct submission submission = market_submit(market, &worker_id, &job.id);
        submission = market_judge_gated(market, &submission, 1, (enum score_gate)gate);
        assert_int_equal(submission.state, SUBMISSION_REJECTED);
        assert_true(str_eq(submission.gate, str_of(score_gate_name((enum score_gate)gate))));
        assert_int_equal(slots_free(market, &job.id), 1);
    }
    assert_int_equal(market_int(market, "SELECT count(*) FROM files"), 0);
}

static void approval_commits_file_payment_counters_and_delivery_together(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 2, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    market->now_ms += 77;
    submission = market_judge(market, &submission, 4);
    assert_int_equal(submission.state, SUBMISSION_APPROVED);
    assert_int_equal(submission.scored_ms, market->now_ms);
    assert_int_equal(submission.paid_cents, 40);
    assert_false(id_is_none(&submission.file_id));
    assert_int_equal(tasks_of(market, &submission.id), 0);
    assert_int_equal(tasks_of(market, &submission.file_id), 1);
    struct job now = market_job_now(market, &job.id);
    assert_int_equal(now.files_approved, 1);
    assert_int_equal(now.files_pending, 0);
    assert_int_equal(now.escrow_cents, 50);
    assert_int_equal(market_int_of(market,
                                   "SELECT amount_cents FROM payouts WHERE submission_id = $1",
                                   &submission.id),
                     40);
}

static void verdict_settles_what_examining_found_out(void **state)
{
    struct market            *market = *state;
    struct id                 worker_id = market_worker(market);
    struct job                job = market_job(market, 1, 50);
    struct submission         submission = market_submit(market, &worker_id, &job.id);
    const struct media_result result = { .verdict = MEDIA_DECODED,
                                         .type = MEDIA_PNG,
                                         .width = 640,
                                         .height = 480,
                                         .duration_ms = 0,
                                         .captured_ms = 1234 };
    struct verdict            verdict = market_verdict(&submission, 5, GATE_NONE);
    struct task               task = market_task(market, TASK_SCORE, &submission.id);
    verdict.result = &result;
    DONE(market, submission_judge(&market->call, &task, &verdict));
    submission = market_submission_now(market, &submission.id);
    assert_int_equal(submission.media_type, MEDIA_PNG);
    assert_int_equal(submission.width, 640);
    assert_int_equal(submission.height, 480);
    assert_int_equal(submission.captured_ms, 1234);
    struct delivered_file file;
    DONE(market, file_get_any(&market->call, &submission.file_id, &file));
    assert_int_equal(file.media_type, MEDIA_PNG);
    assert_int_equal(file.width, 640);
}

static void verdict_on_something_else_only_finishes_the_task(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     job = market_job(market, 3, 50);
    for (int i = 0; i < 2; i++) {
        struct submission submission = market_submit(market, &worker_id, &job.id);
        struct verdict    verdict = market_verdict(&submission, 5, GATE_NONE);
        struct task       task = market_task(market, TASK_SCORE, &submission.id);
        struct job        before = market_job_now(market, &job.id);
        if (i == 0) verdict.attempt++;
        if (i == 1) verdict.sha256 = STR("another");
        int64_t changes = market_changes(market);
        DONE(market, submission_judge(&market->call, &task, &verdict));
        assert_int_equal(market_changes(market), changes + 1);
        assert_int_equal(market_submission_now(market, &submission.id).state,
                         SUBMISSION_PENDING_SCORE);
        struct job after = market_job_now(market, &job.id);
        assert_int_equal(after.escrow_cents, before.escrow_cents);
        assert_int_equal(tasks_of(market, &submission.id), 0);
    }
    market->is_broken = true; /* it waits without a task: no runner does this */
}

static void verdict_of_a_runner_that_lost_the_task_is_undone(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 1, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    struct verdict    verdict = market_verdict(&submission, 5, GATE_NONE);
    struct task       lost, won;
    DONE(market, task_claim(&market->call, TASK_SCORE, 1000, &lost));
    market->now_ms += 1000;
    DONE(market, task_claim(&market->call, TASK_SCORE, 1000, &won));
    REFUSED_UNWRITTEN(market, submission_judge(&market->call, &lost, &verdict), ERR_CONFLICT,
                      "task_lost");
    DONE(market, submission_judge(&market->call, &won, &verdict));
    REFUSED_UNWRITTEN(market, submission_judge(&market->call, &won, &verdict), ERR_CONFLICT,
                      "task_lost");
    assert_int_equal(market_int(market, "SELECT count(*) FROM payouts"), 1);
}

/* A verdict that waited while the file was judged, retried and uploaded anew. */
static void verdict_on_the_first_attempt_does_not_judge_the_second(void **state)
{
    struct market     *market = *state;
    struct job         job = market_job(market, 1, 50);
    struct submission  first = judged(market, &job.id, 2);
    struct verdict     stale = market_verdict(&first, 5, GATE_NONE);
    struct reservation retried = market_retry(market, &first);
    struct received    bytes = market_bytes(market);
    struct submission  second = market_receive(market, &retried, &bytes);
    struct task        task = market_task(market, TASK_SCORE, &second.id);
    DONE(market, submission_judge(&market->call, &task, &stale));
    assert_int_equal(market_submission_now(market, &second.id).state, SUBMISSION_PENDING_SCORE);
    market->is_broken = true; /* it waits without a task: no runner does this */
}

static void file_nobody_could_examine_is_rejected_whatever_the_minimum(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     job = market_job_asked(1, 10);
    int64_t        examined_ms;
    job.min_stars = 1;
    DONE(market, job_create(&market->call, &job));
    struct submission submission = market_submit(market, &worker_id, &job.id);
    struct verdict    verdict = market_verdict(&submission, 2, GATE_NONE);
    struct task       task = market_task(market, TASK_SCORE, &submission.id);
    verdict.is_unexamined = true;
    DONE(market, submission_judge(&market->call, &task, &verdict));
    submission = market_submission_now(market, &submission.id);
    assert_int_equal(submission.state, SUBMISSION_REJECTED);
    assert_int_equal(submission.stars, 2);
    assert_true(str_eq(submission.gate, STR("could_not_examine")));
    assert_true(submission_may_retry(&submission));
    DONE(market, submission_last_examined(&market->call, &examined_ms));
    assert_int_equal(examined_ms, 0); /* it says nothing of the examiner's health */
    market->now_ms += 5;
    struct reservation retried = market_retry(market, &submission);
    struct received    bytes = market_bytes(market);
    submission = market_receive(market, &retried, &bytes);
    market_judge(market, &submission, 1);
    DONE(market, submission_last_examined(&market->call, &examined_ms));
    assert_int_equal(examined_ms, market->now_ms);
}

/* --- retry --- */

static void retry_needs_two_stars(void **state)
{
    struct market *market = *state;
    for (int stars = 1; stars <= 2; stars++) {
        struct job        job = market_job(market, 1, 50);
        struct submission submission = judged(market, &job.id, stars);
        market_as_worker(market, &submission.worker_id);
        assert_int_equal(submission_may_retry(&submission), stars == 2);
        if (stars == 1) {
            REFUSED_UNWRITTEN(market, retry(market, &submission), ERR_CONFLICT, "not_retryable");
        } else {
            DONE(market, retry(market, &submission));
        }
    }
}

static void retry_is_open_to_a_rejection_with_many_stars(void **state)
{
    struct market *market = *state;
    struct job     job = market_job_asked(1, 10);
    job.min_stars = 5;
    DONE(market, job_create(&market->call, &job));
    struct submission submission = judged(market, &job.id, 4);
    market_as_worker(market, &submission.worker_id);
    DONE(market, retry(market, &submission));
}

static void retry_refuses_what_is_pending_or_approved(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 2, 50);
    struct submission submission = market_submit(market, &worker_id, &job.id);
    REFUSED_UNWRITTEN(market, retry(market, &submission), ERR_CONFLICT, "not_retryable");
    market_judge(market, &submission, 5);
    market_as_worker(market, &worker_id);
    REFUSED_UNWRITTEN(market, retry(market, &submission), ERR_CONFLICT, "not_retryable");
}

static void retry_of_anothers_submission_is_not_found(void **state)
{
    struct market     *market = *state;
    struct id          other_id = market_worker(market);
    struct job         job = market_job(market, 1, 50);
    struct submission  submission = judged(market, &job.id, 2);
    struct reservation reservation;
    market_as_worker(market, &other_id);
    REFUSED_UNWRITTEN(market, retry(market, &submission), ERR_NOT_FOUND, "submission");
    REFUSED_UNWRITTEN(
        market,
        submission_retry(&market->call, STR("sub_x"), &(struct whereabouts){ 0 }, &reservation),
        ERR_NOT_FOUND, "submission");
}

static void retry_is_the_same_submission_and_may_be_approved(void **state)
{
    struct market     *market = *state;
    struct job         job = market_job(market, 1, 50);
    struct submission  first = judged(market, &job.id, 2);
    struct reservation retried = market_retry(market, &first);
    assert_int_equal(retried.attempt, 2);
    assert_true(id_eq(&retried.submission_id, &first.id));
    assert_int_equal(slots_free(market, &job.id), 0);
    struct submission waiting = market_submission_now(market, &first.id);
    assert_int_equal(waiting.state, SUBMISSION_RETRY_PENDING);
    assert_int_equal(waiting.stars, 2);
    struct received   bytes = market_bytes(market);
    struct submission second = market_receive(market, &retried, &bytes);
    assert_true(id_eq(&second.id, &first.id));
    assert_int_equal(second.attempt, 2);
    assert_int_equal(second.stars, 0);
    assert_int_equal(second.reasoning.len, 0);
    assert_int_equal(second.created_ms, first.created_ms);
    second = market_judge(market, &second, 5);
    assert_int_equal(second.state, SUBMISSION_APPROVED);
    assert_int_equal(market_job_now(market, &job.id).state, JOB_COMPLETED);
}

static void retry_happens_once(void **state)
{
    struct market     *market = *state;
    struct job         job = market_job(market, 1, 50);
    struct submission  submission = judged(market, &job.id, 2);
    struct reservation retried = market_retry(market, &submission);
    REFUSED_UNWRITTEN(market, retry(market, &submission), ERR_CONFLICT, "not_retryable");
    struct received bytes = market_bytes(market);
    submission = market_receive(market, &retried, &bytes);
    submission = market_judge(market, &submission, 2);
    assert_int_equal(submission.state, SUBMISSION_REJECTED);
    assert_false(submission_may_retry(&submission));
    market_as_worker(market, &submission.worker_id);
    REFUSED_UNWRITTEN(market, retry(market, &submission), ERR_CONFLICT, "not_retryable");
}

static void retry_needs_a_free_slot(void **state)
{
    struct market     *market = *state;
    struct id          other_id = market_worker(market);
    struct job         job = market_job(market, 1, 50);
    struct submission  submission = judged(market, &job.id, 2);
    struct reservation held = market_accept(market, &other_id, &job.id);
    market_as_worker(market, &submission.worker_id);
    REFUSED_UNWRITTEN(market, retry(market, &submission), ERR_CONFLICT, "job_full");
    market->now_ms = held.expires_ms;
    DONE(market, retry(market, &submission));
}

static void retry_for_a_job_that_is_over_is_refused(void **state)
{
    struct market    *market = *state;
    struct job        job = market_job(market, 2, 50);
    struct submission submission = judged(market, &job.id, 2);
    market_cancel(market, &job.id);
    market_as_worker(market, &submission.worker_id);
    REFUSED_UNWRITTEN(market, retry(market, &submission), ERR_CONFLICT, "job_closed");
}

static void assert_as_first_judged(struct market *market, const struct submission *first)
{
    struct submission now = market_submission_now(market, &first->id);
    assert_int_equal(now.state, SUBMISSION_REJECTED);
    assert_int_equal(now.attempt, 1);
    assert_int_equal(now.stars, first->stars);
    assert_int_equal(now.scored_ms, first->scored_ms);
    assert_true(str_eq(now.reasoning, first->reasoning));
    assert_true(str_eq(now.sha256, first->sha256));
}

static void retry_that_lapses_is_rejected_as_before(void **state)
{
    struct market     *market = *state;
    struct job         job = market_job(market, 1, 50);
    struct submission  first = judged(market, &job.id, 2);
    struct reservation retried = market_retry(market, &first);
    int                count;
    market->now_ms = retried.expires_ms;
    DONE(market, reservation_lapse_all_due(&market->call, 10, &count));
    assert_as_first_judged(market, &first);
    assert_int_equal(slots_free(market, &job.id), 1);
}

static void retry_that_lapsed_may_be_asked_for_again_before_a_sweep_saw_it(void **state)
{
    struct market     *market = *state;
    struct job         job = market_job(market, 1, 50);
    struct submission  first = judged(market, &job.id, 2);
    struct reservation retried = market_retry(market, &first);
    market->now_ms = retried.expires_ms - 1;
    REFUSED_UNWRITTEN(market, retry(market, &first), ERR_CONFLICT, "not_retryable");
    market->now_ms++;
    DONE(market, retry(market, &first));
    assert_int_equal(market_reservation_now(market, &retried).state, RESERVATION_LAPSED);
    assert_int_equal(slots_free(market, &job.id), 0);
}

static void retry_given_back_is_rejected_as_before(void **state)
{
    struct market     *market = *state;
    struct job         job = market_job(market, 1, 50);
    struct submission  first = judged(market, &job.id, 2);
    struct reservation retried = market_retry(market, &first);
    DONE(market, reservation_release(&market->call, id_str(&retried.id)));
    assert_as_first_judged(market, &first);
    DONE(market, retry(market, &first)); /* nothing was uploaded: the one retry is still there */
}

static void retry_finished_after_its_lapse_takes_a_free_slot_again(void **state)
{
    struct market     *market = *state;
    struct job         job = market_job(market, 1, 50);
    struct submission  first = judged(market, &job.id, 2);
    struct reservation retried = market_retry(market, &first);
    struct received    bytes = market_bytes(market);
    market->now_ms = retried.expires_ms;
    struct submission second = market_receive(market, &retried, &bytes);
    assert_int_equal(second.state, SUBMISSION_PENDING_SCORE);
    assert_int_equal(second.attempt, 2);
    assert_int_equal(market_judge(market, &second, 3).state, SUBMISSION_APPROVED);
}

/* Two leases for one second attempt: only the newer may become it, in whatever order they finish.
 */
static void retry_asked_for_again_leaves_the_lapsed_lease_nothing(void **state)
{
    struct market     *market = *state;
    struct job         job = market_job(market, 3, 50);
    struct submission  first = judged(market, &job.id, 2);
    struct reservation older = market_retry(market, &first);
    struct received    late = market_bytes(market), bytes = market_bytes(market);
    market->now_ms = older.expires_ms;
    int count;
    DONE(market, reservation_lapse_all_due(&market->call, 10, &count));
    struct reservation newer = market_retry(market, &first);
    REFUSED_UNWRITTEN(market, market_try_receive(market, &older, &late), ERR_CONFLICT,
                      "reservation_expired");
    struct submission second = market_receive(market, &newer, &bytes);
    REFUSED_UNWRITTEN(market, market_try_receive(market, &older, &late), ERR_CONFLICT,
                      "reservation_expired");
    second = market_judge(market, &second, 2);
    market_as_worker(market, &second.worker_id);
    REFUSED_UNWRITTEN(market, market_try_receive(market, &older, &late), ERR_CONFLICT,
                      "reservation_expired");
}

static void late_second_attempt_closes_the_retry(void **state)
{
    struct market     *market = *state;
    struct job         job = market_job(market, 3, 50);
    struct submission  first = judged(market, &job.id, 2);
    struct reservation older = market_retry(market, &first);
    struct received    bytes = market_bytes(market);
    market->now_ms = older.expires_ms;
    struct submission second = market_receive(market, &older, &bytes);
    REFUSED_UNWRITTEN(market, retry(market, &second), ERR_CONFLICT, "not_retryable");
}

static void bytes_of_each_attempt_have_their_own_name(void **state)
{
    struct market *market = *state;
    struct id      id = id_new(ID_SUBMISSION, market->now_ms);
    struct str     first = submission_blob_name(&id, 1, &market->arena);
    struct str     second = submission_blob_name(&id, 2, &market->arena);
    assert_true(str_starts_with(first, id_str(&id)) && str_ends_with(first, STR(".1")));
    assert_false(str_eq(first, second));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(received_file_waits_for_its_score),
        market_test(same_bytes_for_the_same_reservation_are_the_same_submission),
        market_test(other_bytes_for_a_used_reservation_are_refused),
        market_test(first_attempt_repeated_after_the_second_is_the_same_submission),
        market_test(unknown_reservation_is_not_found),
        market_test(bytes_the_job_has_seen_are_rejected_whoever_sends_them),
        market_test(bytes_another_job_has_seen_are_no_duplicate),
        market_test(retry_with_unchanged_bytes_is_a_duplicate),
        market_test(stars_at_the_jobs_minimum_are_approved_and_below_rejected),
        market_test(gate_rejects_whatever_the_minimum),
        market_test(approval_commits_file_payment_counters_and_delivery_together),
        market_test(verdict_settles_what_examining_found_out),
        market_test(verdict_on_something_else_only_finishes_the_task),
        market_test(verdict_of_a_runner_that_lost_the_task_is_undone),
        market_test(verdict_on_the_first_attempt_does_not_judge_the_second),
        market_test(file_nobody_could_examine_is_rejected_whatever_the_minimum),
        market_test(retry_needs_two_stars),
        market_test(retry_is_open_to_a_rejection_with_many_stars),
        market_test(retry_refuses_what_is_pending_or_approved),
        market_test(retry_of_anothers_submission_is_not_found),
        market_test(retry_is_the_same_submission_and_may_be_approved),
        market_test(retry_happens_once),
        market_test(retry_needs_a_free_slot),
        market_test(retry_for_a_job_that_is_over_is_refused),
        market_test(retry_that_lapses_is_rejected_as_before),
        market_test(retry_that_lapsed_may_be_asked_for_again_before_a_sweep_saw_it),
        market_test(retry_given_back_is_rejected_as_before),
        market_test(retry_finished_after_its_lapse_takes_a_free_slot_again),
        market_test(retry_asked_for_again_leaves_the_lapsed_lease_nothing),
        market_test(late_second_attempt_closes_the_retry),
        market_test(bytes_of_each_attempt_have_their_own_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
