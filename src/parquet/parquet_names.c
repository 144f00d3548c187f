/*
 * parquet_names.c: the format's own names of its numbers (parquet.thrift), for people.
 */
#include "parquet/parquet.h"

#include <string.h>

static const char *name_of(const char *const *names, size_t n, int number)
{
    return number >= 0 && (size_t)number < n && names[number] ? names[number] : "?";
}

const char *parquet_type_name(int type)
{
    static const char *const names[] = {"BOOLEAN", "INT32",  "INT64",      "INT96",
                                        "FLOAT",   "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"};
    return name_of(names, sizeof(names) / sizeof(*names), type);
}

const char *parquet_encoding_name(int encoding)
{
    static const char *const names[] = {
        [PARQUET_PLAIN] = "PLAIN",
        [PARQUET_PLAIN_DICTIONARY] = "PLAIN_DICTIONARY",
        [PARQUET_RLE] = "RLE",
        [PARQUET_BIT_PACKED] = "BIT_PACKED",
        [PARQUET_DELTA_BINARY_PACKED] = "DELTA_BINARY_PACKED",
        [PARQUET_DELTA_LENGTH_BYTE_ARRAY] = "DELTA_LENGTH_BYTE_ARRAY",
        [PARQUET_DELTA_BYTE_ARRAY] = "DELTA_BYTE_ARRAY",
        [PARQUET_RLE_DICTIONARY] = "RLE_DICTIONARY",
        [PARQUET_BYTE_STREAM_SPLIT] = "BYTE_STREAM_SPLIT",
    };
    return name_of(names, sizeof(names) / sizeof(*names), encoding);
}

const char *parquet_codec_name(int codec)
{
    static const char *const names[] = {"UNCOMPRESSED", "SNAPPY", "GZIP", "LZO",
                                        "BROTLI",       "LZ4",    "ZSTD", "LZ4_RAW"};
    return name_of(names, sizeof(names) / sizeof(*names), codec);
}

const char *parquet_annotation_name(int kind)
{
    static const char *const names[] = {
        [PARQUET_ENUM] = "ENUM",          [PARQUET_JSON] = "JSON",
        [PARQUET_BSON] = "BSON",          [PARQUET_UUID] = "UUID",
        [PARQUET_VARIANT] = "VARIANT",    [PARQUET_GEOMETRY] = "GEOMETRY",
        [PARQUET_GEOGRAPHY] = "GEOGRAPHY"};
    return name_of(names, sizeof(names) / sizeof(*names), kind);
}

const char *parquet_edges_name(int edge_algorithm)
{
    static const char *const names[] = {"SPHERICAL", "VINCENTY", "THOMAS", "ANDOYER", "KARNEY"};
    return name_of(names, sizeof(names) / sizeof(*names), edge_algorithm);
}

/* Finds a name among the first n. */
static int number_of(struct slice name, const char *(*name_at)(int), int n)
{
    for (int i = 0; i < n; i++) {
        const char *candidate = name_at(i);
        if (strlen(candidate) == name.size && strncasecmp(candidate, name.data, name.size) == 0)
            return i;
    }
    return -1;
}

int parquet_encoding_parse(struct slice name)
{
    return number_of(name, parquet_encoding_name, PARQUET_BYTE_STREAM_SPLIT + 1);
}

int parquet_codec_parse(struct slice name)
{
    return number_of(name, parquet_codec_name, PARQUET_LZ4_RAW + 1);
}
