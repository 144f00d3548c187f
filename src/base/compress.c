/*
 * compress.c: zstd behind two functions. The size of the result is known before anything is
 * decompressed, from the frame's header, so a small hostile frame cannot ask for much memory
 * unseen: what it claims is held against the limit, reserved in the buffer, and must then come out
 * exactly.
 */
#include "base/compress.h"

#include <zstd.h>

bool compress_is_zstd(struct slice bytes)
{
    return slice_starts_with(bytes, SLICE("\x28\xb5\x2f\xfd"));
}

int compress_zstd(struct buffer *out, struct slice bytes, int level)
{
    size_t bound = ZSTD_compressBound(bytes.size);
    if (ZSTD_isError(bound))
        return error_set(GLIS_ELIMIT, "%zu bytes are too many for one zstd frame", bytes.size);
    TRY(buffer_reserve(out, bound));
    size_t size = ZSTD_compress(out->data + out->size, bound, bytes.data, bytes.size, level);
    if (ZSTD_isError(size))
        return error_set(GLIS_ENOMEM, "zstd cannot compress: %s", ZSTD_getErrorName(size));
    out->size += size;
    return 0;
}

int decompress_zstd(struct buffer *out, struct slice frame, uint64_t max_bytes)
{
    size_t whole = ZSTD_findFrameCompressedSize(frame.data, frame.size);
    if (ZSTD_isError(whole) || whole != frame.size)
        return error_set(GLIS_ECORRUPT, "not one whole zstd frame");
    unsigned long long size = ZSTD_getFrameContentSize(frame.data, frame.size);
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
        return error_set(GLIS_ECORRUPT, "a zstd frame that does not state its content's size");
    if (size > max_bytes)
        return error_set(GLIS_ELIMIT, "a zstd frame of %llu bytes; at most %llu are allowed here",
                         size, (unsigned long long)max_bytes);
    TRY(buffer_reserve(out, (size_t)size));
    size_t got = ZSTD_decompress(out->data + out->size, (size_t)size, frame.data, frame.size);
    if (ZSTD_isError(got) || got != size)
        return error_set(GLIS_ECORRUPT, "a damaged zstd frame: %s",
                         ZSTD_isError(got) ? ZSTD_getErrorName(got) : "wrong size");
    out->size += got;
    return 0;
}
