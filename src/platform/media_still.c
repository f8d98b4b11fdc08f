#include "platform/media_still.h"

#include "platform/media_exif.h"
#include "platform/media_io.h"
#include "platform/media_picture.h"
#include "platform/media_record.h"
#include "platform/media_wrapper.h"

static enum AVCodecID still_codec(enum media_type type)
{
    switch (type) {
    case MEDIA_PNG: return AV_CODEC_ID_PNG;
    case MEDIA_JPEG: return AV_CODEC_ID_MJPEG;
    default: return AV_CODEC_ID_WEBP;
    }
}

/* The whole file in a packet, with the padding decoders want. */
static AVPacket *still_read(int fd, int64_t size_bytes)
{
    AVPacket *packet = av_packet_alloc();
    CHECK(packet != NULL);
    int e = av_new_packet(packet, (int)size_bytes);
    media_check_memory(e);
    CHECK(e == 0);
    av_shrink_packet(packet, (int)media_read_at(fd, 0, packet->data, (size_t)size_bytes));
    return packet;
}

/* Decode with damage as an error (is_strict) or concealed. NULL when there is no picture. */
static AVFrame *still_decode(const AVPacket *packet, enum media_type type, bool is_strict)
{
    CLEANUP_DECODER AVCodecContext *decoder =
        media_decoder_open(still_codec(type), NULL, (AVRational){ 1, 1000 });
    CLEANUP_FRAME AVFrame *frame = av_frame_alloc();
    CHECK(decoder != NULL && frame != NULL);
    if (is_strict) decoder->err_recognition |= AV_EF_EXPLODE;
    int e = avcodec_send_packet(decoder, packet);
    media_check_memory(e);
    if (e == 0) e = avcodec_send_packet(decoder, NULL);
    if (e == 0) e = avcodec_receive_frame(decoder, frame);
    media_check_memory(e);
    if (e != 0) return NULL;
    AVFrame *picture = frame;
    frame = NULL;
    return picture;
}

static void still_measure(struct arena *arena, const AVFrame *frame, struct media_result *result)
{
    struct luma luma;
    if (!luma_of_frame(arena, frame, &luma)) {
        record_refuse(result, "unsupported_pixels");
        return;
    }
    picture_measure(arena, &luma, &result->image);
    record_set_size(result, frame->width, frame->height, result->orientation);
    result->has_picture = 1;
    result->verdict = MEDIA_DECODED;
}

static void still_read_exif(struct str file, enum media_type type, struct media_result *result)
{
    struct media_exif exif;
    media_exif_read(media_exif_find(file, type), &exif);
    result->orientation = exif.orientation;
    result->captured_ms = exif.captured_ms;
    result->has_gps = exif.has_gps;
}

static const char *still_refusal(const struct media_wrapper *wrapper)
{
    if (wrapper->width > 0 && wrapper->height > MEDIA_PIXELS_MAX / wrapper->width)
        return "too_many_pixels";
    if (!wrapper->is_complete) return "truncated";
    if (wrapper->is_animated) return "animation_unsupported";
    return NULL;
}

void still_examine(struct arena *arena, int fd, int64_t size_bytes, enum media_type type,
                   struct media_result *result)
{
    if (size_bytes > STILL_BYTES_MAX) {
        record_refuse(result, "too_many_bytes");
        return;
    }
    CLEANUP_PACKET AVPacket *packet = still_read(fd, size_bytes);
    struct media_wrapper     wrapper;
    still_read_exif((struct str){ (const char *)packet->data, (size_t)packet->size }, type, result);
    media_wrapper_walk((char *)packet->data, (size_t)packet->size, type, &wrapper);
    const char *refusal = still_refusal(&wrapper);
    if (refusal != NULL) {
        record_refuse(result, refusal);
        return;
    }
    av_shrink_packet(packet, (int)wrapper.image_bytes);
    result->decode_errors = wrapper.damaged_count;

    CLEANUP_FRAME AVFrame *frame = still_decode(packet, type, true);
    if (frame == NULL) {
        frame = still_decode(packet, type, false);
        result->decode_errors++;
    } else if (frame->decode_error_flags != 0) {
        result->decode_errors++;
    }
    if (frame == NULL) {
        record_refuse(result, "undecodable");
        return;
    }
    still_measure(arena, frame, result);
}
