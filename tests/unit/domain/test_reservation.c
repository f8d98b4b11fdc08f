#include "domain/reservation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "marketplace.h"

static enum err accept(struct market *market, const struct id *job_id)
{
    struct reservation reservation;
    bool               is_new;
    return reservation_accept(&market->call, id_str(job_id), &(struct whereabouts){ 0 },
                              &reservation, &is_new);
}

static void assert_counters(struct market *market, const struct id *job_id, int approved,
                            int pending, int reserved)
{
    struct job job = market_job_now(market, job_id);
    assert_int_equal(job.files_approved, approved);
    assert_int_equal(job.files_pending, pending);
    assert_int_equal(job.slots_reserved, reserved);
}

static int64_t slots_open(struct market *market, const struct id *job_id)
{
    struct job job = market_job_now(market, job_id);
    int64_t    slots;
    DONE(market, reservation_slots_open(&market->call, &job, &slots));
    return slots;
}

/* --- accepting --- */

static void accept_takes_a_slot_for_the_time_to_live(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 2, 10);
    struct reservation reservation = market_accept(market, &worker_id, &job.id);
    assert_int_equal(reservation.state, RESERVATION_HELD);
    assert_int_equal(reservation.attempt, 1);
    assert_false(id_is_none(&reservation.submission_id));
    assert_int_equal(reservation.expires_ms, market->now_ms + market->config.reservation_ttl_ms);
    assert_counters(market, &job.id, 0, 0, 1);
    assert_int_equal(slots_open(market, &job.id), 1);
}

static void accept_while_holding_one_returns_that_one(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 2, 10);
    struct reservation first = market_accept(market, &worker_id, &job.id), again;
    bool               is_new = true;
    market->now_ms = first.expires_ms - 1;
    DONE(market, reservation_accept(&market->call, id_str(&job.id), &(struct whereabouts){ 0 },
                                    &again, &is_new));
    assert_false(is_new);
    assert_true(id_eq(&again.id, &first.id));
    assert_int_equal(again.expires_ms, first.expires_ms);
    assert_counters(market, &job.id, 0, 0, 1);
}

/* Within a kilometre of the Brandenburg Gate. */
static struct job job_with_place(struct market *market)
{
    struct job job = market_job_asked(2, 10);
    job.place = geo_point_at(52.516275, 13.377704);
    job.radius_mm = 1000000;
    market_as_buyer(market);
    DONE(market, job_create(&market->call, &job));
    return job;
}

static enum err accept_at(struct market *market, const struct id *job_id, double lat, double lng)
{
    struct reservation reservation;
    bool               is_new;
    struct whereabouts where = { true, true, geo_point_at(lat, lng) };
    return reservation_accept(&market->call, id_str(job_id), &where, &reservation, &is_new);
}

static void job_with_a_place_is_accepted_inside_its_radius_only(void **state)
{
    struct market *market = *state;
    struct job     job = job_with_place(market), got = market_job_now(market, &job.id);
    struct id      worker_id = market_worker(market);
    assert_int_equal(got.place.lat_nano, 52516275000);
    assert_int_equal(got.place.lng_nano, 13377704000);
    assert_int_equal(got.radius_mm, 1000000);
    market_as_worker(market, &worker_id);
    /* A degree of latitude is 111.195 km. */
    REFUSED_UNWRITTEN(market, accept_at(market, &job.id, 52.516275 + 0.009, 13.377704),
                      ERR_FORBIDDEN, "outside_area");
    REFUSED_UNWRITTEN(market, accept_at(market, &job.id, -52.516275, 13.377704), ERR_FORBIDDEN,
                      "outside_area");
    DONE(market, accept_at(market, &job.id, 52.516275 + 0.0089, 13.377704));
    assert_counters(market, &job.id, 0, 0, 1);
}

static void job_with_a_place_asks_for_each_missing_coordinate(void **state)
{
    struct market     *market = *state;
    struct job         job = job_with_place(market);
    struct id          worker_id = market_worker(market);
    struct reservation reservation;
    bool               is_new;
    market_as_worker(market, &worker_id);
    for (int said = 0; said < 3; said++) {
        struct whereabouts where = { said == 1, said == 2, job.place };
        REFUSED_UNWRITTEN(
            market,
            reservation_accept(&market->call, id_str(&job.id), &where, &reservation, &is_new),
            ERR_UNPROCESSABLE, "body_invalid");
        assert_int_equal(market->call.error.faults_count, said == 0 ? 2 : 1);
        assert_string_equal(market->call.error.faults[0].field, said == 1 ? "lng" : "lat");
        assert_string_equal(market->call.error.faults[0].code, "required");
    }
}

static enum err retry_at(struct market *market, const struct id *submission_id, double lat,
                         double lng)
{
    struct reservation reservation;
    struct whereabouts where = { true, true, geo_point_at(lat, lng) };
    return submission_retry(&market->call, id_str(submission_id), &where, &reservation);
}

static void retry_asks_where_the_worker_is_as_accept_does(void **state)
{
    struct market     *market = *state;
    struct job         job = job_with_place(market);
    struct id          worker_id = market_worker(market);
    struct reservation held;
    bool               is_new;
    struct whereabouts where = { true, true, job.place };
    market_as_worker(market, &worker_id);
    DONE(market, reservation_accept(&market->call, id_str(&job.id), &where, &held, &is_new));
    struct received   bytes = market_bytes(market);
    struct submission first = market_receive(market, &held, &bytes);
    market_judge(market, &first, 2);
    market_as_worker(market, &worker_id);
    where = (struct whereabouts){ 0 };
    REFUSED_UNWRITTEN(market, submission_retry(&market->call, id_str(&first.id), &where, &held),
                      ERR_UNPROCESSABLE, "body_invalid");
    assert_int_equal(market->call.error.faults_count, 2);
    REFUSED_UNWRITTEN(market, retry_at(market, &first.id, 52.516275 + 0.009, 13.377704),
                      ERR_FORBIDDEN, "outside_area");
    DONE(market, retry_at(market, &first.id, 52.516275 + 0.0089, 13.377704));
    assert_counters(market, &job.id, 0, 0, 1);
}

/* It is his already, wherever he has gone since. */
static void unused_reservation_is_given_again_without_asking_where(void **state)
{
    struct market *market = *state;
    struct job     job = job_with_place(market);
    struct id      worker_id = market_worker(market);
    market_as_worker(market, &worker_id);
    DONE(market, accept_at(market, &job.id, 52.516275, 13.377704));
    DONE(market, accept(market, &job.id));
    assert_counters(market, &job.id, 0, 0, 1);
}

static void lease_ends_with_the_job_at_the_latest(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     job = market_job_asked(1, 10);
    job.deadline_ms = market->now_ms + 20 * MS_PER_MINUTE;
    DONE(market, job_create(&market->call, &job));
    struct reservation held = market_accept(market, &worker_id, &job.id);
    assert_int_equal(held.expires_ms, job.deadline_ms);
    market->now_ms += 10 * MS_PER_MINUTE;
    DONE(market, reservation_renew(&market->call, &held));
    assert_int_equal(market_reservation_now(market, &held).expires_ms, job.deadline_ms);
    market->config.reservation_ttl_ms = 15 * MS_PER_MINUTE;
    struct job later = market_job_asked(1, 10);
    later.deadline_ms = market->now_ms + 20 * MS_PER_MINUTE;
    market_as_buyer(market);
    DONE(market, job_create(&market->call, &later));
    held = market_accept(market, &worker_id, &later.id);
    assert_int_equal(held.expires_ms, market->now_ms + 15 * MS_PER_MINUTE);
    market->now_ms += 10 * MS_PER_MINUTE;
    DONE(market, reservation_renew(&market->call, &held));
    assert_int_equal(market_reservation_now(market, &held).expires_ms, later.deadline_ms);
}

static void accept_at_the_instant_the_own_one_lapses_gives_a_new_one(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation first = market_accept(market, &worker_id, &job.id);
    market->now_ms = first.expires_ms;
    struct reservation second = market_accept(market, &worker_id, &job.id);
    assert_false(id_eq(&second.id, &first.id));
    assert_false(id_eq(&second.submission_id, &first.submission_id));
    assert_int_equal(market_reservation_now(market, &first).state, RESERVATION_LAPSED);
    assert_counters(market, &job.id, 0, 0, 1);
}

static void simulated_worker_takes_free_slots_of_open_jobs_only(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct id          submission_id = id_new(ID_SUBMISSION, market->now_ms);
    struct job         job = market_job(market, 1, 50);
    struct reservation held;
    market->config.worker_reservations_max = 0; /* caps are for people */
    market_as_runner(market);
    DONE(market, reservation_take(&market->call, &job, &worker_id, &submission_id, &held));
    assert_true(id_eq(&held.submission_id, &submission_id));
    assert_int_equal(market_job_now(market, &job.id).slots_reserved, 1);
    REFUSED_UNWRITTEN(market,
                      reservation_take(&market->call, &job, &worker_id, &submission_id, &held),
                      ERR_CONFLICT, "job_full");
    job = market_cancel(market, &job.id);
    REFUSED_UNWRITTEN(market,
                      reservation_take(&market->call, &job, &worker_id, &submission_id, &held),
                      ERR_CONFLICT, "job_closed");
}

static void accept_refuses_a_full_job(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market), other_id = market_worker(market);
    struct job     job = market_job(market, 1, 10);
    market_accept(market, &worker_id, &job.id);
    market_as_worker(market, &other_id);
    REFUSED_UNWRITTEN(market, accept(market, &job.id), ERR_CONFLICT, "job_full");
    assert_counters(market, &job.id, 0, 0, 1);
}

static void pending_files_take_their_slot(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     job = market_job(market, 1, 10);
    market_submit(market, &worker_id, &job.id);
    REFUSED_UNWRITTEN(market, accept(market, &job.id), ERR_CONFLICT, "job_full");
}

static void lapsed_reservation_frees_its_slot_at_that_instant(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market), other_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation first = market_accept(market, &worker_id, &job.id);
    market->now_ms = first.expires_ms - 1;
    market_as_worker(market, &other_id);
    assert_int_equal(slots_open(market, &job.id), 0);
    REFUSED_UNWRITTEN(market, accept(market, &job.id), ERR_CONFLICT, "job_full");
    market->now_ms++;
    assert_int_equal(slots_open(market, &job.id), 1);
    market_accept(market, &other_id, &job.id);
    assert_counters(market, &job.id, 0, 0, 1);
    assert_int_equal(slots_open(market, &job.id), 0);
}

static void accept_refuses_a_job_that_is_over(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     cancelled = market_job(market, 1, 10), done = market_job(market, 1, 10);
    market_cancel(market, &cancelled.id);
    struct submission submission = market_submit(market, &worker_id, &done.id);
    market_judge(market, &submission, 5);
    market_as_worker(market, &worker_id);
    REFUSED_UNWRITTEN(market, accept(market, &cancelled.id), ERR_CONFLICT, "job_closed");
    REFUSED_UNWRITTEN(market, accept(market, &done.id), ERR_CONFLICT, "job_closed");
    assert_int_equal(slots_open(market, &cancelled.id), 0);
}

static void accept_of_an_unknown_or_test_job_is_not_found(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market), unknown = id_new(ID_JOB, market->now_ms);
    struct job     job = market_job_asked(1, 1);
    market->actor.environment = ENVIRONMENT_TEST;
    DONE(market, job_create(&market->call, &job));
    market_as_worker(market, &worker_id);
    REFUSED_UNWRITTEN(market, accept(market, &job.id), ERR_NOT_FOUND, "job");
    REFUSED_UNWRITTEN(market, accept(market, &unknown), ERR_NOT_FOUND, "job");
    REFUSED_UNWRITTEN(market, accept(market, &worker_id), ERR_NOT_FOUND, "job");
}

/* --- caps --- */

static void worker_holds_only_so_many_reservations(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct reservation first = { 0 };
    for (int i = 0; i < market->config.worker_reservations_max; i++) {
        struct job         job = market_job(market, 1, 1);
        struct reservation taken = market_accept(market, &worker_id, &job.id);
        if (i == 0) first = taken;
        market->now_ms++;
    }
    struct job one_more = market_job(market, 1, 1);
    market_as_worker(market, &worker_id);
    REFUSED_UNWRITTEN(market, accept(market, &one_more.id), ERR_CONFLICT, "worker_capped");
    market->now_ms = first.expires_ms; /* lapsed ones are not held */
    market_accept(market, &worker_id, &one_more.id);
}

static void worker_sends_only_so_many_files_in_a_day(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     job = market_job(market, 9, 1);
    market->config.worker_submissions_per_day = 2;
    market_submit(market, &worker_id, &job.id);
    int64_t first_ms = market->now_ms;
    market->now_ms += 1000;
    market_submit(market, &worker_id, &job.id);
    REFUSED_UNWRITTEN(market, accept(market, &job.id), ERR_CONFLICT, "worker_capped");
    market->now_ms = first_ms + MS_PER_DAY - 1;
    REFUSED_UNWRITTEN(market, accept(market, &job.id), ERR_CONFLICT, "worker_capped");
    market->now_ms = first_ms + MS_PER_DAY;
    market_submit(market, &worker_id, &job.id);
}

static void what_a_worker_holds_counts_as_sent(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     first = market_job(market, 9, 1), second = market_job(market, 9, 1);
    market->config.worker_submissions_per_day = 2;
    market_submit(market, &worker_id, &first.id);
    market_accept(market, &worker_id, &first.id);
    REFUSED_UNWRITTEN(market, accept(market, &second.id), ERR_CONFLICT, "worker_capped");
}

/* It is the same submission, which was counted when it first came. */
static void second_try_is_no_second_file_of_the_day(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = market_job(market, 1, 1);
    struct received   bytes = market_bytes(market);
    struct submission first = market_submit(market, &worker_id, &job.id);
    market_judge(market, &first, 2);
    market->config.worker_submissions_per_day = 1;
    struct reservation lapsed = market_retry(market, &first);
    market->now_ms = lapsed.expires_ms;
    market_receive(market, &lapsed, &bytes);
}

/* A lapsed slot may be taken up again long after it was accepted. */
static void file_counts_on_the_day_it_is_sent_however_old_its_slot(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 9, 1);
    struct reservation old = market_accept(market, &worker_id, &job.id);
    struct received    bytes = market_bytes(market);
    market->config.worker_submissions_per_day = 1;
    market->now_ms += 90 * MS_PER_DAY;
    market_receive(market, &old, &bytes);
    REFUSED_UNWRITTEN(market, accept(market, &job.id), ERR_CONFLICT, "worker_capped");
}

static void no_limit_of_files_a_day_is_no_limit(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     job = market_job(market, 60, 1);
    market->config.worker_submissions_per_day = 0;
    for (int i = 0; i < 60; i++) {
        market_submit(market, &worker_id, &job.id);
    }
}

static struct job capped_job(struct market *market, int64_t files_max)
{
    struct job job = market_job_asked(9, 1);
    job.max_files_per_worker = files_max;
    market_as_buyer(market);
    DONE(market, job_create(&market->call, &job));
    return job;
}

static void job_takes_only_so_many_files_of_one_worker(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market), other_id = market_worker(market);
    struct job        job = capped_job(market, 2);
    struct submission first = market_submit(market, &worker_id, &job.id);
    struct submission second = market_submit(market, &worker_id, &job.id);
    REFUSED_UNWRITTEN(market, accept(market, &job.id), ERR_CONFLICT, "worker_capped");
    market_accept(market, &other_id, &job.id);
    market_judge(market, &first, 5);
    market_judge(market, &second, 1); /* rejected: it does not count */
    market_submit(market, &worker_id, &job.id);
    market_as_worker(market, &worker_id);
    REFUSED_UNWRITTEN(market, accept(market, &job.id), ERR_CONFLICT, "worker_capped");
}

static void lapsed_reservation_does_not_get_round_the_cap(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = capped_job(market, 1);
    struct received    bytes = market_bytes(market);
    struct reservation lapsed = market_accept(market, &worker_id, &job.id);
    market->now_ms = lapsed.expires_ms;
    market_submit(market, &worker_id, &job.id);
    REFUSED(market, market_try_receive(market, &lapsed, &bytes), ERR_CONFLICT,
            "reservation_expired");
    assert_counters(market, &job.id, 0, 1, 0);
}

static void retry_does_not_get_round_the_cap(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = capped_job(market, 1);
    struct submission  first = market_submit(market, &worker_id, &job.id);
    struct reservation reservation;
    market_judge(market, &first, 2);
    market_submit(market, &worker_id, &job.id);
    REFUSED_UNWRITTEN(market,
                      submission_retry(&market->call, id_str(&first.id), &(struct whereabouts){ 0 },
                                       &reservation),
                      ERR_CONFLICT, "worker_capped");
}

static void retry_under_way_counts_as_one_file(void **state)
{
    struct market    *market = *state;
    struct id         worker_id = market_worker(market);
    struct job        job = capped_job(market, 2);
    struct submission first = market_submit(market, &worker_id, &job.id);
    first = market_judge(market, &first, 2);
    struct reservation retry = market_retry(market, &first);
    market->now_ms = retry.expires_ms - 1;
    struct received bytes = market_bytes(market);
    market_receive(market, &retry, &bytes);
    market_submit(market, &worker_id, &job.id);
    REFUSED_UNWRITTEN(market, accept(market, &job.id), ERR_CONFLICT, "worker_capped");
}

static void retry_needs_room_among_what_the_worker_holds(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 2, 1), other = market_job(market, 1, 1);
    struct submission  first = market_submit(market, &worker_id, &job.id);
    struct reservation reservation;
    market_judge(market, &first, 2);
    market->config.worker_reservations_max = 1;
    market_accept(market, &worker_id, &other.id);
    REFUSED_UNWRITTEN(market,
                      submission_retry(&market->call, id_str(&first.id), &(struct whereabouts){ 0 },
                                       &reservation),
                      ERR_CONFLICT, "worker_capped");
}

static void may_accept_says_what_accept_would(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market), other_id = market_worker(market);
    struct job     job = market_job(market, 1, 1);
    market_as_worker(market, &worker_id);
    DONE(market, reservation_may_accept(&market->call, &job));
    struct reservation held = market_accept(market, &worker_id, &job.id);
    job = market_job_now(market, &job.id);
    DONE(market, reservation_may_accept(&market->call, &job)); /* accepting gives the held one */
    market_as_worker(market, &other_id);
    REFUSED_UNWRITTEN(market, reservation_may_accept(&market->call, &job), ERR_CONFLICT,
                      "job_full");
    market->now_ms = held.expires_ms;
    DONE(market, reservation_may_accept(&market->call, &job));
    market->config.worker_submissions_per_day = 1;
    market_submit(market, &other_id, &job.id);
    job = market_job_now(market, &job.id);
    REFUSED_UNWRITTEN(market, reservation_may_accept(&market->call, &job), ERR_CONFLICT,
                      "worker_capped"); /* before job_full */
    job = market_cancel(market, &job.id);
    market_as_worker(market, &other_id);
    REFUSED_UNWRITTEN(market, reservation_may_accept(&market->call, &job), ERR_CONFLICT,
                      "job_closed"); /* before both */
}

/* --- giving back --- */

static void release_frees_the_slot_and_may_be_repeated(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    DONE(market, reservation_release(&market->call, id_str(&held.id)));
    assert_int_equal(market_reservation_now(market, &held).state, RESERVATION_RELEASED);
    assert_counters(market, &job.id, 0, 0, 0);
    int64_t changes = market_changes(market);
    DONE(market, reservation_release(&market->call, id_str(&held.id)));
    assert_int_equal(market_changes(market), changes);
    assert_counters(market, &job.id, 0, 0, 0);
}

static void release_refuses_a_used_one(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct received    bytes = market_bytes(market);
    market_receive(market, &held, &bytes);
    REFUSED_UNWRITTEN(market, reservation_release(&market->call, id_str(&held.id)), ERR_CONFLICT,
                      "reservation_used");
    assert_counters(market, &job.id, 0, 1, 0);
}

static void another_workers_reservation_is_not_found(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market), other_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation held = market_accept(market, &worker_id, &job.id), got;
    market_as_worker(market, &other_id);
    REFUSED_UNWRITTEN(market, reservation_get(&market->call, id_str(&held.id), &got), ERR_NOT_FOUND,
                      "reservation");
    REFUSED_UNWRITTEN(market, reservation_release(&market->call, id_str(&held.id)), ERR_NOT_FOUND,
                      "reservation");
    REFUSED_UNWRITTEN(market, reservation_release(&market->call, STR("rsv_")), ERR_NOT_FOUND,
                      "reservation");
    DONE(market, reservation_get_any(&market->call, &held.id, &got));
}

static void a_slot_given_back_cannot_be_used_any_more(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct received    bytes = market_bytes(market);
    DONE(market, reservation_release(&market->call, id_str(&held.id)));
    REFUSED_UNWRITTEN(market, market_try_receive(market, &held, &bytes), ERR_CONFLICT,
                      "reservation_expired");
    assert_counters(market, &job.id, 0, 0, 0);
}

/* Whether a sweep saw the lapse before the release makes no difference. */
static void lapsed_slot_given_back_cannot_be_used_any_more(void **state)
{
    struct market *market = *state;
    struct id      worker_id = market_worker(market);
    struct job     job = market_job(market, 1, 10);
    for (int is_swept = 0; is_swept < 2; is_swept++) {
        struct reservation held = market_accept(market, &worker_id, &job.id);
        struct received    bytes = market_bytes(market);
        int                count;
        market->now_ms = held.expires_ms;
        if (is_swept) DONE(market, reservation_lapse_all_due(&market->call, 10, &count));
        DONE(market, reservation_release(&market->call, id_str(&held.id)));
        REFUSED_UNWRITTEN(market, market_try_receive(market, &held, &bytes), ERR_CONFLICT,
                          "reservation_expired");
        assert_counters(market, &job.id, 0, 0, 0);
    }
}

/* --- renewing --- */

static void renewal_extends_the_lease_at_most_once_a_minute(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    market->now_ms += MS_PER_MINUTE - 1;
    DONE(market, reservation_renew(&market->call, &held));
    assert_int_equal(market_reservation_now(market, &held).expires_ms, held.expires_ms);
    market->now_ms++;
    DONE(market, reservation_renew(&market->call, &held));
    struct reservation renewed = market_reservation_now(market, &held);
    assert_int_equal(renewed.expires_ms, market->now_ms + market->config.reservation_ttl_ms);
    assert_int_equal(renewed.renewed_ms, market->now_ms);
    market->now_ms += MS_PER_MINUTE - 1;
    DONE(market, reservation_renew(&market->call, &held)); /* told by a copy from the beginning */
    assert_int_equal(market_reservation_now(market, &held).expires_ms, renewed.expires_ms);
}

static void renewal_never_goes_beyond_the_longest_hold(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    int64_t            end_ms = held.accepted_ms + market->config.reservation_max_ms;
    for (int i = 0; i < 100; i++) {
        market->now_ms += 20 * MS_PER_MINUTE;
        held = market_reservation_now(market, &held);
        DONE(market, reservation_renew(&market->call, &held));
    }
    assert_int_equal(market_reservation_now(market, &held).expires_ms, end_ms);
}

static void renewal_does_not_revive_what_lapsed_or_ended(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 2, 10);
    struct reservation lapsed = market_accept(market, &worker_id, &job.id);
    market->now_ms = lapsed.expires_ms;
    DONE(market, reservation_renew(&market->call, &lapsed));
    assert_int_equal(market_reservation_now(market, &lapsed).expires_ms, lapsed.expires_ms);
    struct reservation released = market_accept(market, &worker_id, &job.id);
    DONE(market, reservation_release(&market->call, id_str(&released.id)));
    market->now_ms += MS_PER_MINUTE;
    DONE(market, reservation_renew(&market->call, &released));
    assert_int_equal(market_reservation_now(market, &released).expires_ms, released.expires_ms);
}

/* --- using --- */

static void finish_after_the_lapse_takes_a_free_slot_again(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct received    bytes = market_bytes(market);
    market->now_ms = held.expires_ms + MS_PER_DAY;
    struct submission submission = market_receive(market, &held, &bytes);
    assert_int_equal(submission.state, SUBMISSION_PENDING_SCORE);
    assert_true(id_eq(&submission.id, &held.submission_id));
    assert_int_equal(market_reservation_now(market, &held).state, RESERVATION_USED);
    assert_counters(market, &job.id, 0, 1, 0);
}

static void finish_after_a_sweep_saw_the_lapse_takes_a_free_slot_again(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct received    bytes = market_bytes(market);
    int                count;
    market->now_ms = held.expires_ms;
    DONE(market, reservation_lapse_all_due(&market->call, 10, &count));
    assert_int_equal(count, 1);
    market_receive(market, &held, &bytes);
    assert_counters(market, &job.id, 0, 1, 0);
}

static void finish_after_the_lapse_is_refused_when_the_slot_is_gone(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market), other_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct received    bytes = market_bytes(market);
    market->now_ms = held.expires_ms;
    market_accept(market, &other_id, &job.id);
    market_as_worker(market, &worker_id);
    REFUSED_UNWRITTEN(market, market_try_receive(market, &held, &bytes), ERR_CONFLICT,
                      "reservation_expired");
    assert_int_equal(market_int(market, "SELECT count(*) FROM submissions"), 0);
}

static void finish_for_a_cancelled_job_is_refused(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 2, 10);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct received    bytes = market_bytes(market);
    market_cancel(market, &job.id);
    market_as_worker(market, &worker_id);
    REFUSED_UNWRITTEN(market, market_try_receive(market, &held, &bytes), ERR_CONFLICT,
                      "job_closed");
}

/* The upload began with a copy of the reservation; what happened since decides. */
static void finish_goes_by_the_reservation_as_it_is_now(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct job         job = market_job(market, 1, 10);
    struct reservation held = market_accept(market, &worker_id, &job.id);
    struct received    bytes = market_bytes(market), others = market_bytes(market);
    market->now_ms += MS_PER_MINUTE;
    DONE(market, reservation_renew(&market->call, &held));
    market->now_ms = held.expires_ms + 1; /* of the copy */
    DONE(market, market_try_receive(market, &held, &bytes));
    assert_counters(market, &job.id, 0, 1, 0);
    REFUSED_UNWRITTEN(market, market_try_receive(market, &held, &others), ERR_CONFLICT,
                      "reservation_used");
}

/* --- lapsing --- */

static void sweep_writes_down_up_to_so_many_lapses(void **state)
{
    struct market *market = *state;
    struct id      workers[3];
    struct job     job = market_job(market, 3, 10);
    int            count;
    for (int i = 0; i < 3; i++) {
        workers[i] = market_worker(market);
        market_accept(market, &workers[i], &job.id);
    }
    DONE(market, reservation_lapse_all_due(&market->call, 10, &count));
    assert_int_equal(count, 0);
    market->now_ms += market->config.reservation_ttl_ms;
    DONE(market, reservation_lapse_all_due(&market->call, 10, &count));
    assert_int_equal(count, 3);
    assert_counters(market, &job.id, 0, 0, 0);
    DONE(market, reservation_lapse_all_due(&market->call, 10, &count));
    assert_int_equal(count, 0);
}

static void list_shows_the_workers_live_ones_newest_first(void **state)
{
    struct market     *market = *state;
    struct id          worker_id = market_worker(market);
    struct reservation held[3], rows[3];
    int                count;
    for (int i = 0; i < 3; i++) {
        struct job job = market_job(market, 1, 1);
        held[i] = market_accept(market, &worker_id, &job.id);
        market->now_ms++;
    }
    market->now_ms = held[0].expires_ms;
    DONE(market, reservation_list(&market->call, &(struct id){ 0 }, 3, rows, &count));
    assert_int_equal(count, 2);
    assert_true(id_eq(&rows[0].id, &held[2].id) && id_eq(&rows[1].id, &held[1].id));
    DONE(market, reservation_list(&market->call, &held[2].id, 3, rows, &count));
    assert_true(count == 1 && id_eq(&rows[0].id, &held[1].id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(accept_takes_a_slot_for_the_time_to_live),
        market_test(accept_while_holding_one_returns_that_one),
        market_test(job_with_a_place_is_accepted_inside_its_radius_only),
        market_test(job_with_a_place_asks_for_each_missing_coordinate),
        market_test(retry_asks_where_the_worker_is_as_accept_does),
        market_test(unused_reservation_is_given_again_without_asking_where),
        market_test(lease_ends_with_the_job_at_the_latest),
        market_test(accept_at_the_instant_the_own_one_lapses_gives_a_new_one),
        market_test(simulated_worker_takes_free_slots_of_open_jobs_only),
        market_test(accept_refuses_a_full_job),
        market_test(pending_files_take_their_slot),
        market_test(lapsed_reservation_frees_its_slot_at_that_instant),
        market_test(accept_refuses_a_job_that_is_over),
        market_test(accept_of_an_unknown_or_test_job_is_not_found),
        market_test(worker_holds_only_so_many_reservations),
        market_test(worker_sends_only_so_many_files_in_a_day),
        market_test(what_a_worker_holds_counts_as_sent),
        market_test(second_try_is_no_second_file_of_the_day),
        market_test(file_counts_on_the_day_it_is_sent_however_old_its_slot),
        market_test(no_limit_of_files_a_day_is_no_limit),
        market_test(job_takes_only_so_many_files_of_one_worker),
        market_test(lapsed_reservation_does_not_get_round_the_cap),
        market_test(retry_does_not_get_round_the_cap),
        market_test(retry_under_way_counts_as_one_file),
        market_test(retry_needs_room_among_what_the_worker_holds),
        market_test(may_accept_says_what_accept_would),
        market_test(release_frees_the_slot_and_may_be_repeated),
        market_test(release_refuses_a_used_one),
        market_test(another_workers_reservation_is_not_found),
        market_test(a_slot_given_back_cannot_be_used_any_more),
        market_test(lapsed_slot_given_back_cannot_be_used_any_more),
        market_test(renewal_extends_the_lease_at_most_once_a_minute),
        market_test(renewal_never_goes_beyond_the_longest_hold),
        market_test(renewal_does_not_revive_what_lapsed_or_ended),
        market_test(finish_after_the_lapse_takes_a_free_slot_again),
        market_test(finish_after_a_sweep_saw_the_lapse_takes_a_free_slot_again),
        market_test(finish_after_the_lapse_is_refused_when_the_slot_is_gone),
        market_test(finish_for_a_cancelled_job_is_refused),
        market_test(finish_goes_by_the_reservation_as_it_is_now),
        market_test(sweep_writes_down_up_to_so_many_lapses),
        market_test(list_shows_the_workers_live_ones_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
