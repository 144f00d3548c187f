/*
 * codec_write.c: compression of pages: zstd with a context kept over a chunk's pages, snappy, or
 * none.
 */
#include "parquet/parquet_int.h"

#include <snappy-c.h>
#include <zstd.h>

static int compress_zstd_page(struct codec_writer *writer, struct slice in, struct buffer *out)
{
    if (!writer->context) {
        writer->context = ZSTD_createCCtx();
        if (!writer->context) return error_set(GLIS_ENOMEM, "no memory for zstd");
    }
    size_t bound = ZSTD_compressBound(in.size);
    TRY(buffer_reserve(out, bound));
    size_t size = ZSTD_compressCCtx(writer->context, out->data + out->size, bound, in.data, in.size,
                                    writer->level);
    if (ZSTD_isError(size))
        return error_set(GLIS_ENOMEM, "zstd cannot compress: %s", ZSTD_getErrorName(size));
    out->size += size;
    return 0;
}

int codec_compress(struct codec_writer *writer, struct slice in, struct buffer *out)
{
    if (writer->codec == PARQUET_UNCOMPRESSED) return buffer_append_slice(out, in);
    if (writer->codec == PARQUET_ZSTD) return compress_zstd_page(writer, in, out);
    size_t size = snappy_max_compressed_length(in.size);
    TRY(buffer_reserve(out, size));
    if (snappy_compress(in.data, in.size, (char *)out->data + out->size, &size) != SNAPPY_OK)
        return error_set(GLIS_ELIMIT, "snappy cannot compress %zu bytes", in.size);
    out->size += size;
    return 0;
}

void codec_writer_free(struct codec_writer *writer)
{
    ZSTD_freeCCtx(writer->context);
    writer->context = NULL;
}
