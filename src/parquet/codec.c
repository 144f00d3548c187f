/*
 * codec.c: the codecs of pages, both ways: the one file of the module that knows their libraries.
 * What each codec's bytes are is said in
 * https://github.com/apache/parquet-format/blob/master/Compression.md. The deprecated LZ4 has been
 * three things: blocks in Hadoop's framing (sizes in big-endian), a frame of LZ4's own, and a bare
 * block; they are told apart by trying, which is safe, for only one of them gives exactly the size
 * that the page's header says.
 *
 * A decompressor is told how much must come out and gets room for no more; it answers with an error
 * for anything else. Contexts for zstd are kept for each thread, for making one costs as much as a
 * small page.
 */
#include "parquet/parquet_int.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <libdeflate.h>
#include <lz4.h>
#include <lz4frame.h>
#include <lz4hc.h>
#include <pthread.h>
#include <snappy-c.h>
#include <zstd.h>

/* ---- decompression ---- */

/* One context a thread, freed when it ends. */
static pthread_key_t context_key;
static pthread_once_t context_once = PTHREAD_ONCE_INIT;

static void free_context(void *context)
{
    ZSTD_freeDCtx(context);
}

static void make_context_key(void)
{
    ASSERT(pthread_key_create(&context_key, free_context) == 0);
}

static ZSTD_DCtx *zstd_context(void)
{
    pthread_once(&context_once, make_context_key);
    ZSTD_DCtx *context = pthread_getspecific(context_key);
    if (!context) {
        context = ZSTD_createDCtx();
        ASSERT(context != NULL);
        ASSERT(pthread_setspecific(context_key, context) == 0);
    }
    return context;
}

/* Also several members, one after another. */
static int gunzip(struct slice in, uint8_t *out, size_t out_size)
{
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    if (!decompressor) return error_set(GLIS_ENOMEM, "no memory for decompression");
    size_t used, made, done = 0;
    enum libdeflate_result result = LIBDEFLATE_SUCCESS;
    do {
        result = libdeflate_gzip_decompress_ex(decompressor, in.data, in.size, out + done,
                                               out_size - done, &used, &made);
        if (result != LIBDEFLATE_SUCCESS) break;
        done += made;
        in = slice_part(in, used, in.size);
    } while (in.size > 0);
    libdeflate_free_decompressor(decompressor);
    if (result != LIBDEFLATE_SUCCESS || done != out_size)
        return error_set(GLIS_ECORRUPT, "a gzip page does not hold what its header says");
    return 0;
}

static uint32_t big_endian_32(const void *at)
{
    uint32_t number;
    memcpy(&number, at, 4);
    return __builtin_bswap32(number);
}

/* Hadoop's framing: blocks of (size of all that the block holds, then pieces of (compressed size,
 * LZ4 block)). */
static bool lz4_hadoop(struct slice in, uint8_t *out, size_t out_size)
{
    size_t at = 0, done = 0;
    while (in.size - at >= 4) {
        size_t left = big_endian_32(in.data + at);
        at += 4;
        if (left > out_size - done) return false;
        while (left > 0) {
            if (in.size - at < 4) return false;
            size_t piece = big_endian_32(in.data + at);
            at += 4;
            if (piece > in.size - at || piece > INT32_MAX || left > INT32_MAX) return false;
            int made = LZ4_decompress_safe(in.data + at, (char *)out + done, (int)piece, (int)left);
            if (made <= 0) return false;
            at += piece;
            done += (size_t)made;
            left -= (size_t)made;
        }
    }
    return at == in.size && done == out_size;
}

static bool lz4_frame(struct slice in, uint8_t *out, size_t out_size)
{
    LZ4F_dctx *context;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION))) return false;
    size_t at = 0, done = 0, hint = 1;
    while (hint != 0 && at < in.size) {
        size_t used = in.size - at, made = out_size - done;
        hint = LZ4F_decompress(context, out + done, &made, in.data + at, &used, NULL);
        if (LZ4F_isError(hint) || (used == 0 && made == 0)) break;
        at += used;
        done += made;
    }
    LZ4F_freeDecompressionContext(context);
    return hint == 0 && at == in.size && done == out_size;
}

static bool lz4_block(struct slice in, uint8_t *out, size_t out_size)
{
    if (in.size > INT32_MAX || out_size > INT32_MAX) return false;
    int made = LZ4_decompress_safe(in.data, (char *)out, (int)in.size, (int)out_size);
    return made >= 0 && (size_t)made == out_size;
}

static int lz4_any(struct slice in, uint8_t *out, size_t out_size)
{
    if (lz4_hadoop(in, out, out_size) || lz4_frame(in, out, out_size) ||
        lz4_block(in, out, out_size))
        return 0;
    return error_set(GLIS_ECORRUPT, "an LZ4 page does not hold what its header says");
}

static int unbrotli(struct slice in, uint8_t *out, size_t out_size)
{
    size_t size = out_size;
    BrotliDecoderResult result =
        BrotliDecoderDecompress(in.size, (const uint8_t *)in.data, &size, out);
    if (result != BROTLI_DECODER_RESULT_SUCCESS || size != out_size)
        return error_set(GLIS_ECORRUPT, "a brotli page does not hold what its header says");
    return 0;
}

int codec_decompress(int codec, struct slice in, uint8_t *out, size_t out_size)
{
    size_t size = out_size;
    switch (codec) {
    case PARQUET_UNCOMPRESSED:
        if (in.size != out_size)
            return error_set(GLIS_ECORRUPT, "an uncompressed page has two sizes");
        if (out_size) memcpy(out, in.data, out_size);
        return 0;
    case PARQUET_SNAPPY:
        if (snappy_uncompressed_length(in.data, in.size, &size) != SNAPPY_OK || size != out_size ||
            snappy_uncompress(in.data, in.size, (char *)out, &size) != SNAPPY_OK)
            return error_set(GLIS_ECORRUPT, "a snappy page does not hold what its header says");
        return 0;
    case PARQUET_ZSTD:
        size = ZSTD_decompressDCtx(zstd_context(), out, out_size, in.data, in.size);
        if (ZSTD_isError(size))
            return error_set(GLIS_ECORRUPT, "a zstd page: %s", ZSTD_getErrorName(size));
        if (size != out_size)
            return error_set(GLIS_ECORRUPT, "a zstd page does not hold what its header says");
        return 0;
    case PARQUET_GZIP: return gunzip(in, out, out_size);
    case PARQUET_BROTLI: return unbrotli(in, out, out_size);
    case PARQUET_LZ4: return lz4_any(in, out, out_size);
    case PARQUET_LZ4_RAW:
        if (lz4_block(in, out, out_size)) return 0;
        return error_set(GLIS_ECORRUPT, "an LZ4 page does not hold what its header says");
    default:
        return error_set(GLIS_EUNSUPPORTED, "pages compressed with %s are not read",
                         parquet_codec_name(codec));
    }
}

/* ---- compression ---- */

bool codec_is_written(int codec)
{
    return codec == PARQUET_UNCOMPRESSED || codec == PARQUET_SNAPPY || codec == PARQUET_GZIP ||
           codec == PARQUET_BROTLI || codec == PARQUET_ZSTD || codec == PARQUET_LZ4_RAW;
}

/* The level taken when none is asked for, and the highest. */
static int level_of(const struct codec_writer *writer, int usual, int max)
{
    int level = writer->level ? writer->level : usual;
    return level > max ? max : level;
}

static size_t bound_of(const struct codec_writer *writer, size_t size)
{
    switch (writer->codec) {
    case PARQUET_SNAPPY: return snappy_max_compressed_length(size);
    case PARQUET_GZIP: return libdeflate_gzip_compress_bound(writer->context, size);
    case PARQUET_BROTLI: return BrotliEncoderMaxCompressedSize(size) + 1024;
    case PARQUET_LZ4_RAW: return (size_t)LZ4_COMPRESSBOUND(size);
    default: return ZSTD_compressBound(size);
    }
}

static int make_context(struct codec_writer *writer)
{
    if (writer->codec == PARQUET_ZSTD)
        writer->context = ZSTD_createCCtx();
    else if (writer->codec == PARQUET_GZIP)
        writer->context = libdeflate_alloc_compressor(level_of(writer, 6, 12));
    else
        return 0;
    return writer->context ? 0 : error_set(GLIS_ENOMEM, "no memory for compression");
}

int codec_compress(struct codec_writer *writer, struct slice in, struct buffer *out)
{
    if (writer->codec == PARQUET_UNCOMPRESSED) return buffer_append_slice(out, in);
    if (in.size > PARQUET_PAGE_BYTES_MAX)
        return error_set(GLIS_ELIMIT, "a page of %zu bytes", in.size);
    if (!writer->context) TRY(make_context(writer));
    size_t size = bound_of(writer, in.size);
    TRY(buffer_reserve(out, size));
    uint8_t *to = out->data + out->size;
    bool done = true;
    switch (writer->codec) {
    case PARQUET_SNAPPY:
        done = snappy_compress(in.data, in.size, (char *)to, &size) == SNAPPY_OK;
        break;
    case PARQUET_GZIP:
        size = libdeflate_gzip_compress(writer->context, in.data, in.size, to, size);
        done = size > 0;
        break;
    case PARQUET_BROTLI:
        done = BrotliEncoderCompress(level_of(writer, 4, 11), BROTLI_DEFAULT_WINDOW,
                                     BROTLI_MODE_GENERIC, in.size, (const uint8_t *)in.data, &size,
                                     to) == BROTLI_TRUE;
        break;
    case PARQUET_LZ4_RAW: {
        int level = level_of(writer, 1, 12);
        int made = level < 3 ? LZ4_compress_default(in.data, (char *)to, (int)in.size, (int)size)
                             : LZ4_compress_HC(in.data, (char *)to, (int)in.size, (int)size, level);
        done = made > 0;
        size = (size_t)made;
        break;
    }
    default:
        size = ZSTD_compressCCtx(writer->context, to, size, in.data, in.size,
                                 level_of(writer, 1, ZSTD_maxCLevel()));
        done = !ZSTD_isError(size);
    }
    if (!done)
        return error_set(GLIS_ENOMEM, "%s cannot compress %zu bytes",
                         parquet_codec_name(writer->codec), in.size);
    out->size += size;
    return 0;
}

void codec_writer_free(struct codec_writer *writer)
{
    if (writer->codec == PARQUET_ZSTD) ZSTD_freeCCtx(writer->context);
    if (writer->codec == PARQUET_GZIP && writer->context)
        libdeflate_free_compressor(writer->context);
    writer->context = NULL;
}
