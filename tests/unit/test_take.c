/*
 * test_take.c: rows gathered from one and from several batches, of every type, whole and sliced,
 * plain and by dictionary. Expected values are the literals that the batches were made of.
 */
#include "batches.h"

static void check_rows(const struct batch *out, const struct json *literal, const int *wanted,
                       int64_t n)
{
    assert_ok(batch_validate(out, true));
    assert_int_equal(out->n_rows, n);
    for (int64_t i = 0; i < n; i++)
        assert_entry(&out->columns[0], i, &literal->items[wanted[i]]);
}

static void rows_are_taken_in_the_order_asked_for(void **state)
{
    (void)state;
    static const uint32_t orders[][9] = {
        {0, 1, 2, 3, 4, 5, 6, 7},
        {7, 6, 5, 4, 3, 2, 1, 0},
        {2, 2, 2, 2},
        {4, 0, 4, 1, 4, 3, 4, 2, 4},
        {1},
    };
    static const int64_t counts[] = {8, 8, 4, 9, 1, 0};
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t s = 0; s < n; s++) {
        struct batch *batch = batch_of(all[s].type, all[s].values), *out, *part;
        const struct json *json = json_of(&arena, all[s].values);
        for (size_t o = 0; o < COUNT(counts); o++) {
            const uint32_t *order = orders[o % COUNT(orders)];
            int wanted[9];
            for (int i = 0; i < 9; i++)
                wanted[i] = (int)order[i];
            assert_ok(batch_take(batch, order, counts[o], NULL, &out));
            check_rows(out, json, wanted, counts[o]);
            batch_release(out);
        }
        for (int begin = 0; begin < 8;
             begin++) { /* out of a slice, and a slice of what was taken */
            uint32_t rows[] = {0, (uint32_t)(7 - begin), 0};
            int wanted[] = {begin, 7, begin};
            assert_ok(batch_slice(batch, begin, 8 - begin, &part));
            assert_ok(batch_take(part, rows, 3, NULL, &out));
            check_rows(out, json, wanted, 3);
            batch_release(part);
            assert_ok(batch_slice(out, 1, 2, &part));
            check_rows(part, json, wanted + 1, 2);
            batch_release(part);
            batch_release(out);
        }
        batch_release(batch);
    }
}

static void batches_are_interleaved_and_joined(void **state)
{
    (void)state;
    static const struct row_source sources[] = {{2, 0}, {0, 0}, {1, 1}, {0, 2}, {2, 3}, {1, 0}};
    static const int wanted[] = {4, 0, 6, 2, 7, 5}, joined[] = {0, 1, 2, 5, 6, 4, 5, 6, 7};
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t s = 0; s < n; s++) {
        struct batch *batch = batch_of(all[s].type, all[s].values), *parts[3], *out;
        const struct json *json = json_of(&arena, all[s].values);
        assert_ok(batch_slice(batch, 0, 3, &parts[0]));
        assert_ok(batch_slice(batch, 5, 2, &parts[1]));
        assert_ok(batch_slice(batch, 4, 4, &parts[2]));
        const struct batch *const views[] = {parts[0], parts[1], parts[2]};
        assert_ok(batch_interleave(views, 3, sources, 6, NULL, &out));
        check_rows(out, json, wanted, 6);
        batch_release(out);
        assert_ok(batch_concat(views, 3, NULL, &out));
        check_rows(out, json, joined, 9);
        batch_release(out);
        assert_ok(batch_concat(views, 1, NULL, &out));
        check_rows(out, json, joined, 3);
        batch_release(out);
        for (int i = 0; i < 3; i++)
            batch_release(parts[i]);
        batch_release(batch);
    }
}

/* A column that has each value of `batch` by an index, row i the value 7 - i; rows 1 and 4 null. */
static struct batch *by_dictionary(const struct batch *batch)
{
    struct column column = {.type = batch->columns[0].type, .length = 8, .null_count = 2};
    struct block *indices, *valid;
    struct batch *out;
    assert_ok(block_new(&indices, NULL, 32));
    assert_ok(block_new(&valid, NULL, 1));
    for (int32_t i = 0; i < 8; i++) {
        int32_t at = i == 1 || i == 4 ? 1 << 30 : 7 - i; /* under a null anything may lie */
        memcpy(indices->data + 4 * i, &at, 4);
    }
    valid->data[0] = (uint8_t) ~(1 << 1 | 1 << 4);
    column.values = (struct column_buffer){indices, indices->data, 32};
    column.validity = (struct column_buffer){valid, valid->data, 1};
    column.dictionary = memory_alloc_zero(sizeof *column.dictionary);
    assert_ok(column_share(column.dictionary, &batch->columns[0]));
    assert_ok(batch_new(&out, batch->schema, &column, 8));
    return out;
}

static void dictionaries_are_looked_up(void **state)
{
    (void)state;
    static const uint32_t rows[] = {7, 0, 1, 5, 5, 4, 2};
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    const struct json *nothing = json_of(&arena, "[null]");
    for (size_t s = 1; s < n; s++) { /* but for the null type, which has no values */
        struct batch *values = batch_of(all[s].type, all[s].values), *out, *part;
        const struct json *json = json_of(&arena, all[s].values);
        struct batch *batch = by_dictionary(values);
        struct budget budget;
        budget_init(&budget, "test", 0, NULL, NULL);
        assert_ok(batch_validate(batch, true));
        assert_ok(batch_take(batch, rows, 7, &budget, &out));
        assert_ok(batch_validate(out, true));
        assert_null(out->columns[0].dictionary);
        for (int i = 0; i < 7; i++)
            assert_entry(&out->columns[0], i,
                         rows[i] == 1 || rows[i] == 4 ? &nothing->items[0]
                                                      : &json->items[7 - rows[i]]);
        batch_release(out);
        assert_ok(batch_slice(batch, 1, 6, &part));
        assert_int_equal(part->columns[0].null_count, 2);
        assert_ok(column_decode_dictionary(&part->columns[0], &budget));
        assert_null(part->columns[0].dictionary);
        assert_ok(batch_validate(part, true));
        for (int i = 0; i < 6; i++)
            assert_entry(&part->columns[0], i,
                         i == 0 || i == 3 ? &nothing->items[0] : &json->items[6 - i]);
        batch_release(part);
        batch_release(batch);
        batch_release(values);
        assert_int_equal(budget_used(&budget), 0);
    }
}

static void a_budget_that_is_too_small_leaves_nothing_behind(void **state)
{
    (void)state;
    static const uint32_t rows[] = {7, 6, 5, 4, 3, 2, 1, 0};
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t s = 0; s < n; s++) {
        struct batch *batch = batch_of(all[s].type, all[s].values), *out;
        struct batch *coded = by_dictionary(batch);
        int succeeded = 0;
        for (uint64_t limit = 1; limit < 100000 && succeeded < 2;
             limit += limit < 600 ? 1 : limit) {
            struct budget budget;
            budget_init(&budget, "test memory", limit, NULL, NULL);
            const struct batch *from = succeeded ? coded : batch;
            int code = batch_take(from, rows, 8, &budget, &out);
            if (code < 0) assert_int_equal(code, GLIS_ENOMEM);
            if (code == 0) batch_release(out);
            succeeded += code == 0;
            assert_int_equal(budget_used(&budget), 0);
        }
        assert_int_equal(succeeded, 2);
        batch_release(coded);
        batch_release(batch);
    }
}

static void columns_of_nulls_are_sound_for_every_type(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    const struct json *nothing = json_of(&arena, "[null]");
    for (size_t s = 0; s < n; s++) {
        struct schema *schema = schema_with(all[s].type, true);
        for (int64_t length = 0; length < 20; length += 9) {
            struct column column;
            struct batch *batch, *out;
            uint32_t last = 8;
            assert_ok(column_new_null(&column, &schema->fields[0].type, length, NULL));
            assert_ok(batch_new(&batch, schema, &column, length));
            assert_ok(batch_validate(batch, true));
            for (int64_t i = 0; i < length; i++)
                assert_entry(&batch->columns[0], i, &nothing->items[0]);
            assert_ok(batch_take(batch, &last, length > 0, NULL, &out));
            assert_ok(batch_validate(out, true));
            assert_int_equal(out->columns[0].null_count, length > 0);
            batch_release(out);
            batch_release(batch);
        }
        schema_release(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_taken_in_the_order_asked_for),
        cmocka_unit_test(batches_are_interleaved_and_joined),
        cmocka_unit_test(dictionaries_are_looked_up),
        cmocka_unit_test(a_budget_that_is_too_small_leaves_nothing_behind),
        cmocka_unit_test(columns_of_nulls_are_sound_for_every_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
