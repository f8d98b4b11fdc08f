/* What examining a media file yields: one bounded, plain record. The child that decodes fills it,
 * the server reads it as hostile input (media_result_check), the scorer judges by it.
 *
 * Every figure is an integer so that the same file gives the same record and the rules that use it
 * need no floating point. _milli is thousandths of the unit, _ppm parts per million. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_H
#define FIRSTHAND_PLATFORM_MEDIA_H

#include "base/error.h"
#include "base/media_type.h"

#include <stdint.h>

enum { MEDIA_RESULT_VERSION = 1, MEDIA_REASON_BYTES_MAX = 64, MEDIA_PIXELS_MAX = 64 << 20 };

/* Why a file is UNDECODABLE (reason):
 *   empty                  no bytes
 *   unknown_type           not one of the eight by its first bytes
 *   undecodable            headers or data make no sense, or nothing at all decodes
 *   truncated              its end is missing, or less than 90 % of what it promises decodes
 *   no_media               a sound container, with neither sound nor video inside
 *   unsupported_codec, unsupported_pixels, animation_unsupported
 *   too_many_pixels, too_many_bytes, too_long    beyond our limits, refused before decoding
 * Longer sound or video than this is too_long: */
enum { MEDIA_DURATION_MS_MAX = 4 * 3600 * 1000 };

enum media_verdict {
    MEDIA_DECODED = 1,
    MEDIA_UNDECODABLE, /* the file is broken or not what it claims: reason says how */
};

/* Luma statistics of a picture; for video the median over the sampled frames. Luma is full range
 * 0…255 whatever the file's range. */
struct media_image_figures {
    int32_t mean_milli, deviation_milli, entropy_milli; /* levels, levels, bits */
    int32_t p1, p99;                                    /* percentiles, levels */
    int32_t clipped_low_ppm, clipped_high_ppm;          /* share of pixels at the ends */
    int32_t sharpness_milli;     /* variance of the Laplacian on a copy area-scaled to 1024 px */
    int32_t sharpness_log_milli; /* 1000 × log10(that variance + 1) */
    int32_t direction_min_milli; /* least variance of the second derivative in 4 directions, same
                                    copy */
    int32_t noise_milli;    /* Immerkaer, 10th percentile of unsaturated 16x16 blocks, levels */
    int32_t blocking_milli; /* boundary gradient / mid-block gradient at native size */
};

struct media_audio_figures {
    int32_t sample_rate_hz, channels_count;
    int32_t has_loudness;        /* 0: silence has none */
    int32_t loudness_milli_lufs; /* integrated, EBU R128 */
    int32_t true_peak_milli_db;  /* dBTP; INT32_MIN when silent */
    int32_t clipped_ppm;         /* samples in runs of 3 or more at full scale */
    int32_t silence_ppm;         /* 50 ms frames below -55 dBFS */
    int32_t silence_lead_ms, silence_tail_ms;
    int32_t bandwidth_hz; /* highest frequency that carries signal */
    int32_t snr_milli_db; /* p90 - p10 of frame levels, digital silence left out */
};

struct media_video_figures {
    int32_t fps_milli;
    int32_t frames_decoded, frames_expected; /* expected 0 = the container does not say */
    int32_t frames_measured;                 /* sampled for the picture figures */
    int32_t black_ppm, frozen_ppm;           /* shares of the examined time */
    int32_t frozen_longest_ms;
    int32_t is_sampled; /* 1: judged on key frames and windows, the full decode being over budget */
};

struct media_result {
    uint32_t version; /* MEDIA_RESULT_VERSION */
    int32_t  verdict; /* enum media_verdict */
    int32_t  type;    /* enum media_type, settled by the tracks inside */
    int32_t  has_picture, has_audio, has_video;
    int32_t  width, height; /* as shown: orientation applied; 0 for sound */
    int32_t  orientation;   /* EXIF 1…8; 1 when absent */
    int64_t  duration_ms;   /* 0 for images */
    int64_t  captured_ms;   /* EXIF DateTimeOriginal or container creation time; 0 = unknown */
    int32_t  has_gps;
    int32_t decode_errors; /* damaged packets, missing end markers: > 0 with DECODED is "damaged" */
    char    reason[MEDIA_REASON_BYTES_MAX]; /* lower snake slug, NUL-terminated; empty unless
                                               UNDECODABLE */
    struct media_image_figures image;
    struct media_audio_figures audio;
    struct media_video_figures video;
};

/* Is the record one that a sound child can have written: version, ranges, termination? Anything
 * else is treated as "could not score". */
MUST_USE bool media_result_check(const struct media_result *result);

struct media_limits {
    int32_t cpu_seconds; /* budget for the decode; RLIMIT_CPU is this plus MEDIA_CPU_MARGIN_S */
    int32_t wall_ms;     /* then the child is killed */
    int64_t memory_bytes_max; /* RLIMIT_AS */
};

enum { MEDIA_CPU_MARGIN_S = 5 };
static const int64_t MEDIA_MEMORY_BYTES_DEFAULT = (int64_t)512 << 20;

/* --- in the zygote and its children only --- */

/* Load codecs and whatever else must be in memory before the sandbox closes. Call once. */
void media_prepare(void);

/* Decode and measure the file behind fd (pread only; allowed: the types in the set `allowed`, bits
 * of enum media_type, which sniffing gave). Uses at most about cpu_seconds: when a full decode is
 * estimated to cost more, key frames and sampled windows are judged. Always fills *ret_result:
 * broken media is a verdict, not an error. May crash or be killed on hostile input: that is what
 * the sandbox is for. */
void media_examine(int fd, int64_t size_bytes, unsigned allowed, const struct media_limits *limits,
                   struct media_result *ret_result);

#endif
