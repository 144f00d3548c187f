/*
 * test_spill.c: sorted runs on disk come back as they were, several in one file and in any order;
 * a changed byte is found; nothing is left in the folder.
 */
#include "sorting.h"

#include "lsm/lsm_int.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct type keys[] = {{.kind = TYPE_STRING}, {.kind = TYPE_BOOLEAN}};

struct spilled {
    struct sorting_world world;
    char folder[64];
    struct schema *schema;
    struct sorting_rows rows;
    struct spill_file *file;
    struct spill_run runs[3];
};

/* Three runs of some blocks each, written in turns; the rows are in no order, which the file does
 * not mind. */
static int encode_again(void *state, struct keys *out, const struct batch *batch,
                        struct budget *budget)
{
    (void)state;
    return keys_encode(out, batch, 2, budget);
}

static void spill(struct spilled *s, bool with_keys)
{
    memset(s, 0, sizeof *s);
    sorting_world_open(&s->world, 0);
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/glis-test-spill-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    s->schema = sorting_schema(keys, 1, 1);
    s->rows = sorting_rows_make(s->schema, s->world.runtime.random, 900, 75, 100);
    assert_ok(spill_file_open(&s->file, s->folder));
    if (!with_keys) spill_file_set_encode(s->file, encode_again, NULL);
    for (int64_t j = 0; j < s->rows.n_batches; j++) {
        int64_t i = j % 4 * 3 + j / 4;
        struct sorted_block block = {.batch = batch_acquire(s->rows.batches[i])};
        assert_ok(keys_encode(&block.keys, block.batch, 2, NULL));
        assert_ok(spill_run_append(s->file, &s->runs[i % 3], &block));
        sorted_block_free(&block);
    }
}

static void clean_up(struct spilled *s)
{
    for (int i = 0; i < 3; i++)
        spill_run_free(s->file, &s->runs[i]);
    assert_int_equal(spill_file_bytes(s->file), 0);
    spill_file_close(s->file);
    assert_int_equal(rmdir(s->folder), 0);
    sorting_rows_free(&s->rows);
    schema_release(s->schema);
    sorting_world_close(&s->world);
}

/* Reads a run to its end or first failure; returns the code. */
static int read_run(struct spilled *s, int run, bool check)
{
    struct sorted_source *source;
    assert_ok(spill_run_open(&source, s->file, &s->runs[run], s->schema, &s->world.budget));
    int code = 0;
    for (int64_t i = run; code == 0; i += 3) {
        struct sorted_block block;
        code = source->next(source, &block);
        if (code < 0 || !block.batch) break;
        if (check) {
            const struct batch *expected = s->rows.batches[i];
            struct keys again;
            assert_ok(batch_validate(block.batch, true));
            assert_ok(keys_encode(&again, expected, 2, NULL));
            assert_int_equal(block.batch->n_rows, expected->n_rows);
            assert_int_equal(block.keys.n_rows, expected->n_rows);
            for (int64_t row = 0; row < expected->n_rows; row++) {
                assert_int_equal(
                    batch_compare_rows(block.batch, row, expected, row, 0, s->schema->n_fields), 0);
                assert_true(slice_equal(keys_get(&block.keys, row), keys_get(&again, row)));
            }
            keys_free(&again);
        }
        sorted_block_free(&block);
    }
    source->close(source);
    return code;
}

static void keys_that_are_made_again_take_no_disk(void **state)
{
    (void)state;
    struct spilled s;
    spill(&s, true);
    uint64_t with_keys = spill_file_bytes(s.file), in_memory = s.runs[0].block_bytes_max;
    clean_up(&s);
    spill(&s, false);
    assert_in_range(spill_file_bytes(s.file), 1, with_keys - 1);
    assert_in_range(s.runs[0].block_bytes_max, in_memory - 256, in_memory + 256);
    clean_up(&s);
}

static void come_back(bool with_keys)
{
    struct spilled s;
    spill(&s, with_keys);
    assert_true(spill_file_bytes(s.file) > 0);
    for (int run = 2; run >= 0; run--) {
        assert_int_equal(s.runs[run].n_rows, 300);
        assert_int_equal(s.runs[run].n_blocks, 4);
        assert_ok(read_run(&s, run, true));
    }
    spill_run_free(s.file, &s.runs[1]);
    assert_ok(read_run(&s, 0, true));
    assert_ok(read_run(&s, 2, true));
    clean_up(&s);
}

static void runs_come_back_as_they_were(void **state)
{
    (void)state;
    come_back(true);
    come_back(false);
}

/* The descriptor of the file without a name in the folder. */
static int find_descriptor(const struct spilled *s)
{
    for (int fd = 0; fd < 1024; fd++) {
        char link[64], path[256];
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        if (n <= 0) continue;
        path[n] = 0;
        if (strncmp(path, s->folder, strlen(s->folder)) == 0) return fd;
    }
    return -1;
}

static void a_changed_byte_is_found(void **state)
{
    (void)state;
    struct spilled s;
    spill(&s, true);
    int fd = find_descriptor(&s);
    assert_true(fd >= 0);
    uint64_t start = s.runs[0].offsets[0], end = s.runs[0].offsets[1];
    for (uint64_t at = start; at < end; at += 1 + at % 7) {
        uint64_t in_header = at - start;
        if (in_header >= 40 && in_header < 64) continue; /* not used */
        char byte, changed;
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        changed = (char)(byte ^ 1 << at % 8);
        assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
        if (read_run(&s, 0, false) != GLIS_ECORRUPT)
            fail_msg("a change at byte %llu was not found", (unsigned long long)in_header);
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    }
    assert_ok(read_run(&s, 0, true));
    clean_up(&s);
}

static void a_cut_file_is_found(void **state)
{
    (void)state;
    struct spilled s;
    spill(&s, true);
    int fd = find_descriptor(&s);
    assert_int_equal(ftruncate(fd, (off_t)s.runs[2].offsets[1]), 0);
    assert_int_equal(read_run(&s, 2, false), GLIS_ECORRUPT);
    assert_non_null(strstr(error_message(), s.folder));
    clean_up(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_that_are_made_again_take_no_disk),
        cmocka_unit_test(runs_come_back_as_they_were),
        cmocka_unit_test(a_changed_byte_is_found),
        cmocka_unit_test(a_cut_file_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
