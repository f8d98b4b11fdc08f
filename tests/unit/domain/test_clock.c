#include "domain/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_call.h"

static int64_t loaded(struct store_call *at)
{
    int64_t offset_ms = -1;
    assert_done(&at->call, clock_load_offset(at->db, &at->call.error, &offset_ms));
    return offset_ms;
}

static void clock_that_was_never_moved_is_not_ahead(void **state)
{
    assert_int_equal(loaded(*state), 0);
}

static void offset_is_kept_and_replaced(void **state)
{
    struct store_call *at = *state;
    assert_done(&at->call, clock_store_offset(&at->call, 5000));
    assert_int_equal(loaded(at), 5000);
    assert_done(&at->call, clock_store_offset(&at->call, INT64_MAX / 2));
    assert_int_equal(loaded(at), INT64_MAX / 2);
}

static void offset_is_seen_by_another_connection_after_the_commit(void **state)
{
    struct store_call *at = *state;
    assert_done(&at->call, clock_store_offset(&at->call, 5000));
    assert_done(&at->call, db_commit(at->db, &at->call.error));
    struct db   *other = scratch_open(at->scratch, DB_READ);
    struct error error = { 0 };
    int64_t      offset_ms = -1;
    assert_int_equal(clock_load_offset(other, &error, &offset_ms), ERR_OK);
    assert_int_equal(offset_ms, 5000);
    db_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_call_test(clock_that_was_never_moved_is_not_ahead),
        store_call_test(offset_is_kept_and_replaced),
        store_call_test(offset_is_seen_by_another_connection_after_the_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
