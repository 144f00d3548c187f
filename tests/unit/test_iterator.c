/*
 * test_iterator.c: plug-ins of both kinds: where they may lie, what they are given, what becomes of
 * what they give, and that whatever they do wrong is an error that names them, after which nothing
 * of them runs. Programs are small shell scripts: a program that copies its input is the identity.
 */
#include "processing.h"

#include "format/format.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static struct processed table;
static struct pool *pool;

static void put_file(const char *name, const void *data, size_t size, unsigned mode)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0700);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    assert_int_equal(close(fd), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void put_script(const char *name, const char *body)
{
    struct buffer text defer_buffer = BUFFER_INIT(1 << 16);
    assert_ok(buffer_printf(&text, "#!/bin/sh\n%s\n", body));
    put_file(name, text.data, text.size, 0700);
}

static void link_module(const char *name)
{
    const char *root = getenv("GLIS_BUILD_ROOT");
    char from[512], to[256];
    struct buffer bytes defer_buffer = BUFFER_INIT(8 << 20);
    (void)snprintf(from, sizeof from, "%s/tests/unit/%s", root ? root : "build", name);
    (void)snprintf(to, sizeof to, "%s/%s", folder, name);
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    char part[4096];
    for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;)
        assert_ok(buffer_append(&bytes, part, (size_t)n));
    assert_int_equal(close(fd), 0);
    put_file(name, bytes.data, bytes.size, 0700);
}

static int set_up(void **unused)
{
    (void)unused;
    (void)snprintf(folder, sizeof folder, "/tmp/glis-iterators-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    pool = pool_new(0);
    processed_open(&table,
                   "{'rowKeyFields':[{'name':'k','type':'StringType'}],"
                   "'sortKeyFields':[{'name':'t','type':'LongType'}],'valueFields':["
                   "{'name':'m','type':{'MapType':{'keyType':'StringType','valueType':'LongType'}},"
                   "'nullable':true}]}",
                   "", "", "", false);
    link_module("misbehaving.so");
    link_module("fixed_age_off.so");
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    char command[128];
    processed_close(&table);
    pool_free(pool);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
#undef system
    return system(command);
}

/* ---- passes ---- */

struct pass {
    const char *iterator, *config, *query_iterator, *query_config;
    int64_t timeout_ms;
    const char *folder;
    bool descending;
};

static int64_t n_wanted = 100;

static struct batch *numbered_rows(int64_t n)
{
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(batch_builder_new(&builder, table.schema, NULL));
    for (int64_t i = 0; i < n; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "row-%06lld", (long long)i);
        assert_ok(
            column_builder_append_bytes(batch_builder_column(builder, 0), slice_from_text(key)));
        assert_ok(column_builder_append_integer(batch_builder_column(builder, 1), i));
        if (i % 3) {
            assert_ok(column_builder_append_null(batch_builder_column(builder, 2)));
        } else {
            struct column_builder *map = batch_builder_column(builder, 2);
            struct column_builder *pair = column_builder_child(map, 0);
            assert_ok(column_builder_append_bytes(column_builder_child(pair, 0), SLICE("x")));
            assert_ok(column_builder_append_integer(column_builder_child(pair, 1), i));
            assert_ok(column_builder_end(pair));
            assert_ok(column_builder_end(map));
        }
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    return batch;
}

/* An input that fails after its first batch. */
struct failing {
    struct batch_stream stream;
    struct batch *batch;
};

static int failing_next(struct batch_stream *stream, struct batch **out)
{
    struct failing *failing = (struct failing *)stream;
    *out = failing->batch;
    failing->batch = NULL;
    return *out ? 0 : error_set(GLIS_ECORRUPT, "file seven is damaged");
}

static void failing_close(struct batch_stream *stream)
{
    batch_release(((struct failing *)stream)->batch);
}

static int run_over(const struct pass *pass, struct batch_stream *in, struct batch **out)
{
    struct budget budget;
    struct runtime runtime = {.clock = clock_system(), .pool = pool, .budget = &budget};
    struct processing processing = {.visibility_field = -1};
    struct batch_stream *stream;
    budget_init(&budget, "test", 256 << 20, NULL, NULL);
    processing.iterator = slice_from_text(pass->iterator);
    processing.iterator_config = slice_from_text(pass->config);
    struct process_options options = {
        .iterator_folder = pass->folder ? pass->folder : folder,
        .iterator_timeout_ms = pass->timeout_ms,
        .query_iterator = slice_from_text(pass->query_iterator),
        .query_iterator_config = slice_from_text(pass->query_config),
        .descending = pass->descending,
    };
    *out = NULL;
    TRY(process_open(&stream, &runtime, in, &processing, &options, &budget));
    struct batch *parts[4096], *batch;
    uint32_t n = 0;
    int code;
    while ((code = batch_stream_next(stream, &batch)) == 0 && batch) {
        assert_true(n < COUNT(parts));
        assert_ok(batch_validate(batch, true));
        parts[n++] = batch;
    }
    if (code == 0 && n) assert_ok(batch_concat((const struct batch *const *)parts, n, NULL, out));
    for (uint32_t i = 0; i < n; i++)
        batch_release(parts[i]);
    if (*out) *out = copy_of(*out);
    struct error_detail detail;
    if (code < 0) error_save(&detail);
    batch_stream_close(stream);
    assert_int_equal(budget_used(&budget), 0);
    return code < 0 ? error_load(&detail) : 0;
}

static int run_pass(const struct pass *pass, struct batch **out)
{
    struct batch *rows = numbered_rows(n_wanted);
    struct batch_stream *in = stream_of(rows, 7);
    batch_release(rows);
    return run_over(pass, in, out);
}

static void assert_passes(const struct pass *pass, int64_t first, int64_t end)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct batch *out, *rows = numbered_rows(n_wanted), *wanted;
    const char *difference;
    assert_ok(run_pass(pass, &out));
    assert_ok(batch_slice(rows, first, end - first, &wanted));
    assert_non_null(out);
    if (!batch_equal(out, wanted, &arena, &difference)) fail_msg("%s", difference);
    batch_release(out);
    batch_release(rows);
    batch_release(wanted);
}

/* ---- what goes well ---- */

static void rows_pass_through_both_kinds(void **unused)
{
    (void)unused;
    put_script("copy", "exec cat");
    put_script("talk", "head -c 3000000 /dev/zero >&2; exec cat");
    assert_passes(&(struct pass){.iterator = "misbehaving.so", .config = "pass"}, 0, 100);
    assert_passes(&(struct pass){.iterator = "copy"}, 0, 100);
    assert_passes(&(struct pass){.iterator = "talk"}, 0, 100);
    /* the reference's example: 100 rows, those from 50 on */
    assert_passes(&(struct pass){.iterator = "fixed_age_off.so", .config = "t,50"}, 50, 100);
    assert_passes(&(struct pass){.query_iterator = "fixed_age_off.so", .query_config = "t,50"}, 50,
                  100);
    assert_passes(
        &(struct pass){.iterator = "fixed_age_off.so", .config = "t,20", .query_iterator = "copy"},
        20, 100);
    struct batch *none;
    assert_ok(run_pass(&(struct pass){.iterator = "fixed_age_off.so", .config = "t,100"}, &none));
    assert_null(none);
    n_wanted = 20000; /* more than pipes hold */
    assert_passes(&(struct pass){.iterator = "copy", .query_iterator = "copy"}, 0, n_wanted);
    n_wanted = 100;
}

static void a_program_may_leave_its_input_unread(void **unused)
{
    (void)unused;
    struct buffer bytes defer_buffer = BUFFER_INIT(1 << 20);
    struct row_sink *sink;
    struct byte_sink *to = byte_sink_to_buffer(&bytes);
    struct output_options output = {.kind = OUTPUT_ARROW};
    struct runtime runtime = {.clock = clock_system()};
    struct batch *rows = numbered_rows(100), *part;
    assert_ok(batch_slice(rows, 0, 10, &part));
    assert_ok(row_sink_open(to, table.schema, &runtime, &output, &sink));
    assert_ok(sink->write(sink, part));
    assert_ok(sink->finish(sink));
    row_sink_close(sink);
    byte_sink_close(to);
    batch_release(part);
    batch_release(rows);
    put_file("ten.arrows", bytes.data, bytes.size, 0600);
    put_script("ten", "exec cat \"${0%/*}/ten.arrows\"");
    n_wanted = 20000;
    assert_passes(&(struct pass){.iterator = "ten"}, 0, 10);
    n_wanted = 100;
}

static void a_program_is_told_its_config_and_the_keys(void **unused)
{
    (void)unused;
    put_script("tell", "echo \"[$1][$#]\" \"$(env | grep -c .)\" $GLIS_ITERATOR_VERSION "
                       "$GLIS_ITERATOR_ROW_KEYS $GLIS_ITERATOR_SORT_KEYS $HOME >&2; exit 9");
    struct batch *out;
    assert_fails(run_pass(&(struct pass){.iterator = "tell", .config = "a b,c"}, &out), GLIS_EDATA,
                 "glis.table.iterator 'tell'");
    assert_non_null(strstr(error_message(), "ended with code 9; it said: [a b,c][1]"));
    assert_non_null(strstr(error_message(), " 1 1 1"));
}

/* ---- what does not ---- */

static void wrong_doings_are_errors_that_name_the_plug_in(void **unused)
{
    (void)unused;
    struct buffer down defer_buffer = BUFFER_INIT(1 << 20),
                       other defer_buffer = BUFFER_INIT(1 << 20);
    struct output_options output = {.kind = OUTPUT_ARROW};
    struct runtime runtime = {.clock = clock_system()};
    struct row_sink *sink;
    struct batch *rows = numbered_rows(5), *part;
    struct byte_sink *to = byte_sink_to_buffer(&down);
    assert_ok(row_sink_open(to, table.schema, &runtime, &output, &sink));
    for (int64_t i = 4; i >= 3; i--) {
        assert_ok(batch_slice(rows, i, 1, &part));
        assert_ok(sink->write(sink, part));
        batch_release(part);
    }
    assert_ok(sink->finish(sink));
    row_sink_close(sink);
    byte_sink_close(to);
    batch_release(rows);
    put_file("down.arrows", down.data, down.size, 0600);
    struct batch *of_another = batch_of(plain_type(TYPE_INT32), "[1]");
    to = byte_sink_to_buffer(&other);
    assert_ok(row_sink_open(to, of_another->schema, &runtime, &output, &sink));
    assert_ok(sink->finish(sink));
    row_sink_close(sink);
    byte_sink_close(to);
    batch_release(of_another);
    put_file("other.arrows", other.data, other.size, 0600);

    put_script("down", "cat >/dev/null; exec cat \"${0%/*}/down.arrows\"");
    put_script("other", "exec cat \"${0%/*}/other.arrows\"");
    put_script("bad", "echo this is no Arrow stream, is it; cat >/dev/null");
    put_script("short", "head -c 1000");
    put_script("nothing", "cat >/dev/null");
    put_script("behind", "cat; echo more");
    put_script("code", "cat; echo it went wrong >&2; exit 3");
    put_script("early", "echo cannot begin >&2; exit 4");
    put_script("signal", "cat; kill -9 $$");
    put_script("hang", "sleep 100");
    put_script("hang_at_end", "cat; sleep 100");
    put_script("close_and_hang", "cat; exec >&-; sleep 100");
    put_file("no_program", "\177ELF?", 5, 0700);
    put_file("not_executable", "#!/bin/sh\ncat\n", 14, 0600);
    static const struct {
        struct pass pass;
        int code;
        const char *message;
    } cases[] = {
        {{.iterator = "down"}, GLIS_EDATA, "glis.table.iterator 'down': gives rows out of order"},
        {{.iterator = "other"}, GLIS_EDATA, "1 columns where 3 are expected"},
        {{.iterator = "bad"}, GLIS_EDATA, "the Arrow stream is damaged"},
        {{.iterator = "short"}, GLIS_EDATA, "cut short, without its end mark"},
        {{.iterator = "nothing"}, GLIS_EDATA, "cut short, without its end mark"},
        {{.iterator = "behind"}, GLIS_EDATA, "wrote something behind the end"},
        {{.iterator = "code"}, GLIS_EDATA, "ended with code 3; it said: it went wrong"},
        {{.iterator = "early"}, GLIS_EDATA, "ended with code 4; it said: cannot begin"},
        {{.iterator = "signal"}, GLIS_EDATA, "was ended by signal 9"},
        {{.iterator = "hang", .timeout_ms = 300}, GLIS_ETIMEOUT, "300 ms (glis.iterator.timeout)"},
        {{.iterator = "hang_at_end", .timeout_ms = 300}, GLIS_ETIMEOUT, "300 ms"},
        {{.iterator = "close_and_hang", .timeout_ms = 300}, GLIS_ETIMEOUT, "did not end within"},
        {{.iterator = "no_program"}, GLIS_EIO, "cannot start"},
        {{.iterator = "not_executable"}, GLIS_EDENIED, "cannot start"},
        {{.query_iterator = "code"}, GLIS_EDATA, "the query's iterator 'code'"},
        {{.iterator = "code", .descending = true}, GLIS_EINVALID, "ascending order"},
        {{.iterator = "misbehaving.so", .config = "fail"},
         GLIS_EINVALID,
         "'misbehaving.so': as announced, version 1, keys 1 and 1 (error 22)"},
        {{.iterator = "misbehaving.so", .config = "nothing"}, GLIS_EDATA, "gave no stream"},
        {{.iterator = "misbehaving.so", .config = "late"}, GLIS_EIO, "late as announced"},
        {{.iterator = "misbehaving.so", .config = "name"}, GLIS_EDATA, "a column '?' where 'k'"},
        {{.iterator = "fixed_age_off.so", .config = "nosuch,1"},
         GLIS_EINVALID,
         "no field 'nosuch'"},
        {{.iterator = "fixed_age_off.so", .config = "t"}, GLIS_EINVALID, "\"field,least\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct batch *out;
        int code = run_pass(&cases[i].pass, &out);
        const char *name = cases[i].pass.iterator ? cases[i].pass.iterator : "query iterator";
        if (code != cases[i].code)
            fail_msg("%s %s: %s: %s", name, cases[i].pass.config ? cases[i].pass.config : "",
                     error_code_name(code), code < 0 ? error_message() : "");
        if (!strstr(error_message(), cases[i].message))
            fail_msg("%s: '%s' is not in: %s", name, cases[i].message, error_message());
    }
    struct batch *out;
    n_wanted = 8; /* keys of one text, so that the second field shows */
    assert_fails(run_pass(&(struct pass){.iterator = "fixed_age_off.so", .config = "t,x"}, &out),
                 GLIS_EINVALID, "\"field,least\"");
    n_wanted = 100;
}

static void values_of_keys_that_descend_are_out_of_order(void **unused)
{
    (void)unused;
    struct batch *out;
    struct batch *rows = rows_of(table.schema, "[['a',1,null],['a',2,null],['a',3,null]]");
    struct batch_stream *in = stream_of(rows, 3);
    batch_release(rows);
    assert_fails(run_over(&(struct pass){.iterator = "misbehaving.so", .config = "down"}, in, &out),
                 GLIS_EDATA, "'misbehaving.so': gives rows out of order");
}

static void a_failure_of_the_rows_comes_out_as_what_it_was(void **unused)
{
    (void)unused;
    put_script("copy", "exec cat");
    static const struct pass passes[] = {
        {.iterator = "misbehaving.so", .config = "pass"},
        {.iterator = "misbehaving.so", .config = "end"},
        {.iterator = "fixed_age_off.so", .config = "t,0"},
        {.iterator = "copy"},
    };
    for (size_t i = 0; i < COUNT(passes); i++)
        for (int with_rows = 0; with_rows < 2; with_rows++) {
            struct batch *out;
            struct failing failing = {{table.schema, failing_next, failing_close},
                                      with_rows ? numbered_rows(3) : NULL};
            if (i == 1 && with_rows) { /* says the end before the failure */
                batch_release(failing.batch);
                continue;
            }
            assert_fails(run_over(&passes[i], &failing.stream, &out), GLIS_ECORRUPT,
                         "file seven is damaged");
        }
}

static void plug_ins_lie_in_the_one_folder(void **unused)
{
    (void)unused;
    char path[256], outside[64] = "/tmp/glis-outside-XXXXXX";
    struct batch *out;
    put_script("copy", "exec cat");
    assert_fails(run_pass(&(struct pass){.iterator = "copy", .folder = ""}, &out), GLIS_EINVALID,
                 "glis.iterator.folder names no folder");
    assert_fails(run_pass(&(struct pass){.iterator = "copy", .folder = "/nonexistent"}, &out),
                 GLIS_ENOTFOUND, "/nonexistent");
    assert_fails(run_pass(&(struct pass){.iterator = "nosuch"}, &out), GLIS_ENOTFOUND,
                 "there is no iterator 'nosuch'");
    static const char *const names[] = {"../copy", "/bin/cat", "a/b", "..", ".", ".hidden", "a b"};
    for (size_t i = 0; i < COUNT(names); i++)
        assert_fails(run_pass(&(struct pass){.iterator = names[i]}, &out), GLIS_EINVALID,
                     "no name of an iterator");
    /* links may point within the folder, not out of it */
    (void)snprintf(path, sizeof path, "%s/linked", folder);
    assert_int_equal(symlink("copy", path), 0);
    assert_passes(&(struct pass){.iterator = "linked"}, 0, 100);
    int fd = mkstemp(outside);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    (void)snprintf(path, sizeof path, "%s/leaves", folder);
    assert_int_equal(symlink(outside, path), 0);
    assert_fails(run_pass(&(struct pass){.iterator = "leaves"}, &out), GLIS_EDENIED,
                 "leaves glis.iterator.folder");
    assert_int_equal(unlink(outside), 0);
    (void)snprintf(path, sizeof path, "%s/inner", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails(run_pass(&(struct pass){.iterator = "inner"}, &out), GLIS_EINVALID, "is no file");
    put_file("open", "#!/bin/sh\ncat\n", 14, 0707);
    assert_fails(run_pass(&(struct pass){.iterator = "open"}, &out), GLIS_EDENIED,
                 "everybody may write to the iterator");
    put_file("plain.so", "no object", 9, 0700);
    assert_fails(run_pass(&(struct pass){.iterator = "plain.so"}, &out), GLIS_EINVALID,
                 "cannot be loaded");
}

static void nothing_of_a_killed_program_goes_on(void **unused)
{
    (void)unused;
    char path[256], text[32] = "";
    struct batch *out;
    put_script("family", "sleep 1000 & echo $! > \"${0%/*}/pid\"; sleep 1000");
    assert_fails(run_pass(&(struct pass){.iterator = "family", .timeout_ms = 500}, &out),
                 GLIS_ETIMEOUT, NULL);
    (void)snprintf(path, sizeof path, "%s/pid", folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    assert_int_equal(close(fd), 0);
    pid_t grandchild = (pid_t)strtol(text, NULL, 10);
    assert_true(grandchild > 1);
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)grandchild);
    char state = '?';
    for (int i = 0; i < 2000 && state != 'Z'; i++) { /* gone, or only waiting to be cleared away */
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) break;
        char line[256] = "";
        if (read(fd, line, sizeof line - 1) > 0 && strrchr(line, ')'))
            state = strrchr(line, ')')[2];
        assert_int_equal(close(fd), 0);
        usleep(1000);
    }
    assert_true(fd < 0 || state == 'Z');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_pass_through_both_kinds),
        cmocka_unit_test(a_program_may_leave_its_input_unread),
        cmocka_unit_test(a_program_is_told_its_config_and_the_keys),
        cmocka_unit_test(wrong_doings_are_errors_that_name_the_plug_in),
        cmocka_unit_test(values_of_keys_that_descend_are_out_of_order),
        cmocka_unit_test(a_failure_of_the_rows_comes_out_as_what_it_was),
        cmocka_unit_test(plug_ins_lie_in_the_one_folder),
        cmocka_unit_test(nothing_of_a_killed_program_goes_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
