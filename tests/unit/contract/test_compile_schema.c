#include "base/buf.h"
#include "contract/schema.h"
#include "contract_fixture.h"

/* The refusal of a document whose one schema is this. */
static const char *refused(struct arena *arena, const char *schema)
{
    struct str member = str_format(arena, "'It':%s", schema);
    return refusal_of(arena, document_of(arena, "", member.data));
}

#define REFUSES(schema, detail) assert_string_equal(refused(*state, schema), detail)

static void unknown_keywords_are_refused_with_their_pointer(void **state)
{
    REFUSES("{'type':'string','pattern':'^a$'}", "/components/schemas/It/pattern: unknown keyword");
    REFUSES("{'properties':{'a':{'items':{'additionalProperties':false}}}}",
            "/components/schemas/It/properties/a/items/additionalProperties: unknown keyword");
    REFUSES("{'anyOf':[{},{'oneOf':[]}]}", "/components/schemas/It/anyOf/1/oneOf: unknown keyword");
    REFUSES("{'patternProperties':{'^(.*)$':{'not':{}}}}",
            "/components/schemas/It/patternProperties/^(.*)$/not: unknown keyword");
}

static void malformed_keywords_are_refused(void **state)
{
    static const char *const schemas[] = {
        "true",
        "[]",
        "{'type':'text'}",
        "{'type':3}",
        "{'type':[]}",
        "{'type':['string','string']}",
        "{'type':['string',3]}",
        "{'const':{}}",
        "{'const':[]}",
        "{'enum':[]}",
        "{'enum':'a'}",
        "{'enum':[[]]}",
        "{'anyOf':[]}",
        "{'anyOf':{}}",
        "{'anyOf':[3]}",
        "{'properties':[]}",
        "{'properties':{'a':true}}",
        "{'required':'a'}",
        "{'required':[3]}",
        "{'required':['a','a']}",
        "{'patternProperties':{'^x':{}}}",
        "{'patternProperties':{}}",
        "{'patternProperties':{'^(.*)$':{},'b':{}}}",
        "{'maxProperties':-1}",
        "{'items':true}",
        "{'items':[{}]}",
        "{'minItems':1.5}",
        "{'maxItems':'3'}",
        "{'minLength':-1}",
        "{'maxLength':null}",
        "{'minimum':'0'}",
        "{'maximum':true}",
        "{'format':'email'}",
        "{'format':3}",
        "{'title':3}",
        "{'description':null}",
        "{'examples':'x'}",
        "{'$ref':3}",
    };
    for (size_t i = 0; i < COUNT_OF(schemas); i++)
        assert_non_null(strstr(refused(*state, schemas[i]), "/components/schemas/It"));
}

static void contradictions_are_refused(void **state)
{
    REFUSES("{'type':'string','const':3}",
            "/components/schemas/It: no value could have the right type");
    REFUSES("{'type':'integer','anyOf':[{'type':'string'},{'type':'null'}]}",
            "/components/schemas/It: no value could have the right type");
    REFUSES("{'minimum':2,'maximum':1}",
            "/components/schemas/It: the lower bound is above the upper");
    REFUSES("{'minLength':2,'maxLength':1}",
            "/components/schemas/It: the lower bound is above the upper");
    REFUSES("{'minItems':2,'maxItems':1}",
            "/components/schemas/It: the lower bound is above the upper");
}

static void a_default_outside_its_schema_is_refused(void **state)
{
    REFUSES("{'type':'integer','maximum':100,'default':101}",
            "/components/schemas/It: the default is outside the schema");
    REFUSES("{'anyOf':[{'const':'a'}],'default':'b'}",
            "/components/schemas/It: the default is outside the schema");
}

static void annotations_are_allowed(void **state)
{
    const struct contract *contract = compile_of(
        *state, "", "'It':{'title':'t','description':'d','example':{'any':1},'examples':[1,2]}");
    assert_non_null(contract_schema(contract, STR("It")));
}

static void absent_component_is_null(void **state)
{
    assert_null(contract_schema(compile_of(*state, "", ""), STR("It")));
    assert_null(contract_schema(compile_of(*state, "", "'A':{},'C':{}"), STR("B")));
}

static void references_that_lead_nowhere_are_refused(void **state)
{
    REFUSES("{'$ref':'#/components/schemas/Missing'}",
            "/components/schemas/It: $ref leads nowhere");
    REFUSES("{'$ref':'#/components/responses/It'}",
            "/components/schemas/It: $ref must begin with #/components/schemas/");
    REFUSES("{'$ref':'https://example.com/schema'}",
            "/components/schemas/It: $ref must begin with #/components/schemas/");
    REFUSES("{'$ref':'#/components/schemas/It','minimum':3}",
            "/components/schemas/It/minimum: unknown keyword");
}

static void reference_cycles_are_refused(void **state)
{
    REFUSES("{'$ref':'#/components/schemas/It'}",
            "/components/schemas/It: $ref leads back to itself");
    REFUSES("{'properties':{'child':{'$ref':'#/components/schemas/It'}}}",
            "/components/schemas/It/properties/child: $ref leads back to itself");
    struct str document =
        document_of(*state, "",
                    "'A':{'items':{'$ref':'#/components/schemas/B'}},"
                    "'B':{'anyOf':[{},{'$ref':'#/components/schemas/C'}]},"
                    "'C':{'patternProperties':{'^(.*)$':{'$ref':'#/components/schemas/A'}}}");
    assert_non_null(strstr(refusal_of(*state, document), "$ref leads back to itself"));
}

static void a_reference_may_bring_its_own_default(void **state)
{
    const struct contract *contract =
        compile_of(*state, "",
                   "'It':{'$ref':'#/components/schemas/N','default':3,'description':'d'},"
                   "'N':{'type':'integer','maximum':5,'default':1}");
    assert_int_equal(json_integer_value(contract_schema(contract, STR("It"))->preset), 3);
    assert_int_equal(json_integer_value(contract_schema(contract, STR("N"))->preset), 1);
    struct str wrong = document_of(*state, "",
                                   "'It':{'$ref':'#/components/schemas/N','default':9},"
                                   "'N':{'type':'integer','maximum':5}");
    assert_string_equal(refusal_of(*state, wrong),
                        "/components/schemas/It: the default is outside the schema");
}

/* count schemas and an empty one: each is link, in which @ stands for a reference to the next.
 * Names rise along the chain or fall: schemas are compiled in the order of their names. */
static struct str chain_of(struct arena *arena, int count, bool is_falling, const char *link)
{
    int        first = is_falling ? 999 : 0, step = is_falling ? -1 : 1;
    struct buf schemas;
    buf_init(&schemas, arena, 4 << 20);
    buf_fmt(&schemas, "'A%03d':{}", first + step * count);
    for (int i = 0; i < count; i++) {
        buf_fmt(&schemas, ",'A%03d':", first + step * i);
        for (const char *at = link; *at; at++) {
            if (*at == '@')
                buf_fmt(&schemas, "{'$ref':'#/components/schemas/A%03d'}", first + step * (i + 1));
            else
                buf_add_byte(&schemas, *at);
        }
    }
    return document_of(arena, "", str_c(arena, buf_str(&schemas)));
}

static void depth_is_bounded_through_references(void **state)
{
    static const char *const links[] = { "{'items':@}", "@" };
    for (size_t i = 0; i < 2 * COUNT_OF(links); i++) {
        bool is_falling = i >= COUNT_OF(links);
        compile_text_of(*state, chain_of(*state, 10, is_falling, links[i % COUNT_OF(links)]));
        struct str document = chain_of(*state, 900, is_falling, links[i % COUNT_OF(links)]);
        assert_non_null(strstr(refusal_of(*state, document), "schemas nest deeper than 32"));
    }
}

static void work_is_bounded_through_references(void **state)
{
    const char *detail = refusal_of(*state, chain_of(*state, 15, false, "{'anyOf':[@,@,@]}"));
    assert_non_null(strstr(detail, "the schema has more than 16384 nodes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(unknown_keywords_are_refused_with_their_pointer),
        RULE(malformed_keywords_are_refused),
        RULE(contradictions_are_refused),
        RULE(a_default_outside_its_schema_is_refused),
        RULE(annotations_are_allowed),
        RULE(absent_component_is_null),
        RULE(references_that_lead_nowhere_are_refused),
        RULE(reference_cycles_are_refused),
        RULE(a_reference_may_bring_its_own_default),
        RULE(depth_is_bounded_through_references),
        RULE(work_is_bounded_through_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
