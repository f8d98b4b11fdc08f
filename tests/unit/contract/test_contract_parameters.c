#include "contract_fixture.h"

static const char paths[] =
    "'/v1/jobs/{id}':{'get':{'operationId':'list','parameters':["
    "{'name':'id','in':'path','required':true,'schema':{'type':'string'}},"
    "{'name':'limit','in':'query','schema':{'type':'integer','minimum':1,'maximum':100,"
    "'default':20}},"
    "{'name':'status','in':'query','schema':{'anyOf':[{'const':'open','type':'string'},"
    "{'const':'done','type':'string'}]}},"
    "{'name':'after','in':'query','schema':{'type':'string','format':'date-time'}},"
    "{'name':'ratio','in':'query','schema':{'type':'number','maximum':1}},"
    "{'name':'full','in':'query','schema':{'type':'boolean'}},"
    "{'name':'name','in':'query','schema':{'type':'string','minLength':2,'maxLength':3}},"
    "{'name':'order','in':'query','schema':{'type':'string','default':'new'}},"
    "{'name':'any','in':'query','schema':{}},"
    "{'name':'Idempotency-Key','in':'header','required':true,'schema':{'type':'string',"
    "'maxLength':5}},"
    "{'name':'X-Count','in':'header','schema':{'type':'integer','minimum':0}}],"
    "'responses':{'200':{'description':'ok'}}}}";

enum { ID, LIMIT, STATUS, AFTER, RATIO, FULL, NAME, ORDER, ANY, KEY, COUNT, PARAMETERS_COUNT };

struct headers {
    struct str key;
    struct str count;
};

static struct str header_of(const void *context, const char *name)
{
    const struct headers *headers = context;
    return strcmp(name, "Idempotency-Key") == 0 ? headers->key : headers->count;
}

static enum err check(struct arena *arena, struct str query, const struct headers *headers,
                      struct error *error, struct contract_value *ret_values)
{
    const struct contract *contract = compile_of(arena, paths, "");
    return contract_check_parameters(contract_operation_at(contract, 0), arena, query, header_of,
                                     headers, error, ret_values);
}

static const struct headers good_headers = { { "k", 1 }, { NULL, 0 } };

static void accept(struct arena *arena, struct str query,
                   struct contract_value values[PARAMETERS_COUNT])
{
    struct error error = { 0 };
    if (check(arena, query, &good_headers, &error, values) != ERR_OK)
        fail_msg("refused: %s", error.detail);
}

static const char *faults_of(struct arena *arena, struct str query, const struct headers *headers)
{
    struct contract_value values[PARAMETERS_COUNT] = { 0 };
    struct error          error = { 0 };
    struct str            text = STR("");
    enum err              e = check(arena, query, headers, &error, values);
    if (e == ERR_OK) return "";
    assert_int_equal(e, ERR_INVALID);
    assert_string_equal(error.slug, "invalid_parameters");
    assert_null(values[0].parameter);
    for (const struct fault *fault = error.faults; fault; fault = fault->next)
        text = str_format(arena, "%s%s%s %s %s", text.data, text.len ? "\n" : "", fault->field,
                          fault->code, fault->message);
    return text.data;
}

#define FAULTS(query, faults)                                                                      \
    assert_string_equal(faults_of(*state, STR(query), &good_headers), faults)

static void values_stand_in_the_order_of_declaration(void **state)
{
    struct contract_value values[PARAMETERS_COUNT];
    accept(*state, STR("full=true&limit=5&name=ab&ratio=0.5&status=open&any="), values);
    for (int i = 0; i < PARAMETERS_COUNT; i++)
        assert_non_null(values[i].parameter);
    assert_int_equal(values[LIMIT].integer, 5);
    assert_true(values[LIMIT].is_present);
    assert_true(str_eq(values[STATUS].text, STR("open")));
    assert_true(str_eq(values[RATIO].text, STR("0.5")));
    assert_true(str_eq(values[FULL].text, STR("true")));
    assert_true(str_eq(values[KEY].text, STR("k")));
    assert_true(values[ANY].is_present);
    assert_int_equal(values[ANY].text.len, 0);
    assert_false(values[AFTER].is_present);
    assert_null(values[AFTER].text.data);
    assert_false(values[ID].is_present);
}

static void defaults_are_filled_in(void **state)
{
    struct contract_value values[PARAMETERS_COUNT];
    accept(*state, STR_NONE, values);
    assert_int_equal(values[LIMIT].integer, 20);
    assert_false(values[LIMIT].is_present);
    assert_null(values[LIMIT].text.data);
    assert_true(str_eq(values[ORDER].text, STR("new")));
    assert_false(values[ORDER].is_present);
}

static void unknown_parameters_are_ignored(void **state)
{
    struct contract_value values[PARAMETERS_COUNT];
    accept(*state, STR("utm_source=x&%zz=1&&=&other=%&LIMIT=x&limit=7&"), values);
    assert_int_equal(values[LIMIT].integer, 7);
}

static void names_and_values_are_decoded(void **state)
{
    struct contract_value values[PARAMETERS_COUNT];
    accept(*state, STR("%6cimit=%31%30&any=a+b%2Bc%26d=e&name=%C3%A4%C3%B6"), values);
    assert_int_equal(values[LIMIT].integer, 10);
    assert_true(str_eq(values[ANY].text, STR("a b+c&d=e")));
    assert_true(str_eq(values[NAME].text, STR("\xc3\xa4\xc3\xb6")));
}

static void integers_are_strict_decimal(void **state)
{
    static const char *const texts[] = { "",     "1.0",  "1e1", "0x10", "+5",
                                         "%205", "5%20", "abc", "--1",  "9223372036854775808" };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct str query = str_format(*state, "limit=%s", texts[i]);
        assert_string_equal(faults_of(*state, query, &good_headers),
                            "limit type must be an integer");
    }
    FAULTS("limit=0", "limit minimum must be at least 1, got 0");
    FAULTS("limit=101", "limit maximum must be at most 100, got 101");
    FAULTS("limit=-9223372036854775808",
           "limit minimum must be at least 1, got -9223372036854775808");
}

static void numbers_follow_json(void **state)
{
    static const char *const texts[] = { "",      "x",     ".5",  "nan",    "inf",
                                         "1e999", "-",     "0x1", "0.5%20", "[1]",
                                         "true",  "0.5,1", "+1",  "01",     "%220.5%22" };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct str query = str_format(*state, "ratio=%s", texts[i]);
        assert_string_equal(faults_of(*state, query, &good_headers), "ratio type must be a number");
    }
    FAULTS("ratio=-1e-3", "");
    FAULTS("ratio=1", "");
    FAULTS("ratio=1.5", "ratio maximum must be at most 1, got 1.5");
}

static void booleans_are_true_or_false(void **state)
{
    FAULTS("full=false", "");
    FAULTS("full=1", "full type must be a boolean");
    FAULTS("full=TRUE", "full type must be a boolean");
    FAULTS("full", "full type must be a boolean");
}

static void text_is_held_against_its_schema(void **state)
{
    FAULTS("status=closed", "status enum must be one of \"open\", \"done\"");
    FAULTS("after=yesterday", "after format must be a date and time such as 2026-03-18T09:30:00Z");
    FAULTS("after=2026-03-18T09:30:00%2B01:00", "");
    FAULTS("name=a", "name minLength must be at least 2 characters, got 1");
    FAULTS("name=abcd", "name maxLength must be at most 3 characters, got 4");
}

static void a_parameter_given_twice_is_one_fault(void **state)
{
    FAULTS("limit=1&limit=1&limit=x", "limit duplicate is given more than once");
    FAULTS("limit=1&%6Cimit=2", "limit duplicate is given more than once");
    FAULTS("other=1&other=2", "");
}

static void text_that_does_not_decode_is_a_fault(void **state)
{
    FAULTS("any=%", "any encoding has a malformed % escape");
    FAULTS("any=%g0&limit=3", "any encoding has a malformed % escape");
    FAULTS("any=%ff", "any encoding must be UTF-8 without NUL");
    FAULTS("any=%00", "any encoding must be UTF-8 without NUL");
    FAULTS("any=a\0b", "any encoding must be UTF-8 without NUL");
}

static void headers_are_required_and_checked(void **state)
{
    struct headers none = { STR_NONE, STR_NONE };
    assert_string_equal(faults_of(*state, STR_NONE, &none), "Idempotency-Key required is required");
    struct headers wrong = { STR("too-long"), STR("-1") };
    assert_string_equal(faults_of(*state, STR_NONE, &wrong),
                        "Idempotency-Key maxLength must be at most 5 characters, got 8\n"
                        "X-Count minimum must be at least 0, got -1");
    struct headers latin = { STR("\xe4"), STR("12") };
    assert_string_equal(faults_of(*state, STR_NONE, &latin),
                        "Idempotency-Key encoding must be UTF-8 without NUL");
}

static void every_bad_parameter_is_reported(void **state)
{
    FAULTS("name=a&full=x&limit=0",
           "limit minimum must be at least 1, got 0\nfull type must be a boolean\n"
           "name minLength must be at least 2 characters, got 1");
}

static void a_long_query_of_unknown_names_costs_no_memory(void **state)
{
    struct arena *arena = *state;
    enum { PAIRS_COUNT = 50000 };
    char *query = NEW(arena, char, PAIRS_COUNT * 4);
    for (size_t i = 0; i < PAIRS_COUNT; i++)
        memcpy(query + 4 * i, "x=1&", 4);
    struct contract_value  values[PARAMETERS_COUNT];
    struct error           error = { 0 };
    const struct contract *contract = compile_of(arena, paths, "");
    size_t                 before = arena->used_bytes;
    assert_int_equal(contract_check_parameters(contract_operation_at(contract, 0), arena,
                                               (struct str){ query, PAIRS_COUNT * 4 }, header_of,
                                               &good_headers, &error, values),
                     ERR_OK);
    assert_true(arena->used_bytes - before < 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(values_stand_in_the_order_of_declaration),
        RULE(defaults_are_filled_in),
        RULE(unknown_parameters_are_ignored),
        RULE(names_and_values_are_decoded),
        RULE(integers_are_strict_decimal),
        RULE(numbers_follow_json),
        RULE(booleans_are_true_or_false),
        RULE(text_is_held_against_its_schema),
        RULE(a_parameter_given_twice_is_one_fault),
        RULE(text_that_does_not_decode_is_a_fault),
        RULE(headers_are_required_and_checked),
        RULE(every_bad_parameter_is_reported),
        RULE(a_long_query_of_unknown_names_costs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
