#include "platform/media_spectrum.h"

#include "platform/media_figure.h"

#include <math.h>

enum { BAND_BINS = 16, BANDS_COUNT = SPECTRUM_BINS / BAND_BINS };

/* A band carries signal when its mean power is above both: the loudest band less this much (what
 * a codec's low-pass leaves lies 80 dB and more below; speech's highest overtones about 50), and
 * the rounding noise of 16-bit samples. */
static const double BELOW_LOUDEST_DB = 70;
static const double FLOOR_DBFS = -120;

void spectrum_open(struct spectrum *spectrum, struct arena *arena)
{
    const float scale = 1;
    *spectrum = (struct spectrum){ 0 };
    int e = av_tx_init(&spectrum->transform, &spectrum->transform_run, AV_TX_FLOAT_FFT, 0,
                       SPECTRUM_WINDOW, &scale, AV_TX_UNALIGNED);
    CHECK(e >= 0);
    spectrum->window = NEW(arena, float, SPECTRUM_WINDOW);
    spectrum->samples = NEW(arena, float, SPECTRUM_WINDOW);
    spectrum->in = NEW(arena, AVComplexFloat, SPECTRUM_WINDOW);
    spectrum->out = NEW(arena, AVComplexFloat, SPECTRUM_WINDOW);
    spectrum->power = NEW(arena, double, SPECTRUM_BINS);
    const double turn = 2 * acos(-1) / SPECTRUM_WINDOW;
    for (int i = 0; i < SPECTRUM_WINDOW; i++)
        spectrum->window[i] = (float)(0.5 - 0.5 * cos(turn * i));
}

void spectrum_close(struct spectrum *spectrum)
{
    av_tx_uninit(&spectrum->transform);
}

static void transform_window(struct spectrum *spectrum)
{
    /* A full-scale sine comes out as 1: the Hann window halves, and half lies at -f. */
    const double unit = 4.0 / SPECTRUM_WINDOW;
    for (int i = 0; i < SPECTRUM_WINDOW; i++)
        spectrum->in[i] = (AVComplexFloat){ spectrum->samples[i] * spectrum->window[i], 0 };
    spectrum->transform_run(spectrum->transform, spectrum->out, spectrum->in,
                            sizeof(AVComplexFloat));
    for (int i = 0; i < SPECTRUM_BINS; i++) {
        double re = spectrum->out[i].re * unit, im = spectrum->out[i].im * unit;
        spectrum->power[i] += re * re + im * im;
    }
    spectrum->windows_count++;
    spectrum->filled = 0;
}

void spectrum_add(struct spectrum *spectrum, float sample)
{
    spectrum->samples[spectrum->filled++] = sample;
    if (spectrum->filled == SPECTRUM_WINDOW) transform_window(spectrum);
}

int32_t spectrum_bandwidth_hz(const struct spectrum *spectrum, int sample_rate_hz)
{
    double bands_db[BANDS_COUNT], loudest_db = FLOOR_DBFS;
    if (spectrum->windows_count == 0) return 0;
    for (int band = 0; band < BANDS_COUNT; band++) {
        double sum = 0;
        for (int i = 0; i < BAND_BINS; i++)
            sum += spectrum->power[band * BAND_BINS + i];
        double mean = sum / BAND_BINS / (double)spectrum->windows_count;
        bands_db[band] = mean > 0 ? 10 * log10(mean) : -INFINITY;
        if (bands_db[band] > loudest_db) loudest_db = bands_db[band];
    }
    double floor_db = fmax(loudest_db - BELOW_LOUDEST_DB, FLOOR_DBFS);
    for (int band = BANDS_COUNT - 1; band >= 0; band--)
        if (bands_db[band] > floor_db)
            return figure_round((band + 1) * (sample_rate_hz / 2.0) / BANDS_COUNT);
    return 0;
}
