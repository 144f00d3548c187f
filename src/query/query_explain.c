/*
 * query_explain.c: what a query looked at, for people and for programs. One table says the name,
 * the words and the place of each figure, so that both forms always tell the same.
 */
#include "base/json.h"
#include "base/text.h"
#include "query/query_int.h"

struct figure {
    const char *name, *words;
    size_t offset;
};

#define FIGURE(member, words)                                  \
    {                                                          \
#member, words, offsetof(struct query_explain, member) \
    }
static const struct figure figures[] = {
    FIGURE(leaves, "leaves considered"),
    FIGURE(leaves_skipped_tree, "leaves skipped by the tree"),
    FIGURE(files, "files considered"),
    FIGURE(files_skipped_bounds, "files skipped by their bounds"),
    FIGURE(files_from_metadata, "files counted from metadata"),
    FIGURE(files_read, "files read"),
    FIGURE(row_groups, "row groups considered"),
    FIGURE(row_groups_skipped_statistics, "row groups skipped by statistics"),
    FIGURE(row_groups_skipped_bloom, "row groups skipped by bloom filters"),
    FIGURE(blooms_read, "bloom filters read"),
    FIGURE(row_groups_read, "row groups read"),
    FIGURE(pages, "pages considered"),
    FIGURE(pages_skipped_index, "pages skipped by the page index"),
    FIGURE(pages_skipped_rows, "pages skipped for their rows"),
    FIGURE(pages_from_cache, "pages found decoded"),
    FIGURE(pages_read, "pages read and decoded"),
    FIGURE(rows_decoded, "rows decoded"),
    FIGURE(rows_aged, "rows too old"),
    FIGURE(rows_aggregated, "rows that became part of another"),
    FIGURE(rows_hidden, "rows hidden by their labels"),
    FIGURE(bad_labels, "labels that are no expressions"),
    FIGURE(rows_given, "rows given"),
    FIGURE(requests, "requests to the store"),
    FIGURE(bytes_read, "bytes read"),
    FIGURE(cached_pieces, "pieces of files found in the cache"),
    FIGURE(cached_bytes, "bytes found in the cache"),
    FIGURE(sent_reads, "GET and HEAD requests sent"),
    FIGURE(sent_lists, "list requests sent"),
    FIGURE(sent_writes, "PUT and POST requests sent"),
    FIGURE(sent_deletes, "delete requests sent"),
    FIGURE(nanodollars, "billionths of a dollar for all of these (glis.price)"),
};
enum { N_FIGURES = sizeof figures / sizeof *figures };

static uint64_t figure_value(const struct query_explain *explain, const struct figure *figure)
{
    uint64_t value;
    memcpy(&value, (const char *)explain + figure->offset, sizeof value);
    return value;
}

int query_explain_text(const struct query_explain *explain, struct buffer *out)
{
    TRY(buffer_printf(out, "record %llu, order: %s\n", (unsigned long long)explain->record,
                      explain->order ? explain->order : "none"));
    for (size_t i = 0; i < N_FIGURES; i++) {
        uint64_t value = figure_value(explain, &figures[i]);
        if (value > 0) /* what did not happen is not told; the JSON form has all */
            TRY(buffer_printf(out, "%12llu  %s\n", (unsigned long long)value, figures[i].words));
    }
    return buffer_printf(out, "%12.3f  ms in all: state %.3f, plan %.3f\n",
                         (double)explain->total_ns / 1e6, (double)explain->state_ns / 1e6,
                         (double)explain->plan_ns / 1e6);
}

int query_explain_json(const struct query_explain *explain, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out, 0);
    json_write_object_begin(&writer);
    json_write_field_uint(&writer, "record", explain->record);
    json_write_field_text(&writer, "order", explain->order ? explain->order : "none");
    for (size_t i = 0; i < N_FIGURES; i++)
        json_write_field_uint(&writer, figures[i].name, figure_value(explain, &figures[i]));
    json_write_field_int(&writer, "state_ns", explain->state_ns);
    json_write_field_int(&writer, "plan_ns", explain->plan_ns);
    json_write_field_int(&writer, "total_ns", explain->total_ns);
    json_write_object_end(&writer);
    return json_writer_finish(&writer);
}
