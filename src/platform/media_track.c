#include "platform/media_track.h"

#include "base/num.h"

#include <stdlib.h>

enum {
    TIME_MS_LIMIT = 100 * 3600 * 1000, /* either way of zero */
    FRAME_MS_UNKNOWN = 40,
    SAMPLES_PER_FRAME_MAX = 1 << 18
};

static const AVRational MILLISECONDS = { 1, 1000 };

void track_open(struct track *track, AVStream *stream)
{
    *track = (struct track){ .stream = stream, .frame = av_frame_alloc() };
    CHECK(track->frame != NULL);
    track->decoder =
        media_decoder_open(stream->codecpar->codec_id, stream->codecpar, stream->time_base);
}

void track_close(struct track *track)
{
    av_frame_free(&track->frame);
    avcodec_free_context(&track->decoder);
}

static bool frame_is_damaged(const AVFrame *frame)
{
    return frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT);
}

void track_decode(struct track *track, const AVPacket *packet, track_frame_fn *fn, void *sink)
{
    if (packet != NULL && !num_add(track->sent, num_max(packet->duration, 0), &track->sent))
        track->sent = INT64_MAX;
    int e = avcodec_send_packet(track->decoder, packet);
    media_check_memory(e);
    bool is_damaged =
        (e < 0 && e != AVERROR_EOF) || (packet != NULL && (packet->flags & AV_PKT_FLAG_CORRUPT));
    for (;;) {
        e = avcodec_receive_frame(track->decoder, track->frame);
        media_check_memory(e);
        if (e < 0) break;
        is_damaged |= frame_is_damaged(track->frame);
        fn(sink, track, track->frame);
        av_frame_unref(track->frame);
    }
    is_damaged |= e != AVERROR(EAGAIN) && e != AVERROR_EOF;
    track->errors_count += is_damaged;
}

static int64_t to_ms(int64_t time, AVRational time_base)
{
    if (time == AV_NOPTS_VALUE || time_base.num <= 0 || time_base.den <= 0) return INT64_MIN;
    int64_t ms = av_rescale_q(time, time_base, MILLISECONDS);
    return ms >= -TIME_MS_LIMIT && ms <= TIME_MS_LIMIT ? ms : INT64_MIN;
}

void track_frame_time(struct track *track, const AVFrame *frame, int64_t *ret_at_ms,
                      int64_t *ret_lasts_ms)
{
    int64_t at_ms = to_ms(frame->best_effort_timestamp, track->stream->time_base);
    int64_t lasts_ms = to_ms(frame->pkt_duration, track->stream->time_base);
    if (at_ms == INT64_MIN) at_ms = track->next_ms;
    if (lasts_ms <= 0) lasts_ms = FRAME_MS_UNKNOWN;
    track->next_ms = num_min(at_ms + lasts_ms, TIME_MS_LIMIT);
    *ret_at_ms = at_ms;
    *ret_lasts_ms = lasts_ms;
}

int64_t track_duration_ms(const struct track *track)
{
    int64_t ms = to_ms(track->stream->duration, track->stream->time_base);
    return ms > 0 ? ms : track->stream->duration > 0 ? TIME_MS_LIMIT : 0;
}

int64_t track_sent_ms(const struct track *track)
{
    return num_max(to_ms(track->sent, track->stream->time_base), 0);
}

int64_t track_samples_expected(const struct track *track)
{
    /* Fragmented files list only what has been read so far; nb_frames is 0 for them. */
    if (track->stream->nb_frames <= 0) return 0;
    int     count = avformat_index_get_entries_count(track->stream);
    int64_t shown = 0;
    for (int i = 0; i < count; i++)
        shown += !(avformat_index_get_entry(track->stream, i)->flags & AVINDEX_DISCARD_FRAME);
    return shown;
}

int64_t track_samples_missing(const struct track *track, int64_t size_bytes)
{
    int     count = avformat_index_get_entries_count(track->stream);
    int64_t missing = 0;
    for (int i = 0; i < count; i++) {
        const AVIndexEntry *entry = avformat_index_get_entry(track->stream, i);
        missing += entry->pos < 0 || entry->pos > size_bytes - entry->size;
    }
    return missing;
}

/* The matrix maps a point (x, y) to (a·x + c·y, b·x + d·y), y pointing down; [0]=a [1]=b [3]=c
 * [4]=d. Only quarter turns and mirrors have a name. */
int32_t track_orientation(const struct track *track)
{
    size_t         size = 0;
    const int32_t *matrix =
        (const int32_t *)av_stream_get_side_data(track->stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    if (matrix == NULL || size < 9 * sizeof *matrix) return 1;
    int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
    if (llabs(a) + llabs(d) >= llabs(b) + llabs(c)) {
        if (a >= 0) return d >= 0 ? 1 : 4;
        return d >= 0 ? 2 : 3;
    }
    if (b >= 0) return c >= 0 ? 5 : 6;
    return c >= 0 ? 8 : 7;
}
