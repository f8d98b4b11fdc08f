#include "platform/media_versions.h"

#include "base/macros.h"

#include <ebur128.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
#include <pthread.h>
#include <stdio.h>

enum { VERSIONS_BYTES_MAX = 200 };

static char           versions[VERSIONS_BYTES_MAX];
static pthread_once_t versions_once = PTHREAD_ONCE_INIT;

static void versions_write(void)
{
    static const struct {
        const char *name;
        unsigned (*version)(void);
    } libraries[] = {
        { "libavformat", avformat_version },     { "libavcodec", avcodec_version },
        { "libavutil", avutil_version },         { "libswscale", swscale_version },
        { "libswresample", swresample_version },
    };
    size_t len = 0;
    for (size_t i = 0; i < COUNT_OF(libraries); i++) {
        unsigned version = libraries[i].version();
        len += (size_t)snprintf(versions + len, sizeof(versions) - len, "%s %u.%u.%u, ",
                                libraries[i].name, AV_VERSION_MAJOR(version),
                                AV_VERSION_MINOR(version), AV_VERSION_MICRO(version));
        CHECK(len < sizeof(versions));
    }
    int major, minor, patch;
    ebur128_get_version(&major, &minor, &patch);
    snprintf(versions + len, sizeof(versions) - len, "libebur128 %d.%d.%d", major, minor, patch);
}

const char *media_library_versions(void)
{
    pthread_once(&versions_once, versions_write);
    return versions;
}
