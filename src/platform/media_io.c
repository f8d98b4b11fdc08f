#include "platform/media_io.h"

#include "platform/media.h"

#include <errno.h>
#include <libavutil/mem.h>
#include <unistd.h>

enum { IO_BUFFER_BYTES = 64 << 10 };

/* What phones, cameras, recorders and the usual editors write into the eight formats. */
static const enum AVCodecID codecs[] = {
    AV_CODEC_ID_PNG,           AV_CODEC_ID_MJPEG,        AV_CODEC_ID_WEBP,
    AV_CODEC_ID_H264,          AV_CODEC_ID_HEVC,         AV_CODEC_ID_MPEG4,
    AV_CODEC_ID_H263,          AV_CODEC_ID_PRORES,       AV_CODEC_ID_VP9,
    AV_CODEC_ID_AV1,           AV_CODEC_ID_AAC,          AV_CODEC_ID_MP3,
    AV_CODEC_ID_ALAC,          AV_CODEC_ID_AC3,          AV_CODEC_ID_EAC3,
    AV_CODEC_ID_FLAC,          AV_CODEC_ID_OPUS,         AV_CODEC_ID_AMR_NB,
    AV_CODEC_ID_PCM_U8,        AV_CODEC_ID_PCM_S8,       AV_CODEC_ID_PCM_S16LE,
    AV_CODEC_ID_PCM_S16BE,     AV_CODEC_ID_PCM_S24LE,    AV_CODEC_ID_PCM_S24BE,
    AV_CODEC_ID_PCM_S32LE,     AV_CODEC_ID_PCM_S32BE,    AV_CODEC_ID_PCM_F32LE,
    AV_CODEC_ID_PCM_F32BE,     AV_CODEC_ID_PCM_F64LE,    AV_CODEC_ID_PCM_F64BE,
    AV_CODEC_ID_PCM_ALAW,      AV_CODEC_ID_PCM_MULAW,    AV_CODEC_ID_ADPCM_MS,
    AV_CODEC_ID_ADPCM_IMA_WAV, AV_CODEC_ID_ADPCM_IMA_QT,
};

/* A hostile header may send us to an offset that pread itself refuses. */
static bool is_beyond_any_file(int reason)
{
    return reason == EINVAL || reason == EOVERFLOW;
}

size_t media_read_at(int fd, int64_t offset, void *bytes, size_t count)
{
    size_t have = 0;
    while (have < count) {
        ssize_t got = pread(fd, (char *)bytes + have, count - have, offset + (int64_t)have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && is_beyond_any_file(errno)) break;
        CHECK(got >= 0);
        if (got == 0) break;
        have += (size_t)got;
    }
    return have;
}

static int input_read(void *opaque, uint8_t *bytes, int count)
{
    struct media_input *input = opaque;
    size_t              got = media_read_at(input->fd, input->offset, bytes, (size_t)count);
    if (got == 0) return AVERROR_EOF;
    input->offset += (int64_t)got;
    return (int)got;
}

static int64_t input_seek(void *opaque, int64_t offset, int whence)
{
    struct media_input *input = opaque;
    if (whence & AVSEEK_SIZE) return input->size_bytes;
    switch (whence & ~AVSEEK_FORCE) {
    case SEEK_SET: break;
    case SEEK_CUR:
        if (__builtin_add_overflow(offset, input->offset, &offset)) return AVERROR(EINVAL);
        break;
    case SEEK_END:
        if (__builtin_add_overflow(offset, input->size_bytes, &offset)) return AVERROR(EINVAL);
        break;
    default: return AVERROR(EINVAL);
    }
    if (offset < 0) return AVERROR(EINVAL);
    input->offset = offset;
    return offset;
}

/* A file may name others (QuickTime data references): refuse them all. */
static int refuse_open(AVFormatContext *format, AVIOContext **ret_io, const char *url, int flags,
                       AVDictionary **options)
{
    (void)format, (void)url, (void)flags, (void)options;
    *ret_io = NULL;
    return AVERROR(EACCES);
}

bool media_input_open(struct media_input *input, int fd, int64_t size_bytes,
                      const char *demuxer_name)
{
    *input = (struct media_input){ .fd = fd, .size_bytes = size_bytes };
    const AVInputFormat *demuxer = av_find_input_format(demuxer_name);
    CHECK(demuxer != NULL);
    unsigned char *buffer = av_malloc(IO_BUFFER_BYTES);
    CHECK(buffer != NULL);
    input->io = avio_alloc_context(buffer, IO_BUFFER_BYTES, 0, input, input_read, NULL, input_seek);
    input->format = avformat_alloc_context();
    CHECK(input->io != NULL && input->format != NULL);
    input->format->pb = input->io;
    input->format->io_open = refuse_open;
    input->format->flags |= AVFMT_FLAG_CUSTOM_IO;
    input->format->probesize = MEDIA_PROBE_BYTES_MAX;
    input->format->max_streams = MEDIA_STREAMS_COUNT_MAX;
    /* On failure avformat_open_input frees the context and sets it to NULL. */
    return avformat_open_input(&input->format, NULL, demuxer, NULL) == 0;
}

void media_input_close(struct media_input *input)
{
    avformat_close_input(&input->format);
    if (input->io != NULL) av_freep(&input->io->buffer);
    avio_context_free(&input->io);
}

bool media_codec_is_known(enum AVCodecID codec_id)
{
    for (size_t i = 0; i < COUNT_OF(codecs); i++)
        if (codecs[i] == codec_id) return true;
    return false;
}

AVCodecContext *media_decoder_open(enum AVCodecID codec_id, const AVCodecParameters *parameters,
                                   AVRational time_base)
{
    if (!media_codec_is_known(codec_id)) return NULL;
    const AVCodec *codec = avcodec_find_decoder(codec_id);
    if (codec == NULL) return NULL;
    AVCodecContext *decoder = avcodec_alloc_context3(codec);
    CHECK(decoder != NULL);
    if (parameters != NULL && avcodec_parameters_to_context(decoder, parameters) < 0) {
        avcodec_free_context(&decoder);
        return NULL;
    }
    decoder->thread_count = 1;
    decoder->max_pixels = MEDIA_PIXELS_MAX;
    decoder->pkt_timebase = time_base;
    if (avcodec_open2(decoder, codec, NULL) < 0) avcodec_free_context(&decoder);
    return decoder;
}

void media_io_prepare(void)
{
    for (size_t i = 0; i < COUNT_OF(codecs); i++) {
        CLEANUP_DECODER AVCodecContext *decoder =
            media_decoder_open(codecs[i], NULL, (AVRational){ 1, 1000 });
        (void)decoder; /* some want parameters first; their tables are loaded by the attempt */
    }
}

void media_check_memory(int av_error)
{
    CHECK(av_error != AVERROR(ENOMEM));
}
