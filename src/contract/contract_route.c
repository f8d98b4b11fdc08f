#include "contract/compile.h"

#include "base/buf.h"
#include "base/encode.h"

#include <stdlib.h>
#include <string.h>

enum { ALLOW_BYTES_MAX = 100 }; /* every method takes 47 */

static bool is_literal_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c) != NULL);
}

/* "name" of "{name}"; the text itself for a literal. false when it is neither. */
static bool parse_segment(struct str text, struct segment *ret_segment)
{
    struct segment segment = { .text = text };
    segment.is_parameter = str_starts_with(text, STR("{")) && str_ends_with(text, STR("}"));
    if (segment.is_parameter) segment.text = str_take(str_skip(text, 1), text.len - 2);
    if (segment.text.len == 0) return false;
    for (size_t i = 0; i < segment.text.len; i++)
        if (!is_literal_byte(segment.text.data[i])) return false;
    *ret_segment = segment;
    return true;
}

bool route_has_parameter(const struct route *route, struct str name)
{
    for (int i = 0; i < route->segments_count; i++)
        if (route->segments[i].is_parameter && str_eq(route->segments[i].text, name)) return true;
    return false;
}

enum err route_parse(struct compiler *compiler, const struct trail *trail, struct str path,
                     struct route *ret_route)
{
    struct route route = { .path = path };
    struct str   rest = str_skip(path, 1), text;
    int          parameters_count = 0;
    if (!str_starts_with(path, STR("/")))
        return compile_refuse(compiler, trail, "a path begins with /");
    while (str_cut(&rest, '/', &text)) {
        struct segment segment;
        if (!parse_segment(text, &segment))
            return compile_refuse(compiler, trail, "a segment is a name or {name}");
        if (segment.is_parameter && route_has_parameter(&route, segment.text))
            return compile_refuse(compiler, trail, "the path names a parameter twice");
        if (route.segments_count == SEGMENTS_MAX)
            return compile_refuse(compiler, trail, "more than %d segments", SEGMENTS_MAX);
        parameters_count += segment.is_parameter;
        route.segments[route.segments_count++] = segment;
    }
    if (parameters_count > CONTRACT_PATH_PARAMETERS_MAX)
        return compile_refuse(compiler, trail, "more than %d path parameters",
                              CONTRACT_PATH_PARAMETERS_MAX);
    *ret_route = route;
    return ERR_OK;
}

/* Matching order: few segments first, then at the first difference a literal before a parameter.
 * 0 = the same paths match both. */
static int route_order(const void *a, const void *b)
{
    const struct route *left = a, *right = b;
    if (left->segments_count != right->segments_count)
        return left->segments_count - right->segments_count;
    for (int i = 0; i < left->segments_count; i++) {
        const struct segment *l = &left->segments[i], *r = &right->segments[i];
        if (l->is_parameter != r->is_parameter) return l->is_parameter ? 1 : -1;
        int order = l->is_parameter ? 0 : str_compare(l->text, r->text);
        if (order) return order;
    }
    return 0;
}

static struct str allow_value(struct arena *arena, const struct route *route)
{
    struct buf buf;
    buf_init(&buf, arena, ALLOW_BYTES_MAX);
    for (int method = 0; method < CONTRACT_METHOD__COUNT; method++) {
        bool is_implied = method == METHOD_HEAD && route->operations[METHOD_GET];
        if (route->operations[method] == NULL && !is_implied) continue;
        if (buf.len > 0) buf_add(&buf, STR(", "));
        buf_add(&buf, str_of(contract_method_name((enum contract_method)method)));
    }
    CHECK(!buf.failed);
    return buf_str(&buf);
}

enum err route_arrange(struct compiler *compiler)
{
    struct contract *contract = compiler->contract;
    size_t           count = (size_t)contract->routes_count;
    if (count) qsort(contract->routes, count, sizeof(*contract->routes), route_order);
    struct trail paths = trail_member(NULL, STR("paths"));
    for (size_t i = 0; i < count; i++) {
        struct route *route = &contract->routes[i];
        struct trail  here = trail_member(&paths, route->path);
        if (i > 0 && route_order(route - 1, route) == 0)
            return compile_refuse(compiler, &here, "matches what %.*s matches",
                                  STR_ARG(route[-1].path));
        route->allow = allow_value(compiler->arena, route);
    }
    return ERR_OK;
}

/* The decoded segments of a request's path; false when no route can match. */
static bool split_path(struct arena *arena, struct str path, struct str segments[SEGMENTS_MAX],
                       int *ret_count)
{
    if (!str_starts_with(path, STR("/"))) return false;
    struct str rest = str_skip(path, 1), text;
    int        count = 0;
    while (str_cut(&rest, '/', &text)) {
        if (text.len == 0 || count == SEGMENTS_MAX) return false;
        if (!decode_percent(arena, text, false, &segments[count])) return false;
        if (!str_is_utf8(segments[count])) return false;
        count++;
    }
    *ret_count = count;
    return true;
}

static bool route_matches(const struct route *route, const struct str *segments, int count)
{
    if (route->segments_count != count) return false;
    for (int i = 0; i < count; i++)
        if (!route->segments[i].is_parameter && !str_eq(route->segments[i].text, segments[i]))
            return false;
    return true;
}

static const struct contract_operation *operation_for(const struct route *route, struct str method)
{
    for (int i = 0; i < CONTRACT_METHOD__COUNT; i++) {
        if (!str_eq(method, str_of(contract_method_name((enum contract_method)i)))) continue;
        if (i == METHOD_HEAD && route->operations[i] == NULL) return route->operations[METHOD_GET];
        return route->operations[i];
    }
    return NULL;
}

static void fill_match(const struct route *route, const struct str *segments,
                       struct contract_match *match)
{
    for (int i = 0; i < route->segments_count; i++) {
        if (!route->segments[i].is_parameter) continue;
        match->path_names[match->path_values_count] = route->segments[i].text;
        match->path_values[match->path_values_count] = segments[i];
        match->path_values_count++;
    }
}

enum err contract_match(const struct contract *contract, struct arena *arena, struct str method,
                        struct str path, struct error *error, struct contract_match *ret_match,
                        struct str *ret_allow)
{
    struct str          segments[SEGMENTS_MAX];
    int                 count = 0;
    const struct route *route = NULL;
    if (split_path(arena, path, segments, &count))
        for (int i = 0; i < contract->routes_count && route == NULL; i++)
            if (route_matches(&contract->routes[i], segments, count)) route = &contract->routes[i];
    if (route == NULL)
        return FAIL(error, ERR_NOT_FOUND, "route_not_found", "there is nothing at this path");

    struct contract_match match = { .operation = operation_for(route, method) };
    if (match.operation == NULL) {
        *ret_allow = str_copy(arena, route->allow);
        return FAIL(error, ERR_METHOD, "method_not_allowed", "this path answers to %.*s",
                    STR_ARG(route->allow));
    }
    fill_match(route, segments, &match);
    *ret_match = match;
    return ERR_OK;
}
