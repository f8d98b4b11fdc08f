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

static bool start_measuring(struct sound *sound, const AVFrame *frame)
{
    int channels = frame->ch_layout.nb_channels;
    if (frame->sample_rate < SOUND_RATE_HZ_MIN || frame->sample_rate > SOUND_RATE_HZ_MAX ||
        channels < 1 || channels > SOUND_CHANNELS_MAX)
        return false;
    sound->loudness = loudness_open(channels, frame->sample_rate);
    sound->rate_hz = frame->sample_rate;
    sound->channels_count = channels;
    sound->level_length = frame->sample_rate / LEVELS_PER_SECOND;
    sound->convert_format = AV_SAMPLE_FMT_NONE;
    spectrum_open(&sound->spectrum, sound->arena);
    return true;
}

/* Same channels, same rate: only the sample format changes. */
static bool set_converter(struct sound *sound, int format)
{
    if (sound->convert_format == format) return true;
    AVChannelLayout layout;
    av_channel_layout_default(&layout, sound->channels_count);
    swr_free(&sound->convert);
    int e = swr_alloc_set_opts2(&sound->convert, &layout, AV_SAMPLE_FMT_FLT, sound->rate_hz,
                                &layout, (enum AVSampleFormat)format, sound->rate_hz, 0, NULL);
    if (e < 0 || swr_init(sound->convert) < 0) return false;
    sound->convert_format = format;
    return true;
}

static bool convert_frame(struct sound *sound, const AVFrame *frame)
{
    if (frame->nb_samples > SOUND_FRAME_SAMPLES_MAX) return false;
    if (!set_converter(sound, frame->format)) return false;
    if (sound->samples_capacity < frame->nb_samples) {
        sound->samples_capacity = frame->nb_samples * 2; /* doubling bounds what is left behind */
        sound->samples = NEW(sound->arena, float, sound->samples_capacity * sound->channels_count);
    }
    uint8_t        *out = (uint8_t *)sound->samples;
    const uint8_t **in = (const uint8_t **)frame->extended_data;
    return swr_convert(sound->convert, &out, frame->nb_samples, in, frame->nb_samples) ==
           frame->nb_samples;
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
    if (sound->rate_hz == 0 && !start_measuring(sound, frame)) return false;
    if (frame->sample_rate != sound->rate_hz ||
        frame->ch_layout.nb_channels != sound->channels_count)
        return false;
    if (!convert_frame(sound, frame)) return false;
    measure_samples(sound, frame->nb_samples);
    loudness_add(sound->loudness, sound->samples, frame->nb_samples);
    sound->samples_count += frame->nb_samples;
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
