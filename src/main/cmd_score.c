/* Judges one file as the server would, without a store. */
#include "base/encode.h"
#include "base/json_in.h"
#include "base/time_text.h"
#include "domain/job.h"
#include "main/commands.h"
#include "platform/crypto.h"
#include "platform/disk.h"
#include "platform/media_zygote.h"
#include "runner/runner.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
    SCORE_JOB_BYTES_MAX = 1 << 20,
    SCORE_BLOCK_BYTES = 64 << 10,
    SCORE_OUT_BYTES_MAX = 16 << 10
};

struct judging {
    struct arena       *arena;
    struct error        error;
    struct media_limits media_limits;
    struct score_limits limits;
    int64_t             stars_min;
    int                 fd;
    int64_t             size_bytes;
    unsigned            types; /* that the first bytes allow, of those that the job accepts */
    struct str          sha256;
    struct media_result result;
    struct score        score;
};

/* --- the job --- */

static enum err read_text(struct judging *judging, struct str path, struct str *ret_text)
{
    const char           *name = str_c(judging->arena, path);
    char                 *text = NEW(judging->arena, char, SCORE_JOB_BYTES_MAX + 1);
    bool                  is_stdin = str_eq(path, STR("-"));
    CLEANUP(fd_close) int fd = is_stdin ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);
    ssize_t               got = fd < 0 ? -1 : disk_read_all(fd, text, SCORE_JOB_BYTES_MAX + 1);
    if (got < 0) return disk_fail(&judging->error, "read", name);
    if (got > SCORE_JOB_BYTES_MAX)
        return FAIL(&judging->error, ERR_INVALID, "bad_job", "a job is at most 1 MiB");
    *ret_text = (struct str){ text, (size_t)got };
    return ERR_OK;
}

static enum err bad_field(struct judging *judging, const char *key)
{
    return FAIL(&judging->error, ERR_INVALID, "bad_job", "%s is not as a job has it", key);
}

struct job_number {
    const char *key;
    double      number_min, number_max;
    bool        is_whole;
    double     *value;
};

/* Absent and null are the default, as in a job that the API gave. */
static enum err read_number(struct judging *judging, const json_t *job,
                            const struct job_number *field)
{
    const json_t *given = json_object_get(job, field->key);
    int64_t       whole;
    if (given == NULL || json_is_null(given)) return ERR_OK;
    double number = json_number_value(given);
    bool   is_good = json_is_number(given) && number >= field->number_min &&
                   number <= field->number_max &&
                   (!field->is_whole || json_whole_number(given, &whole));
    if (!is_good) return bad_field(judging, field->key);
    *field->value = number;
    return ERR_OK;
}

static enum err read_formats(struct judging *judging, const json_t *job)
{
    const json_t *formats = json_object_get(job, "accepted_formats");
    if (formats == NULL) return ERR_OK;
    for (size_t i = 0; i < json_array_size(formats); i++) {
        enum media_type type;
        if (!media_type_parse(json_text(json_array_get(formats, i)), &type))
            return bad_field(judging, "accepted_formats");
        judging->limits.formats |= BIT(type);
    }
    return judging->limits.formats ? ERR_OK : bad_field(judging, "accepted_formats");
}

static enum err read_ignored(struct judging *judging, const json_t *job)
{
    const json_t *names = json_object_get(job, "scoring_ignore");
    for (size_t i = 0; i < json_array_size(names); i++)
        if (!score_ignore_add(json_text(json_array_get(names, i)), &judging->limits.ignored))
            return bad_field(judging, "scoring_ignore");
    return ERR_OK;
}

static int64_t in_ms(double seconds)
{
    return (int64_t)(seconds * (double)MS_PER_SECOND + 0.5);
}

static enum err read_limits(struct judging *judging, const json_t *job)
{
    double stars = JOB_STARS_MIN_DEFAULT, width = 0, height = 0, seconds_min = 0, seconds_max = 0;
    const struct job_number fields[] = {
        { "min_star_rating", 1, 5, true, &stars },
        { "min_width", 1, 100000, true, &width },
        { "min_height", 1, 100000, true, &height },
        { "min_duration_seconds", 0, 86400, false, &seconds_min },
        { "max_duration_seconds", 0, 86400, false, &seconds_max },
    };
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        enum err e = read_number(judging, job, &fields[i]);
        if (e) return e;
    }
    judging->stars_min = (int64_t)stars;
    judging->limits.width_min = (int32_t)width;
    judging->limits.height_min = (int32_t)height;
    judging->limits.duration_ms_min = in_ms(seconds_min);
    judging->limits.duration_ms_max = in_ms(seconds_max);
    return ERR_OK;
}

/* As createJob takes it, or as getJob gives it: what says nothing of files is not looked at. */
static enum err read_job(struct judging *judging, struct str path)
{
    struct str text;
    json_t    *job = NULL;
    judging->stars_min = JOB_STARS_MIN_DEFAULT;
    if (path.data == NULL) return ERR_OK;
    enum err e = read_text(judging, path, &text);
    if (e) return e;
    e = json_parse(judging->arena, text, &judging->error, &job);
    if (e) return e;
    if (!json_is_object(job))
        return FAIL(&judging->error, ERR_INVALID, "bad_job", "a job is a JSON object");
    e = read_formats(judging, job);
    if (e == ERR_OK) e = read_ignored(judging, job);
    return e ? e : read_limits(judging, job);
}

/* --- the file --- */

/* The hash of it, and what its first bytes say. */
static enum err read_file(struct judging *judging, const char *path)
{
    CLEANUP(sha256_drop) struct sha256 hash = { 0 };
    char                              *block = NEW(judging->arena, char, SCORE_BLOCK_BYTES);
    unsigned char                      digest[SHA256_BYTES];
    ssize_t                            got;
    sha256_begin(&hash);
    while ((got = disk_read_all(judging->fd, block, SCORE_BLOCK_BYTES)) > 0) {
        size_t first = got < MEDIA_SNIFF_BYTES ? (size_t)got : MEDIA_SNIFF_BYTES;
        if (judging->size_bytes == 0) judging->types = media_sniff((struct str){ block, first });
        judging->size_bytes += got;
        sha256_add(&hash, block, (size_t)got);
    }
    if (got < 0) return disk_fail(&judging->error, "read", path);
    sha256_end(&hash, digest);
    judging->sha256 = encode_hex(judging->arena, digest, sizeof(digest));
    return ERR_OK;
}

/* As an upload is refused: by its first bytes. The brand does not tell sound from video. */
static enum err check_type(struct judging *judging)
{
    const unsigned twins = BIT(MEDIA_M4A) | BIT(MEDIA_MP4);
    if (judging->limits.formats) judging->types &= judging->limits.formats;
    if (judging->types == 0)
        return FAIL(&judging->error, ERR_MEDIA_TYPE, "unsupported_format",
                    "its first bytes are of no type that is accepted");
    if (judging->types & twins) judging->types |= twins;
    return ERR_OK;
}

static enum err examine(struct judging *judging)
{
    struct media_zygote *zygote;
    enum err             e = media_zygote_start(&judging->error, &zygote);
    if (e) return e;
    e = media_zygote_await(zygote, &judging->error);
    if (e == ERR_OK)
        e = media_zygote_examine(zygote, judging->fd, judging->size_bytes, judging->types,
                                 &judging->media_limits, &judging->error, &judging->result);
    media_zygote_stop(zygote);
    return e;
}

static enum err judge(struct judging *judging, struct str path)
{
    const char *name = str_c(judging->arena, path);
    judging->fd = open(name, O_RDONLY | O_CLOEXEC);
    if (judging->fd < 0) return disk_fail(&judging->error, "open", name);
    enum err e = read_file(judging, name);
    if (e == ERR_OK) e = check_type(judging);
    if (e == ERR_OK) e = examine(judging);
    close(judging->fd);
    if (e) return e;
    score_compute(&judging->result, &judging->limits, &judging->score);
    return ERR_OK;
}

/* --- the answer --- */

static void print(const struct judging *judging)
{
    const struct score *score = &judging->score;
    struct buf          json;
    struct json_out     out;
    buf_init(&json, judging->arena, SCORE_OUT_BYTES_MAX);
    json_out_init(&out, &json);
    out_object(&out, NULL);
    out_text(&out, "status",
             score->gate == GATE_NONE && score->stars >= judging->stars_min ? STR("approved")
                                                                            : STR("rejected"));
    out_int(&out, "ai_star_rating", score->stars);
    out_text(&out, "ai_reasoning", str_of(score->reasoning));
    out_raw(&out, "annotations", score_annotations(&judging->result, score, judging->arena));
    out_raw(&out, "record", score_record(&judging->result, score, judging->sha256, judging->arena));
    out_close(&out);
    command_print(&json);
}

int cmd_score(struct flags *flags, struct arena *arena)
{
    struct judging judging = { .arena = arena };
    struct config  config;
    struct str     job = flags_take(flags, "job");
    if (flags->operand.data == NULL) {
        FAIL(&judging.error, ERR_INVALID, "usage", "score needs a FILE");
        return command_refused(&judging.error);
    }
    int exit_code = command_config(flags, arena, &config);
    if (exit_code) return exit_code;
    score_media_limits(&config, &judging.media_limits);
    enum err e = read_job(&judging, job);
    if (e == ERR_OK) e = judge(&judging, flags->operand);
    if (e) return command_refused(&judging.error);
    print(&judging);
    return EXIT_OK;
}
