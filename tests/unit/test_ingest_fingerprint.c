/*
 * test_ingest_fingerprint.c: the same rows give the same hash however they are cut, shared or
 * sliced; any other value, order, null or number of rows gives another.
 */
#include "sorting.h"

#include "lsm/ingest_int.h"

static const struct type keys[] = {{.kind = TYPE_INT64}, {.kind = TYPE_BOOLEAN}};

static struct hash128 hash_of(const struct schema *schema, struct batch *const *batches, size_t n)
{
    struct row_hash *rows = row_hash_new(schema);
    struct hash_stream *stream = hash_stream_new();
    for (size_t i = 0; i < n; i++)
        row_hash_add(rows, batches[i]);
    row_hash_finish(rows, stream);
    struct hash128 hash = hash_stream_128(stream);
    hash_stream_free(stream);
    row_hash_free(rows);
    return hash;
}

static bool same(struct hash128 a, struct hash128 b)
{
    return a.high == b.high && a.low == b.low;
}

static void how_rows_are_cut_does_not_matter(void **state)
{
    (void)state;
    struct random *random = random_seeded_new(5);
    struct schema *schema = sorting_schema(keys, 1, 1);
    struct batch *whole = sorting_batch(schema, random, 1000, 0, 1000);
    struct hash128 expected = hash_of(schema, &whole, 1);
    static const int64_t sizes[] = {1, 7, 8, 100, 999};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct batch *pieces[1000];
        size_t n = 0;
        for (int64_t row = 0; row < 1000; row += sizes[i]) {
            int64_t size = 1000 - row < sizes[i] ? 1000 - row : sizes[i];
            assert_ok(batch_slice(whole, row, size, &pieces[n++]));
        }
        assert_true(same(hash_of(schema, pieces, n), expected));
        for (size_t j = 0; j < n; j++)
            batch_release(pieces[j]);
    }
    batch_release(whole);
    schema_release(schema);
    random_seeded_free(random);
}

/* Rows of (k0, k1, text, numbers, id), one of which is changed in one place. */
static struct batch *changed(const struct schema *schema, int change)
{
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (int row = 0; row < 3; row++) {
        bool here = row == 1;
        assert_ok(column_builder_append_integer(batch_builder_column(builder, 0),
                                                here && change == 1 ? 5 : 4));
        assert_ok(
            column_builder_append_integer(batch_builder_column(builder, 1), here && change == 2));
        struct column_builder *text = batch_builder_column(builder, 2);
        if (here && change == 3)
            assert_ok(column_builder_append_null(text));
        else
            assert_ok(
                column_builder_append_bytes(text, here && change == 4 ? SLICE("") : SLICE("ab")));
        struct column_builder *numbers = batch_builder_column(builder, 3);
        if (here && change == 5)
            assert_ok(column_builder_append_integer(column_builder_child(numbers, 0), 9));
        assert_ok(column_builder_end(numbers));
        if (change == 6 && row == 2) /* the element belongs to the next row */
            batch_builder_drop_row(builder);
        else
            assert_ok(column_builder_append_integer(batch_builder_column(builder, 4), row));
        if (!(change == 6 && row == 2)) assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    return batch;
}

static void any_other_value_gives_another_hash(void **state)
{
    (void)state;
    struct schema *schema = sorting_schema(keys, 1, 1);
    struct hash128 hashes[7];
    for (int change = 0; change < 7; change++) {
        struct batch *batch = changed(schema, change);
        hashes[change] = hash_of(schema, &batch, 1);
        batch_release(batch);
        for (int other = 0; other < change; other++) {
            if (same(hashes[change], hashes[other]))
                fail_msg("changes %d and %d give one hash", other, change);
        }
    }
    schema_release(schema);
}

static void order_matters(void **state)
{
    (void)state;
    struct schema *schema = sorting_schema(keys, 1, 1);
    struct batch *batch = changed(schema, 1), *rows[2];
    assert_ok(batch_slice(batch, 0, 1, &rows[0]));
    assert_ok(batch_slice(batch, 1, 1, &rows[1]));
    struct batch *turned[] = {rows[1], rows[0]};
    assert_false(same(hash_of(schema, rows, 2), hash_of(schema, turned, 2)));
    batch_release(rows[0]);
    batch_release(rows[1]);
    batch_release(batch);
    schema_release(schema);
}

/* Rows (k, n) or (k, n, added), n of the kind given and sometimes null; `added` is null, or in the
 * last row a text. */
static struct hash128 hash_in_form(enum type_kind n_kind, bool with_column, bool with_text)
{
    const struct field fields[] = {{SLICE("k"), {.kind = TYPE_INT64}, false},
                                   {SLICE("n"), {.kind = n_kind}, true},
                                   {SLICE("added"), {.kind = TYPE_STRING}, true}};
    struct schema *schema;
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(schema_new(&schema, fields, with_column ? 3 : 2, 1, 0));
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (int row = 0; row < 600; row++) {
        struct column_builder *n = batch_builder_column(builder, 1);
        assert_ok(column_builder_append_integer(batch_builder_column(builder, 0), row));
        if (row % 5 == 1)
            assert_ok(column_builder_append_null(n));
        else
            assert_ok(column_builder_append_integer(n, row - 300));
        if (with_column && with_text && row == 599)
            assert_ok(column_builder_append_bytes(batch_builder_column(builder, 2), SLICE("x")));
        else if (with_column)
            assert_ok(column_builder_append_null(batch_builder_column(builder, 2)));
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    struct hash128 hash = hash_of(schema, &batch, 1);
    batch_builder_free(builder);
    batch_release(batch);
    schema_release(schema);
    return hash;
}

/* The input of a job is the same when its table was altered before the repeat. */
static void an_added_or_widened_column_does_not_matter(void **state)
{
    (void)state;
    struct hash128 before = hash_in_form(TYPE_INT32, false, false);
    assert_true(same(before, hash_in_form(TYPE_INT32, true, false)));
    assert_true(same(before, hash_in_form(TYPE_INT64, false, false)));
    assert_true(same(before, hash_in_form(TYPE_INT64, true, false)));
    assert_false(same(before, hash_in_form(TYPE_INT32, true, true)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_rows_are_cut_does_not_matter),
        cmocka_unit_test(any_other_value_gives_another_hash),
        cmocka_unit_test(order_matters),
        cmocka_unit_test(an_added_or_widened_column_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
