#include "media_samples.h"

#include "platform/media_sound.h"

#include <libavutil/channel_layout.h>

static struct media_audio_figures figures_of(const char *name)
{
    struct media_result result = examine_sample(name);
    assert_int_equal(result.verdict, MEDIA_DECODED);
    assert_true(result.has_audio);
    return result.audio;
}

static void codecs_agree_on_loudness(void **state)
{
    (void)state;
    int32_t wav = figures_of("speech.wav").loudness_milli_lufs;
    int32_t mp3 = figures_of("speech.mp3").loudness_milli_lufs;
    int32_t m4a = figures_of("speech.m4a").loudness_milli_lufs;
    assert_true(figures_of("speech.wav").has_loudness);
    assert_true(wav > -30000 && wav < -18000);
    assert_true(abs(wav - mp3) < 500 && abs(wav - m4a) < 500);
}

static void gain_moves_loudness_by_as_much(void **state)
{
    (void)state;
    struct media_audio_figures plain = figures_of("speech.wav"), quiet = figures_of("quiet.wav");
    int32_t                    drop = plain.loudness_milli_lufs - quiet.loudness_milli_lufs;
    assert_in_range(drop, 34000, 36000);
    assert_true(quiet.true_peak_milli_db < plain.true_peak_milli_db - 34000);
    assert_true(quiet.silence_ppm > 900000);
}

static void silence_has_no_loudness_and_no_peak(void **state)
{
    (void)state;
    struct media_audio_figures silent = figures_of("silent.wav");
    assert_int_equal(silent.has_loudness, 0);
    assert_int_equal(silent.loudness_milli_lufs, 0);
    assert_int_equal(silent.true_peak_milli_db, INT32_MIN);
    assert_int_equal(silent.silence_ppm, 1000000);
    assert_int_equal(silent.silence_lead_ms, 3000);
    assert_int_equal(silent.silence_tail_ms, 3000);
    assert_int_equal(silent.bandwidth_hz, 0);
    assert_int_equal(silent.snr_milli_db, 0);
}

static void overdriven_speech_is_clipped(void **state)
{
    (void)state;
    struct media_audio_figures clipped = figures_of("clipped.wav");
    assert_true(clipped.clipped_ppm > 20000);
    assert_true(clipped.true_peak_milli_db > 0);
    assert_int_equal(figures_of("speech.wav").clipped_ppm, 0);
}

static void silence_at_both_ends_is_timed(void **state)
{
    (void)state;
    struct media_audio_figures padded = figures_of("padded.wav"), plain = figures_of("speech.wav");
    assert_int_equal(plain.silence_lead_ms, 0);
    assert_in_range(padded.silence_lead_ms, 1450, 1550);
    assert_in_range(padded.silence_tail_ms, 2400, 2500);
    assert_in_range(padded.snr_milli_db, plain.snr_milli_db - 1000, plain.snr_milli_db + 1000);
}

static void a_telephone_carries_a_telephones_band(void **state)
{
    (void)state;
    assert_in_range(figures_of("telephone.wav").bandwidth_hz, 3400, 5500);
    assert_true(figures_of("speech.wav").bandwidth_hz > 12000);
}

static void noise_lowers_the_distance_from_speech_to_background(void **state)
{
    (void)state;
    assert_true(figures_of("noisy.wav").snr_milli_db <
                figures_of("speech.wav").snr_milli_db - 2000);
}

/* --- WAV files of our own --- */

enum { WAV_HEAD_BYTES = 44 };

static void put_le(unsigned char *at, uint32_t value, int size)
{
    for (int i = 0; i < size; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static void wav_head(unsigned char *wav, unsigned format, unsigned channels, uint32_t rate,
                     unsigned bits, uint32_t data_bytes)
{
    unsigned frame = channels * bits / 8;
    memcpy(wav, "RIFF\0\0\0\0WAVEfmt \x10\0\0\0", 20);
    put_le(wav + 4, data_bytes + WAV_HEAD_BYTES - 8, 4);
    put_le(wav + 20, format, 2);
    put_le(wav + 22, channels, 2);
    put_le(wav + 24, rate, 4);
    put_le(wav + 28, rate * frame, 4);
    put_le(wav + 32, frame, 2);
    put_le(wav + 34, bits, 2);
    memcpy(wav + 36, "data", 4);
    put_le(wav + 40, data_bytes, 4);
}

static void runs_shorter_than_three_are_not_clipping(void **state)
{
    (void)state;
    static const struct {
        int     run;
        int32_t clipped_ppm;
    } runs[] = { { 2, 0 }, { 3, 30000 }, { 10, 100000 } };
    enum { SAMPLES = 44100 };
    static unsigned char wav[WAV_HEAD_BYTES + SAMPLES * 2];
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        wav_head(wav, 1, 1, 44100, 16, SAMPLES * 2);
        for (int at = 0; at < SAMPLES; at++)
            put_le(wav + WAV_HEAD_BYTES + 2 * at, at % 100 < runs[i].run ? 32767 : 1000, 2);
        struct media_result result = examine_bytes(wav, sizeof wav);
        assert_int_equal(result.verdict, MEDIA_DECODED);
        assert_int_equal(result.audio.clipped_ppm, runs[i].clipped_ppm);
        assert_int_equal(result.duration_ms, 1000);
    }
}

static void float_samples_that_are_no_numbers_do_no_harm(void **state)
{
    (void)state;
    enum { SAMPLES = 48000 };
    static const uint32_t poison[] = { 0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff,
                                       0xff7fffff, 0x00000001, 0xffffffff };
    static unsigned char  wav[WAV_HEAD_BYTES + SAMPLES * 4];
    wav_head(wav, 3, 1, 48000, 32, SAMPLES * 4);
    for (size_t at = 0; at < SAMPLES; at++)
        put_le(wav + WAV_HEAD_BYTES + 4 * at, poison[at % COUNT_OF(poison)], 4);
    struct media_result result = examine_bytes(wav, sizeof wav);
    assert_int_equal(result.verdict, MEDIA_DECODED);
    assert_true(result.audio.true_peak_milli_db < 60000);
}

static void odd_rates_and_channel_counts_are_refused_or_measured(void **state)
{
    (void)state;
    static const struct {
        unsigned channels;
        uint32_t rate;
        bool     is_decoded;
    } cases[] = { { 1, 8000, true },    { 8, 48000, true },  { 9, 48000, false },
                  { 1, 1, false },      { 1, 2000, false },  { 2, 384000, true },
                  { 2, 400000, false }, { 64, 48000, false } };
    enum { DATA_BYTES = 256 * 1024 };
    static unsigned char wav[WAV_HEAD_BYTES + DATA_BYTES];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        wav_head(wav, 1, cases[i].channels, cases[i].rate, 16, DATA_BYTES);
        struct media_result result = examine_bytes(wav, sizeof wav);
        assert_int_equal(result.verdict, cases[i].is_decoded ? MEDIA_DECODED : MEDIA_UNDECODABLE);
    }
}

static void a_stream_that_did_not_know_its_length_is_whole(void **state)
{
    (void)state;
    enum { SAMPLES = 44100 };
    static unsigned char wav[WAV_HEAD_BYTES + SAMPLES * 2];
    wav_head(wav, 1, 1, 44100, 16, SAMPLES * 2);
    put_le(wav + 4, 0xffffffff, 4);
    put_le(wav + 40, 0xffffffff, 4);
    struct media_result result = examine_bytes(wav, sizeof wav);
    assert_int_equal(result.verdict, MEDIA_DECODED);
    assert_int_equal(result.duration_ms, 1000);
}

/* --- frames of our own --- */

static AVFrame *make_frame(int rate_hz, int channels_count, int samples_count)
{
    AVFrame *frame = av_frame_alloc();
    assert_non_null(frame);
    frame->format = AV_SAMPLE_FMT_S16;
    frame->sample_rate = rate_hz;
    frame->nb_samples = samples_count;
    av_channel_layout_default(&frame->ch_layout, channels_count);
    assert_int_equal(av_frame_get_buffer(frame, 0), 0);
    for (int i = 0; i < samples_count * channels_count; i++)
        ((int16_t *)frame->data[0])[i] = (int16_t)(i % 50 * 100);
    return frame;
}

static bool add_frame(struct sound *sound, int rate_hz, int channels_count, int samples_count)
{
    AVFrame *frame = make_frame(rate_hz, channels_count, samples_count);
    bool     is_added = sound_add(sound, frame);
    av_frame_free(&frame);
    return is_added;
}

static void a_rate_that_changes_on_the_way_keeps_the_time(void **state)
{
    (void)state;
    struct arena  arena;
    struct sound *sound = calloc(1, sizeof *sound);
    arena_init(&arena, ARENA_HARD_BYTES_MAX);
    sound_open(sound, &arena);
    assert_true(add_frame(sound, 22050, 1, 22050));
    assert_true(add_frame(sound, 44100, 2, 44100));
    assert_true(add_frame(sound, 22050, 1, 22050));
    assert_in_range(sound_ms(sound), 2950, 3000);
    struct media_audio_figures figures;
    sound_finish(sound, &figures);
    assert_int_equal(figures.sample_rate_hz, 22050);
    assert_int_equal(figures.channels_count, 1);
    assert_true(figures.has_loudness);
    sound_close(sound);
    arena_deinit(&arena);
    free(sound);
}

static void a_rate_that_leaps_is_refused(void **state)
{
    (void)state;
    struct arena  arena;
    struct sound *sound = calloc(1, sizeof *sound);
    arena_init(&arena, ARENA_HARD_BYTES_MAX);
    sound_open(sound, &arena);
    assert_true(add_frame(sound, 8000, 1, 8000));
    assert_false(add_frame(sound, 384000, 8, SOUND_FRAME_SAMPLES_MAX));
    assert_false(add_frame(sound, 8000, 1, SOUND_FRAME_SAMPLES_MAX + 1));
    assert_false(add_frame(sound, 3000, 1, 3000));
    assert_int_equal(sound_ms(sound), 1000);
    sound_close(sound);
    arena_deinit(&arena);
    free(sound);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codecs_agree_on_loudness),
        cmocka_unit_test(gain_moves_loudness_by_as_much),
        cmocka_unit_test(silence_has_no_loudness_and_no_peak),
        cmocka_unit_test(overdriven_speech_is_clipped),
        cmocka_unit_test(silence_at_both_ends_is_timed),
        cmocka_unit_test(a_telephone_carries_a_telephones_band),
        cmocka_unit_test(noise_lowers_the_distance_from_speech_to_background),
        cmocka_unit_test(runs_shorter_than_three_are_not_clipping),
        cmocka_unit_test(float_samples_that_are_no_numbers_do_no_harm),
        cmocka_unit_test(odd_rates_and_channel_counts_are_refused_or_measured),
        cmocka_unit_test(a_stream_that_did_not_know_its_length_is_whole),
        cmocka_unit_test(a_rate_that_changes_on_the_way_keeps_the_time),
        cmocka_unit_test(a_rate_that_leaps_is_refused),
    };
    return cmocka_run_group_tests(tests, samples_open, samples_close);
}
