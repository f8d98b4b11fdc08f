#include "domain/delivered_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "marketplace.h"

static struct delivered_file approved_file(struct market *market, const struct id *job_id)
{
    struct id             worker_id = market_worker(market);
    struct submission     submission = market_submit(market, &worker_id, job_id);
    struct delivered_file file;
    submission = market_judge(market, &submission, 4);
    DONE(market, file_get_any(&market->call, &submission.file_id, &file));
    return file;
}

/* --- rows --- */

static void file_is_what_was_approved(void **state)
{
    struct market        *market = *state;
    struct job            job = market_job(market, 1, 50);
    struct delivered_file file = approved_file(market, &job.id);
    struct submission     submission = market_submission_now(market, &file.submission_id);
    assert_true(id_eq(&submission.file_id, &file.id));
    assert_true(id_eq(&file.job_id, &job.id) && id_eq(&file.org_id, &job.org_id));
    assert_true(str_eq(file.sha256, submission.sha256));
    assert_true(str_eq(file.filename, STR("sign.jpg")));
    assert_true(str_eq(file.blob, submission_blob_name(&submission.id, 1, &market->arena)));
    assert_int_equal(file.size_bytes, submission.size_bytes);
    assert_int_equal(file.stars, 4);
    assert_int_equal(file.delivered_ms, 0);
}

static void annotations_are_kept_as_they_were_found(void **state)
{
    struct market        *market = *state;
    struct job            job = market_job(market, 1, 50);
    struct id             worker_id = market_worker(market);
    struct submission     submission = market_submit(market, &worker_id, &job.id);
    struct verdict        verdict = market_verdict(&submission, 4, GATE_NONE);
    struct task           task = market_task(market, TASK_SCORE, &submission.id);
    struct delivered_file file;
    verdict.annotations = STR("{\"quality\":4.5}");
    DONE(market, submission_judge(&market->call, &task, &verdict));
    submission = market_submission_now(market, &submission.id);
    DONE(market, file_get_any(&market->call, &submission.file_id, &file));
    assert_true(str_eq(file.annotations, verdict.annotations));
}

static void submission_has_one_file(void **state)
{
    struct market        *market = *state;
    struct job            job = market_job(market, 1, 50);
    struct delivered_file file = approved_file(market, &job.id);
    struct submission     submission = market_submission_now(market, &file.submission_id);
    struct id             id;
    REFUSED_UNWRITTEN(market, file_create(&market->call, &submission, STR_NONE, &id), ERR_CONFLICT,
                      "db_constraint");
}

static void list_is_newest_first_and_of_the_job_alone(void **state)
{
    struct market        *market = *state;
    struct job            job = market_job(market, 3, 50), other = market_job(market, 1, 50);
    struct delivered_file first = approved_file(market, &job.id), rows[3];
    struct delivered_file second = approved_file(market, &job.id);
    struct file_filter    filter = { 0 };
    struct page_search    search;
    approved_file(market, &other.id);
    DONE(market, file_list(&market->call, &job, &filter, 3, rows, &search));
    assert_int_equal(search.count, 2);
    assert_true(id_eq(&rows[0].id, &second.id) && id_eq(&rows[1].id, &first.id));
    filter.before = second.id;
    DONE(market, file_list(&market->call, &job, &filter, 3, rows, &search));
    assert_true(search.count == 1 && id_eq(&rows[0].id, &first.id));
}

static void list_has_those_with_stars_enough(void **state)
{
    struct market        *market = *state;
    struct id             worker_id = market_worker(market);
    struct job            job = market_job(market, 3, 50);
    struct file_filter    filter = { .stars_min = 4 };
    struct delivered_file rows[3];
    struct page_search    search;
    for (int stars = 3; stars <= 5; stars++) {
        struct submission submission = market_submit(market, &worker_id, &job.id);
        market_judge(market, &submission, stars);
    }
    DONE(market, file_list(&market->call, &job, &filter, 3, rows, &search));
    assert_int_equal(search.count, 2);
    assert_true(rows[0].stars == 5 && rows[1].stars == 4);
}

static void file_is_its_organisations_and_environments_alone(void **state)
{
    struct market        *market = *state;
    struct job            job = market_job(market, 1, 50);
    struct delivered_file file = approved_file(market, &job.id), got;
    market_as_buyer(market);
    DONE(market, file_get(&market->call, id_str(&file.id), &got));
    assert_true(id_eq(&got.id, &file.id));
    REFUSED_UNWRITTEN(market, file_get(&market->call, id_str(&job.id), &got), ERR_NOT_FOUND,
                      "file");
    market->actor.environment = ENVIRONMENT_TEST;
    REFUSED_UNWRITTEN(market, file_get(&market->call, id_str(&file.id), &got), ERR_NOT_FOUND,
                      "file");
    market_start_at(market, 0);
    REFUSED_UNWRITTEN(market, file_get(&market->call, id_str(&file.id), &got), ERR_NOT_FOUND,
                      "file");
}

static void unknown_file_is_not_found(void **state)
{
    struct market        *market = *state;
    struct id             unknown = id_new(ID_FILE, market->now_ms);
    struct delivered_file file;
    REFUSED_UNWRITTEN(market, file_get_any(&market->call, &unknown, &file), ERR_NOT_FOUND, "file");
}

static void delivery_is_noted_once_with_its_task(void **state)
{
    struct market        *market = *state;
    struct job            job = market_job(market, 1, 50);
    struct delivered_file file = approved_file(market, &job.id);
    struct task           task = market_task(market, TASK_DELIVER, &file.id);
    market->now_ms += 9;
    DONE(market, file_delivered(&market->call, &task));
    DONE(market, file_get_any(&market->call, &file.id, &file));
    assert_int_equal(file.delivered_ms, market->now_ms);
    market->now_ms += 9;
    REFUSED_UNWRITTEN(market, file_delivered(&market->call, &task), ERR_CONFLICT, "task_lost");
    DONE(market, file_get_any(&market->call, &file.id, &file));
    assert_int_equal(file.delivered_ms, market->now_ms - 9);
}

/* --- links --- */

struct link {
    struct str file_id, expires, key, signature;
};

/* The parts of "…/files/ID?expires=N&key=N&signature=S". */
static struct link take_apart(struct str url)
{
    struct link link;
    struct str  part = str_skip(url, STR("http://127.0.0.1:3000/files/").len), name;
    assert_true(str_starts_with(url, STR("http://127.0.0.1:3000/files/")));
    assert_true(str_cut(&part, '?', &link.file_id));
    assert_true(str_cut(&part, '=', &name) && str_cut(&part, '&', &link.expires));
    assert_true(str_cut(&part, '=', &name) && str_cut(&part, '&', &link.key));
    assert_true(str_cut(&part, '=', &name));
    link.signature = part;
    return link;
}

static enum err check(struct market *market, const struct link *link)
{
    return file_check_link(&market->call, link->file_id, link->expires, link->key, link->signature);
}

static struct link fresh_link(struct market *market, int64_t *ret_expires_ms)
{
    struct id file_id = id_new(ID_FILE, market->now_ms);
    market_begin(market);
    struct str url = file_download_url(&market->call, &file_id, ret_expires_ms);
    db_rollback(market->db);
    struct link link = take_apart(url);
    assert_true(str_eq(link.file_id, str_copy(&market->arena, id_str(&file_id))));
    return link;
}

static void link_works_until_the_instant_it_expires(void **state)
{
    struct market *market = *state;
    int64_t        expires_ms;
    struct link    link = fresh_link(market, &expires_ms);
    assert_int_equal(expires_ms, market->now_ms + DOWNLOAD_LINK_LIFETIME_MS);
    DONE(market, check(market, &link));
    market->now_ms = expires_ms - 1;
    DONE(market, check(market, &link));
    market->now_ms = expires_ms;
    REFUSED_UNWRITTEN(market, check(market, &link), ERR_FORBIDDEN, "link_expired");
}

static void link_with_any_part_changed_is_invalid(void **state)
{
    struct market    *market = *state;
    int64_t           expires_ms;
    const struct link good = fresh_link(market, &expires_ms);
    struct id         other_id = id_new(ID_FILE, market->now_ms);
    struct link       link = good;
    link.file_id = id_str(&other_id);
    REFUSED_UNWRITTEN(market, check(market, &link), ERR_FORBIDDEN, "link_invalid");
    link = good;
    link.expires = str_format(&market->arena, "%lld", (long long)(expires_ms / 1000 + 1));
    REFUSED_UNWRITTEN(market, check(market, &link), ERR_FORBIDDEN, "link_invalid");
    for (size_t i = 0; i < good.signature.len; i++) {
        char *text = NEW(&market->arena, char, good.signature.len + 1);
        memcpy(text, good.signature.data, good.signature.len);
        text[i] = text[i] == 'A' ? 'Q' : 'A';
        link = good;
        link.signature = (struct str){ text, good.signature.len };
        REFUSED_UNWRITTEN(market, check(market, &link), ERR_FORBIDDEN, "link_invalid");
        link.signature = str_take(good.signature, i);
        REFUSED_UNWRITTEN(market, check(market, &link), ERR_FORBIDDEN, "link_invalid");
    }
}

static void link_of_hostile_parts_is_invalid(void **state)
{
    struct market   *market = *state;
    int64_t          expires_ms;
    struct link      good = fresh_link(market, &expires_ms), link;
    const struct str hostile[] = { STR_NONE,
                                   STR(""),
                                   STR("-1"),
                                   STR("0"),
                                   STR("99"),
                                   STR("4294967297"),
                                   STR("9223372036854775807"),
                                   STR("9223372036854775808"),
                                   STR("1 "),
                                   STR("1\n2"),
                                   STR("\0\0"),
                                   STR("\xff\xfe"),
                                   STR("../../etc/passwd") };
    for (size_t i = 0; i < COUNT_OF(hostile); i++) {
        struct str *parts[] = { &link.file_id, &link.expires, &link.key, &link.signature };
        for (size_t part = 0; part < COUNT_OF(parts); part++) {
            link = good;
            *parts[part] = hostile[i];
            REFUSED_UNWRITTEN(market, check(market, &link), ERR_FORBIDDEN, "link_invalid");
        }
    }
}

/* A forged link is told nothing about time. */
static void forged_link_that_is_old_is_invalid_not_expired(void **state)
{
    struct market *market = *state;
    int64_t        expires_ms;
    struct link    link = fresh_link(market, &expires_ms);
    market->now_ms = expires_ms + 1;
    link.signature = str_take(link.signature, 8);
    REFUSED_UNWRITTEN(market, check(market, &link), ERR_FORBIDDEN, "link_invalid");
}

/* --- names and the manifest --- */

static void name_is_the_id_and_the_type_whatever_the_worker_called_it(void **state)
{
    struct market        *market = *state;
    struct delivered_file file = { .id = id_new(ID_FILE, market->now_ms),
                                   .media_type = MEDIA_MOV,
                                   .filename = STR("../../x\"\r\n.exe") };
    struct str            name = file_name(&file, &market->arena);
    assert_true(str_starts_with(name, id_str(&file.id)) && str_ends_with(name, STR(".mov")));
    assert_int_equal(name.len, strlen(file.id.text) + 4);
}

static void manifest_line_is_one_json_object_and_a_newline(void **state)
{
    struct market        *market = *state;
    struct delivered_file file = {
        .id = id_new(ID_FILE, market->now_ms),
        .media_type = MEDIA_MP4,
        .sha256 = STR("00ff"),
        .size_bytes = 2048,
        .width = 1920,
        .height = 1080,
        .duration_ms = 1050,
        .stars = 5,
        .created_ms = MARKET_START_MS,
    };
    struct str line = file_manifest_line(&file, &market->arena);
    struct str wanted =
        str_format(&market->arena,
                   "{\"id\":\"%s\",\"sha256\":\"00ff\",\"type\":\"video/mp4\",\"size\":2048,"
                   "\"width\":1920,\"height\":1080,\"duration_seconds\":1.05,\"stars\":5,"
                   "\"created_at\":\"2027-01-15T08:00:00.000Z\"}\n",
                   file.id.text);
    assert_string_equal(str_c(&market->arena, line), wanted.data);
    file.width = file.height = file.duration_ms = 0;
    line = file_manifest_line(&file, &market->arena);
    assert_null(strstr(str_c(&market->arena, line), "width"));
    assert_null(strstr(str_c(&market->arena, line), "duration"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        market_test(file_is_what_was_approved),
        market_test(annotations_are_kept_as_they_were_found),
        market_test(submission_has_one_file),
        market_test(list_is_newest_first_and_of_the_job_alone),
        market_test(list_has_those_with_stars_enough),
        market_test(file_is_its_organisations_and_environments_alone),
        market_test(unknown_file_is_not_found),
        market_test(delivery_is_noted_once_with_its_task),
        market_test(link_works_until_the_instant_it_expires),
        market_test(link_with_any_part_changed_is_invalid),
        market_test(link_of_hostile_parts_is_invalid),
        market_test(forged_link_that_is_old_is_invalid_not_expired),
        market_test(name_is_the_id_and_the_type_whatever_the_worker_called_it),
        market_test(manifest_line_is_one_json_object_and_a_newline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
