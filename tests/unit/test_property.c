/*
 * test_property.c: the table of properties and what is made from it: values, the reference's files,
 * overrides and the manual.
 */
#include "test.h"

#include "table/table.h"

#include <stdlib.h>

static void every_default_is_a_good_value_and_no_name_comes_twice(void **unused)
{
    (void)unused;
    for (int i = 0; i < PROPERTY_COUNT; i++) {
        const struct property_definition *d = property_definition((enum property_id)i);
        if (i != PROPERTY_TABLE_NAME) /* has none */
            assert_ok(property_check((enum property_id)i, slice_from_text(d->default_text), NULL));
        assert_int_equal(property_find(slice_from_text(d->name)), i);
        assert_int_equal(strncmp(d->name, "glis.", 5), 0);
        assert_true(strlen(d->text) > 10);
        assert_int_equal(d->group == PROPERTY_OF_TABLE, strncmp(d->name, "glis.table.", 11) == 0 &&
                                                            i != PROPERTY_TABLE_DROP_DELAY);
    }
}

static void values_are_checked(void **unused)
{
    (void)unused;
    static const struct {
        enum property_id id;
        const char *text;
        int64_t number; /* -1: refused */
    } cases[] = {
        {PROPERTY_INGEST_MEMORY, "512M", 536870912},
        {PROPERTY_INGEST_MEMORY, "64M", 67108864},
        {PROPERTY_INGEST_MEMORY, "63M", -1},
        {PROPERTY_INGEST_MEMORY, "a lot", -1},
        {PROPERTY_INGEST_MEMORY, "-1", -1},
        {PROPERTY_TABLE_GC_DELAY, "15m", 900000},
        {PROPERTY_TABLE_GC_DELAY, "90s", 90000},
        {PROPERTY_TABLE_GC_DELAY, "15", -1},
        {PROPERTY_TABLE_INGEST_MAX_REFERENCES, "64", 64},
        {PROPERTY_TABLE_INGEST_MAX_REFERENCES, "0", -1},
        {PROPERTY_TABLE_INGEST_MAX_REFERENCES, "6.5", -1},
        {PROPERTY_TABLE_CODEC, "zstd", 0},
        {PROPERTY_TABLE_CODEC, "snappy", 1},
        {PROPERTY_TABLE_CODEC, "uncompressed", 2},
        {PROPERTY_TABLE_CODEC, "lzo", -1},
        {PROPERTY_TABLE_CODEC, "zst", -1},
        {PROPERTY_TABLE_CODEC, "", -1},
        {PROPERTY_TABLE_SPLITS_BASE64, "true", 1},
        {PROPERTY_TABLE_SPLITS_BASE64, "false", 0},
        {PROPERTY_TABLE_SPLITS_BASE64, "yes", -1},
        {PROPERTY_INGEST_SPILL_DIR, "/tmp/x", 0},
        {PROPERTY_INGEST_SPILL_DIR, "", 0},
        {PROPERTY_INGEST_SPILL_DIR, "\xff", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t number = -2;
        int code = property_check(cases[i].id, slice_from_text(cases[i].text), &number);
        if (cases[i].number < 0) {
            if (code != GLIS_EINVALID) fail_msg("case %zu: '%s' passes", i, cases[i].text);
            if (!strstr(error_message(), property_definition(cases[i].id)->name))
                fail_msg("case %zu: no name in: %s", i, error_message());
        } else {
            assert_ok(code);
            if (number != cases[i].number) fail_msg("case %zu: '%s'", i, cases[i].text);
        }
    }
}

static void an_unknown_name_gets_a_suggestion(void **unused)
{
    (void)unused;
    assert_fails(property_unknown(SLICE("glis.ingest.memry")), GLIS_EINVALID,
                 "did you mean 'glis.ingest.memory'");
    assert_fails(property_unknown(SLICE("xyzzy")), GLIS_EINVALID, "glis properties");
}

static const char *value_of(const struct property_file *file, const char *name)
{
    for (size_t i = 0; i < file->n_settings; i++)
        if (slice_equal_text(file->settings[i].name, name)) return file->settings[i].value.data;
    return NULL;
}

static void the_references_files_are_read(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct property_file file;
    assert_ok(property_file_read(&arena, SLICE("t/table.properties"),
                                 SLICE("# a table of the reference's\n"
                                       "sleeper.table.name=alpha\n"
                                       "sleeper.table.online : false\n"
                                       "sleeper.table.gc.delay.minutes 20\n"
                                       "sleeper.table.parquet.compression.codec=ZSTD\n"
                                       "sleeper.table.parquet.rowgroup.size=8388608\n"
                                       "sleeper.table.fs.s3a.readahead.range=64K\n"
                                       "sleeper.table.filters=ageOff(ts,1000)\n"
                                       "sleeper.table.compaction.strategy.class=sleeper.compaction."
                                       "core.job.creation.strategy.impl.BasicCompactionStrategy\n"
                                       "sleeper.table.partition.splitting.threshold=5000\n"
                                       "sleeper.table.aggregations=\n"
                                       "sleeper.table.iterator.class.name=\n"
                                       "sleeper.table.bulk.import.emr.executor.market.type=SPOT\n"),
                                 PROPERTY_OF_TABLE, &file));
    assert_int_equal(file.n_settings, 8);
    assert_int_equal(strncmp(value_of(&file, "glis.table.compaction.strategy.class"), "basic", 5),
                     0);
    assert_int_equal(strncmp(value_of(&file, "glis.table.filters"), "ageOff(ts,1000)", 15), 0);
    assert_int_equal(strncmp(value_of(&file, "glis.table.name"), "alpha", 5), 0);
    assert_int_equal(strncmp(value_of(&file, "glis.table.gc.delay"), "20m", 3), 0);
    assert_int_equal(strncmp(value_of(&file, "glis.table.parquet.compression.codec"), "zstd", 4),
                     0);
    assert_int_equal(file.n_ignored, 2);
    assert_true(slice_equal_text(file.ignored[0], "sleeper.table.fs.s3a.readahead.range"));

    assert_ok(property_file_read(&arena, SLICE("instance.properties"),
                                 SLICE("sleeper.id=abc\n"
                                       "sleeper.default.table.gc.delay.minutes=5\n"
                                       "sleeper.default.table.compaction.strategy.class="
                                       "SizeRatioCompactionStrategy\n"
                                       "glis.ingest.memory=1G\n"
                                       "glis.default.table.parquet.page.size=64K\n"),
                                 PROPERTY_OF_INSTANCE, &file));
    assert_int_equal(file.n_settings, 4);
    assert_int_equal(
        strncmp(value_of(&file, "glis.default.table.compaction.strategy.class"), "size_ratio", 10),
        0);
    assert_int_equal(strncmp(value_of(&file, "glis.default.table.gc.delay"), "5m", 2), 0);
    assert_int_equal(file.n_ignored, 1);
}

static void wrong_lines_are_named_by_file_and_line(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        enum property_group group;
        int code;
        const char *message;
    } cases[] = {
        {"glis.table.nosuch=1\n", PROPERTY_OF_TABLE, GLIS_EINVALID, "f.properties: line 1"},
        {"\n\nsleeper.table.nosuch=1\n", PROPERTY_OF_TABLE, GLIS_EINVALID, "f.properties: line 3"},
        {"sleeper.nosuch=1\n", PROPERTY_OF_INSTANCE, GLIS_EINVALID, "sleeper.nosuch"},
        {"a.b=1\n", PROPERTY_OF_INSTANCE, GLIS_EINVALID, "a.b"},
        {"glis.ingest.memory=1G\n", PROPERTY_OF_TABLE, GLIS_EINVALID, "no property of a table"},
        {"glis.table.gc.delay=1m\n", PROPERTY_OF_INSTANCE, GLIS_EINVALID,
         "glis.default.table.gc.delay"},
        {"glis.default.table.name=x\n", PROPERTY_OF_INSTANCE, GLIS_EINVALID,
         "f.properties: line 1"},
        {"glis.table.gc.delay=soon\n", PROPERTY_OF_TABLE, GLIS_EINVALID, "glis.table.gc.delay"},
        {"#\nsleeper.table.gc.delay.minutes=x\n", PROPERTY_OF_TABLE, GLIS_EINVALID,
         "f.properties: line 2"},
        {"sleeper.table.iterator.class.name=a.B\n", PROPERTY_OF_TABLE, GLIS_EUNSUPPORTED,
         "iterator"},
        {"sleeper.table.compaction.strategy.class=a.OwnStrategy\n", PROPERTY_OF_TABLE,
         GLIS_EINVALID, "size_ratio|basic"},
        {"sleeper.table.parquet.compression.codec=LZO\n", PROPERTY_OF_TABLE, GLIS_EINVALID, "lzo"},
        {"glis.table.name=\\u00\n", PROPERTY_OF_TABLE, GLIS_EINVALID, "f.properties"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct property_file file;
        assert_fails(property_file_read(&arena, SLICE("f.properties"),
                                        slice_from_text(cases[i].text), cases[i].group, &file),
                     cases[i].code, cases[i].message);
    }
}

static const char *environment(void *state, const char *name)
{
    const char **pair = state;
    return strcmp(name, pair[0]) == 0 ? pair[1] : NULL;
}

static void set_comes_before_environment_and_that_before_the_default(void **unused)
{
    (void)unused;
    const char *pair[] = {"GLIS_INGEST_MEMORY", "128M"};
    struct setting set = {SLICE("glis.ingest.memory"), SLICE("256M")};
    struct property_overrides overrides = {.environment = environment, .environment_state = pair};
    int64_t number;
    assert_ok(property_resolve(NULL, NULL, PROPERTY_INGEST_MEMORY, NULL, &number));
    assert_int_equal(number, 512 << 20);
    assert_ok(property_resolve(&overrides, NULL, PROPERTY_INGEST_MEMORY, NULL, &number));
    assert_int_equal(number, 128 << 20);
    overrides.sets = &set;
    overrides.n_sets = 1;
    assert_ok(property_resolve(&overrides, NULL, PROPERTY_INGEST_MEMORY, NULL, &number));
    assert_int_equal(number, 256 << 20);
    assert_ok(property_overrides_check(&overrides));

    pair[1] = "much";
    overrides.n_sets = 0;
    assert_fails(property_overrides_check(&overrides), GLIS_EINVALID, "environment");
    pair[1] = "1G";
    overrides.n_sets = 1;
    set.value = SLICE("much");
    assert_fails(property_overrides_check(&overrides), GLIS_EINVALID, "--set");
    set = (struct setting){SLICE("glis.table.gc.delay"), SLICE("1m")};
    assert_fails(property_overrides_check(&overrides), GLIS_EINVALID, "glis table set");
    set = (struct setting){SLICE("glis.ingest.memori"), SLICE("1m")};
    assert_fails(property_overrides_check(&overrides), GLIS_EINVALID, "did you mean");
}

static void the_manual_names_every_property(void **unused)
{
    (void)unused;
    struct buffer out = BUFFER_INIT(1 << 20);
    assert_ok(property_manual(SLICE_EMPTY, false, &out));
    assert_ok(buffer_append_byte(&out, 0));
    for (int i = 0; i < PROPERTY_COUNT; i++)
        assert_non_null(strstr((char *)out.data, property_definition((enum property_id)i)->name));
    buffer_clear(&out);
    assert_ok(property_manual(SLICE("process"), true, &out));
    assert_ok(buffer_append_byte(&out, 0));
    assert_non_null(strstr((char *)out.data, "glis.ingest.memory"));
    assert_null(strstr((char *)out.data, "glis.table.gc.delay"));
    buffer_free(&out);
    assert_fails(property_manual(SLICE("tabel"), false, &out), GLIS_EINVALID, "tabel");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_a_good_value_and_no_name_comes_twice),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(an_unknown_name_gets_a_suggestion),
        cmocka_unit_test(the_references_files_are_read),
        cmocka_unit_test(wrong_lines_are_named_by_file_and_line),
        cmocka_unit_test(set_comes_before_environment_and_that_before_the_default),
        cmocka_unit_test(the_manual_names_every_property),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
