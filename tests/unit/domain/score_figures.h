/* Figures of good files, for tests of what is made of them. */
#ifndef FIRSTHAND_TESTS_SCORE_FIGURES_H
#define FIRSTHAND_TESTS_SCORE_FIGURES_H

#include "domain/score.h"

static const struct score_limits no_limits = { 0 };

/* The photograph the scorer's figures were first looked at on. */
static inline struct media_result good_photo(void)
{
    return (struct media_result){
        .version = MEDIA_RESULT_VERSION,
        .verdict = MEDIA_DECODED,
        .type = MEDIA_JPEG,
        .has_picture = 1,
        .width = 1600,
        .height = 1200,
        .orientation = 1,
        .image = { .mean_milli = 118000,
                   .deviation_milli = 52000,
                   .entropy_milli = 7300,
                   .p1 = 4,
                   .p99 = 244,
                   .clipped_low_ppm = 3000,
                   .clipped_high_ppm = 8000,
                   .sharpness_milli = 1698000,
                   .sharpness_log_milli = 3230,
                   .direction_min_milli = 265000,
                   .noise_milli = 840,
                   .blocking_milli = 1000 },
    };
}

static inline struct media_result good_sound(void)
{
    return (struct media_result){
        .version = MEDIA_RESULT_VERSION,
        .verdict = MEDIA_DECODED,
        .type = MEDIA_MP3,
        .has_audio = 1,
        .orientation = 1,
        .duration_ms = 30000,
        .audio = { .sample_rate_hz = 44100,
                   .channels_count = 2,
                   .has_loudness = 1,
                   .loudness_milli_lufs = -19200,
                   .true_peak_milli_db = -1200,
                   .silence_ppm = 150000,
                   .silence_lead_ms = 200,
                   .silence_tail_ms = 400,
                   .bandwidth_hz = 15000,
                   .snr_milli_db = 23000 },
    };
}

static inline struct media_result good_video(void)
{
    struct media_result result = good_photo();
    result.type = MEDIA_MP4;
    result.has_picture = 0;
    result.has_video = 1;
    result.duration_ms = 30000;
    result.width = 1920;
    result.height = 1080;
    result.video = (struct media_video_figures){
        .fps_milli = 30000, .frames_decoded = 900, .frames_expected = 900, .frames_measured = 30
    };
    return result;
}

static inline struct score score_of(struct media_result result)
{
    struct score score;
    score_compute(&result, &no_limits, &score);
    return score;
}

#endif
