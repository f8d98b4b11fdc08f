#include "platform/media_sound.h"

#include "platform/media_figure.h"

#include <libavutil/channel_layout.h>
#include <math.h>

enum {
    LEVELS_PER_SECOND = 20, /* 50 ms */
    LEVEL_LOWEST_DB = -120,
    LEVEL_STEPS_PER_DB = 10,
    CLIPPED_RUN_MIN = 3,
    MS_PER_LEVEL = 1000 / LEVELS_PER_SECOND,
};

static const float CLIPPED_AMPLITUDE = 0.9885f;
static const float AMPLITUDE_MAX = 8; /* float samples beyond are cut: no real recording has them */
static const double SILENCE_DBFS = -55;
static const double DIGITAL_SILENCE_DBFS = -100; /* a muted passage is not the room's noise */

void sound_open(struct sound *sound, struct arena *arena)
{
    *sound = (struct sound){ .arena = arena };
}

void sound_close(struct sound *sound)
{
    loudness_close(&sound->loudness);
    swr_free(&sound->convert);
    spectrum_close(&sound->spectrum);
}

static bool frame_is_within_limits(const AVFrame *frame)
{
    int channels = frame->ch_layout.nb_channels;
    return frame->sample_rate >= SOUND_RATE_HZ_MIN && frame->sample_rate <= SOUND_RATE_HZ_MAX &&
           channels >= 1 && channels <= SOUND_CHANNELS_MAX &&
           frame->nb_samples <= SOUND_FRAME_SAMPLES_MAX;
}

static void start_measuring(struct sound *sound, const AVFrame *frame)
{
    sound->rate_hz = frame->sample_rate;
    sound->channels_count = frame->ch_layout.nb_channels;
    sound->loudness = loudness_open(sound->channels_count, sound->rate_hz);
    sound->level_length = sound->rate_hz / LEVELS_PER_SECOND;
    sound->convert_format = AV_SAMPLE_FMT_NONE;
    spectrum_open(&sound->spectrum, sound->arena);
}

static bool frame_is_like_the_first(const struct sound *sound, const AVFrame *frame)
{
    return frame->sample_rate / SOUND_RATE_RATIO_MAX <= sound->rate_hz &&
           sound->rate_hz / SOUND_RATE_RATIO_MAX <= frame->sample_rate;
}

static bool set_converter(struct sound *sound, const AVFrame *frame)
{
    int channels = frame->ch_layout.nb_channels;
    if (sound->convert_format == frame->format && sound->convert_rate_hz == frame->sample_rate &&
        sound->convert_channels_count == channels)
        return true;
    AVChannelLayout in, out;
    av_channel_layout_default(&in, channels);
    av_channel_layout_default(&out, sound->channels_count);
    swr_free(&sound->convert);
    sound->convert_format = AV_SAMPLE_FMT_NONE;
    int e = swr_alloc_set_opts2(&sound->convert, &out, AV_SAMPLE_FMT_FLT, sound->rate_hz, &in,
                                (enum AVSampleFormat)frame->format, frame->sample_rate, 0, NULL);
    if (e < 0 || swr_init(sound->convert) < 0) return false;
    sound->convert_format = frame->format;
    sound->convert_rate_hz = frame->sample_rate;
    sound->convert_channels_count = channels;
    return true;
}

/* Into sound->samples; how many samples a channel there are then, or -1. */
static int convert_frame(struct sound *sound, const AVFrame *frame)
{
    if (!set_converter(sound, frame)) return -1;
    int count_max = swr_get_out_samples(sound->convert, frame->nb_samples);
    if (count_max < 0) return -1;
    if (sound->samples_capacity < count_max) {
        sound->samples_capacity = count_max * 2; /* doubling bounds what is left behind */
        sound->samples = NEW(sound->arena, float,
                             (size_t)sound->samples_capacity *(size_t)sound->channels_count);
    }
    uint8_t        *out = (uint8_t *)sound->samples;
    const uint8_t **in = (const uint8_t **)frame->extended_data;
    return swr_convert(sound->convert, &out, count_max, in, frame->nb_samples);
}

static void finish_level(struct sound *sound)
{
    double mean = sound->level_energy / (double)sound->level_filled / sound->channels_count;
    double level_db = mean > 0 ? 10 * log10(mean) : -INFINITY;
    bool   is_silent = level_db < SILENCE_DBFS;
    if (is_silent) {
        if (sound->silent_count == sound->levels_seen) sound->silent_lead++;
        sound->silent_count++;
        sound->silent_tail++;
    } else {
        sound->silent_tail = 0;
    }
    if (level_db >= DIGITAL_SILENCE_DBFS) {
        int step = (int)((level_db - LEVEL_LOWEST_DB) * LEVEL_STEPS_PER_DB);
        sound->levels[step < SOUND_LEVELS_COUNT ? step : SOUND_LEVELS_COUNT - 1]++;
    }
    sound->levels_seen++;
    sound->level_energy = 0;
    sound->level_filled = 0;
}

static void count_clipping(struct sound *sound, int channel, float sample)
{
    int *run = &sound->clipped_run[channel];
    if (fabsf(sample) < CLIPPED_AMPLITUDE) {
        *run = 0;
    } else if (*run >= CLIPPED_RUN_MIN) {
        sound->clipped_count++;
    } else if (++*run == CLIPPED_RUN_MIN) {
        sound->clipped_count += CLIPPED_RUN_MIN; /* its first samples count too */
    }
}

static float sane_sample(float sample)
{
    if (!isfinite(sample)) return 0;
    return sample > AMPLITUDE_MAX    ? AMPLITUDE_MAX
           : sample < -AMPLITUDE_MAX ? -AMPLITUDE_MAX
                                     : sample;
}

static void measure_samples(struct sound *sound, int count)
{
    float *at = sound->samples;
    for (int i = 0; i < count; i++) {
        float mono = 0;
        for (int channel = 0; channel < sound->channels_count; channel++, at++) {
            *at = sane_sample(*at);
            mono += *at;
            sound->level_energy += (double)*at * *at;
            count_clipping(sound, channel, *at);
        }
        spectrum_add(&sound->spectrum, mono / (float)sound->channels_count);
        if (++sound->level_filled == sound->level_length) finish_level(sound);
    }
}

bool sound_add(struct sound *sound, const AVFrame *frame)
{
    if (frame->nb_samples <= 0) return true;
    if (!frame_is_within_limits(frame)) return false;
    if (sound->rate_hz == 0) start_measuring(sound, frame);
    if (!frame_is_like_the_first(sound, frame)) return false;
    int count = convert_frame(sound, frame);
    if (count < 0) return false;
    if (count == 0) return true;
    measure_samples(sound, count);
    loudness_add(sound->loudness, sound->samples, count);
    sound->samples_count += count;
    return true;
}

int64_t sound_ms(const struct sound *sound)
{
    return figure_ms(sound->samples_count, sound->rate_hz);
}

/* --- what it comes to --- */

static int level_percentile(const struct sound *sound, int64_t total, int percent)
{
    int64_t seen = 0;
    for (int step = 0; step < SOUND_LEVELS_COUNT; step++) {
        seen += sound->levels[step];
        if (seen * 100 > total * percent) return step;
    }
    return SOUND_LEVELS_COUNT - 1;
}

static int32_t snr_milli_db(const struct sound *sound)
{
    int64_t total = 0;
    for (int step = 0; step < SOUND_LEVELS_COUNT; step++)
        total += sound->levels[step];
    if (total == 0) return 0;
    int steps = level_percentile(sound, total, 90) - level_percentile(sound, total, 10);
    return steps * 1000 / LEVEL_STEPS_PER_DB;
}

void sound_finish(const struct sound *sound, struct media_audio_figures *ret_figures)
{
    struct media_audio_figures figures = { .true_peak_milli_db = INT32_MIN };
    if (sound->samples_count > 0) {
        double lufs = 0, peak = loudness_true_peak(sound->loudness);
        figures.sample_rate_hz = sound->rate_hz;
        figures.channels_count = sound->channels_count;
        figures.has_loudness = loudness_integrated(sound->loudness, &lufs);
        figures.loudness_milli_lufs = figure_milli(lufs);
        if (peak > 0) figures.true_peak_milli_db = figure_milli(20 * log10(peak));
        figures.clipped_ppm =
            figure_ppm(sound->clipped_count, sound->samples_count * sound->channels_count);
        figures.silence_ppm = figure_ppm(sound->silent_count, sound->levels_seen);
        figures.silence_lead_ms = figure_round((double)sound->silent_lead * MS_PER_LEVEL);
        figures.silence_tail_ms = figure_round((double)sound->silent_tail * MS_PER_LEVEL);
        figures.bandwidth_hz = spectrum_bandwidth_hz(&sound->spectrum, sound->rate_hz);
        figures.snr_milli_db = snr_milli_db(sound);
    }
    *ret_figures = figures;
}
