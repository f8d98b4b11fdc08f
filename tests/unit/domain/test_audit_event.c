#include "domain/audit_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "domain/audit_chain.h"
#include "domain/organisation.h"
#include "store_call.h"

enum { ROWS_MAX = 64 };

struct rows {
    struct audit_event at[ROWS_MAX];
    struct page_search search;
};

static struct id org(const char *digits)
{
    return id_from_store(str_of(digits));
}

static const char *const OURS = "org_00000000000000000000000001";
static const char *const THEIRS = "org_00000000000000000000000002";

static void note(struct store_call *at, const char *org_id, enum environment environment,
                 const char *action)
{
    struct id id = org(org_id);
    assert_done(&at->call, audit_note(&at->call, &id, environment, str_of(action), STR("thing")));
}

/* As a live key of ours would see it. */
static struct rows list(struct store_call *at, const struct audit_filter *filter)
{
    struct rows  rows;
    struct actor before = at->call.actor;
    at->call.actor = (struct actor){ .kind = ACTOR_API_KEY, .org_id = org(OURS) };
    assert_done(&at->call, audit_event_list(&at->call, filter, ROWS_MAX, rows.at, &rows.search));
    at->call.actor = before;
    return rows;
}

static void seal(struct store_call *at)
{
    int count;
    assert_done(&at->call, audit_seal(&at->call, &count));
}

static void row_says_who_what_when_and_from_where(void **state)
{
    struct store_call *at = *state;
    struct id          org_id = org(OURS), request_id = id_new(ID_REQUEST, START_MS);
    at->call.actor =
        (struct actor){ .kind = ACTOR_API_KEY, .key_id = id_new(ID_API_KEY, START_MS) };
    at->call.origin = (struct origin){ STR("192.0.2.1"), request_id };
    assert_done(&at->call,
                audit_note(&at->call, &org_id, ENVIRONMENT_LIVE, STR("job.created"), STR("job_1")));
    struct audit_filter all = { 0 };
    struct rows         rows = list(at, &all);
    assert_int_equal(rows.search.count, 1);
    const struct audit_event *row = &rows.at[0];
    assert_true(str_eq(row->action, STR("job.created")) && str_eq(row->object_id, STR("job_1")));
    assert_true(str_eq(row->actor, id_str(&at->call.actor.key_id)));
    assert_string_equal(audit_actor_type(row), "api_key");
    assert_true(str_eq(row->source, STR("192.0.2.1")));
    assert_true(str_eq(row->request_id, id_str(&request_id)));
    assert_true(id_time_ms(&row->id) >= START_MS);
}

static void everybody_has_a_name(void **state)
{
    struct store_call *at = *state;
    static const struct {
        enum actor_kind kind;
        const char     *name;
    } actors[] = { { ACTOR_OPERATOR, "operator" },
                   { ACTOR_RUNNER, "system" },
                   { ACTOR_NOBODY, "visitor" },
                   { ACTOR_WORKER, "worker" } };
    struct audit_filter all = { 0 };
    for (size_t i = 0; i < COUNT_OF(actors); i++) {
        at->call.actor =
            (struct actor){ .kind = actors[i].kind, .worker_id = id_new(ID_WORKER, START_MS) };
        note(at, OURS, ENVIRONMENT_LIVE, "a.b");
        struct rows rows = list(at, &all);
        assert_string_equal(audit_actor_type(&rows.at[0]), actors[i].name);
        assert_true(str_eq(rows.at[0].source, STR("server")));
        assert_int_equal(rows.at[0].request_id.len, 0);
    }
}

static void what_a_client_sends_is_cut_and_cleaned(void **state)
{
    struct store_call *at = *state;
    char               long_text[300];
    memset(long_text, 'x', sizeof(long_text));
    memcpy(long_text, "a\nb", 3);
    struct str text = { long_text, sizeof(long_text) };
    struct id  org_id = org(OURS);
    at->call.origin.address = text;
    assert_done(&at->call, audit_note(&at->call, &org_id, ENVIRONMENT_LIVE, STR("a.b"), text));
    struct audit_filter all = { 0 };
    struct rows         rows = list(at, &all);
    assert_int_equal(rows.at[0].source.len, AUDIT_SOURCE_BYTES_MAX);
    assert_int_equal(rows.at[0].object_id.len, AUDIT_OBJECT_BYTES_MAX);
    assert_true(str_starts_with(rows.at[0].source, STR("a?b")));
    seal(at);
}

static void rows_are_listed_newest_first_whether_sealed_or_not(void **state)
{
    struct store_call  *at = *state;
    struct audit_filter all = { 0 };
    for (int i = 0; i < 3; i++)
        note(at, OURS, ENVIRONMENT_LIVE, "old.one");
    seal(at);
    for (int i = 0; i < 3; i++)
        note(at, OURS, ENVIRONMENT_LIVE, "new.one");
    struct rows rows = list(at, &all);
    assert_int_equal(rows.search.count, 6);
    for (int i = 1; i < 6; i++)
        assert_true(str_compare(id_str(&rows.at[i].id), id_str(&rows.at[i - 1].id)) < 0);
    assert_true(str_eq(rows.at[0].action, STR("new.one")));
    assert_true(str_eq(rows.at[5].action, STR("old.one")));
}

static void others_rows_and_the_other_environments_are_not_there(void **state)
{
    struct store_call  *at = *state;
    struct audit_filter all = { 0 };
    for (int i = 0; i < 2; i++) {
        note(at, THEIRS, ENVIRONMENT_LIVE, "their.own");
        note(at, OURS, ENVIRONMENT_TEST, "our.test");
        assert_done(&at->call,
                    audit_note(&at->call, NULL, ENVIRONMENT_LIVE, STR("the.server"), STR_NONE));
        note(at, OURS, ENVIRONMENT_LIVE, "our.live");
        struct rows rows = list(at, &all);
        assert_int_equal(rows.search.count, i + 1);
        for (int j = 0; j <= i; j++)
            assert_true(str_eq(rows.at[j].action, STR("our.live")));
        seal(at);
    }
}

static void filters_bound_both_sides_of_the_seal(void **state)
{
    struct store_call  *at = *state;
    struct audit_filter all = { 0 };
    for (int i = 0; i < 4; i++) {
        note(at, OURS, ENVIRONMENT_LIVE, i % 2 ? "odd.one" : "even.one");
        if (i == 1) seal(at);
    }
    struct rows         rows = list(at, &all);
    struct audit_filter some = { .from = rows.at[2].id, .before = rows.at[0].id };
    struct rows         between = list(at, &some);
    assert_int_equal(between.search.count, 2);
    assert_true(id_eq(&between.at[0].id, &rows.at[1].id));
    assert_true(id_eq(&between.at[1].id, &rows.at[2].id));
    struct audit_filter odd = { .action = STR("odd.one") };
    assert_int_equal(list(at, &odd).search.count, 2);
    assert_int_equal(list(at, &odd).search.seen_count, 4);
}

static void ids_rise_above_those_of_a_process_whose_clock_was_ahead(void **state)
{
    struct store_call  *at = *state;
    struct audit_filter all = { 0 };
    note(at, OURS, ENVIRONMENT_LIVE, "a.b");
    scratch_script(at->db, "UPDATE audit_events SET id = 'aud_7ZZZZZZZZZ0000000000000000'");
    note(at, OURS, ENVIRONMENT_LIVE, "c.d");
    struct rows rows = list(at, &all);
    assert_true(str_eq(rows.at[0].action, STR("c.d")));
}

static void an_organisation_and_its_grant_are_noted(void **state)
{
    struct store_call *at = *state;
    struct id          org_id;
    assert_done(&at->call,
                organisation_create(&at->call, STR("A"), STR("a@example.com"), 5, &org_id));
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM audit_events WHERE action IN"
                                         " ('organization.created', 'credits.granted')"),
                     2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_call_test(row_says_who_what_when_and_from_where),
        store_call_test(everybody_has_a_name),
        store_call_test(what_a_client_sends_is_cut_and_cleaned),
        store_call_test(rows_are_listed_newest_first_whether_sealed_or_not),
        store_call_test(others_rows_and_the_other_environments_are_not_there),
        store_call_test(filters_bound_both_sides_of_the_seal),
        store_call_test(ids_rise_above_those_of_a_process_whose_clock_was_ahead),
        store_call_test(an_organisation_and_its_grant_are_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
