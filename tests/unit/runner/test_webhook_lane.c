#include "runner/webhook_lane.h"

#include "runner/runner_webhook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct lanes *lanes = calloc(1, sizeof(*lanes));
    assert_non_null(lanes);
    *state = lanes;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static struct id new_endpoint(void)
{
    return id_new(ID_ENDPOINT, 1);
}

static struct lane *take(struct lanes *lanes, bool is_failing)
{
    struct id    endpoint_id = new_endpoint(), org_id = id_new(ID_ORGANISATION, 1);
    struct lane *lane = lane_take(lanes, &endpoint_id, is_failing);
    if (lane) lane_set_tenant(lanes, lane, &org_id);
    return lane;
}

static void take_all(struct lanes *lanes, bool are_failing)
{
    for (int i = 0; i < LANES_MAX; i++)
        assert_non_null(take(lanes, are_failing));
}

/* --- who gets a lane --- */

static void lane_is_found_until_it_is_given_back(void **state)
{
    struct lanes *lanes = *state;
    struct id     endpoint_id = new_endpoint();
    struct lane  *lane = lane_take(lanes, &endpoint_id, false);
    assert_ptr_equal(lane_find(lanes, &endpoint_id), lane);
    lane_release(lanes, lane);
    assert_null(lane_find(lanes, &endpoint_id));
    assert_int_equal(lanes->count, 0);
}

static void endpoint_without_a_lane_is_remembered(void **state)
{
    struct lanes *lanes = *state;
    take_all(lanes, false);
    assert_false(lanes->is_short);
    assert_null(take(lanes, false));
    assert_true(lanes->is_short);
}

static void failing_one_gives_its_lane_to_one_that_does_not_fail(void **state)
{
    struct lanes *lanes = *state;
    take_all(lanes, true);
    assert_null(take(lanes, true));
    for (int i = 0; i < LANES_MAX; i++)
        assert_non_null(take(lanes, false));
    assert_null(take(lanes, false));
    assert_int_equal(lanes->count, LANES_MAX);
}

static void failing_one_with_something_under_way_keeps_its_lane(void **state)
{
    struct lanes *lanes = *state;
    struct lane  *busy = take(lanes, true);
    struct id     event_id = id_new(ID_EVENT, 1), endpoint_id = busy->endpoint_id;
    assert_non_null(delivery_take(lanes, busy, &event_id));
    for (int i = 1; i < LANES_MAX; i++)
        assert_non_null(take(lanes, false));
    assert_null(take(lanes, false));
    assert_ptr_equal(lane_find(lanes, &endpoint_id), busy);
    delivery_release(lanes, delivery_find(lanes, &event_id));
}

/* --- what is queued --- */

static void fill(struct lanes *lanes, struct lane *lane, int count, bool is_all)
{
    struct webhook_due_event rows[LANE_QUEUE_MAX + 2];
    for (int i = 0; i < count; i++)
        rows[i] = (struct webhook_due_event){ id_new(ID_EVENT, 1), i };
    lane_fill(lanes, lane, rows, count, is_all);
}

static void all_that_was_read_is_queued_in_its_order(void **state)
{
    struct lane *lane = take(*state, false);
    fill(*state, lane, LANE_QUEUE_MAX, true);
    assert_false(lane->has_due);
    for (int i = 0; i < LANE_QUEUE_MAX; i++)
        assert_int_equal(lane_pop(lane).due_ms, i);
}

static void more_in_the_store_is_looked_for_again(void **state)
{
    struct lane *lane = take(*state, false);
    fill(*state, lane, 3, false);
    assert_true(lane->has_due);
}

/* What was under way when the row count was chosen may be written down when they are read. */
static void what_found_no_place_is_looked_for_again(void **state)
{
    struct lane *lane = take(*state, false);
    fill(*state, lane, LANE_QUEUE_MAX + 1, true);
    assert_int_equal(lane->queue_count, LANE_QUEUE_MAX);
    assert_true(lane->has_due);
}

static void what_is_under_way_is_not_queued_and_another_round_is_noted(void **state)
{
    struct lanes            *lanes = *state;
    struct lane             *lane = take(lanes, false);
    struct webhook_due_event row = { id_new(ID_EVENT, 1), 5 };
    struct delivery         *delivery = delivery_take(lanes, lane, &row.event_id);
    delivery->what.due_ms = row.due_ms;
    lane_fill(lanes, lane, &row, 1, true);
    assert_int_equal(lane->queue_count, 0);
    assert_false(delivery->is_replayed);
    row.due_ms++;
    lane_fill(lanes, lane, &row, 1, true);
    assert_int_equal(lane->queue_count, 0);
    assert_true(delivery->is_replayed);
    delivery_release(lanes, delivery);
}

static void all_deliveries_can_be_taken_and_one_given_back_again(void **state)
{
    struct lanes           *lanes = *state;
    struct lane            *lane = take(lanes, false);
    static struct delivery *taken[DELIVERIES_MAX];
    struct id               event_id = id_new(ID_EVENT, 1);
    for (int i = 0; i < DELIVERIES_MAX; i++) {
        struct id other_id = id_new(ID_EVENT, 1);
        assert_true(delivery_is_left(lanes));
        taken[i] = delivery_take(lanes, lane, &other_id);
    }
    assert_false(delivery_is_left(lanes));
    assert_null(delivery_take(lanes, lane, &event_id));
    assert_int_equal(lane->taken, DELIVERIES_MAX);
    delivery_release(lanes, taken[0]);
    assert_ptr_equal(delivery_take(lanes, lane, &event_id), taken[0]);
    assert_false(delivery_is_left(lanes));
}

/* --- how many at a time --- */

static void window_grows_with_successes_and_is_one_after_a_failure(void **state)
{
    struct lanes    *lanes = *state;
    struct lane     *lane = take(lanes, false);
    static const int windows[] = { 4, 8, 8 };
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        lane_begun(lanes, lane);
        lane_ended(lanes, lane, true);
        assert_int_equal(lane->window, windows[i]);
    }
    assert_int_equal(lane->window, WEBHOOK_LANE_WINDOW);
    lane_begun(lanes, lane);
    lane_ended(lanes, lane, false);
    assert_int_equal(lane->window, 1);
}

static void failing_requests_are_counted_as_such(void **state)
{
    struct lanes *lanes = *state;
    struct lane  *lane = take(lanes, false);
    lane_begun(lanes, lane);
    lane_begun(lanes, lane);
    assert_int_equal(lanes->failing_in_flight, 0);
    lane_ended(lanes, lane, false);
    assert_int_equal(lanes->failing_in_flight, 1);
    lane_ended(lanes, lane, true);
    assert_int_equal(lanes->failing_in_flight, 0);
}

static void requests_of_an_organisation_are_counted_over_its_endpoints(void **state)
{
    struct lanes *lanes = *state;
    struct lane  *one = take(lanes, false), *other = take(lanes, false);
    struct id     org_id = id_new(ID_ORGANISATION, 2), endpoint_id = new_endpoint();
    lane_set_tenant(lanes, one, &org_id);
    lane_set_tenant(lanes, other, &org_id);
    lane_begun(lanes, one);
    lane_begun(lanes, other);
    assert_int_equal(lane_tenant_in_flight(one), 2);
    lane_ended(lanes, other, false);
    assert_int_equal(lane_tenant_in_flight(one), 1);
    assert_int_equal(lane_tenant_in_flight(lane_take(lanes, &endpoint_id, false)), 0);
}

#define lane_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        lane_test(lane_is_found_until_it_is_given_back),
        lane_test(endpoint_without_a_lane_is_remembered),
        lane_test(failing_one_gives_its_lane_to_one_that_does_not_fail),
        lane_test(failing_one_with_something_under_way_keeps_its_lane),
        lane_test(all_that_was_read_is_queued_in_its_order),
        lane_test(more_in_the_store_is_looked_for_again),
        lane_test(what_found_no_place_is_looked_for_again),
        lane_test(what_is_under_way_is_not_queued_and_another_round_is_noted),
        lane_test(all_deliveries_can_be_taken_and_one_given_back_again),
        lane_test(window_grows_with_successes_and_is_one_after_a_failure),
        lane_test(failing_requests_are_counted_as_such),
        lane_test(requests_of_an_organisation_are_counted_over_its_endpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
