/* libav's way to the file: pread on one descriptor, nothing else. Also the list of codecs we let
 * it use, and what every decoder is opened with. For the child's media files only. */
#ifndef FIRSTHAND_PLATFORM_MEDIA_IO_H
#define FIRSTHAND_PLATFORM_MEDIA_IO_H

#include "base/str.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

enum {
    MEDIA_PROBE_BYTES_MAX = 8 << 20,
    MEDIA_STREAMS_COUNT_MAX = 16,
    MEDIA_ALLOCATION_BYTES_MAX = 320 << 20, /* one libav allocation: 64 MPixel of 4 bytes fit */
};

struct media_input {
    int              fd;
    int64_t          size_bytes;
    int64_t          offset;
    AVIOContext     *io;
    AVFormatContext *format;
};

/* Up to count bytes from offset; how many there were (fewer at the end of the file). A disk that
 * does not give them says nothing about the file: it ends this process, as in media_check_memory.
 */
size_t media_read_at(int fd, int64_t offset, void *bytes, size_t count);

/* Open the file with the named demuxer, no guessing. false when its headers cannot be read; the
 * input is to be closed in either case. */
MUST_USE bool media_input_open(struct media_input *input, int fd, int64_t size_bytes,
                               const char *demuxer_name);
void          media_input_close(struct media_input *input);

/* Load every decoder's and demuxer's tables by opening each once. */
void media_io_prepare(void);

bool media_codec_is_known(enum AVCodecID codec_id);

/* A single-threaded decoder with our limits; parameters may be NULL. NULL when the codec is not
 * known or refuses the parameters. */
AVCodecContext *media_decoder_open(enum AVCodecID codec_id, const AVCodecParameters *parameters,
                                   AVRational time_base);

/* Running out of memory says nothing about the file: end this process, which the server reads as
 * "could not score". Does nothing for any other libav error. */
void media_check_memory(int av_error);

#define CLEANUP_DECODER CLEANUP(avcodec_free_context)
#define CLEANUP_FRAME   CLEANUP(av_frame_free)
#define CLEANUP_PACKET  CLEANUP(av_packet_free)

#endif
