/*
 * footer_write.c: FileMetaData and the page indexes, field by field as parquet.thrift numbers them.
 */
#include "parquet/parquet_int.h"

static const struct page_record *pages_of(const struct chunk_record *chunk)
{
    return (const struct page_record *)(void *)chunk->pages.data;
}

int column_index_write(const struct chunk_record *chunk, struct buffer *out)
{
    const struct page_record *pages = pages_of(chunk);
    const uint8_t *text = chunk->bounds_text.data;
    struct thrift_writer writer;
    thrift_write_begin(&writer, out);
    thrift_write_list(&writer, 1, THRIFT_TRUE, chunk->n_pages);
    for (uint32_t i = 0; i < chunk->n_pages; i++)
        thrift_write_boolean_element(&writer, pages[i].n_values == 0);
    thrift_write_list(&writer, 2, THRIFT_BINARY, chunk->n_pages);
    for (uint32_t i = 0; i < chunk->n_pages; i++)
        thrift_write_binary_element(
            &writer, pages[i].min_size ? slice_make(text + pages[i].min_at, pages[i].min_size)
                                       : SLICE_EMPTY);
    thrift_write_list(&writer, 3, THRIFT_BINARY, chunk->n_pages);
    for (uint32_t i = 0; i < chunk->n_pages; i++)
        thrift_write_binary_element(
            &writer, pages[i].max_size ? slice_make(text + pages[i].max_at, pages[i].max_size)
                                       : SLICE_EMPTY);
    thrift_write_integer(&writer, 4, THRIFT_I32, chunk->boundary_order);
    thrift_write_list(&writer, 5, THRIFT_I64, chunk->n_pages);
    for (uint32_t i = 0; i < chunk->n_pages; i++)
        thrift_write_integer_element(&writer, pages[i].n_nulls);
    write_page_levels(&writer, chunk);
    return thrift_write_finish(&writer);
}

int offset_index_write(const struct chunk_record *chunk, struct buffer *out)
{
    const struct page_record *pages = pages_of(chunk);
    struct thrift_writer writer;
    thrift_write_begin(&writer, out);
    thrift_write_list(&writer, 1, THRIFT_STRUCT, chunk->n_pages);
    for (uint32_t i = 0; i < chunk->n_pages; i++) {
        thrift_write_struct(&writer, 0);
        thrift_write_integer(&writer, 1, THRIFT_I64, (int64_t)(chunk->start + pages[i].offset));
        thrift_write_integer(&writer, 2, THRIFT_I32, pages[i].size);
        thrift_write_integer(&writer, 3, THRIFT_I64, pages[i].first_row);
        thrift_write_end(&writer);
    }
    write_page_text_bytes(&writer, chunk);
    return thrift_write_finish(&writer);
}

static void write_statistics(struct thrift_writer *writer, const struct chunk_record *chunk)
{
    const uint8_t *text = chunk->bounds_text.data;
    thrift_write_struct(writer, 12);
    thrift_write_integer(writer, 3, THRIFT_I64, chunk->n_nulls);
    if (chunk->has_bounds) {
        thrift_write_binary(writer, 5,
                            chunk->max_size ? slice_make(text + chunk->max_at, chunk->max_size)
                                            : SLICE_EMPTY);
        thrift_write_binary(writer, 6,
                            chunk->min_size ? slice_make(text + chunk->min_at, chunk->min_size)
                                            : SLICE_EMPTY);
        thrift_write_boolean(writer, 7, chunk->max_exact);
        thrift_write_boolean(writer, 8, chunk->min_exact);
    }
    thrift_write_end(writer);
}

static void write_chunk(struct thrift_writer *writer, const struct footer_input *input,
                        const struct write_leaf *leaf, const struct chunk_record *chunk)
{
    thrift_write_struct(writer, 0);
    thrift_write_integer(writer, 2, THRIFT_I64, 0);
    thrift_write_struct(writer, 3);
    thrift_write_integer(writer, 1, THRIFT_I32, leaf->type);
    thrift_write_list(writer, 2, THRIFT_I32, (uint32_t)__builtin_popcount(chunk->encodings));
    for (int e = 0; e < 32; e++)
        if (chunk->encodings >> e & 1) thrift_write_integer_element(writer, e);
    thrift_write_list(writer, 3, THRIFT_BINARY, leaf->n_names);
    for (unsigned i = 0; i < leaf->n_names; i++)
        thrift_write_binary_element(writer, leaf->names[i]);
    thrift_write_integer(writer, 4, THRIFT_I32, input->options->codec);
    thrift_write_integer(writer, 5, THRIFT_I64, chunk->n_entries);
    thrift_write_integer(writer, 6, THRIFT_I64, (int64_t)chunk->uncompressed_bytes);
    thrift_write_integer(writer, 7, THRIFT_I64, (int64_t)chunk->compressed_bytes);
    thrift_write_integer(writer, 9, THRIFT_I64, (int64_t)(chunk->start + chunk->dictionary_size));
    if (chunk->dictionary_size) thrift_write_integer(writer, 11, THRIFT_I64, (int64_t)chunk->start);
    write_statistics(writer, chunk);
    if (chunk->bloom_size) {
        thrift_write_integer(writer, 14, THRIFT_I64, (int64_t)chunk->bloom_offset);
        thrift_write_integer(writer, 15, THRIFT_I32, (int64_t)chunk->bloom_size);
    }
    write_chunk_sizes(writer, chunk);
    thrift_write_end(writer);
    thrift_write_integer(writer, 4, THRIFT_I64, (int64_t)chunk->offset_index_offset);
    thrift_write_integer(writer, 5, THRIFT_I32, (int64_t)chunk->offset_index_size);
    if (chunk->has_column_index) {
        thrift_write_integer(writer, 6, THRIFT_I64, (int64_t)chunk->column_index_offset);
        thrift_write_integer(writer, 7, THRIFT_I32, (int64_t)chunk->column_index_size);
    }
    thrift_write_end(writer);
}

/* The first fields, as far as they are leaves. */
static void write_sorting(struct thrift_writer *writer, const struct footer_input *input)
{
    uint32_t n = 0;
    while (n < input->options->n_sorting_columns && n < input->n_leaves &&
           input->leaves[n].n_path == 1)
        n++;
    if (n == 0) return;
    thrift_write_list(writer, 4, THRIFT_STRUCT, n);
    for (uint32_t i = 0; i < n; i++) {
        thrift_write_struct(writer, 0);
        thrift_write_integer(writer, 1, THRIFT_I32, i);
        thrift_write_boolean(writer, 2, false);
        thrift_write_boolean(writer, 3, false);
        thrift_write_end(writer);
    }
}

static void write_row_group(struct thrift_writer *writer, const struct footer_input *input,
                            uint32_t number)
{
    const struct group_record *group = &input->groups[number];
    uint64_t uncompressed = 0, compressed = 0;
    thrift_write_struct(writer, 0);
    thrift_write_list(writer, 1, THRIFT_STRUCT, input->n_leaves);
    for (uint32_t i = 0; i < input->n_leaves; i++) {
        write_chunk(writer, input, &input->leaves[i], &group->chunks[i]);
        uncompressed += group->chunks[i].uncompressed_bytes;
        compressed += group->chunks[i].compressed_bytes;
    }
    thrift_write_integer(writer, 2, THRIFT_I64, (int64_t)uncompressed);
    thrift_write_integer(writer, 3, THRIFT_I64, group->n_rows);
    write_sorting(writer, input);
    if (input->n_leaves)
        thrift_write_integer(writer, 5, THRIFT_I64, (int64_t)group->chunks[0].start);
    thrift_write_integer(writer, 6, THRIFT_I64, (int64_t)compressed);
    if (number <= INT16_MAX) thrift_write_integer(writer, 7, THRIFT_I16, number);
    thrift_write_end(writer);
}

int footer_write(const struct footer_input *input, struct buffer *out)
{
    struct thrift_writer writer;
    int64_t n_rows = 0;
    for (uint32_t i = 0; i < input->n_groups; i++)
        n_rows += input->groups[i].n_rows;
    thrift_write_begin(&writer, out);
    thrift_write_integer(&writer, 1, THRIFT_I32, 2);
    write_schema_elements(&writer, 2, input->schema, &input->options->annotations);
    thrift_write_integer(&writer, 3, THRIFT_I64, n_rows);
    thrift_write_list(&writer, 4, THRIFT_STRUCT, input->n_groups);
    for (uint32_t i = 0; i < input->n_groups; i++)
        write_row_group(&writer, input, i);
    if (input->n_key_values) thrift_write_list(&writer, 5, THRIFT_STRUCT, input->n_key_values);
    for (uint32_t i = 0; i < input->n_key_values; i++) {
        thrift_write_struct(&writer, 0);
        thrift_write_binary(&writer, 1, input->key_values[i].key);
        thrift_write_binary(&writer, 2, input->key_values[i].value);
        thrift_write_end(&writer);
    }
    thrift_write_binary(&writer, 6, SLICE("glis version " GLIS_VERSION));
    thrift_write_list(&writer, 7, THRIFT_STRUCT, input->n_leaves);
    for (uint32_t i = 0; i < input->n_leaves; i++) {
        thrift_write_struct(&writer, 0);
        thrift_write_struct(&writer, 1);
        thrift_write_end(&writer);
        thrift_write_end(&writer);
    }
    return thrift_write_finish(&writer);
}
