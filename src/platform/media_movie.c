#include "platform/media_movie.h"

#include "base/num.h"
#include "base/time_text.h"
#include "platform/media_boxes.h"
#include "platform/media_figure.h"
#include "platform/media_record.h"
#include "platform/media_sound.h"
#include "platform/media_track.h"
#include "platform/media_video.h"

#include <time.h>

enum {
    DECODED_PERCENT_MIN = 90, /* of the expected frames or time; less is a truncated file */
    ESTIMATE_AFTER_MS = 1000, /* of CPU time: from then on the speed is known … */
    ESTIMATE_SHARE = 10,      /* … or one part in so many of the budget, if that is sooner */
    PLACES_COUNT = 16,        /* looked at when the full decode is over budget */
    WINDOW_MS = 2500, /* of video at as many of them as can be afforded: a freeze shows in 2 s */
    SOUND_SHARE = 4,  /* the sound may then use one part in so many of the budget */
    MP3_PADDING_SAMPLES_MAX = 2 * 0xfff, /* the 12 bits that LAME's tag has, at either end */
};

/* Recorders that cannot know the length yet write a size from here on. */
static const int64_t RIFF_BYTES_UNKNOWN = 0x7fff0000;

struct movie {
    struct arena              *arena;
    const struct media_limits *limits;
    struct media_result       *result;
    struct media_input         input;
    struct track               video_track, sound_track;
    struct video              *video;
    struct sound              *sound;
    int64_t                    duration_ms; /* by the container; 0 = not told */
    int64_t                    wav_bytes;   /* a WAV's claim; 0 = none, or no WAV */
    int64_t                    cpu_begun_ms;
    double                     cost; /* CPU time per time of video, once it was measured */
    int64_t                    places_count, places_empty;
};

static int64_t cpu_now_ms(void)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t cpu_spent_ms(const struct movie *movie)
{
    return cpu_now_ms() - movie->cpu_begun_ms;
}

static int64_t cpu_budget_ms(const struct movie *movie)
{
    return num_max(movie->limits->cpu_seconds, 1) * 1000;
}

/* --- opening --- */

static const char *demuxer_for(unsigned sniffed)
{
    if (sniffed & BIT(MEDIA_MP3)) return "mp3";
    if (sniffed & BIT(MEDIA_WAV)) return "wav";
    return "mov";
}

static bool is_iso(unsigned sniffed)
{
    return sniffed & (BIT(MEDIA_M4A) | BIT(MEDIA_MP4) | BIT(MEDIA_MOV));
}

/* The first real video and the first sound; cover art is neither, everything else is skipped. */
static void choose_tracks(struct movie *movie, bool may_have_video)
{
    AVFormatContext *format = movie->input.format;
    for (unsigned i = 0; i < format->nb_streams; i++) {
        AVStream        *stream = format->streams[i];
        enum AVMediaType kind = stream->codecpar->codec_type;
        bool             is_cover = stream->disposition & AV_DISPOSITION_ATTACHED_PIC;
        if (kind == AVMEDIA_TYPE_VIDEO && may_have_video && !is_cover &&
            movie->video_track.stream == NULL)
            track_open(&movie->video_track, stream);
        else if (kind == AVMEDIA_TYPE_AUDIO && movie->sound_track.stream == NULL)
            track_open(&movie->sound_track, stream);
        else
            stream->discard = AVDISCARD_ALL;
    }
}

static void settle_type(const struct movie *movie, unsigned sniffed, struct media_result *result)
{
    if (!is_iso(sniffed)) return;
    if (movie->video_track.stream != NULL)
        result->type = sniffed & BIT(MEDIA_MOV) ? MEDIA_MOV : MEDIA_MP4;
    else if (movie->sound_track.stream != NULL)
        result->type = MEDIA_M4A;
}

static void read_metadata(const struct movie *movie, struct media_result *result)
{
    const AVDictionary *metadata = movie->input.format->metadata;
    AVDictionaryEntry  *created = av_dict_get(metadata, "creation_time", NULL, 0);
    int64_t             time_ms;
    if (created != NULL && time_parse(str_of(created->value), &time_ms) && time_ms > 0)
        result->captured_ms = time_ms;
    result->has_gps =
        av_dict_get(metadata, "location", NULL, 0) != NULL ||
        av_dict_get(metadata, "com.apple.quicktime.location.ISO6709", NULL, 0) != NULL;
}

static int64_t longest_claim_ms(const struct movie *movie)
{
    int64_t claim_ms = num_max(movie->input.format->duration, 0) / (AV_TIME_BASE / 1000);
    if (movie->video_track.stream != NULL)
        claim_ms = num_max(claim_ms, track_duration_ms(&movie->video_track));
    if (movie->sound_track.stream != NULL)
        claim_ms = num_max(claim_ms, track_duration_ms(&movie->sound_track));
    return claim_ms;
}

/* Why the file is refused before anything is decoded; NULL when it is not. */
static const char *movie_refusal(const struct movie *movie)
{
    const struct track *main =
        movie->video_track.stream != NULL ? &movie->video_track : &movie->sound_track;
    if (main->stream == NULL) return "no_media";
    const AVCodecParameters *parameters = main->stream->codecpar;
    if (parameters->width > 0 && parameters->height > MEDIA_PIXELS_MAX / parameters->width)
        return "too_many_pixels";
    if (longest_claim_ms(movie) > MEDIA_DURATION_MS_MAX) return "too_long";
    if (!media_codec_is_known(parameters->codec_id)) return "unsupported_codec";
    if (main->decoder == NULL) return "undecodable";
    return NULL;
}

/* A WAV says how long it is before the sound begins; 0 = this one does not. */
static int64_t wav_bytes(const struct movie *movie)
{
    unsigned char size[4] = { 0 };
    (void)media_read_at(movie->input.fd, 4, size, sizeof size);
    int64_t claimed = (int64_t)(size[0] | size[1] << 8 | size[2] << 16) + ((int64_t)size[3] << 24);
    return claimed < RIFF_BYTES_UNKNOWN ? claimed : 0;
}

/* --- decoding --- */

static void take_picture(void *sink, struct track *track, const AVFrame *frame)
{
    int64_t at_ms, lasts_ms;
    track_frame_time(track, frame, &at_ms, &lasts_ms);
    video_add(((struct movie *)sink)->video, frame, at_ms, lasts_ms);
}

static void take_sound(void *sink, struct track *track, const AVFrame *frame)
{
    if (!sound_add(((struct movie *)sink)->sound, frame)) track->errors_count++;
}

static void decode_packet(struct movie *movie, const AVPacket *packet)
{
    struct track *video = &movie->video_track, *sound = &movie->sound_track;
    if (video->decoder != NULL && packet->stream_index == video->stream->index)
        track_decode(video, packet, take_picture, movie);
    else if (sound->decoder != NULL && packet->stream_index == sound->stream->index)
        track_decode(sound, packet, take_sound, movie);
}

static void decode_rest(struct movie *movie)
{
    if (movie->video_track.decoder != NULL)
        track_decode(&movie->video_track, NULL, take_picture, movie);
    if (movie->sound_track.decoder != NULL)
        track_decode(&movie->sound_track, NULL, take_sound, movie);
}

/* Will decoding all of it cost more than allowed, going by the speed so far? */
static bool is_over_budget(struct movie *movie)
{
    int64_t spent_ms = cpu_spent_ms(movie), budget_ms = cpu_budget_ms(movie);
    if (spent_ms > budget_ms) return true;
    if (movie->video_track.stream == NULL) return false;
    if (spent_ms < num_min(ESTIMATE_AFTER_MS, budget_ms / ESTIMATE_SHARE)) return false;
    int64_t done_ms = video_ms(movie->video);
    if (done_ms <= 0) return false;
    movie->cost = (double)spent_ms / (double)done_ms;
    return movie->cost * (double)movie->duration_ms > (double)budget_ms;
}

static bool is_too_long(const struct movie *movie)
{
    return video_ms(movie->video) > MEDIA_DURATION_MS_MAX ||
           sound_ms(movie->sound) > MEDIA_DURATION_MS_MAX;
}

/* The last packet of a WAV without a length is not full, and is no damage. */
static void forgive_open_end(const struct movie *movie, AVPacket *packet)
{
    if (movie->result->type == MEDIA_WAV && movie->wav_bytes == 0)
        packet->flags &= ~AV_PKT_FLAG_CORRUPT;
}

/* false: stopped, over budget. */
static bool decode_all(struct movie *movie)
{
    CLEANUP_PACKET AVPacket *packet = av_packet_alloc();
    CHECK(packet != NULL);
    while (!is_too_long(movie) && av_read_frame(movie->input.format, packet) >= 0) {
        forgive_open_end(movie, packet);
        decode_packet(movie, packet);
        av_packet_unref(packet);
        if (is_over_budget(movie)) return false;
    }
    decode_rest(movie);
    return true;
}

/* --- when that is too much: the sound within its share, then windows of the video --- */

static void forget_measured(struct movie *movie)
{
    sound_close(movie->sound);
    sound_open(movie->sound, movie->arena);
    video_open(movie->video, movie->arena, 0);
    if (movie->sound_track.decoder != NULL) avcodec_flush_buffers(movie->sound_track.decoder);
}

static void decode_sound_alone(struct movie *movie, int64_t until_cpu_ms)
{
    CLEANUP_PACKET AVPacket *packet = av_packet_alloc();
    CHECK(packet != NULL);
    movie->video_track.stream->discard = AVDISCARD_ALL;
    (void)av_seek_frame(movie->input.format, movie->video_track.stream->index, 0,
                        AVSEEK_FLAG_BACKWARD);
    while (cpu_now_ms() < until_cpu_ms && !is_too_long(movie) &&
           av_read_frame(movie->input.format, packet) >= 0) {
        if (packet->stream_index != movie->video_track.stream->index) decode_packet(movie, packet);
        av_packet_unref(packet);
    }
    movie->video_track.stream->discard = AVDISCARD_DEFAULT;
}

/* From the key frame before target_ms on: at least one frame, then until length_ms of video or
 * until_cpu_ms are reached. */
static void decode_place(struct movie *movie, int64_t target_ms, int64_t length_ms,
                         int64_t until_cpu_ms)
{
    CLEANUP_PACKET AVPacket *packet = av_packet_alloc();
    struct track            *track = &movie->video_track;
    int64_t target = av_rescale_q(target_ms, (AVRational){ 1, 1000 }, track->stream->time_base);
    int64_t frames_before = movie->video->frames_count, begin_ms = -1;
    CHECK(packet != NULL);
    movie->places_count++;
    avcodec_flush_buffers(track->decoder);
    if (av_seek_frame(movie->input.format, track->stream->index, target, AVSEEK_FLAG_BACKWARD) <
        0) {
        movie->places_empty++;
        return;
    }
    while (av_read_frame(movie->input.format, packet) >= 0) {
        if (packet->stream_index == track->stream->index) decode_packet(movie, packet);
        av_packet_unref(packet);
        if (movie->video->frames_count == frames_before) continue;
        if (begin_ms < 0) begin_ms = track->next_ms;
        if (track->next_ms - begin_ms >= length_ms || cpu_now_ms() > until_cpu_ms) break;
    }
    movie->places_empty += movie->video->frames_count == frames_before;
}

/* count places spread evenly over the whole. */
static void decode_places(struct movie *movie, int count, int64_t length_ms, bool is_sampled)
{
    for (int i = 0; i < count; i++) {
        int64_t left_ms = num_max(cpu_budget_ms(movie) - cpu_spent_ms(movie), 0);
        int64_t target_ms = movie->duration_ms * (2 * i + 1) / (2 * count);
        video_break(movie->video, is_sampled);
        decode_place(movie, target_ms, length_ms, cpu_now_ms() + left_ms / (count - i));
    }
}

static int windows_affordable(const struct movie *movie)
{
    int64_t left_ms = cpu_budget_ms(movie) - cpu_spent_ms(movie);
    double  windows = (double)left_ms / (movie->cost * WINDOW_MS + 1);
    return (int)num_clamp(figure_round(windows), 0, PLACES_COUNT);
}

static void decode_sampled(struct movie *movie)
{
    AVStream *sound_stream = movie->sound_track.stream;
    movie->result->video.is_sampled = 1;
    if (movie->video_track.stream == NULL || movie->duration_ms == 0) return;
    int64_t left_ms = num_max(cpu_budget_ms(movie) - cpu_spent_ms(movie), 0);
    forget_measured(movie);
    if (movie->sound_track.decoder != NULL)
        decode_sound_alone(movie, cpu_now_ms() + left_ms / SOUND_SHARE);
    if (sound_stream != NULL) sound_stream->discard = AVDISCARD_ALL;
    decode_places(movie, PLACES_COUNT, 0, true);
    decode_places(movie, windows_affordable(movie), WINDOW_MS, false);
    video_break(movie->video, false);
}

/* --- what it comes to --- */

static bool is_short_of(int64_t got, int64_t expected)
{
    return expected > 0 && got < expected * DECODED_PERCENT_MIN / 100;
}

static bool video_is_truncated(const struct movie *movie)
{
    const struct track *track = &movie->video_track;
    int64_t             expected = track_samples_expected(track);
    if (movie->places_count > 0) {
        int64_t missing = track_samples_missing(track, movie->input.size_bytes);
        return is_short_of(expected - missing, expected) ||
               is_short_of(movie->places_count - movie->places_empty, movie->places_count);
    }
    if (movie->result->video.is_sampled) return false;
    if (expected > 0) return is_short_of(movie->video->frames_count, expected);
    return is_short_of(video_ms(movie->video), track_duration_ms(track));
}

static void conclude_video(struct movie *movie)
{
    struct media_result *result = movie->result;
    int64_t              expected = track_samples_expected(&movie->video_track);
    int64_t              decoded_ms = video_ms(movie->video);
    result->has_video = 1;
    result->video.frames_expected = figure_round((double)expected);
    video_finish(movie->video, &result->video, &result->image);
    record_set_size(result, movie->video->width, movie->video->height,
                    track_orientation(&movie->video_track));
    bool    is_whole = !result->video.is_sampled;
    int64_t frames_count = is_whole ? movie->video->frames_count : expected;
    int64_t spread_ms = is_whole ? decoded_ms : movie->duration_ms;
    if (spread_ms > 0)
        result->video.fps_milli = figure_milli((double)frames_count * 1000.0 / (double)spread_ms);
    result->duration_ms = num_max(result->duration_ms, spread_ms);
}

static void conclude_sound(struct movie *movie)
{
    struct media_result *result = movie->result;
    result->has_audio = 1;
    sound_finish(movie->sound, &result->audio);
    result->duration_ms = num_max(result->duration_ms, sound_ms(movie->sound));
    if (result->video.is_sampled && sound_ms(movie->sound) < movie->duration_ms) {
        result->duration_ms = num_max(result->duration_ms, movie->duration_ms);
        result->audio.silence_tail_ms = 0; /* its end was not heard */
    }
}

/* An MP3's claim counts the encoder's padding, which decoding cuts off. */
static int64_t sound_arrived_ms(const struct movie *movie)
{
    const struct track *track = &movie->sound_track;
    if (movie->result->type != MEDIA_MP3) return sound_ms(movie->sound);
    int64_t padding_ms = figure_ms(MP3_PADDING_SAMPLES_MAX, track->stream->codecpar->sample_rate);
    return num_min(track_sent_ms(track), sound_ms(movie->sound) + padding_ms);
}

static bool sound_is_truncated(const struct movie *movie)
{
    if (is_short_of(movie->input.size_bytes, movie->wav_bytes)) return true;
    return !movie->result->video.is_sampled &&
           is_short_of(sound_arrived_ms(movie), track_duration_ms(&movie->sound_track));
}

static bool is_truncated(const struct movie *movie)
{
    bool may_be_fragmented = movie->result->type != MEDIA_WAV && movie->result->type != MEDIA_MP3;
    if (may_be_fragmented && boxes_end_in_fragment(movie->input.fd, movie->input.size_bytes))
        return true;
    return movie->video_track.stream ? video_is_truncated(movie) : sound_is_truncated(movie);
}

static void conclude(struct movie *movie)
{
    struct media_result *result = movie->result;
    bool                 is_video = movie->video_track.stream != NULL;
    bool                 has_pictures = movie->video->frames_count > 0;
    bool                 has_sound = movie->sound->samples_count > 0;
    int64_t errors_count = movie->video_track.errors_count + movie->sound_track.errors_count +
                           movie->video->unreadable_count;
    result->decode_errors = figure_round((double)errors_count);
    if (has_pictures) conclude_video(movie);
    if (has_sound) conclude_sound(movie);
    if (is_too_long(movie) || result->duration_ms > MEDIA_DURATION_MS_MAX) {
        result->duration_ms = num_min(result->duration_ms, MEDIA_DURATION_MS_MAX);
        record_refuse(result, "too_long");
    } else if (is_video ? !has_pictures : !has_sound) {
        record_refuse(result, "undecodable");
    } else if (is_truncated(movie)) {
        record_refuse(result, "truncated");
    } else {
        result->verdict = MEDIA_DECODED;
    }
}

static void examine_open(struct movie *movie)
{
    const char *refusal = movie_refusal(movie);
    if (refusal != NULL) {
        record_refuse(movie->result, refusal);
        return;
    }
    movie->duration_ms = longest_claim_ms(movie);
    if (movie->result->type == MEDIA_WAV) movie->wav_bytes = wav_bytes(movie);
    video_open(movie->video, movie->arena, movie->duration_ms);
    if (!decode_all(movie)) decode_sampled(movie);
    conclude(movie);
}

void movie_examine(struct arena *arena, int fd, int64_t size_bytes, unsigned sniffed,
                   const struct media_limits *limits, struct media_result *result)
{
    struct movie movie = { .arena = arena,
                           .limits = limits,
                           .result = result,
                           .video = NEW(arena, struct video, 1),
                           .sound = NEW(arena, struct sound, 1),
                           .cpu_begun_ms = cpu_now_ms() };
    sound_open(movie.sound, arena);
    if (media_input_open(&movie.input, fd, size_bytes, demuxer_for(sniffed))) {
        choose_tracks(&movie, is_iso(sniffed));
        settle_type(&movie, sniffed, result);
        read_metadata(&movie, result);
        examine_open(&movie);
    } else {
        record_refuse(result, "undecodable");
    }
    sound_close(movie.sound);
    track_close(&movie.video_track);
    track_close(&movie.sound_track);
    media_input_close(&movie.input);
}
