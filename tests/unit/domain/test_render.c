#include "domain/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "domain/event.h"
#include "marketplace.h"

static struct delivered_file file_of(struct market *market)
{
    struct id             worker_id = market_worker(market);
    struct job            job = market_job(market, 1, 50);
    struct submission     submission = market_submit(market, &worker_id, &job.id);
    struct delivered_file file;
    submission = market_judge(market, &submission, 5);
    DONE(market, file_get_any(&market->call, &submission.file_id, &file));
    return file;
}

static void file_told_later_is_the_file_told_now(void **state)
{
    struct market        *market = *state;
    struct delivered_file file = file_of(market);
    struct event_data     now, later;
    market_begin(market);
    event_data_begin(&market->call, &now);
    event_data_begin(&market->call, &later);
    render_file(&market->call, &now.out, NULL, &file, LINKS_NOW);
    render_file(&market->call, &later.out, NULL, &file, LINKS_LATER);
    struct str kept = event_data_end(&later), told = event_data_end(&now);
    assert_false(str_eq(kept, told));
    assert_null(strstr(str_c(&market->arena, kept), "signature"));
    assert_true(str_eq(event_data_render(&market->call, kept), told));
    db_rollback(market->db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(file_told_later_is_the_file_told_now, market_setup,
                                        market_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
