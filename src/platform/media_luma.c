#include "platform/media_luma.h"

#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <string.h>

enum {
    LEVELS_COUNT = 256,
    LIMITED_BLACK = 16,
    LIMITED_WHITE = 235,
    WEIGHT_ONE = 256,         /* a whole pixel, for the area scaler */
    SHRINK_RATIO_MAX = 65536, /* beyond, a column's sum of 255 × WEIGHT_ONE overflows 32 bits */
};

/* --- from a frame --- */

static bool frame_is_limited(const AVFrame *frame, const AVPixFmtDescriptor *format)
{
    if (frame->color_range == AVCOL_RANGE_JPEG) return false;
    if (frame->color_range == AVCOL_RANGE_MPEG) return true;
    bool is_gray = format->nb_components <= 2;
    return !is_gray && strncmp(format->name, "yuvj", 4) != 0;
}

static bool has_luma_plane(const AVPixFmtDescriptor *format, bool is_gray_or_yuv)
{
    const AVComponentDescriptor *luma = &format->comp[0];
    if (!is_gray_or_yuv || luma->plane != 0 || luma->offset != 0) return false;
    return luma->depth == 8
               ? luma->step == 1
               : luma->depth > 8 && luma->step == 2 && !(format->flags & AV_PIX_FMT_FLAG_BE);
}

/* 9 to 16 bits a sample, little endian: keep the upper eight. */
static void luma_from_deep(struct arena *arena, const AVFrame *frame,
                           const AVComponentDescriptor *component, struct luma *luma)
{
    uint8_t *data = NEW(arena, uint8_t, (size_t)luma->width * (size_t)luma->height);
    int      drop = component->shift + component->depth - 8;
    for (int y = 0; y < luma->height; y++) {
        const uint8_t *in = frame->data[0] + (ptrdiff_t)frame->linesize[0] * y;
        uint8_t       *out = data + (ptrdiff_t)luma->width * y;
        for (int x = 0; x < luma->width; x++) {
            int value = (in[2 * x] | in[2 * x + 1] << 8) >> drop;
            out[x] = (uint8_t)(value > 255 ? 255 : value);
        }
    }
    luma->data = data;
    luma->stride = luma->width;
}

/* RGB, palettes, bits, packed formats: libswscale knows them all. */
static bool luma_from_any(struct arena *arena, const AVFrame *frame, struct luma *luma)
{
    struct SwsContext *scaler = sws_getContext(
        frame->width, frame->height, (enum AVPixelFormat)frame->format, frame->width, frame->height,
        AV_PIX_FMT_GRAY8, SWS_POINT | SWS_ACCURATE_RND | SWS_BITEXACT, NULL, NULL, NULL);
    if (scaler == NULL) return false;
    const int *coefficients = sws_getCoefficients(SWS_CS_DEFAULT);
    (void)sws_setColorspaceDetails(scaler, coefficients, 1, coefficients, 1, 0, 1 << 16, 1 << 16);

    size_t         stride = ((size_t)frame->width + 31) / 32 * 32; /* libswscale writes in 32s */
    uint8_t       *data = NEW(arena, uint8_t, stride * (size_t)frame->height + 32);
    uint8_t *const planes[4] = { data };
    const int      strides[4] = { (int)stride };
    int            rows = sws_scale(scaler, (const uint8_t *const *)frame->data, frame->linesize, 0,
                                    frame->height, planes, strides);
    sws_freeContext(scaler);
    luma->data = data;
    luma->stride = (ptrdiff_t)stride;
    luma->is_limited = false;
    return rows == frame->height;
}

bool luma_of_frame(struct arena *arena, const AVFrame *frame, struct luma *ret_luma)
{
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get((enum AVPixelFormat)frame->format);
    if (format == NULL || frame->data[0] == NULL || frame->width <= 0 || frame->height <= 0)
        return false;
    const uint64_t other = AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_HWACCEL |
                           AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_FLOAT;
    struct luma luma = { .data = frame->data[0],
                         .stride = frame->linesize[0],
                         .width = frame->width,
                         .height = frame->height,
                         .is_limited = frame_is_limited(frame, format) };
    if (!has_luma_plane(format, !(format->flags & other))) {
        if (!luma_from_any(arena, frame, &luma)) return false;
    } else if (format->comp[0].depth > 8) {
        luma_from_deep(arena, frame, &format->comp[0], &luma);
    }
    *ret_luma = luma;
    return true;
}

/* --- range --- */

static uint8_t level_from_limited(int level)
{
    const int span = LIMITED_WHITE - LIMITED_BLACK;
    if (level <= LIMITED_BLACK) return 0;
    if (level >= LIMITED_WHITE) return 255;
    return (uint8_t)(((level - LIMITED_BLACK) * 255 + span / 2) / span);
}

static void levels_for_range(bool is_limited, uint8_t levels[LEVELS_COUNT])
{
    for (int i = 0; i < LEVELS_COUNT; i++)
        levels[i] = is_limited ? level_from_limited(i) : (uint8_t)i;
}

struct luma luma_full_range(struct arena *arena, const struct luma *luma)
{
    if (!luma->is_limited) return *luma;
    uint8_t levels[LEVELS_COUNT];
    levels_for_range(true, levels);
    uint8_t *data = NEW(arena, uint8_t, (size_t)luma->width * (size_t)luma->height);
    for (int y = 0; y < luma->height; y++) {
        const uint8_t *in = luma_row(luma, y);
        uint8_t       *out = data + (ptrdiff_t)luma->width * y;
        for (int x = 0; x < luma->width; x++)
            out[x] = levels[in[x]];
    }
    return (struct luma){ data, luma->width, luma->width, luma->height, false };
}

/* --- size --- */

/* Which source pixels a target pixel covers, in 1/WEIGHT_ONE of a pixel. */
struct reach {
    int64_t begin, end;
};

static struct reach reach_of(int target, int targets_count, int sources_count)
{
    struct reach reach = { (int64_t)target * sources_count * WEIGHT_ONE / targets_count,
                           (int64_t)(target + 1) * sources_count * WEIGHT_ONE / targets_count };
    if (reach.end == reach.begin) reach.end++;
    return reach;
}

/* How much of source pixel `at` lies within the reach: 0…WEIGHT_ONE. */
static uint32_t reach_weight(const struct reach *reach, int64_t at)
{
    int64_t begin = at * WEIGHT_ONE, end = begin + WEIGHT_ONE;
    if (begin < reach->begin) begin = reach->begin;
    if (end > reach->end) end = reach->end;
    return (uint32_t)(end - begin);
}

static void scale_sum_rows(const struct luma *luma, const struct reach *reach, uint32_t *sums)
{
    memset(sums, 0, (size_t)luma->width * sizeof *sums);
    for (int64_t y = reach->begin / WEIGHT_ONE; y * WEIGHT_ONE < reach->end && y < luma->height;
         y++) {
        const uint8_t *row = luma_row(luma, (int)y);
        uint32_t       weight = reach_weight(reach, y);
        for (int x = 0; x < luma->width; x++)
            sums[x] += weight * row[x];
    }
}

static uint8_t scale_sum_columns(const uint32_t *sums, int width, const struct reach *reach,
                                 int64_t rows_weight)
{
    uint64_t sum = 0;
    for (int64_t x = reach->begin / WEIGHT_ONE; x * WEIGHT_ONE < reach->end && x < width; x++)
        sum += (uint64_t)sums[x] * reach_weight(reach, x);
    uint64_t weight = (uint64_t)rows_weight * (uint64_t)(reach->end - reach->begin);
    return (uint8_t)((sum + weight / 2) / weight);
}

void luma_scale(struct arena *arena, const struct luma *luma, int width, int height, uint8_t *out)
{
    CHECK(width > 0 && height > 0 && luma->height / height <= SHRINK_RATIO_MAX);
    struct arena_mark mark = arena_mark(arena);
    uint32_t         *sums = NEW(arena, uint32_t, luma->width);
    uint8_t           levels[LEVELS_COUNT];
    levels_for_range(luma->is_limited, levels);
    for (int y = 0; y < height; y++) {
        struct reach rows = reach_of(y, height, luma->height);
        scale_sum_rows(luma, &rows, sums);
        for (int x = 0; x < width; x++) {
            struct reach columns = reach_of(x, width, luma->width);
            *out++ = levels[scale_sum_columns(sums, luma->width, &columns, rows.end - rows.begin)];
        }
    }
    arena_rewind(arena, mark);
}
