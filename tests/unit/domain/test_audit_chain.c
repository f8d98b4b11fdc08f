#include "domain/audit_chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/encode.h"
#include "domain/audit_event.h"
#include "store_call.h"

static const char KEYS_BEFORE[] =
    "1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
static const char KEYS_AFTER[] =
    "2 ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100\n"
    "1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";

static const char KEYS_ALONE[] =
    "2 ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100\n";

struct found {
    int  count;
    char text[2048];
};

static void take_breach(void *context, const char *check, struct str subject, struct str detail)
{
    struct found *found = context;
    size_t        len = strlen(found->text);
    found->count++;
    snprintf(found->text + len, sizeof(found->text) - len, "%s %.*s: %.*s\n", check,
             STR_ARG(subject), STR_ARG(detail));
}

static struct found check(struct store_call *at, const char *logged)
{
    struct found        found = { 0 };
    struct audit_report report = { .on_breach = take_breach, .context = &found };
    assert_done(&at->call, audit_chain_check(&at->call, &report, str_of(logged)));
    assert_int_equal(report.breaches_count, found.count);
    assert_true(report.checks_count > 0);
    return found;
}

static void assert_sound(struct store_call *at)
{
    struct found found = check(at, NULL);
    if (found.count) fail_msg("%s", found.text);
}

/* Something is found after the damage, and it is spoken of so; then the damage is undone. */
static void assert_found(struct store_call *at, const char *damage, const char *words)
{
    scratch_script(at->db, "SAVEPOINT damage");
    scratch_script(at->db, damage);
    struct found found = check(at, NULL);
    if (found.count == 0 || !strstr(found.text, words))
        fail_msg("%s: %d found: %s", damage, found.count, found.text);
    scratch_script(at->db, "ROLLBACK TO damage; RELEASE damage");
}

static int seal(struct store_call *at)
{
    int count = -1;
    assert_done(&at->call, audit_seal(&at->call, &count));
    return count;
}

static void note(struct store_call *at, const char *org_id, int count)
{
    struct id id = id_from_store(str_of(org_id));
    for (int i = 0; i < count; i++)
        assert_done(&at->call, audit_note(&at->call, &id, (enum environment)(i & 1),
                                          STR("thing.done"), STR("thing")));
}

/* Two organisations and the server's own, sealed in two rounds. */
static void fill(struct store_call *at)
{
    note(at, "org_a", 6);
    note(at, "org_b", 4);
    assert_int_equal(seal(at), 10);
    note(at, "org_b", 4);
    note(at, "", 2);
    assert_int_equal(seal(at), 6);
}

static void sealed_rows_are_sound_and_sealed_once(void **state)
{
    struct store_call *at = *state;
    assert_sound(at);
    fill(at);
    assert_sound(at);
    assert_int_equal(seal(at), 0);
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM audit_heads"), 2);
    assert_int_equal(scratch_int(at->db, "SELECT count(*) FROM audit_seals WHERE org_id = 'org_b'"
                                         " AND environment = 1 AND number IN (1, 2, 3, 4)"),
                     4);
}

static void a_round_is_bounded_and_the_next_goes_on(void **state)
{
    struct store_call *at = *state;
    note(at, "org_a", AUDIT_SEALS_MAX + 3);
    assert_int_equal(seal(at), AUDIT_SEALS_MAX);
    assert_int_equal(seal(at), 3);
    assert_sound(at);
}

static void every_kind_of_damage_is_found(void **state)
{
    struct store_call *at = *state;
    fill(at);
    static const char *const damages[][2] = {
        { "UPDATE audit_events SET action = 'x' WHERE org_id = 'org_a'", "was edited" },
        { "UPDATE audit_events SET object_id = 'x', actor = 'operator' WHERE id ="
          " (SELECT min(id) FROM audit_events)",
          "was edited" },
        /* what one field loses the next gains */
        { "UPDATE audit_events SET action = 'thing.don', object_id = 'ething'"
          " WHERE org_id = 'org_a'",
          "was edited" },
        { "UPDATE audit_events SET org_id = 'org_b' WHERE org_id = 'org_a'", "was edited" },
        { "UPDATE audit_seals SET seal = x'01' WHERE number = 2", "was edited" },
        { "UPDATE audit_seals SET seal = zeroblob(33) WHERE number = 2", "was edited" },
        { "DELETE FROM audit_events WHERE org_id = 'org_a'", "the row is missing" },
        { "DELETE FROM audit_seals WHERE number = 1 AND org_id = 'org_a'", "rows before this one" },
        { "DELETE FROM audit_seals WHERE number = 3 AND org_id = 'org_a'",
          "at the end of a chain" },
        { "DELETE FROM audit_seals WHERE org_id = 'org_a'", "behind the sealer's back" },
        { "DELETE FROM audit_events WHERE org_id = 'org_a';"
          " DELETE FROM audit_seals WHERE org_id = 'org_a'",
          "at the end of a chain" },
        { "UPDATE audit_heads SET seals_count = 15 WHERE number = 2", "the head was edited" },
        { "UPDATE audit_heads SET seal = x'' WHERE number = 1", "the head was edited" },
        { "DELETE FROM audit_heads WHERE number = 1", "heads before this one" },
        { "DELETE FROM audit_heads", "at the end of a chain" },
    };
    for (size_t i = 0; i < COUNT_OF(damages); i++)
        assert_found(at, damages[i][0], damages[i][1]);
    assert_sound(at);
}

static void rows_that_changed_places_are_found(void **state)
{
    struct store_call *at = *state;
    fill(at);
    assert_found(at,
                 "UPDATE audit_seals SET number = 7 - number WHERE org_id = 'org_b'"
                 " AND environment = 0 AND number IN (3, 4)",
                 "org_b");
}

static void one_damaged_row_is_named_once(void **state)
{
    struct store_call *at = *state;
    fill(at);
    scratch_script(at->db, "UPDATE audit_events SET action = 'x' WHERE id ="
                           " (SELECT event_id FROM audit_seals WHERE org_id = 'org_a'"
                           " AND environment = 0 AND number = 2)");
    assert_int_equal(check(at, NULL).count, 1);
}

static void rows_may_wait_a_minute_for_their_seal(void **state)
{
    struct store_call *at = *state;
    note(at, "org_a", 1);
    at->call.now_ms += AUDIT_UNSEALED_MS_MAX - 1;
    assert_sound(at);
    at->call.now_ms += 10;
    assert_int_equal(check(at, NULL).count, 1);
    seal(at);
    assert_sound(at);
}

static void chains_go_on_under_a_new_server_key(void **state)
{
    struct store_call *at = *state;
    store_call_key(at, KEYS_BEFORE);
    fill(at);
    store_call_key(at, KEYS_AFTER);
    note(at, "org_a", 2);
    seal(at);
    assert_sound(at);
    assert_found(at,
                 "UPDATE audit_events SET action = 'x' WHERE id ="
                 " (SELECT min(id) FROM audit_events)",
                 "was edited");
}

static void seals_of_a_server_key_that_is_gone_are_told_from_edited_ones(void **state)
{
    struct store_call *at = *state;
    store_call_key(at, KEYS_BEFORE);
    fill(at);
    store_call_key(at, KEYS_ALONE);
    struct found found = check(at, NULL);
    assert_non_null(strstr(found.text, "is gone"));
    assert_null(strstr(found.text, "was edited"));
}

static void a_head_is_due_to_be_logged_once_a_minute(void **state)
{
    struct store_call *at = *state;
    struct audit_head  head;
    assert_done(&at->call, audit_head_to_log(&at->call, &head));
    assert_int_equal(head.number, 0);
    fill(at);
    assert_done(&at->call, audit_head_to_log(&at->call, &head));
    assert_int_equal(head.number, 2);
    assert_int_equal(head.seals_count, 16);
    note(at, "org_a", 1);
    seal(at);
    at->call.now_ms += AUDIT_HEAD_LOGGED_MS - 1;
    assert_done(&at->call, audit_head_to_log(&at->call, &head));
    assert_int_equal(head.number, 0);
    at->call.now_ms += 1;
    assert_done(&at->call, audit_head_to_log(&at->call, &head));
    assert_int_equal(head.number, 3);
    at->call.now_ms += AUDIT_HEAD_LOGGED_MS;
    assert_done(&at->call, audit_head_to_log(&at->call, &head));
    assert_int_equal(head.number, 0);
}

static void a_logged_head_must_be_in_the_store(void **state)
{
    struct store_call *at = *state;
    struct audit_head  head;
    fill(at);
    assert_done(&at->call, audit_head_to_log(&at->call, &head));
    struct str hex = encode_hex(&at->arena, head.seal.data, head.seal.len);
    struct str logged = str_format(&at->arena, "%lld:%s", (long long)head.number, hex.data);
    assert_int_equal(check(at, logged.data).count, 0);
    struct str other = str_format(&at->arena, "%lld:%s", (long long)head.number - 1, hex.data);
    assert_int_equal(check(at, other.data).count, 1);
    other = str_format(&at->arena, "%lld:%s", (long long)head.number + 1, hex.data);
    assert_int_equal(check(at, other.data).count, 1);
    struct audit_report      report = { .on_breach = take_breach };
    static const char *const bad[] = { "", "2", "2:", "x:00", "2:zz" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_refused(&at->call, audit_chain_check(&at->call, &report, str_of(bad[i])),
                       ERR_INVALID, "usage");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_call_test(sealed_rows_are_sound_and_sealed_once),
        store_call_test(a_round_is_bounded_and_the_next_goes_on),
        store_call_test(every_kind_of_damage_is_found),
        store_call_test(rows_that_changed_places_are_found),
        store_call_test(one_damaged_row_is_named_once),
        store_call_test(rows_may_wait_a_minute_for_their_seal),
        store_call_test(chains_go_on_under_a_new_server_key),
        store_call_test(seals_of_a_server_key_that_is_gone_are_told_from_edited_ones),
        store_call_test(a_head_is_due_to_be_logged_once_a_minute),
        store_call_test(a_logged_head_must_be_in_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
