#include "domain/score_part.h"
#include "domain/score_words.h"

#include <assert.h>
#include <string.h>

/* The reasoning. Everything in it is ours: of what came out of the file only numbers get in, and a
 * slug that is checked letter by letter. */

enum {
    FAULT_BELOW_MILLI = 850,    /* worth telling */
    SOMEWHAT_ABOVE_MILLI = 500, /* told mildly */
    FAULTS_COUNT_MAX = 3,
    PRAISES_COUNT_MAX = 4,
    PRAISES_BESIDE_FAULTS_MAX = 2,
};

/* --- a file that passed the gates --- */

/* Worst first; equal ones in their own order. At most FAULTS_COUNT_MAX. */
static int faults_pick(const struct score *score, const struct score_part **ret_faults)
{
    int count = 0;
    for (int i = 0; i < score->parts_count; i++) {
        const struct score_part *part = &score->parts[i];
        if (part->milli >= FAULT_BELOW_MILLI) continue;
        int at = count < FAULTS_COUNT_MAX ? count++ : FAULTS_COUNT_MAX;
        while (at > 0 && ret_faults[at - 1]->milli > part->milli) {
            if (at < FAULTS_COUNT_MAX) ret_faults[at] = ret_faults[at - 1];
            at--;
        }
        if (at < FAULTS_COUNT_MAX) ret_faults[at] = part;
    }
    return count;
}

static int add_praises(struct words *words, const struct media_result *result,
                       const struct score *score, int count_max)
{
    int count = 0;
    for (int i = 0; i < score->parts_count && count < count_max; i++) {
        const struct score_part *part = &score->parts[i];
        praise_fn               *praise = wording_of(part->measure)->praise;
        if (part->milli < FAULT_BELOW_MILLI || praise == NULL) continue;
        if (count > 0) words_add(words, ", ");
        praise(words, result);
        count++;
    }
    return count;
}

/* The first sentence. *ret_advice: what to do, in the faults' order; as many as the return value.
 */
static int add_quality(struct words *words, const struct media_result *result,
                       const struct score *score, const char **ret_advice)
{
    const struct score_part *faults[FAULTS_COUNT_MAX];
    int                      faults_count = faults_pick(score, faults), advice_count = 0;
    words_add(words, "Quality %d/5: ", (int)score_dimension_stars(score->quality_milli));
    for (int i = 0; i < faults_count; i++) {
        if (i > 0) words_add(words, ", ");
        if (faults[i]->milli >= SOMEWHAT_ABOVE_MILLI) words_add(words, "somewhat ");
        const char *advice = wording_of(faults[i]->measure)->fault(words, result);
        bool        is_new = true;
        for (int seen = 0; seen < advice_count; seen++)
            if (ret_advice[seen] == advice) is_new = false;
        if (is_new) ret_advice[advice_count++] = advice;
    }
    if (faults_count == 0) {
        if (add_praises(words, result, score, PRAISES_COUNT_MAX) == 0)
            words_add(words, "nothing amiss");
    } else {
        struct words before = *words;
        words_add(words, "; otherwise ");
        if (add_praises(words, result, score, PRAISES_BESIDE_FAULTS_MAX) == 0) *words = before;
    }
    words_add(words, ". ");
    return advice_count;
}

static void add_completeness(struct words *words, const struct media_result *result,
                             const struct score *score, const char *const *advice, int advice_count)
{
    int64_t max_ms = score->limits.duration_ms_max;
    bool    is_long = max_ms > 0 && result->duration_ms > max_ms + SCORE_DURATION_SLACK_MS;
    words_add(words, "Completeness %d/5", (int)score_dimension_stars(score->completeness_milli));
    if (is_long) {
        words_add(words, ": it lasts ");
        words_milli(words, result->duration_ms);
        words_add(words, " s and the job takes at most ");
        words_milli(words, max_ms);
        words_add(words, " s");
    } else if (score->completeness_milli < 5000) {
        words_add(words, ": %d of %d frames could be decoded", (int)result->video.frames_decoded,
                  (int)result->video.frames_expected);
    }
    if (advice_count > 0 || is_long) words_add(words, "; to do better, ");
    if (is_long) words_add(words, "cut it to length%s", advice_count > 0 ? ", " : "");
    for (int i = 0; i < advice_count; i++)
        words_add(words, "%s%s", i > 0 ? ", " : "", advice[i]);
    words_add(words, ".");
}

/* --- a file that did not --- */

/* A slug of ours out of a record that is not: letters and digits only. */
static void add_reason_slug(struct words *words, const struct media_result *result)
{
    char   reason[MEDIA_REASON_BYTES_MAX];
    size_t len = 0;
    for (; len < sizeof(reason) - 1 && result->reason[len] != '\0'; len++) {
        char c = result->reason[len];
        if (c == '_')
            reason[len] = ' ';
        else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            reason[len] = c;
        else
            break;
    }
    reason[len] = '\0';
    if (len > 0) words_add(words, " (%s)", reason);
}

/* Refusals that are not about damage; every other reason is. */
static const struct refusal {
    const char *reason, *sentences;
} refusals[] = {
    { "empty", "The file is empty. Send it again, whole." },
    { "truncated", "The file is cut short: its end is missing. Send it again, whole." },
    { "too_many_pixels", "The picture has more pixels than can be examined, 67108864 at most. "
                         "Send it smaller." },
    { "too_long", "The recording is longer than can be examined, 4 hours at most. Send less." },
    { "animation_unsupported", "The picture is animated. Send a still one." },
    { "unsupported_codec", "The file is packed in a way that is not supported. Save it in a "
                           "common format and send that." },
};
static_assert(MEDIA_PIXELS_MAX == 67108864 && MEDIA_DURATION_MS_MAX == 4 * 3600 * 1000,
              "the refusals name the limits");

static void add_undecodable(struct words *words, const struct media_result *result)
{
    if (result->verdict == MEDIA_DECODED) {
        words_add(words,
                  "The picture is damaged or cut short (%d faults while decoding). "
                  "Send the original file again, whole and unedited.",
                  (int)result->decode_errors);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        if (strncmp(result->reason, refusals[i].reason, sizeof(result->reason)) != 0) continue;
        words_add(words, "%s", refusals[i].sentences);
        return;
    }
    words_add(words, "The file is damaged or is not what it claims to be");
    add_reason_slug(words, result);
    words_add(words, ". Send the original file again, whole and unedited.");
}

static void add_wrong_type(struct words *words, const struct media_result *result,
                           const struct score_limits *limits)
{
    const char *separator = " ";
    words_add(words, "The file is %s and the job takes",
              media_type_name((enum media_type)result->type));
    for (int type = 0; type < MEDIA_TYPE__COUNT; type++) {
        if (!(limits->formats & BIT(type))) continue;
        words_add(words, "%s%s", separator, media_type_name((enum media_type)type));
        separator = ", ";
    }
    words_add(words, ". Send one of those.");
}

static void add_blank(struct words *words, const struct media_result *result)
{
    bool is_video = media_type_kind((enum media_type)result->type) == MEDIA_VIDEO;
    words_add(words, "There is next to nothing to see (brightness ");
    words_milli(words, result->image.mean_milli);
    words_add(words, " of 255, varying by ");
    words_milli(words, result->image.deviation_milli);
    if (is_video) {
        words_add(words, ", black for ");
        words_ppm(words, result->video.black_ppm);
        words_add(words, " of the time");
    }
    words_add(words, "). Uncover the lens and show the subject in good light.");
}

static void add_too_small(struct words *words, const struct media_result *result,
                          const struct score_limits *limits)
{
    int width = (int)limits->width_min, height = (int)limits->height_min;
    words_add(words, "It is %dx%d pixels and the job asks for at least ", (int)result->width,
              (int)result->height);
    if (width > 0 && height > 0)
        words_add(words, "%dx%d", width, height);
    else
        words_add(words, width > 0 ? "%d in width" : "%d in height", width > 0 ? width : height);
    words_add(words, ". Use a higher resolution.");
}

static void add_gate(struct words *words, const struct media_result *result,
                     const struct score *score)
{
    const struct score_limits *limits = &score->limits;
    switch (score->gate) {
    case GATE_UNDECODABLE: add_undecodable(words, result); break;
    case GATE_WRONG_TYPE: add_wrong_type(words, result, limits); break;
    case GATE_TOO_SMALL: add_too_small(words, result, limits); break;
    case GATE_TOO_SHORT:
        words_add(words, "It lasts ");
        words_milli(words, result->duration_ms);
        words_add(words, " s and the job asks for at least ");
        words_milli(words, limits->duration_ms_min);
        words_add(words, " s. Record for longer.");
        break;
    case GATE_BLANK: add_blank(words, result); break;
    case GATE_SILENT:
        words_add(words, "There is next to nothing to hear (silent for ");
        words_ppm(words, result->audio.silence_ppm);
        words_add(words, " of the time). Check the microphone and record again.");
        break;
    case GATE_FROZEN:
        words_add(words, "The picture stands still for ");
        words_ppm(words, result->video.frozen_ppm);
        words_add(words, " of the time (longest ");
        words_milli(words, result->video.frozen_longest_ms);
        words_add(words, " s). Record the scene itself, not a still.");
        break;
    default:
        words_add(words, "These exact bytes were sent to this job before. Send a different file.");
        break;
    }
}

/* --- the whole --- */

static void add_relevance(struct words *words, const struct media_result *result)
{
    bool is_sound = media_type_kind((enum media_type)result->type) == MEDIA_AUDIO;
    words_add(words, " Relevance was not assessed");
    /* Of what did not decode, nobody knows whether it was for the eye or the ear. */
    if (result->verdict == MEDIA_DECODED)
        words_add(words, ": no %s model is configured", is_sound ? "listening" : "vision");
    words_add(words, ".");
}

void score_explain(const struct media_result *result, struct score *score)
{
    struct words words = { score->reasoning, 0, sizeof(score->reasoning) };
    score->reasoning[0] = '\0';
    if (score->gate != GATE_NONE) {
        add_gate(&words, result, score);
    } else {
        const char *advice[FAULTS_COUNT_MAX];
        int         advice_count = add_quality(&words, result, score, advice);
        add_completeness(&words, result, score, advice, advice_count);
    }
    if (score->relevance_milli == 0 && score->gate != GATE_DUPLICATE) add_relevance(&words, result);
}
