/*
 * test_ingest_inputs.c: what names become inputs, in which order, and what makes two inputs the
 * same.
 */
#include "test.h"

#include "lsm/ingest_int.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
    struct runtime runtime;
    struct budget budget;
    struct arena arena;
    char folder[64];
    char before[4096];
};

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    budget_init(&world->budget, "test", 0, NULL, NULL);
    world->runtime = (struct runtime){.clock = clock_system(),
                                      .random = random_system(),
                                      .pool = pool_new(0),
                                      .budget = &world->budget};
    (void)snprintf(world->folder, sizeof world->folder, "/tmp/glis-test-inputs-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    assert_non_null(getcwd(world->before, sizeof world->before));
    assert_int_equal(chdir(world->folder), 0);
    assert_int_equal(mkdir("data", 0755), 0);
    assert_int_equal(mkdir("data/sub", 0755), 0);
    assert_int_equal(mkdir("data/.hidden", 0755), 0);
    assert_int_equal(mkdir("empty", 0755), 0);
    put("data/b.csv", "k\n1\n");
    put("data/a.parquet", "PAR1");
    put("data/_SUCCESS", "");
    put("data/notes.md", "x");
    put("data/.c.csv", "x");
    put("data/sub/z.jsonl", "{}\n");
    put("data/.hidden/h.csv", "k\n");
    put("a[1].csv", "k\n2\n");
    put("a1.csv", "k\n3\n");
    put("odd.dat", "k\n4\n");
    put("t.tsv", "k\tv\n");
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"data/b.csv",
                                        "data/a.parquet",
                                        "data/_SUCCESS",
                                        "data/notes.md",
                                        "data/.c.csv",
                                        "data/sub/z.jsonl",
                                        "data/.hidden/h.csv",
                                        "a[1].csv",
                                        "a1.csv",
                                        "odd.dat",
                                        "t.tsv",
                                        "big.csv",
                                        "big2.csv",
                                        "pipe.csv"};
    static const char *const folders[] = {"data/sub", "data/.hidden", "data", "empty"};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        (void)unlink(files[i]);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_int_equal(rmdir(folders[i]), 0);
    assert_int_equal(chdir(world->before), 0);
    assert_int_equal(rmdir(world->folder), 0);
    arena_free(&world->arena);
    pool_free(world->runtime.pool);
    free(world);
    return 0;
}

struct found_case {
    const char *path;
    enum ingest_format format;
    const char *expected; /* names, joined by blanks; or a part of the error */
    int code;
};

static const struct found_case found_cases[] = {
    {"data/b.csv", INGEST_BY_NAME, "data/b.csv", 0},
    {"data", INGEST_BY_NAME, "data/a.parquet data/b.csv data/sub/z.jsonl", 0},
    {"data/", INGEST_BY_NAME, "data/a.parquet data/b.csv data/sub/z.jsonl", 0},
    {"data", INGEST_CSV, "data/b.csv", 0},
    {"data/*.csv", INGEST_BY_NAME, "data/b.csv", 0},
    {"a?.csv", INGEST_BY_NAME, "a1.csv", 0},
    {"a[1].csv", INGEST_BY_NAME, "a[1].csv", 0}, /* the name itself goes before the pattern */
    {"a[12].csv", INGEST_BY_NAME, "a1.csv", 0},
    {"odd.dat", INGEST_CSV, "odd.dat", 0},
    {"-", INGEST_JSONL, "standard input", 0},
    {"odd.dat", INGEST_BY_NAME, "odd.dat", GLIS_EINVALID},
    {"-", INGEST_BY_NAME, "standard input has no name", GLIS_EINVALID},
    {"-", INGEST_PARQUET, "cannot be read as Parquet", GLIS_EINVALID},
    {"nothing.csv", INGEST_BY_NAME, "no file or folder 'nothing.csv'", GLIS_ENOTFOUND},
    {"no*thing", INGEST_BY_NAME, "no file fits 'no*thing'", GLIS_ENOTFOUND},
    {"empty", INGEST_BY_NAME, "the folder 'empty' holds no file", GLIS_ENOTFOUND},
    {"", INGEST_BY_NAME, "an input has an empty name", GLIS_EINVALID},
    {"data/b.csv/x", INGEST_BY_NAME, "no file or folder", GLIS_ENOTFOUND},
};

static void names_become_files_in_order(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < sizeof found_cases / sizeof *found_cases; i++) {
        const struct found_case *c = &found_cases[i];
        struct ingest_options options = {.format = c->format};
        struct slice path = slice_from_text(c->path);
        struct ingest_input *inputs;
        size_t n;
        int code =
            ingest_inputs_find(&world->runtime, &path, 1, &options, &world->arena, &inputs, &n);
        if (c->code < 0) {
            assert_fails(code, c->code, c->expected);
            continue;
        }
        assert_ok(code);
        char names[256] = "";
        size_t used = 0;
        for (size_t j = 0; j < n; j++)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", j ? " " : "",
                                     inputs[j].name);
        assert_string_equal(names, c->expected);
    }
}

static void formats_and_delimiters_come_from_names_and_options(void **state)
{
    struct world *world = *state;
    struct slice paths[] = {SLICE("t.tsv"), SLICE("a1.csv"), SLICE("data/sub/z.jsonl"),
                            SLICE("data/a.parquet")};
    struct ingest_options options = {0};
    struct ingest_input *inputs;
    size_t n;
    assert_ok(ingest_inputs_find(&world->runtime, paths, 4, &options, &world->arena, &inputs, &n));
    assert_int_equal(n, 4);
    assert_int_equal(inputs[0].format, INGEST_CSV);
    assert_int_equal(inputs[0].csv_delimiter, '\t');
    assert_int_equal(inputs[1].csv_delimiter, ',');
    assert_int_equal(inputs[1].size, 4);
    assert_int_equal(inputs[2].format, INGEST_JSONL);
    assert_int_equal(inputs[3].format, INGEST_PARQUET);
    options.csv_delimiter = ';';
    assert_ok(ingest_inputs_find(&world->runtime, paths, 1, &options, &world->arena, &inputs, &n));
    assert_int_equal(inputs[0].csv_delimiter, ';');
    struct slice twice[] = {SLICE("-"), SLICE("-")};
    options.format = INGEST_CSV;
    assert_fails(
        ingest_inputs_find(&world->runtime, twice, 2, &options, &world->arena, &inputs, &n),
        GLIS_EINVALID, "only once");
    assert_int_equal(mkfifo("pipe.csv", 0600), 0);
    struct slice pipe = SLICE("pipe.csv");
    assert_ok(ingest_inputs_find(&world->runtime, &pipe, 1, &options, &world->arena, &inputs, &n));
    assert_true(inputs[0].is_stream);
}

static struct hash128 hash_of(struct world *world, const char *path)
{
    struct slice slice = slice_from_text(path);
    struct ingest_options options = {0};
    struct ingest_input *inputs;
    size_t n;
    assert_ok(ingest_inputs_find(&world->runtime, &slice, 1, &options, &world->arena, &inputs, &n));
    struct hash_stream *hash = hash_stream_new();
    assert_ok(ingest_inputs_hash(&world->runtime, inputs, n, hash));
    struct hash128 result = hash_stream_128(hash);
    hash_stream_free(hash);
    return result;
}

static bool same(struct hash128 a, struct hash128 b)
{
    return a.high == b.high && a.low == b.low;
}

static void contents_make_inputs_the_same_and_names_do_not(void **state)
{
    struct world *world = *state;
    put("big.csv", "k\n3\n");
    assert_true(same(hash_of(world, "a1.csv"), hash_of(world, "big.csv")));
    assert_false(same(hash_of(world, "a1.csv"), hash_of(world, "a[1].csv")));
    assert_false(same(hash_of(world, "a1.csv"), hash_of(world, "data")));
    /* Beyond 64 MiB: sizes, and the ends in any case. */
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "big2.csv" : "big.csv";
        int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        assert_int_equal(ftruncate(fd, 100 << 20), 0);
        assert_int_equal(close(fd), 0);
    }
    assert_true(same(hash_of(world, "big.csv"), hash_of(world, "big2.csv")));
    int fd = open("big2.csv", O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, (100 << 20) - 1), 1);
    assert_false(same(hash_of(world, "big.csv"), hash_of(world, "big2.csv")));
    assert_int_equal(ftruncate(fd, (100 << 20) - 1), 0);
    assert_false(same(hash_of(world, "big.csv"), hash_of(world, "big2.csv")));
    assert_int_equal(close(fd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_become_files_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(formats_and_delimiters_come_from_names_and_options, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(contents_make_inputs_the_same_and_names_do_not, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
