/* One stream of a file and its decoder, and what the container says of it. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_TRACK_H
#define FIRSTHAND_PLATFORM_MEDIA_TRACK_H

#include "platform/media_io.h"

struct track {
    AVStream       *stream;  /* NULL = there is none */
    AVCodecContext *decoder; /* NULL = the codec is not one of ours, or refuses */
    AVFrame        *frame;
    int64_t         errors_count;
    int64_t         next_ms; /* where a frame without a time stamp is put */
    int64_t         sent;    /* to the decoder, in the stream's time base */
};

typedef void track_frame_fn(void *sink, struct track *track, const AVFrame *frame);

void track_open(struct track *track, AVStream *stream);
void track_close(struct track *track);

/* Decode a packet (NULL: what the decoder still holds) and hand on each frame. Damage is counted,
 * never fatal. */
void track_decode(struct track *track, const AVPacket *packet, track_frame_fn *fn, void *sink);

/* Begin and length of a frame; times beyond reason are put in line with the others. */
void track_frame_time(struct track *track, const AVFrame *frame, int64_t *ret_at_ms,
                      int64_t *ret_lasts_ms);

int64_t track_duration_ms(const struct track *track);      /* by the container; 0 = not told */
int64_t track_samples_expected(const struct track *track); /* by the container; 0 = not told */
int64_t track_sent_ms(const struct track *track); /* of what was there, damaged or padding too */

/* Of the samples the container lists, those that lie beyond the end of the file. */
int64_t track_samples_missing(const struct track *track, int64_t size_bytes);

/* EXIF's 1…8 for the display matrix of an ISO file; 1 when there is none. */
int32_t track_orientation(const struct track *track);

#endif
