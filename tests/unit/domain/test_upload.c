#include "domain/upload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support.h"
#include "domain/submission.h"

static const int64_t HOUR_MS = 3600 * 1000;

struct scene {
    struct job         job;
    struct reservation reservation;
};

static struct scene scene_of(struct house *house)
{
    struct scene scene;
    scene.job = house_job(house, 3, BIT(MEDIA_PNG));
    house_worker(house);
    scene.reservation = house_reservation(house, &scene.job);
    return scene;
}

static struct upload upload_of(struct house *house, const struct reservation *reservation,
                               int64_t size_bytes)
{
    struct upload upload = {
        .id = id_new(ID_UPLOAD, house->call.now_ms),
        .worker_id = house->call.actor.worker_id,
        .reservation_id = reservation->id,
        .size_bytes = size_bytes,
        .filename = STR("sign.png"),
        .metadata = STR("filename c2lnbi5wbmc="),
    };
    house_ok(house, upload_create(&house->call, &upload));
    return upload;
}

static struct upload read_back(struct house *house, const struct upload *upload)
{
    struct upload row;
    house_ok(house, upload_get_own(&house->call, id_str(&upload->id), &row));
    return row;
}

static void a_row_reads_as_it_was_written(void **state)
{
    struct house *house = *state;
    struct scene  scene = scene_of(house);
    struct upload upload = upload_of(house, &scene.reservation, 1234);
    struct upload row = read_back(house, &upload);
    assert_true(id_eq(&row.reservation_id, &scene.reservation.id));
    assert_int_equal(row.size_bytes, 1234);
    assert_true(str_eq(row.filename, upload.filename));
    assert_true(str_eq(row.metadata, upload.metadata));
    assert_int_equal(row.state, UPLOAD_OPEN);
    assert_null(row.content_hash.data);
    assert_true(id_is_none(&row.submission_id));
    assert_int_equal(row.expires_ms, row.created_ms + house->config.reservation_max_ms);
}

static void another_workers_upload_is_not_there(void **state)
{
    struct house *house = *state;
    struct scene  scene = scene_of(house);
    struct upload upload = upload_of(house, &scene.reservation, 10), row;
    int           count = -1;
    house_worker(house);
    house_refuses(house, upload_get_own(&house->call, id_str(&upload.id), &row), ERR_NOT_FOUND,
                  "upload");
    house_refuses(house, upload_get_own(&house->call, STR("upl_x' OR 1=1"), &row), ERR_NOT_FOUND,
                  "upload");
    house_ok(house, upload_list_own(&house->call, &(struct id){ 0 }, 10, &row, &count));
    assert_int_equal(count, 0);
}

static void a_listing_goes_from_the_newest_back(void **state)
{
    struct house *house = *state;
    struct scene  scene = scene_of(house);
    struct upload made[3], rows[3];
    int           count;
    for (int i = 0; i < 3; i++)
        made[i] = upload_of(house, &scene.reservation, 10);
    house_ok(house, upload_list_own(&house->call, &(struct id){ 0 }, 2, rows, &count));
    assert_int_equal(count, 2);
    assert_true(id_eq(&rows[0].id, &made[2].id));
    assert_true(id_eq(&rows[1].id, &made[1].id));
    house_ok(house, upload_list_own(&house->call, &rows[1].id, 3, rows, &count));
    assert_int_equal(count, 1);
    assert_true(id_eq(&rows[0].id, &made[0].id));
}

static void an_upload_ends_once(void **state)
{
    struct house *house = *state;
    struct scene  scene = scene_of(house);
    for (int to = UPLOAD_REFUSED; to < UPLOAD_STATE__COUNT; to++) {
        struct upload upload = upload_of(house, &scene.reservation, 10);
        house_ok(house, upload_end(&house->call, &upload, (enum upload_state)to));
        assert_int_equal(read_back(house, &upload).state, to);
        for (int again = UPLOAD_DONE; again < UPLOAD_STATE__COUNT; again++)
            house_refuses(house, upload_end(&house->call, &upload, (enum upload_state)again),
                          ERR_CONFLICT, "upload_ended");
        assert_int_equal(read_back(house, &upload).state, to);
    }
}

static void a_done_upload_names_what_it_became(void **state)
{
    struct house *house = *state;
    struct scene  scene = scene_of(house);
    struct upload upload = upload_of(house, &scene.reservation, 0);
    upload.size_bytes = 77;
    upload.content_hash = STR("abcd");
    upload.submission_id = scene.reservation.submission_id;
    house_ok(house, upload_end(&house->call, &upload, UPLOAD_DONE));
    struct upload row = read_back(house, &upload);
    assert_int_equal(row.size_bytes, 77);
    assert_true(str_eq(row.content_hash, STR("abcd")));
    assert_true(id_eq(&row.submission_id, &scene.reservation.submission_id));
}

static void a_promised_length_is_set_once(void **state)
{
    struct house *house = *state;
    struct scene  scene = scene_of(house);
    struct upload upload = upload_of(house, &scene.reservation, 0);
    assert_int_equal(read_back(house, &upload).size_bytes, 0);
    house_ok(house, upload_set_size(&house->call, &upload.id, 500));
    house_ok(house, upload_set_size(&house->call, &upload.id, 500));
    house_refuses(house, upload_set_size(&house->call, &upload.id, 501), ERR_CONFLICT,
                  "upload_length_known");
    assert_int_equal(read_back(house, &upload).size_bytes, 500);
    house_ok(house, upload_end(&house->call, &upload, UPLOAD_TERMINATED));
    house_refuses(house, upload_set_size(&house->call, &upload.id, 500), ERR_CONFLICT,
                  "upload_ended");
}

static void time_expires_an_upload_before_the_sweeper_writes_it_down(void **state)
{
    struct house *house = *state;
    struct scene  scene = scene_of(house);
    struct upload due = upload_of(house, &scene.reservation, 10);
    struct upload ended = upload_of(house, &scene.reservation, 10);
    struct id     ids[8];
    int           count;
    house_ok(house, upload_end(&house->call, &ended, UPLOAD_REFUSED));
    house_advance(house, house->config.reservation_max_ms - HOUR_MS);
    struct upload fresh = upload_of(house, &scene.reservation, 10);
    assert_int_equal(read_back(house, &due).state, UPLOAD_OPEN);
    house_ok(house, upload_expire_due(&house->call, 8, ids, &count));
    assert_int_equal(count, 0);
    house_advance(house, HOUR_MS);
    assert_int_equal(read_back(house, &due).state, UPLOAD_EXPIRED);
    house_ok(house, upload_expire_due(&house->call, 8, ids, &count));
    assert_int_equal(count, 1);
    assert_true(id_eq(&ids[0], &due.id));
    house_ok(house, upload_expire_due(&house->call, 8, ids, &count));
    assert_int_equal(count, 0);
    assert_int_equal(read_back(house, &ended).state, UPLOAD_REFUSED);
    assert_int_equal(read_back(house, &fresh).state, UPLOAD_OPEN);
}

static void beginning_asks_what_the_finish_would_ask(void **state)
{
    struct house *house = *state;
    struct job    job = house_job(house, 1, BIT(MEDIA_PNG)), found;
    struct actor  buyer = house->call.actor;
    house_worker(house);
    struct reservation lapsed = house_reservation(house, &job);
    house_ok(house, upload_may_begin(&house->call, &lapsed, &found));
    house_advance(house, HOUR_MS);
    house_ok(house, upload_may_begin(&house->call, &lapsed, &found)); /* the slot is free */
    house_worker(house);
    house_reservation(house, &job);
    house_refuses(house, upload_may_begin(&house->call, &lapsed, &found), ERR_CONFLICT,
                  "reservation_expired");
    house->call.actor = buyer;
    house_ok(house, job_cancel(&house->call, id_str(&job.id), &found));
    house_refuses(house, upload_may_begin(&house->call, &lapsed, &found), ERR_CONFLICT,
                  "job_closed");
    lapsed.state = RESERVATION_USED; /* the same bytes may come again, whatever became of the job */
    house_ok(house, upload_may_begin(&house->call, &lapsed, &found));
}

/* Two gigabytes on their way in vain would be the price of asking later. */
static void beginning_after_the_lapse_asks_for_the_workers_caps(void **state)
{
    struct house *house = *state;
    struct job    first = house_job(house, 1, BIT(MEDIA_PNG)), found;
    struct job    second = house_job(house, 1, BIT(MEDIA_PNG));
    house_worker(house);
    struct reservation lapsed = house_reservation(house, &first);
    house_advance(house, HOUR_MS);
    house_reservation(house, &second);
    house->config.worker_submissions_per_day = 1;
    house_refuses(house, upload_may_begin(&house->call, &lapsed, &found), ERR_CONFLICT,
                  "reservation_expired");
}

static void worker_has_so_many_unfinished_uploads(void **state)
{
    struct house *house = *state;
    struct scene  scene = scene_of(house);
    struct upload last = { 0 };
    house->config.worker_reservations_max = 2;
    for (int i = 0; i < 2 * UPLOADS_OPEN_PER_SLOT_MAX; i++) {
        house_ok(house, upload_may_add(&house->call));
        last = upload_of(house, &scene.reservation, 10);
    }
    house_refuses(house, upload_may_add(&house->call), ERR_CONFLICT, "uploads_capped");
    house_ok(house, upload_end(&house->call, &last, UPLOAD_TERMINATED));
    house_ok(house, upload_may_add(&house->call));
    upload_of(house, &scene.reservation, 10);
    house_refuses(house, upload_may_add(&house->call), ERR_CONFLICT, "uploads_capped");
    struct actor worker = house->call.actor;
    house_worker(house);
    house_ok(house, upload_may_add(&house->call)); /* another's are another's */
    house_advance(house, house->config.reservation_max_ms);
    house->call.actor = worker;
    house_ok(house, upload_may_add(&house->call)); /* their time is over, swept or not */
}

static bool is_wanted(struct house *house, struct str name)
{
    bool is_wanted = false;
    house_ok(house, upload_wants_bytes(&house->call, name, &is_wanted));
    return is_wanted;
}

static void bytes_are_wanted_as_long_as_a_row_may_need_them(void **state)
{
    struct house     *house = *state;
    struct scene      scene = scene_of(house);
    struct upload     upload = upload_of(house, &scene.reservation, 10);
    struct id         submission_id = scene.reservation.submission_id;
    struct str        blob = submission_blob_name(&submission_id, 1, &house->arena);
    struct submission submission;
    bool              is_new;
    struct received   received = { STR("ab"), 10, MEDIA_PNG, STR_NONE };
    assert_true(is_wanted(house, id_str(&upload.id)));
    assert_false(is_wanted(house, str_format(&house->arena, "%s.7", upload.id.text)));
    assert_true(is_wanted(house, blob)); /* renamed, its commit still to come */
    assert_false(is_wanted(house, submission_blob_name(&submission_id, 2, &house->arena)));
    house_ok(house, upload_end(&house->call, &upload, UPLOAD_TERMINATED));
    assert_false(is_wanted(house, id_str(&upload.id)));
    assert_false(is_wanted(house, blob));
    house_ok(house,
             submission_receive(&house->call, &scene.reservation, &received, &submission, &is_new));
    assert_true(is_wanted(house, blob));
    assert_false(is_wanted(house, STR("something else")));
    assert_false(is_wanted(house, STR("sub_.1")));
}

static void the_largest_format_sets_the_size(void **state)
{
    (void)state;
    assert_int_equal(upload_bytes_max(0), 0);
    assert_int_equal(upload_bytes_max(BIT(MEDIA_PNG)), UPLOAD_IMAGE_BYTES_MAX);
    assert_int_equal(upload_bytes_max(BIT(MEDIA_PNG) | BIT(MEDIA_M4A)), UPLOAD_AUDIO_BYTES_MAX);
    assert_int_equal(upload_bytes_max(BIT(MEDIA_MOV) | BIT(MEDIA_JPEG)), UPLOAD_VIDEO_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        house_test(a_row_reads_as_it_was_written),
        house_test(another_workers_upload_is_not_there),
        house_test(a_listing_goes_from_the_newest_back),
        house_test(an_upload_ends_once),
        house_test(a_done_upload_names_what_it_became),
        house_test(a_promised_length_is_set_once),
        house_test(time_expires_an_upload_before_the_sweeper_writes_it_down),
        house_test(beginning_asks_what_the_finish_would_ask),
        house_test(beginning_after_the_lapse_asks_for_the_workers_caps),
        house_test(worker_has_so_many_unfinished_uploads),
        house_test(bytes_are_wanted_as_long_as_a_row_may_need_them),
        cmocka_unit_test(the_largest_format_sets_the_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
