/*
 * cmd_table_estimate.c: `glis table estimate-splits`: split points for a table that does not exist
 * yet, from files that will come into it. No instance is needed, and nothing is written.
 */
#include "cli/command.h"
#include "lsm/lsm.h"
#include "sketch/sketch.h"

#include "base/text.h"

enum { ITEMS_PER_LEAF = 8 };

static int append_point(const struct schema *schema, struct slice point, bool base64,
                        struct buffer *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct type *type = &schema->fields[0].type;
    struct value value;
    TRY(key_decode(schema, point, 1, &arena, &value));
    if (base64 && type->kind == TYPE_STRING) return text_base64_encode(out, value.bytes);
    return value_to_text(type, &value, out);
}

static int print_points(struct cli *cli, const struct schema *schema, const struct slice *points,
                        size_t n)
{
    struct json_writer writer;
    if (cli->json) {
        cli_json_begin(cli, &writer);
        json_write_array_begin(&writer);
    }
    for (size_t i = 0; i < n; i++) {
        defer_buffer struct buffer text = BUFFER_INIT((size_t)1 << 20);
        TRY(append_point(schema, points[i], cli_flag(cli, "base64"), &text));
        if (cli->json) {
            json_write_string(&writer, buffer_slice(&text));
            continue;
        }
        TRY(buffer_append_byte(&text, '\n'));
        cli_print_slice(cli, buffer_slice(&text));
    }
    if (!cli->json) return 0;
    json_write_array_end(&writer);
    return cli_json_end(cli, &writer);
}

static int estimate(struct cli *cli, const struct schema *schema, uint64_t n_leaves)
{
    struct ingest_options options = {.ignore_extra_columns = true};
    struct file_sketches *sketches;
    uint64_t k = n_leaves * ITEMS_PER_LEAF;
    if (k < KLL_K_DEFAULT) k = KLL_K_DEFAULT;
    if (k > KLL_K_MAX) k = KLL_K_MAX;
    TRY(input_sketches(&cli->runtime, schema, cli->arguments, cli->n_arguments, &options,
                       (uint32_t)k, &sketches));
    const struct kll *keys = sketches->fields[0].quantiles;
    const struct kll_view *view;
    struct slice *points;
    size_t n = 0;
    int code = kll_view_new(&keys, 1, &cli->arena, &view);
    if (code == 0) code = estimate_split_points(view, n_leaves, &cli->arena, &points, &n);
    if (code == 0) code = print_points(cli, schema, points, n);
    if (code == 0 && n + 1 < n_leaves)
        cli_note("the keys make %zu leaves, not %llu: there are %llu rows, of which many have the "
                 "same key",
                 n + 1, (unsigned long long)n_leaves, (unsigned long long)view->count);
    file_sketches_free(sketches);
    return code;
}

int cmd_table_estimate_splits(struct cli *cli)
{
    int64_t n_leaves;
    if (cli_flag(cli, "schema") + cli_flag(cli, "like") != 1)
        return cli_usage(cli, "either --schema FILE or --like FILE says what the rows look like");
    if (!cli_flag(cli, "leaves")) return cli_usage(cli, "--leaves N says how many leaves to make");
    TRY_CONTEXT(text_parse_int_between(cli_value(cli, "leaves"), 1, PRESPLIT_LEAVES_MAX, &n_leaves),
                "--leaves");
    struct schema *schema = NULL;
    TRY(cli_start_threads(cli));
    TRY(cli_schema_read(cli, &schema));
    int code = schema_validate_table(schema);
    if (code == 0) code = estimate(cli, schema, (uint64_t)n_leaves);
    schema_release(schema);
    return code;
}
