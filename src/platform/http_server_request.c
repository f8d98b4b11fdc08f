#include "platform/http_server_private.h"

#include <string.h>
#include <strings.h>

/* The library is lenient where two parsers may disagree on where a request ends: it takes a bare
 * CR or LF as a line's end, joins folded lines, stops at a NUL, keeps a space before the colon in
 * the name, prefers Transfer-Encoding when Content-Length is there too, and does without a Host.
 * Behind a proxy each of these can hide a second request. It parses in place, though, and
 * terminates what it found with NULs, so that the pieces of a well-formed block lie at exact
 * distances from each other: name, value, CR LF, next name. A block whose pieces do not is
 * refused. (Only a NUL LF looks like a CR LF then, and goes for one.) */
struct block {
    const char *expected; /* where the next name must begin */
    bool        is_malformed;
    int         hosts_count;
    int         lengths_count;
    int         encodings_count;
    const char *length;
    const char *encoding;
};

static bool is_token(const char *text, size_t len)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool is_plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_plain && (c == '\0' || strchr(others, c) == NULL)) return false;
    }
    return len > 0;
}

static bool is_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

/* Only blanks lie between a name's colon and its value. */
static bool is_gap(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    return from == to;
}

static void count_framing(struct block *block, const char *name, const char *value)
{
    if (strcasecmp(name, "Host") == 0) {
        block->hosts_count++;
    } else if (strcasecmp(name, "Content-Length") == 0) {
        block->lengths_count++;
        block->length = value;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        block->encodings_count++;
        block->encoding = value;
    }
}

static enum MHD_Result read_line(void *argument, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct block *block = argument;
    bool is_well_formed = name == block->expected && value != NULL && is_token(name, name_len) &&
                          value > name + name_len && is_gap(name + name_len + 1, value) &&
                          is_value(value, value_len);
    if (!is_well_formed) {
        block->is_malformed = true;
        return MHD_NO;
    }
    block->expected = value + value_len + 2;
    count_framing(block, name, value);
    return MHD_YES;
}

/* Every line of the block, and that it ends where the library says. */
static bool read_block(struct MHD_Connection *mhd, const char *first, const char *end,
                       struct block *block)
{
    *block = (struct block){ .expected = first };
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, read_line, block);
    return !block->is_malformed && block->expected + 2 == end;
}

/* RFC 9112 §6: one framing, understood by everyone; anything else ends in 400. */
static int read_framing(const struct block *block, bool is_http_1_1, int64_t *ret_declared)
{
    if (block->hosts_count > 1 || (is_http_1_1 && block->hosts_count == 0)) return 400;
    if (block->lengths_count + block->encodings_count > 1) return 400;
    *ret_declared = 0;
    if (block->encodings_count == 1) {
        if (!is_http_1_1) return 400;
        if (!str_eq_ignoring_case(str_trim(str_of(block->encoding)), STR("chunked"))) return 501;
        *ret_declared = -1;
    }
    if (block->lengths_count == 1) {
        if (!str_to_int64(str_trim(str_of(block->length)), ret_declared)) return 400;
        if (*ret_declared < 0) return 400;
    }
    return 0;
}

/* "http://host/path" (a proxy's form) is the same as "/path". */
static struct str without_authority(struct str target)
{
    if (str_starts_with(target, STR("http://")))
        target = str_skip(target, 7);
    else if (str_starts_with(target, STR("https://")))
        target = str_skip(target, 8);
    else
        return target;
    size_t at = 0;
    while (at < target.len && target.data[at] != '/' && target.data[at] != '?')
        at++;
    target = str_skip(target, at);
    return target.len ? target : STR("/");
}

static bool read_target(struct http_exchange *exchange)
{
    for (size_t i = 0; i < exchange->path.len; i++) {
        unsigned char c = (unsigned char)exchange->path.data[i];
        if (c <= 0x20 || c == 0x7f) return false;
    }
    struct str target = without_authority(exchange->path);
    bool       is_asterisk = str_eq(target, STR("*")) && str_eq(exchange->method, STR("OPTIONS"));
    if (!is_asterisk && !str_starts_with(target, STR("/"))) return false;
    exchange->query = target;
    return str_cut(&exchange->query, '?', &exchange->path);
}

int http_request_read(struct http_exchange *exchange, const char *method, const char *version)
{
    const struct http_exchange_private *private = exchange->private;
    struct MHD_Connection *mhd = private->connection->mhd;
    size_t                 block_bytes =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
    if (block_bytes > HTTP_HEADERS_BYTES_MAX) return 431;

    exchange->method = str_of(method);
    if (!is_token(method, exchange->method.len)) return 400;
    if (private->line != method + exchange->method.len + 1) return 400;
    if (version != private->line + private->line_len + 1) return 400;
    if (!read_target(exchange)) return 400;

    struct block block;
    exchange->private->block_end = method + block_bytes;
    exchange->private->is_http_1_1 = strcmp(version, "HTTP/1.0") != 0;
    if (!read_block(mhd, version + strlen(version) + 2, exchange->private->block_end, &block))
        return 400;
    return read_framing(&block, exchange->private->is_http_1_1, &exchange->body_bytes_declared);
}

bool http_request_expects_continue(const struct http_exchange *exchange)
{
    return str_eq_ignoring_case(http_header(exchange, "Expect"), STR("100-continue"));
}

struct str http_header(const struct http_exchange *exchange, const char *name)
{
    struct MHD_Connection *mhd = exchange->private->connection->mhd;
    return str_trim(str_of(MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, name)));
}

struct header_count {
    const char *name;
    int         count;
};

static enum MHD_Result count_value(void *argument, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    (void)kind;
    (void)value;
    struct header_count *header = argument;
    header->count += strcasecmp(name, header->name) == 0;
    return MHD_YES;
}

bool http_header_is_repeated(const struct http_exchange *exchange, const char *name)
{
    struct header_count header = { .name = name };
    MHD_get_connection_values(exchange->private->connection->mhd, MHD_HEADER_KIND, count_value,
                              &header);
    return header.count > 1;
}

struct header_list {
    const char *name;
    struct buf  joined;
};

static enum MHD_Result join_value(void *argument, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind;
    struct header_list *list = argument;
    if (strcasecmp(name, list->name) != 0) return MHD_YES;
    if (list->joined.len > 0) buf_add_byte(&list->joined, ',');
    buf_add(&list->joined, str_of(value));
    return MHD_YES;
}

struct str http_header_list(const struct http_exchange *exchange, const char *name)
{
    struct header_list list = { .name = name };
    buf_init(&list.joined, exchange->arena, HTTP_HEADERS_BYTES_MAX);
    MHD_get_connection_values(exchange->private->connection->mhd, MHD_HEADER_KIND, join_value,
                              &list);
    return list.joined.len ? buf_str(&list.joined) : STR_NONE;
}
