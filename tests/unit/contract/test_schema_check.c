#include "contract/schema.h"
#include "contract_fixture.h"

/* Every fault as "field code message", one a line; empty when the value is accepted. */
static const char *faults_of(struct arena *arena, const char *schema, const char *value)
{
    struct str             member = str_format(arena, "'It':%s", schema);
    const struct contract *contract = compile_of(arena, "", member.data);
    struct error           error = { 0 };
    struct str             text = STR("");
    json_t                *root = json_of(arena, value);
    enum err e = schema_check(contract_schema(contract, STR("It")), arena, root, &error);
    assert_int_equal(e, error.faults_count ? ERR_UNPROCESSABLE : ERR_OK);
    assert_int_equal(schema_accepts(contract_schema(contract, STR("It")), root), e == ERR_OK);
    if (e) assert_string_equal(error.slug, "body_invalid");
    for (const struct fault *fault = error.faults; fault; fault = fault->next)
        text = str_format(arena, "%s%s%s %s %s", text.data, text.len ? "\n" : "",
                          fault->field ? fault->field : "-", fault->code, fault->message);
    return text.data;
}

#define ACCEPTS(schema, value)        assert_string_equal(faults_of(*state, schema, value), "")
#define FAULTS(schema, value, faults) assert_string_equal(faults_of(*state, schema, value), faults)

static void an_empty_schema_accepts_everything(void **state)
{
    static const char *const values[] = { "null", "true", "3", "3.5", "'x'", "[1,[2]]", "{'a':1}" };
    for (size_t i = 0; i < COUNT_OF(values); i++)
        ACCEPTS("{}", values[i]);
}

static void type_names_what_it_wants(void **state)
{
    FAULTS("{'type':'object'}", "[]", "- type must be an object");
    FAULTS("{'type':'array'}", "{}", "- type must be an array");
    FAULTS("{'type':'string'}", "3", "- type must be a string");
    FAULTS("{'type':'boolean'}", "0", "- type must be a boolean");
    FAULTS("{'type':'null'}", "false", "- type must be null");
    FAULTS("{'type':'number'}", "'3'", "- type must be a number");
}

static void type_lists_accept_each_of_their_types(void **state)
{
    ACCEPTS("{'type':['number','null']}", "1.5");
    ACCEPTS("{'type':['number','null']}", "1");
    ACCEPTS("{'type':['number','null']}", "null");
    FAULTS("{'type':['number','null']}", "'x'", "- type must be a number or null");
    FAULTS("{'type':['null','string','integer']}", "true",
           "- type must be a string, an integer or null");
}

static void a_whole_real_number_is_an_integer(void **state)
{
    ACCEPTS("{'type':'integer'}", "3.0");
    ACCEPTS("{'type':'integer'}", "1e3");
    ACCEPTS("{'const':3}", "3.0");
    FAULTS("{'type':'integer'}", "3.5", "- type must be an integer");
    FAULTS("{'type':'integer'}", "1e300", "- type must be an integer");
}

static void bounds_are_inclusive_and_say_what_came(void **state)
{
    const char *schema = "{'type':'integer','minimum':1,'maximum':100}";
    ACCEPTS(schema, "1");
    ACCEPTS(schema, "100");
    FAULTS(schema, "0", "- minimum must be at least 1, got 0");
    FAULTS(schema, "101", "- maximum must be at most 100, got 101");
    FAULTS("{'minimum':0.5}", "0.25", "- minimum must be at least 0.5, got 0.25");
    ACCEPTS("{'minimum':5}", "'not a number'");
}

static void bounds_compare_exactly_beyond_doubles(void **state)
{
    FAULTS("{'maximum':9007199254740992}", "9007199254740993",
           "- maximum must be at most 9007199254740992, got 9007199254740993");
    FAULTS("{'maximum':9007199254740992.0}", "9007199254740993",
           "- maximum must be at most 9.00719925474099e+15, got 9007199254740993");
    ACCEPTS("{'maximum':9223372036854775807}", "9223372036854775807");
    FAULTS("{'maximum':9223372036854775807}", "9223372036854775808.0",
           "- maximum must be at most 9223372036854775807, got 9.22337203685478e+18");
    ACCEPTS("{'minimum':-9223372036854775808}", "-9223372036854775808.0");
    FAULTS("{'minimum':-2}", "-2.5", "- minimum must be at least -2, got -2.5");
    FAULTS("{'maximum':-2.5}", "-2", "- maximum must be at most -2.5, got -2");
}

static void lengths_count_code_points(void **state)
{
    const char *schema = "{'type':'string','minLength':2,'maxLength':3}";
    ACCEPTS(schema, "'\xc3\xa4\xf0\x9f\x98\x80'");
    FAULTS(schema, "'\xf0\x9f\x98\x80'", "- minLength must be at least 2 characters, got 1");
    FAULTS(schema, "'abcd'", "- maxLength must be at most 3 characters, got 4");
    FAULTS("{'minLength':1}", "''", "- minLength must be at least 1 character, got 0");
}

static void formats_are_checked_on_text_only(void **state)
{
    ACCEPTS("{'format':'uri'}", "'https://example.com/hook'");
    ACCEPTS("{'format':'uri'}", "3");
    FAULTS("{'format':'uri'}", "'example.com'",
           "- format must be an absolute URI such as https://example.com/path");
    FAULTS("{'format':'date-time'}", "'tomorrow'",
           "- format must be a date and time such as 2026-03-18T09:30:00Z");
}

static void const_and_enum_list_what_is_allowed(void **state)
{
    FAULTS("{'const':'open'}", "'shut'", "- const must be \"open\"");
    FAULTS("{'const':null}", "0", "- const must be null");
    FAULTS("{'const':true}", "false", "- const must be true");
    FAULTS("{'type':'string','enum':['a','b']}", "'c'", "- enum must be one of \"a\", \"b\"");
    ACCEPTS("{'enum':[1,null,'x']}", "1.0");
    FAULTS("{'enum':[1,null,'x']}", "2", "- enum must be one of 1, null, \"x\"");
}

static void a_long_enum_is_cut_in_the_message(void **state)
{
    struct str options = str_format(*state, "{'enum':['first'");
    for (int i = 0; i < 200; i++)
        options = str_format(*state, "%s,'option-%d'", options.data, i);
    options = str_format(*state, "%s]}", options.data);
    const char *faults = faults_of(*state, options.data, "'other'");
    assert_true(strlen(faults) < ERROR_DETAIL_BYTES_MAX);
    assert_non_null(strstr(faults, "\"first\", \"option-0\""));
    assert_non_null(strstr(faults, "..."));
}

static void any_of_constants_is_one_enum_fault(void **state)
{
    const char *schema = "{'anyOf':[{'const':'a','type':'string'},{'const':'b','type':'string'}]}";
    ACCEPTS(schema, "'b'");
    FAULTS(schema, "'c'", "- enum must be one of \"a\", \"b\"");
    FAULTS(schema, "5", "- enum must be one of \"a\", \"b\"");
}

static void any_of_names_the_types_it_takes(void **state)
{
    FAULTS("{'anyOf':[{'type':'string'},{'type':'number'},{'type':'boolean'},{'type':'null'}]}",
           "[]", "- anyOf must be a string, a number, a boolean or null");
}

static void any_of_tells_what_the_one_fitting_branch_missed(void **state)
{
    const char *schema = "{'anyOf':[{'minimum':500,'maximum':100000,'type':'integer'},"
                         "{'type':'null'}]}";
    ACCEPTS(schema, "null");
    FAULTS(schema, "3", "- anyOf must be at least 500, got 3");
    FAULTS("{'anyOf':[{'type':'object','required':['lat'],'properties':{'lat':{'type':'number'}}},"
           "{'type':'null'}]}",
           "{'lat':'x'}", "- anyOf lat must be a number");
    FAULTS("{'anyOf':[{'type':'string','minLength':3},{'type':'string','const':'a'}]}", "'b'",
           "- anyOf has none of the allowed forms");
}

static void required_members_are_missed_at_their_own_path(void **state)
{
    const char *schema = "{'type':'object','required':['b','a','z'],'properties':{'a':{},"
                         "'b':{'type':'object','required':['c']}}}";
    FAULTS(schema, "{'b':{}}",
           "a required is required\nb.c required is required\nz required is required");
}

static void a_required_member_may_be_null(void **state)
{
    ACCEPTS("{'required':['a']}", "{'a':null}");
}

static void unknown_members_are_ignored(void **state)
{
    ACCEPTS("{'type':'object','properties':{'a':{'type':'string'}}}", "{'b':3,'a':'x'}");
}

static void pattern_properties_hold_for_every_member(void **state)
{
    const char *schema = "{'maxProperties':2,'patternProperties':{'^(.*)$':{'type':'string'}}}";
    ACCEPTS(schema, "{'':'empty name','line\\nbreak':'too'}");
    FAULTS(schema, "{'colour':1,'b':'x','c':[]}",
           "- maxProperties must have at most 2 members, got 3\n"
           "colour type must be a string\nc type must be a string");
}

static void hostile_member_names_are_cleaned(void **state)
{
    FAULTS("{'patternProperties':{'^(.*)$':{'type':'string'}}}", "{'a\\u001b[0m\\n':1}",
           "a?[0m? type must be a string");
}

static void items_are_checked_one_by_one(void **state)
{
    const char *schema = "{'type':'array','minItems':1,'maxItems':3,'items':{'type':'integer'}}";
    ACCEPTS(schema, "[1,2,3]");
    FAULTS(schema, "[]", "- minItems must have at least 1 item, got 0");
    FAULTS(schema, "[1,'x',2,null]",
           "- maxItems must have at most 3 items, got 4\n"
           "[1] type must be an integer\n[3] type must be an integer");
}

static void every_fault_is_reported_at_once(void **state)
{
    FAULTS("{'type':'object','required':['n','s'],'properties':{'n':{'type':'integer','minimum':1},"
           "'s':{'type':'string','minLength':10,'format':'uri'},'l':{'items':{'const':'x'}}}}",
           "{'n':0,'s':'abc','l':['x','y']}",
           "n minimum must be at least 1, got 0\n"
           "s minLength must be at least 10 characters, got 3\n"
           "s format must be an absolute URI such as https://example.com/path\n"
           "l[1] const must be \"x\"");
}

static void references_are_followed(void **state)
{
    const struct contract *contract =
        compile_of(*state, "",
                   "'Outer':{'properties':{'in':{'$ref':'#/components/schemas/Inner',"
                   "'description':'beside'}}},'Inner':{'type':'string','maxLength':2}");
    struct error error = { 0 };
    json_t      *value = json_of(*state, "{'in':'long'}");
    assert_int_equal(schema_check(contract_schema(contract, STR("Outer")), *state, value, &error),
                     ERR_UNPROCESSABLE);
    assert_string_equal(error.faults->field, "in");
    assert_string_equal(error.detail, "in must be at most 2 characters, got 4");
}

static void faults_beyond_the_limit_are_counted_only(void **state)
{
    enum { ITEMS_COUNT = 20001 };
    char *items = NEW(*state, char, 2 * ITEMS_COUNT + 2);
    items[0] = '[';
    for (size_t i = 0; i < ITEMS_COUNT; i++)
        memcpy(items + 1 + 2 * i, "1,", 2);
    items[2 * ITEMS_COUNT] = ']';
    const struct contract *contract = compile_of(
        *state, "", "'It':{'items':{'anyOf':[{'type':'string'},{'type':'integer','minimum':5}]}}");
    struct error error = { 0 };
    json_t      *value = json_of(*state, items);
    size_t       before = ((struct arena *)*state)->used_bytes;
    assert_int_equal(schema_check(contract_schema(contract, STR("It")), *state, value, &error),
                     ERR_UNPROCESSABLE);
    assert_int_equal(error.faults_count, ITEMS_COUNT);
    int kept = 0;
    for (const struct fault *fault = error.faults; fault; fault = fault->next)
        kept++;
    assert_int_equal(kept, ERROR_FAULTS_COUNT_MAX);
    assert_string_equal(error.detail, "[0] must be at least 5, got 1 (and 20000 more)");
    assert_true(((struct arena *)*state)->used_bytes - before < 1 << 20);
}

static void client_text_never_reaches_a_message(void **state)
{
    struct str long_text = str_format(*state, "'%0500d'", 7);
    FAULTS("{'type':'string','maxLength':5}", long_text.data,
           "- maxLength must be at most 5 characters, got 500");
    FAULTS("{'enum':['a']}", long_text.data, "- enum must be one of \"a\"");
}

static void a_value_deeper_than_its_schema_is_not_walked(void **state)
{
    char        deep[65] = { 0 };
    const char *schema = "{'type':'array','items':{'type':'array'}}";
    memset(deep, '[', 32);
    memset(deep + 32, ']', 32);
    ACCEPTS(schema, deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(an_empty_schema_accepts_everything),
        RULE(type_names_what_it_wants),
        RULE(type_lists_accept_each_of_their_types),
        RULE(a_whole_real_number_is_an_integer),
        RULE(bounds_are_inclusive_and_say_what_came),
        RULE(bounds_compare_exactly_beyond_doubles),
        RULE(lengths_count_code_points),
        RULE(formats_are_checked_on_text_only),
        RULE(const_and_enum_list_what_is_allowed),
        RULE(a_long_enum_is_cut_in_the_message),
        RULE(any_of_constants_is_one_enum_fault),
        RULE(any_of_names_the_types_it_takes),
        RULE(any_of_tells_what_the_one_fitting_branch_missed),
        RULE(required_members_are_missed_at_their_own_path),
        RULE(a_required_member_may_be_null),
        RULE(unknown_members_are_ignored),
        RULE(pattern_properties_hold_for_every_member),
        RULE(hostile_member_names_are_cleaned),
        RULE(items_are_checked_one_by_one),
        RULE(every_fault_is_reported_at_once),
        RULE(references_are_followed),
        RULE(faults_beyond_the_limit_are_counted_only),
        RULE(client_text_never_reaches_a_message),
        RULE(a_value_deeper_than_its_schema_is_not_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
