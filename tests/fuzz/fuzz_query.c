/*
 * fuzz_query.c: queries as JSON, and cursors: any bytes give a query whose regions can be asked
 * for, or an error.
 */
#include "fuzz.h"

#include "query/query_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice text = slice_make(data, size);
    struct schema *schema;
    struct query query;
    struct query_cursor cursor;
    struct row_intervals intervals;
    int code = schema_from_json(
        SLICE("{\"rowKeyFields\":[{\"name\":\"key\",\"type\":\"StringType\"},{\"name\":\"n\","
              "\"type\":\"IntType\"}],\"valueFields\":[{\"name\":\"v\",\"type\":\"DoubleType\"}]}"),
        &schema);
    ASSERT(code == 0);
    if (query_from_json(text, schema, &arena, &query) == 0) {
        row_intervals_make(query.regions, query.n_regions, 2, &arena, &intervals);
        ASSERT(row_intervals_validate(&intervals) == 0);
    }
    if (query_cursor_from_text(text, &arena, &cursor) == 0) ASSERT(cursor.record > 0);
    schema_release(schema);
    return 0;
}
