#include "platform/media_picture.h"

#include "platform/media_figure.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEVELS_COUNT = 256,
    CLIPPED_LOW = 5, /* levels up to here, and from CLIPPED_HIGH, count as clipped */
    CLIPPED_HIGH = 250,
    SHARPNESS_PIXELS = 1024, /* longest side of the copy that sharpness is measured on */
    NOISE_BLOCK = 16,
    NOISE_LOW = 5, /* a block with a pixel outside says nothing about noise */
    NOISE_HIGH = 250,
    NOISE_STEPS = 100, /* of one level, in the histogram of block noise */
    NOISE_BINS = 45000,
    NOISE_PERCENTILE = 10,
    BLOCK_PIXELS = 8, /* JPEG and the video codecs transform blocks of 8 */
};
static_assert(MEDIA_PIXELS_MAX / SHARPNESS_PIXELS <= 65536, "luma_scale can shrink that far");

/* --- exposure --- */

static int level_percentile(const int64_t *counts, int64_t total, int percent)
{
    int64_t seen = 0;
    for (int level = 0; level < LEVELS_COUNT; level++) {
        seen += counts[level];
        if (seen * 100 > total * percent) return level;
    }
    return LEVELS_COUNT - 1;
}

static void count_levels(const struct luma *luma, int64_t counts[LEVELS_COUNT])
{
    memset(counts, 0, LEVELS_COUNT * sizeof *counts);
    for (int y = 0; y < luma->height; y++) {
        const uint8_t *row = luma_row(luma, y);
        for (int x = 0; x < luma->width; x++)
            counts[row[x]]++;
    }
}

static void measure_exposure(const struct luma *luma, struct media_image_figures *figures)
{
    int64_t counts[LEVELS_COUNT], low = 0, high = 0;
    int64_t total = (int64_t)luma->width * luma->height;
    double  sum = 0, squares = 0, entropy = 0;
    count_levels(luma, counts);
    for (int level = 0; level < LEVELS_COUNT; level++) {
        double count = (double)counts[level];
        sum += count * level;
        squares += count * level * level;
        if (counts[level] > 0) entropy -= count / (double)total * log2(count / (double)total);
        if (level <= CLIPPED_LOW) low += counts[level];
        if (level >= CLIPPED_HIGH) high += counts[level];
    }
    double mean = sum / (double)total;
    figures->mean_milli = figure_milli(mean);
    figures->deviation_milli = figure_milli(sqrt(fmax(squares / (double)total - mean * mean, 0)));
    figures->entropy_milli = figure_milli(fmax(entropy, 0));
    figures->p1 = level_percentile(counts, total, 1);
    figures->p99 = level_percentile(counts, total, 99);
    figures->clipped_low_ppm = figure_ppm(low, total);
    figures->clipped_high_ppm = figure_ppm(high, total);
}

/* --- sharpness --- */

struct spread {
    int64_t sum, squares;
};

static void spread_add(struct spread *spread, int value)
{
    spread->sum += value;
    spread->squares += (int64_t)value * value;
}

static double spread_variance(const struct spread *spread, int64_t count)
{
    double mean = (double)spread->sum / (double)count;
    return fmax((double)spread->squares / (double)count - mean * mean, 0);
}

enum { ALONG_ROW, ALONG_COLUMN, ALONG_FALL, ALONG_RISE, DIRECTIONS_COUNT };

/* The Laplacian sees focus; a smear in one direction keeps edges along it, so the second
 * derivative is looked at in four directions and the least counts. */
static void spread_row(const uint8_t *above, const uint8_t *row, const uint8_t *below, int width,
                       struct spread *laplacian, struct spread directions[DIRECTIONS_COUNT])
{
    for (int x = 1; x + 1 < width; x++) {
        int twice = 2 * row[x];
        int across = row[x - 1] + row[x + 1] - twice;
        int down = above[x] + below[x] - twice;
        spread_add(laplacian, across + down);
        spread_add(&directions[ALONG_ROW], across);
        spread_add(&directions[ALONG_COLUMN], down);
        spread_add(&directions[ALONG_FALL], above[x - 1] + below[x + 1] - twice);
        spread_add(&directions[ALONG_RISE], above[x + 1] + below[x - 1] - twice);
    }
}

static int scaled_side(int side, int longest)
{
    if (longest <= SHARPNESS_PIXELS) return side;
    int scaled = (int)(((int64_t)side * SHARPNESS_PIXELS + longest / 2) / longest);
    return scaled > 0 ? scaled : 1;
}

static void measure_sharpness(struct arena *arena, const struct luma *luma,
                              struct media_image_figures *figures)
{
    int      longest = luma->width > luma->height ? luma->width : luma->height;
    int      width = scaled_side(luma->width, longest);
    int      height = scaled_side(luma->height, longest);
    uint8_t *copy = NEW(arena, uint8_t, (size_t)width * (size_t)height);
    luma_scale(arena, luma, width, height, copy);

    struct spread laplacian = { 0 }, directions[DIRECTIONS_COUNT] = { 0 };
    if (width < 3 || height < 3) return;
    for (int y = 1; y + 1 < height; y++) {
        const uint8_t *row = copy + (ptrdiff_t)width * y;
        spread_row(row - width, row, row + width, width, &laplacian, directions);
    }
    int64_t count = (int64_t)(width - 2) * (height - 2);
    double  sharpness = spread_variance(&laplacian, count);
    double  least = spread_variance(&directions[0], count);
    for (int i = 1; i < DIRECTIONS_COUNT; i++)
        least = fmin(least, spread_variance(&directions[i], count));
    figures->sharpness_milli = figure_milli(sharpness);
    figures->sharpness_log_milli = figure_milli(log10(sharpness + 1));
    figures->direction_min_milli = figure_milli(least);
}

/* --- noise --- */

/* Sum of Immerkaer's mask over one block, or -1 when the block is saturated. */
static int noise_of_block(const struct luma *luma, int left, int top)
{
    int sum = 0, low = 255, high = 0;
    for (int y = top; y < top + NOISE_BLOCK; y++) {
        const uint8_t *above = luma_row(luma, y - 1), *row = luma_row(luma, y);
        const uint8_t *below = luma_row(luma, y + 1);
        for (int x = left; x < left + NOISE_BLOCK; x++) {
            int corners = above[x - 1] + above[x + 1] + below[x - 1] + below[x + 1];
            int sides = above[x] + below[x] + row[x - 1] + row[x + 1];
            sum += abs(corners - 2 * sides + 4 * row[x]);
            low = row[x] < low ? row[x] : low;
            high = row[x] > high ? row[x] : high;
        }
    }
    return low < NOISE_LOW || high > NOISE_HIGH ? -1 : sum;
}

static void measure_noise(struct arena *arena, const struct luma *luma,
                          struct media_image_figures *figures)
{
    const double sigma_of_sum = sqrt(acos(-1) / 2) / (6.0 * NOISE_BLOCK * NOISE_BLOCK);
    uint32_t    *bins = NEW(arena, uint32_t, NOISE_BINS);
    int64_t      blocks_count = 0, seen = 0;
    for (int y = 1; y + NOISE_BLOCK < luma->height; y += NOISE_BLOCK) {
        for (int x = 1; x + NOISE_BLOCK < luma->width; x += NOISE_BLOCK) {
            int sum = noise_of_block(luma, x, y);
            if (sum < 0) continue;
            int bin = (int)(sum * sigma_of_sum * NOISE_STEPS);
            bins[bin < NOISE_BINS ? bin : NOISE_BINS - 1]++;
            blocks_count++;
        }
    }
    for (int bin = 0; bin < NOISE_BINS && blocks_count > 0; bin++) {
        seen += bins[bin];
        if (seen * 100 <= blocks_count * NOISE_PERCENTILE) continue;
        figures->noise_milli = figure_milli((double)bin / NOISE_STEPS);
        return;
    }
}

/* --- blocking --- */

struct gradients {
    int64_t boundary, middle; /* sums of steps across block edges, and in the middle of blocks */
    int64_t boundaries_count, middles_count;
};

static int64_t step_sum_across(const uint8_t *row, int first, int width)
{
    int64_t sum = 0;
    for (int x = first; x < width; x += BLOCK_PIXELS)
        sum += abs(row[x] - row[x - 1]);
    return sum;
}

static int64_t step_sum_down(const uint8_t *above, const uint8_t *row, int width)
{
    int64_t sum = 0;
    for (int x = 0; x < width; x++)
        sum += abs(row[x] - above[x]);
    return sum;
}

static void measure_blocking(const struct luma *luma, struct media_image_figures *figures)
{
    const double     flat = 0.02; /* keeps the ratio of two flat areas at 1 */
    const int        half = BLOCK_PIXELS / 2;
    int              width = luma->width;
    struct gradients g = { 0 };
    for (int y = 0; y < luma->height; y++) {
        const uint8_t *row = luma_row(luma, y);
        g.boundary += step_sum_across(row, BLOCK_PIXELS, width);
        g.middle += step_sum_across(row, half, width);
        g.boundaries_count += (width - 1) / BLOCK_PIXELS;
        g.middles_count += (width - 1 + half) / BLOCK_PIXELS;
        if (y > 0 && y % BLOCK_PIXELS == 0) {
            g.boundary += step_sum_down(row - luma->stride, row, width);
            g.boundaries_count += width;
        } else if (y % BLOCK_PIXELS == half) {
            g.middle += step_sum_down(row - luma->stride, row, width);
            g.middles_count += width;
        }
    }
    if (g.boundaries_count == 0 || g.middles_count == 0) {
        figures->blocking_milli = 1000;
        return;
    }
    double boundary = (double)g.boundary / (double)g.boundaries_count;
    double middle = (double)g.middle / (double)g.middles_count;
    figures->blocking_milli = figure_milli((boundary + flat) / (middle + flat));
}

void picture_measure(struct arena *arena, const struct luma *luma,
                     struct media_image_figures *ret_figures)
{
    struct arena_mark          mark = arena_mark(arena);
    struct media_image_figures figures = { 0 };
    struct luma                full = luma_full_range(arena, luma);
    measure_exposure(&full, &figures);
    measure_sharpness(arena, &full, &figures);
    measure_noise(arena, &full, &figures);
    measure_blocking(&full, &figures);
    arena_rewind(arena, mark);
    *ret_figures = figures;
}

/* --- many pictures --- */

enum { FIGURES_COUNT = sizeof(struct media_image_figures) / sizeof(int32_t) };
static_assert(FIGURES_COUNT * sizeof(int32_t) == sizeof(struct media_image_figures),
              "the image figures are int32_t throughout");

static int compare_int32(const void *a, const void *b)
{
    int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
    return (left > right) - (left < right);
}

void picture_median(const struct media_image_figures *figures, int count,
                    struct media_image_figures *ret_median)
{
    CHECK(count > 0 && count <= PICTURE_SAMPLES_MAX);
    int32_t median[FIGURES_COUNT], row[FIGURES_COUNT], column[PICTURE_SAMPLES_MAX];
    for (int figure = 0; figure < FIGURES_COUNT; figure++) {
        for (int i = 0; i < count; i++) {
            memcpy(row, &figures[i], sizeof row);
            column[i] = row[figure];
        }
        qsort(column, (size_t)count, sizeof *column, compare_int32);
        median[figure] = column[count / 2];
    }
    memcpy(ret_median, median, sizeof median);
}
