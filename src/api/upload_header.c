#include "api/upload_header.h"

#include "base/encode.h"
#include "domain/submission.h"
#include "domain/upload.h"

#include <string.h>

bool upload_bytes_parse(struct str value, int64_t *ret_bytes)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < '0' || value.data[i] > '9') return false;
    return str_to_int64(value, ret_bytes);
}

struct str upload_filename(struct arena *arena, struct str name)
{
    for (size_t i = name.len; i > 0; i--)
        if (name.data[i - 1] == '/' || name.data[i - 1] == '\\') {
            name = str_skip(name, i);
            break;
        }
    struct str clean = str_trim(str_sanitise(arena, name, FILENAME_BYTES_MAX));
    if (clean.len == 0 || str_eq(clean, STR(".")) || str_eq(clean, STR(".."))) return STR_NONE;
    return clean;
}

/* --- Upload-Checksum --- */

static bool algorithm_parse(struct str name, enum checksum_kind *ret_kind)
{
    bool is_sha1 = str_eq(name, STR("sha1"));
    if (!is_sha1 && !str_eq(name, STR("sha256"))) return false;
    *ret_kind = is_sha1 ? CHECKSUM_SHA1 : CHECKSUM_SHA256;
    return true;
}

enum err upload_checksum_parse(struct arena *arena, struct str value, struct error *error,
                               struct upload_checksum *ret_checksum)
{
    struct str             algorithm, digest;
    struct upload_checksum checksum = { 0 };
    if (!str_cut(&value, ' ', &algorithm) || !decode_base64(arena, str_trim(value), &digest))
        return FAIL(error, ERR_INVALID, "checksum_malformed",
                    "Upload-Checksum is an algorithm, a space and a base64 digest");
    if (!algorithm_parse(algorithm, &checksum.kind))
        return FAIL(error, ERR_INVALID, "checksum_algorithm",
                    "the algorithms are " UPLOAD_CHECKSUM_ALGORITHMS);
    if (digest.len != checksum_bytes(checksum.kind))
        return FAIL(error, ERR_INVALID, "checksum_malformed", "the digest has another length");
    memcpy(checksum.digest, digest.data, digest.len);
    *ret_checksum = checksum;
    return ERR_OK;
}

/* --- Upload-Metadata --- */

static bool is_metadata_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c <= 0x20 || c >= 0x7f || c == ',') return false;
    }
    return name.len > 0;
}

enum err upload_metadata_parse(struct arena *arena, struct str value, struct error *error,
                               struct str *ret_filename)
{
    struct str filename = STR_NONE, pair;
    if (value.len > UPLOAD_METADATA_BYTES_MAX)
        return FAIL(error, ERR_INVALID, "metadata_too_large", "Upload-Metadata may have %d bytes",
                    UPLOAD_METADATA_BYTES_MAX);
    if (value.len && memchr(value.data, '\t', value.len)) /* it goes back as it came */
        return FAIL(error, ERR_INVALID, "metadata_malformed", "Upload-Metadata has no tabs");
    if (str_trim(value).len == 0) value = STR_NONE;
    while (str_cut(&value, ',', &pair)) {
        struct str name, text = str_trim(pair), decoded = STR("");
        bool       is_good = str_cut(&text, ' ', &name) && is_metadata_name(name);
        if (is_good && text.data) is_good = decode_base64(arena, str_trim(text), &decoded);
        if (!is_good)
            return FAIL(error, ERR_INVALID, "metadata_malformed",
                        "Upload-Metadata is comma-separated names, each with a base64 value");
        if (str_eq(name, STR("filename"))) filename = upload_filename(arena, decoded);
    }
    *ret_filename = filename;
    return ERR_OK;
}

/* --- Content-Disposition --- */

/* The next "; name=value" or "; name="quoted \" value"". False at the end or at what is neither. */
static bool next_parameter(struct arena *arena, struct str *rest, struct str *ret_name,
                           struct str *ret_value)
{
    *rest = str_trim(*rest);
    if (rest->len == 0 || rest->data[0] != ';') return false;
    *rest = str_trim(str_skip(*rest, 1));
    size_t at = 0;
    while (at < rest->len && rest->data[at] != '=' && rest->data[at] != ';')
        at++;
    if (at == rest->len || rest->data[at] != '=') return false;
    *ret_name = str_trim(str_take(*rest, at));
    *rest = str_trim(str_skip(*rest, at + 1));
    if (rest->len == 0 || rest->data[0] != '"') {
        for (at = 0; at < rest->len && rest->data[at] != ';';)
            at++;
        *ret_value = str_trim(str_take(*rest, at));
        *rest = str_skip(*rest, at);
        return true;
    }
    char  *text = NEW(arena, char, rest->len);
    size_t len = 0;
    for (at = 1; at < rest->len && rest->data[at] != '"'; at++) {
        if (rest->data[at] == '\\' && at + 1 < rest->len) at++;
        text[len++] = rest->data[at];
    }
    if (at >= rest->len) return false; /* never closed */
    *ret_value = (struct str){ text, len };
    *rest = str_skip(*rest, at + 1);
    return true;
}

/* UTF-8''percent-encoded (RFC 8187); absent for another charset. */
static struct str extended_value(struct arena *arena, struct str value)
{
    struct str charset, language, decoded;
    if (!str_cut(&value, '\'', &charset) || !str_cut(&value, '\'', &language)) return STR_NONE;
    if (!str_eq_ignoring_case(charset, STR("utf-8")) || value.data == NULL) return STR_NONE;
    return decode_percent(arena, value, false, &decoded) ? decoded : STR_NONE;
}

struct str upload_disposition_filename(struct arena *arena, struct str value)
{
    struct str plain = STR_NONE, extended = STR_NONE, name, text;
    if (value.data == NULL) return STR_NONE;
    size_t at = 0;
    while (at < value.len && value.data[at] != ';')
        at++;
    value = str_skip(value, at);
    while (next_parameter(arena, &value, &name, &text)) {
        if (str_eq_ignoring_case(name, STR("filename")) && plain.data == NULL) plain = text;
        if (str_eq_ignoring_case(name, STR("filename*")) && extended.data == NULL)
            extended = extended_value(arena, text);
    }
    if (extended.data) plain = extended;
    return plain.data ? upload_filename(arena, plain) : STR_NONE;
}
