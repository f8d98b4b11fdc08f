#include "contract/trail.h"
#include "contract_fixture.h"

static void trail_field_joins_members_and_elements(void **state)
{
    struct trail list = trail_member(NULL, STR("accepted_formats"));
    struct trail item = trail_element(&list, 2);
    struct trail name = trail_member(&item, STR("colour"));
    assert_string_equal(trail_field(*state, &list).data, "accepted_formats");
    struct str field = trail_field(*state, &name);
    assert_true(str_eq(field, STR("accepted_formats[2].colour")));
}

static void trail_field_of_the_root_is_absent(void **state)
{
    assert_null(trail_field(*state, NULL).data);
}

static void trail_field_of_a_root_element_is_its_index(void **state)
{
    struct trail item = trail_element(NULL, 7);
    assert_true(str_eq(trail_field(*state, &item), STR("[7]")));
}

static void trail_field_cuts_and_cleans_names(void **state)
{
    char long_name[5000];
    memset(long_name, 'x', sizeof(long_name));
    struct trail hostile = trail_member(NULL, STR("a\n\x1b[31m\x7f"));
    assert_true(str_eq(trail_field(*state, &hostile), STR("a??[31m?")));
    struct trail huge = trail_member(NULL, (struct str){ long_name, sizeof(long_name) });
    assert_int_equal(trail_field(*state, &huge).len, TRAIL_NAME_BYTES_MAX);
}

static void trail_field_of_a_deep_place_stays_short(void **state)
{
    char         name[TRAIL_NAME_BYTES_MAX];
    struct trail trails[32];
    memset(name, 'n', sizeof(name));
    for (size_t i = 0; i < COUNT_OF(trails); i++)
        trails[i] = trail_member(i ? &trails[i - 1] : NULL, (struct str){ name, sizeof(name) });
    assert_true(trail_field(*state, &trails[31]).len <= TRAIL_FIELD_BYTES_MAX);
}

static void trail_pointer_escapes_as_rfc_6901(void **state)
{
    struct trail paths = trail_member(NULL, STR("paths"));
    struct trail path = trail_member(&paths, STR("/v1/a~b"));
    struct trail item = trail_element(&path, 0);
    assert_true(str_eq(trail_pointer(*state, &item), STR("/paths/~1v1~1a~0b/0")));
    assert_int_equal(trail_pointer(*state, NULL).len, 0);
}

static void trail_pointer_keeps_the_end_of_a_long_one(void **state)
{
    char long_name[500];
    memset(long_name, 'x', sizeof(long_name));
    struct trail first = trail_member(NULL, (struct str){ long_name, sizeof(long_name) });
    struct trail last = trail_member(&first, STR("end"));
    struct str   pointer = trail_pointer(*state, &last);
    assert_int_equal(pointer.len, TRAIL_POINTER_BYTES_MAX);
    assert_true(str_starts_with(pointer, STR("...x")));
    assert_true(str_ends_with(pointer, STR("x/end")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(trail_field_joins_members_and_elements),     RULE(trail_field_of_the_root_is_absent),
        RULE(trail_field_of_a_root_element_is_its_index), RULE(trail_field_cuts_and_cleans_names),
        RULE(trail_field_of_a_deep_place_stays_short),    RULE(trail_pointer_escapes_as_rfc_6901),
        RULE(trail_pointer_keeps_the_end_of_a_long_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
