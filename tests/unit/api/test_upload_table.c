#include "api/upload_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support.h"
#include "base/encode.h"
#include "platform/disk.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const int64_t MINUTE_MS = 60 * 1000;

/* The services an upload moves through, and one reservation to move it for. */
struct scene {
    struct house        *house;
    struct api           api;
    struct upload_table *table;
    struct job           job;
    struct reservation   reservation;
    struct error         error;
};

static struct writer *start_writer(struct house *house)
{
    struct db *dbs[2];
    for (int i = 0; i < 2; i++)
        house_ok(house, db_open(house->url, DB_WRITE, &house->call.error, &dbs[i]));
    return writer_start(dbs[0], dbs[1]);
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    struct house *house = scene->house = house_open();
    scene->job = house_job(house, 5, BIT(MEDIA_PNG) | BIT(MEDIA_JPEG));
    house_worker(house);
    scene->reservation = house_reservation(house, &scene->job);
    house_ok(house, db_commit(house->db, &house->call.error));
    scene->api = (struct api){
        .config = &house->config,
        .keyring = house->keyring,
        .world = &house->world,
        .writer = start_writer(house),
        .io_pool = io_pool_start(2),
    };
    house_ok(house, blob_store_open(str_of(house->dir), &house->arena, &house->call.error,
                                    &scene->api.blobs));
    scene->table = upload_table_open(&scene->api);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    io_pool_stop(scene->api.io_pool);
    writer_stop(scene->api.writer);
    upload_table_close(scene->table);
    house_close(scene->house);
    free(scene);
    return 0;
}

#define table_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static struct upload_origin origin_of(const struct scene *scene, int64_t size_bytes)
{
    return (struct upload_origin){
        .id = id_new(ID_UPLOAD, world_now_ms(&scene->house->world)),
        .reservation = scene->reservation,
        .formats = scene->job.formats,
        .size_bytes = size_bytes,
    };
}

static struct upload_session *pin(struct scene *scene, const struct upload_origin *origin)
{
    struct upload_session *session;
    assert_int_equal(upload_session_pin(scene->table, origin, &scene->error, &session), ERR_OK);
    return session;
}

static uint64_t take(struct scene *scene, struct upload_session *session, int64_t offset)
{
    uint64_t generation = 0;
    assert_int_equal(upload_session_take(session, offset, &scene->error, &generation), ERR_OK);
    return generation;
}

/* size bytes that begin as a PNG file does; each seed another. */
static struct str png(struct scene *scene, size_t size, int seed)
{
    static const unsigned char head[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
                                          0,    0,   0,   13,  'I',  'H',  'D',  'R' };
    char                      *bytes = NEW(&scene->house->arena, char, size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = i < sizeof(head) ? (char)head[i] : (char)((int)i * 7 + seed);
    return (struct str){ bytes, size };
}

#define refuses(scene, expression, code, slug_wanted)                                              \
    do {                                                                                           \
        assert_int_equal((expression), (code));                                                    \
        assert_string_equal((scene)->error.slug, (slug_wanted));                                   \
    } while (0)

static struct str hash_of(struct scene *scene, struct upload_session *session)
{
    struct str hex;
    assert_int_equal(upload_session_hash(session, &scene->house->arena, &scene->error, &hex),
                     ERR_OK);
    return hex;
}

static struct str hash_of_bytes(struct scene *scene, struct str bytes)
{
    unsigned char digest[SHA256_BYTES];
    crypto_sha256(bytes, digest);
    return encode_hex(&scene->house->arena, digest, sizeof(digest));
}

static void append(struct scene *scene, struct upload_session *session, uint64_t generation,
                   struct str bytes)
{
    enum err e = upload_session_append(session, generation, bytes, &scene->error);
    if (e) fail_msg("%s: %s", scene->error.slug, scene->error.detail);
}

static void pieces_become_the_whole_with_its_hash(void **state)
{
    struct scene          *scene = *state;
    struct str             bytes = png(scene, 100000, 1);
    struct upload_origin   origin = origin_of(scene, (int64_t)bytes.len);
    struct upload_session *session = pin(scene, &origin);
    uint64_t               generation = take(scene, session, 0);
    int64_t                offset;
    enum media_type        type;
    for (size_t at = 0; at < bytes.len; at += 999)
        append(scene, session, generation, str_take(str_skip(bytes, at), 999));
    assert_true(upload_session_is_complete(session));
    assert_int_equal(upload_session_sync(session, &scene->error, &offset), ERR_OK);
    assert_int_equal(offset, bytes.len);
    assert_int_equal(upload_session_type(session, &scene->error, &type), ERR_OK);
    assert_int_equal(type, MEDIA_PNG);
    assert_true(str_eq(hash_of(scene, session), hash_of_bytes(scene, bytes)));
    assert_int_equal(blob_part_size(scene->api.blobs, id_str(&origin.id)), bytes.len);
    upload_session_end(session, false);
    upload_session_unpin(session);
    assert_int_equal(upload_table_count(scene->table), 0);
}

static void a_lost_session_loses_nothing(void **state)
{
    struct scene          *scene = *state;
    struct str             bytes = png(scene, 5000, 2);
    struct upload_origin   origin = origin_of(scene, (int64_t)bytes.len);
    struct upload_session *session = pin(scene, &origin);
    append(scene, session, take(scene, session, 0), str_take(bytes, 3000));
    upload_session_unpin(session);
    upload_table_close(scene->table);
    scene->table = upload_table_open(&scene->api);
    session = pin(scene, &origin);
    assert_int_equal(upload_session_offset(session), 3000);
    append(scene, session, take(scene, session, 3000), str_skip(bytes, 3000));
    assert_true(str_eq(hash_of(scene, session), hash_of_bytes(scene, bytes)));
    upload_session_unpin(session);
}

static void a_new_request_takes_over(void **state)
{
    struct scene          *scene = *state;
    struct str             bytes = png(scene, 5000, 3);
    struct upload_origin   origin = origin_of(scene, (int64_t)bytes.len);
    struct upload_session *old = pin(scene, &origin), *new = pin(scene, &origin);
    uint64_t               old_generation = take(scene, old, 0), generation;
    assert_ptr_equal(old, new);
    append(scene, old, old_generation, str_take(bytes, 1000));
    refuses(scene, upload_session_take(new, 0, &scene->error, &generation), ERR_CONFLICT,
            "wrong_offset");
    append(scene, old, old_generation, str_take(str_skip(bytes, 1000), 1000));
    generation = take(scene, new, 2000);
    refuses(scene, upload_session_append(old, old_generation, STR("late"), &scene->error),
            ERR_CONFLICT, "upload_taken_over");
    refuses(scene, upload_session_check(old, old_generation, &scene->error), ERR_CONFLICT,
            "upload_taken_over");
    append(scene, new, generation, str_skip(bytes, 2000));
    assert_true(str_eq(hash_of(scene, new), hash_of_bytes(scene, bytes)));
    upload_session_unpin(old);
    upload_session_unpin(new);
}

static void more_than_announced_is_not_kept(void **state)
{
    struct scene          *scene = *state;
    struct upload_origin   origin = origin_of(scene, 100);
    struct upload_session *session = pin(scene, &origin);
    uint64_t               generation = take(scene, session, 0);
    struct str             bytes = png(scene, 101, 4);
    refuses(scene, upload_session_append(session, generation, bytes, &scene->error), ERR_TOO_LARGE,
            "too_many_bytes");
    assert_int_equal(upload_session_offset(session), 0);
    append(scene, session, generation, str_take(bytes, 100));
    upload_session_unpin(session);
}

static void a_type_is_refused_at_the_sixty_fourth_byte_and_not_before(void **state)
{
    struct scene          *scene = *state;
    struct upload_origin   origin = origin_of(scene, 0);
    struct upload_session *session = pin(scene, &origin);
    uint64_t               generation = take(scene, session, 0), later;
    for (int i = 0; i < MEDIA_SNIFF_BYTES - 1; i++)
        append(scene, session, generation, STR("x"));
    refuses(scene, upload_session_append(session, generation, STR("x"), &scene->error),
            ERR_MEDIA_TYPE, "unsupported_format");
    assert_int_equal(upload_session_offset(session), MEDIA_SNIFF_BYTES - 1);
    refuses(scene, upload_session_append(session, generation, STR("x"), &scene->error), ERR_GONE,
            "upload_refused");
    refuses(scene, upload_session_take(session, -1, &scene->error, &later), ERR_GONE,
            "upload_refused");
    upload_session_end(session, true);
    upload_session_unpin(session);
}

static void a_refusal_reaches_the_row_and_the_disk(void **state)
{
    struct scene        *scene = *state;
    struct house        *house = scene->house;
    struct upload_origin origin = origin_of(scene, 1000);
    struct upload        upload = {
               .id = origin.id,
               .worker_id = scene->reservation.worker_id,
               .reservation_id = scene->reservation.id,
    };
    house_begin(house);
    house_ok(house, upload_create(&house->call, &upload));
    house_ok(house, db_commit(house->db, &house->call.error));
    origin.has_row = true;
    struct upload_session *session = pin(scene, &origin);
    char                   zeros[200] = { 0 };
    refuses(scene,
            upload_session_append(session, take(scene, session, 0),
                                  (struct str){ zeros, sizeof(zeros) }, &scene->error),
            ERR_MEDIA_TYPE, "unsupported_format");
    upload_session_unpin(session);
    io_pool_stop(scene->api.io_pool); /* runs what is queued */
    scene->api.io_pool = NULL;
    house_begin(house);
    house_ok(house, upload_get_own(&house->call, id_str(&upload.id), &upload));
    house_ok(house, db_commit(house->db, &house->call.error));
    assert_int_equal(upload.state, UPLOAD_REFUSED);
    assert_int_equal(blob_part_size(scene->api.blobs, id_str(&upload.id)), -1);
    assert_int_equal(upload_table_count(scene->table), 0);
}

static void a_promised_size_is_held_to(void **state)
{
    struct scene          *scene = *state;
    struct upload_origin   origin = origin_of(scene, 0);
    struct upload_session *session = pin(scene, &origin);
    uint64_t               generation = take(scene, session, 0);
    append(scene, session, generation, png(scene, 500, 5));
    assert_false(upload_session_is_complete(session));
    refuses(scene, upload_session_set_size(session, 499, &scene->error), ERR_TOO_LARGE,
            "upload_length_too_small");
    assert_int_equal(upload_session_set_size(session, 500, &scene->error), ERR_OK);
    assert_int_equal(upload_session_set_size(session, 500, &scene->error), ERR_OK);
    refuses(scene, upload_session_set_size(session, 501, &scene->error), ERR_INVALID,
            "upload_length_differs");
    assert_true(upload_session_is_complete(session));
    upload_session_unpin(session);

    struct upload_origin   empty = origin_of(scene, 0);
    struct upload_session *other = pin(scene, &empty);
    refuses(scene, upload_session_set_size(other, 0, &scene->error), ERR_MEDIA_TYPE,
            "unsupported_format");
    upload_session_end(other, true);
    upload_session_unpin(other);

    struct upload_origin   huge = origin_of(scene, 0);
    struct upload_session *third = pin(scene, &huge);
    refuses(scene, upload_session_set_size(third, UPLOAD_IMAGE_BYTES_MAX + 1, &scene->error),
            ERR_TOO_LARGE, "file_too_large");
    upload_session_end(third, true);
    upload_session_unpin(third);
}

/* A limit on the file's size stands in for a full disk: the write fails in the middle of a piece.
 */
static void a_disk_that_takes_no_more_keeps_what_was_there(void **state)
{
    struct scene          *scene = *state;
    struct str             bytes = png(scene, 9000, 6);
    struct upload_origin   origin = origin_of(scene, (int64_t)bytes.len);
    struct upload_session *session = pin(scene, &origin);
    uint64_t               generation = take(scene, session, 0);
    struct rlimit          before, small;
    append(scene, session, generation, str_take(bytes, 4000));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 5000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err e = upload_session_append(session, generation, str_skip(bytes, 4000), &scene->error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(e, ERR_UNAVAILABLE);
    assert_int_equal(upload_session_offset(session), 4000);
    assert_int_equal(blob_part_size(scene->api.blobs, id_str(&origin.id)), 4000);
    append(scene, session, generation, str_skip(bytes, 4000));
    assert_true(str_eq(hash_of(scene, session), hash_of_bytes(scene, bytes)));
    upload_session_unpin(session);
}

static void a_session_wakes_to_the_bytes_as_they_are_then(void **state)
{
    struct scene          *scene = *state;
    struct upload_origin   origin = origin_of(scene, 9000);
    struct upload_session *session = pin(scene, &origin);
    append(scene, session, take(scene, session, 0), png(scene, 4000, 7));
    upload_session_unpin(session);
    blob_part_remove(scene->api.blobs, id_str(&origin.id));
    session = pin(scene, &origin);
    assert_int_equal(upload_session_offset(session), 0);
    struct str bytes = png(scene, 9000, 8);
    append(scene, session, take(scene, session, 0), bytes);
    assert_true(str_eq(hash_of(scene, session), hash_of_bytes(scene, bytes)));
    upload_session_unpin(session);
}

static void a_finish_without_its_commit_is_found_again(void **state)
{
    struct scene          *scene = *state;
    struct arena          *arena = &scene->house->arena;
    struct str             bytes = png(scene, 4000, 9);
    struct upload_origin   origin = origin_of(scene, (int64_t)bytes.len);
    struct upload_session *session = pin(scene, &origin);
    struct str             blob = submission_blob_name(&scene->reservation.submission_id, 1, arena);
    append(scene, session, take(scene, session, 0), bytes);
    bool holds = true;
    assert_int_equal(upload_session_holds(session, blob, &scene->error, &holds), ERR_OK);
    assert_false(holds);
    assert_int_equal(blob_part_finish(scene->api.blobs, id_str(&origin.id), blob, &scene->error),
                     ERR_OK);
    assert_int_equal(upload_session_holds(session, blob, &scene->error, &holds), ERR_OK);
    assert_true(holds);
    upload_session_unpin(session);
    upload_table_close(scene->table);
    scene->table = upload_table_open(&scene->api);
    origin.has_row = true;
    session = pin(scene, &origin);
    assert_true(upload_session_is_complete(session));
    assert_true(str_eq(hash_of(scene, session), hash_of_bytes(scene, bytes)));
    upload_session_unpin(session);
    origin.reservation.state = RESERVATION_USED; /* the blob is a submission's then */
    upload_table_close(scene->table);
    scene->table = upload_table_open(&scene->api);
    session = pin(scene, &origin);
    assert_int_equal(upload_session_offset(session), 0);
    upload_session_unpin(session);
}

static void idle_sessions_make_room_and_used_ones_do_not(void **state)
{
    struct scene          *scene = *state;
    struct upload_session *sessions[UPLOAD_SESSIONS_MAX], *more;
    struct upload_origin   first = origin_of(scene, 10);
    struct rlimit          files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    for (int i = 0; i < UPLOAD_SESSIONS_MAX; i++) {
        struct upload_origin origin = i == 0 ? first : origin_of(scene, 10);
        sessions[i] = pin(scene, &origin);
    }
    struct upload_origin last = origin_of(scene, 10);
    refuses(scene, upload_session_pin(scene->table, &last, &scene->error, &more), ERR_UNAVAILABLE,
            "uploads_busy");
    upload_session_unpin(sessions[0]);
    more = pin(scene, &last);
    assert_int_equal(upload_table_count(scene->table), UPLOAD_SESSIONS_MAX);
    refuses(scene, upload_session_pin(scene->table, &first, &scene->error, &sessions[0]),
            ERR_UNAVAILABLE, "uploads_busy");
    upload_session_unpin(more);
    for (int i = 1; i < UPLOAD_SESSIONS_MAX; i++)
        upload_session_unpin(sessions[i]);
}

static int64_t expires_ms(struct scene *scene)
{
    struct house      *house = scene->house;
    struct reservation row;
    house_begin(house);
    house_ok(house, reservation_get(&house->call, id_str(&scene->reservation.id), &row));
    house_ok(house, db_commit(house->db, &house->call.error));
    return row.expires_ms;
}

static void bytes_renew_the_reservation_once_a_minute(void **state)
{
    struct scene          *scene = *state;
    struct upload_origin   origin = origin_of(scene, 9000);
    struct upload_session *session = pin(scene, &origin);
    uint64_t               generation = take(scene, session, 0);
    struct str             bytes = png(scene, 9000, 10);
    struct reservation     due;
    int64_t                before = expires_ms(scene);
    append(scene, session, generation, str_take(bytes, 100));
    world_advance_ms(&scene->house->world, 2 * MINUTE_MS);
    append(scene, session, generation, str_take(str_skip(bytes, 100), 100));
    append(scene, session, generation, str_take(str_skip(bytes, 200), 100));
    writer_stop(scene->api.writer); /* runs what is queued */
    assert_true(expires_ms(scene) >= before + 2 * MINUTE_MS);
    int64_t now_ms = world_now_ms(&scene->house->world);
    assert_false(upload_session_take_renewal(session, now_ms, &due));
    assert_true(upload_session_take_renewal(session, now_ms + 2 * MINUTE_MS, &due));
    upload_session_unpin(session);
    scene->api.writer = start_writer(scene->house);
}

struct racer {
    struct scene          *scene;
    struct upload_session *session;
    struct str             bytes;
    int                    won;
};

/* Take over wherever it stands, append a little, be taken over. */
static void *race(void *argument)
{
    struct racer *racer = argument;
    struct error  error;
    while (!upload_session_is_complete(racer->session)) {
        uint64_t generation;
        int64_t  offset = upload_session_offset(racer->session);
        if (upload_session_take(racer->session, offset, &error, &generation)) continue;
        struct str piece = str_take(str_skip(racer->bytes, (size_t)offset), 1500);
        if (piece.len == 0) break;
        if (upload_session_append(racer->session, generation, piece, &error) == ERR_OK)
            racer->won++;
    }
    return NULL;
}

static void threads_that_take_over_from_each_other_write_each_byte_once(void **state)
{
    enum { RACERS = 4 };
    struct scene          *scene = *state;
    struct str             bytes = png(scene, 300000, 11);
    struct upload_origin   origin = origin_of(scene, (int64_t)bytes.len);
    struct upload_session *session = pin(scene, &origin);
    struct racer           racers[RACERS];
    pthread_t              threads[RACERS];
    int                    won = 0;
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){ scene, session, bytes, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
        won += racers[i].won;
    }
    assert_int_equal(won, 200);
    assert_true(str_eq(hash_of(scene, session), hash_of_bytes(scene, bytes)));
    upload_session_unpin(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        table_test(pieces_become_the_whole_with_its_hash),
        table_test(a_lost_session_loses_nothing),
        table_test(a_new_request_takes_over),
        table_test(more_than_announced_is_not_kept),
        table_test(a_type_is_refused_at_the_sixty_fourth_byte_and_not_before),
        table_test(a_refusal_reaches_the_row_and_the_disk),
        table_test(a_promised_size_is_held_to),
        table_test(a_disk_that_takes_no_more_keeps_what_was_there),
        table_test(a_session_wakes_to_the_bytes_as_they_are_then),
        table_test(a_finish_without_its_commit_is_found_again),
        table_test(idle_sessions_make_room_and_used_ones_do_not),
        table_test(bytes_renew_the_reservation_once_a_minute),
        table_test(threads_that_take_over_from_each_other_write_each_byte_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
