/*
 * test_log_record.c: the bytes of records and what apply makes of carried entries. The record
 * written out here was made by hand from docs/formats.md, its hashes by the xxHash library alone.
 */
#include "test.h"

#include "log/log_int.h"
#include "log_toy.h"

static const char golden[] =
    "{\"glis\":1,\"seq\":17,\"id\":\"000102030405060708090a0b0c0d0e0f\","
    "\"previous\":\"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\",\"time\":1795255200000,"
    "\"writer\":\"host:4711\",\"count\":2,\"xxh3\":\"0ae2c1fdf604615b8ebdf3a73614f4fd\","
    "\"line\":\"b6de489718e94db1\"}\n"
    "{\"type\":\"add\",\"id\":\"a\"}\n"
    "{\"log\":\"body\",\"name\":\"00000000000f-0123456789abcdef0123456789abcdef\",\"bytes\":5000,"
    "\"xxh3\":\"00112233445566778899aabbccddeeff\"}\n";

static struct log_record golden_header(void)
{
    return (struct log_record){.record = 17,
                               .id = "000102030405060708090a0b0c0d0e0f",
                               .previous = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
                               .time_ms = 1795255200000,
                               .writer = SLICE("host:4711")};
}

static void a_record_is_written_as_the_formats_page_says(void **state)
{
    (void)state;
    struct log_record header = golden_header();
    struct log_line_out lines[] = {
        {.text = SLICE("{\"type\":\"add\",\"id\":\"a\"}")},
        {.body_name = SLICE("00000000000f-0123456789abcdef0123456789abcdef"),
         .body_bytes = 5000,
         .body_hash = {0x0011223344556677, 0x8899aabbccddeeff}}};
    defer_buffer struct buffer out = BUFFER_INIT(1 << 20);
    assert_ok(log_record_encode(&header, lines, 2, &out));
    assert_int_equal(out.size, strlen(golden));
    assert_memory_equal(out.data, golden, out.size);
}

static void a_record_is_read_as_the_formats_page_says(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct log_record record;
    assert_ok(log_record_decode(&arena, slice_from_text(golden), 17, &record));
    assert_string_equal(record.id, "000102030405060708090a0b0c0d0e0f");
    assert_string_equal(record.previous, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    assert_int_equal(record.time_ms, 1795255200000);
    assert_true(slice_equal_text(record.writer, "host:4711"));
    assert_int_equal(record.n_lines, 2);
    assert_int_equal(record.lines[0].kind, LOG_LINE_DIRECT);
    assert_int_equal(record.lines[1].kind, LOG_LINE_BODY);
    assert_int_equal(record.lines[1].body_begun, 15);
    assert_int_equal(record.lines[1].body_bytes, 5000);
    assert_fails(log_record_decode(&arena, slice_from_text(golden), 18, &record), GLIS_ECORRUPT,
                 "record 17");
}

static void large_records_are_compressed_and_come_back(void **state)
{
    (void)state;
    defer_buffer struct buffer text = BUFFER_INIT(1 << 20), out = BUFFER_INIT(1 << 20);
    struct log_record header = golden_header(), record;
    assert_ok(buffer_append_text(&text, "{\"pad\":\""));
    while (text.size < 20000)
        assert_ok(buffer_append_text(&text, "0123456789"));
    assert_ok(buffer_append_text(&text, "\"}"));
    struct log_line_out lines[] = {{.text = buffer_slice(&text)}, {.text = SLICE("{}")}};
    assert_ok(log_record_encode(&header, lines, 2, &out));
    assert_true(out.size < 2000);
    const uint8_t *body = memchr(out.data, '\n', out.size);
    assert_memory_equal(body + 1, "\x28\xb5\x2f\xfd", 4); /* a zstd frame */
    defer_arena struct arena arena = ARENA_EMPTY;
    assert_ok(log_record_decode(&arena, buffer_slice(&out), 17, &record));
    assert_int_equal(record.n_lines, 2);
    assert_true(slice_equal(record.lines[0].text, buffer_slice(&text)));
    for (size_t size = 0; size < out.size; size++)
        assert_fails(log_record_decode(&arena, slice_make(out.data, size), 17, &record),
                     GLIS_ECORRUPT, NULL);
    for (size_t i = 0; i < out.size * 8; i++) {
        out.data[i / 8] ^= (uint8_t)(1u << i % 8);
        int code = log_record_decode(&arena, buffer_slice(&out), 17, &record);
        /* A few bits of a zstd frame mean nothing: then what it holds is the same. */
        bool same = code == 0 && slice_equal(record.lines[0].text, buffer_slice(&text));
        if (code != GLIS_ECORRUPT && code != GLIS_ENEWER && !same) fail_msg("bit %zu: %d", i, code);
        out.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
}

/* A record with these lines, right in all else. */
static void encode_raw(struct buffer *out, const char *const *lines, size_t n)
{
    struct log_record header = golden_header();
    struct log_line_out raw[8] = {{.sets_time = false}};
    for (size_t i = 0; i < n; i++)
        raw[i].text = slice_from_text(lines[i]);
    assert_ok(log_record_encode(&header, raw, n, out));
}

static void lines_of_the_log_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int code;
    } cases[] = {
        {"{}", 0},
        {"[]", GLIS_ECORRUPT},
        {"7", GLIS_ECORRUPT},
        {"", GLIS_ECORRUPT},
        {"{\"a\":1,\"a\":2}", GLIS_ECORRUPT},
        {"{\"log\":\"later\"}", GLIS_ENEWER},
        {"{\"log\":7}", GLIS_ECORRUPT},
        {"{\"log\":\"set_time\"}", GLIS_ECORRUPT},
        {"{\"log\":\"set_time\",\"record\":16}", 0},
        {"{\"log\":\"set_time\",\"record\":-1}", GLIS_ECORRUPT},
        {"{\"log\":\"body\",\"name\":\"../../x\",\"bytes\":7,\"xxh3\":"
         "\"00112233445566778899aabbccddeeff\"}",
         GLIS_ECORRUPT},
        {"{\"log\":\"body\",\"name\":\"00000000000f-0123456789abcdef0123456789abcdef\","
         "\"bytes\":268435457,\"xxh3\":\"00112233445566778899aabbccddeeff\"}",
         GLIS_ECORRUPT},
        {"{\"log\":\"body\",\"name\":\"00000000000f-0123456789abcdef0123456789abcdef\","
         "\"bytes\":5,\"xxh3\":\"00112233\"}",
         GLIS_ECORRUPT},
        {"{\"log\":\"pending\",\"id\":\"x\",\"not_after\":20,\"transaction\":{}}", 0},
        {"{\"log\":\"pending\",\"id\":\"\",\"not_after\":20,\"transaction\":{}}", GLIS_ECORRUPT},
        {"{\"log\":\"pending\",\"id\":\"x\",\"not_after\":20,\"transaction\":[]}", GLIS_ECORRUPT},
        {"{\"log\":\"pending\",\"id\":\"x\",\"not_after\":20,\"transaction\":{\"log\":"
         "\"set_time\",\"record\":16}}",
         GLIS_ENEWER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        defer_buffer struct buffer out = BUFFER_INIT(1 << 20);
        struct log_record record;
        encode_raw(&out, &cases[i].line, 1);
        int code = log_record_decode(&arena, buffer_slice(&out), 17, &record);
        if (code != cases[i].code)
            fail_msg("%s: %s: %s", cases[i].line, error_code_name(code), error_message());
    }
}

/* ---- carried entries ---- */

struct step {
    const char *lines[4]; /* of the next record; NULL ends */
    const char *ids;      /* in the state after it */
    size_t n_decided;
    int code;
};

#define ENTRY(id, not_after, transaction)                              \
    "{\"log\":\"pending\",\"id\":\"" id "\",\"not_after\":" #not_after \
    ",\"transaction\":" transaction "}"
#define ADD(id) "{\"type\":\"add\",\"id\":\"" id "\"}"

static void carried_entries_are_decided_once_and_by_apply_alone(void **state)
{
    (void)state;
    static const struct step steps[] = {
        /* 1: two entries, of which one is refused by the other; a direct one beside them */
        {{ENTRY("e1", 3, ADD("a")), ENTRY("e2", 3, ADD("a")), ADD("z")}, "a z", 2, 0},
        /* 2: again, and refused ones too: decided once */
        {{"{\"type\":\"lift\",\"id\":\"a\"}", ENTRY("e1", 3, ADD("a")), ENTRY("e2", 3, ADD("b"))},
         "z",
         2,
         0},
        /* 3: not_after is this record: still remembered after it */
        {{ENTRY("e2", 3, ADD("b")), ENTRY("e3", 3, ADD("c"))}, "c z", 3, 0},
        /* 4: forgotten, and past their time; a far not_after is ignored, 64 ahead is taken */
        {{ENTRY("e1", 3, ADD("a")), ENTRY("e4", 69, ADD("far")), ENTRY("e5", 68, ADD("d"))},
         "c d z",
         1,
         0},
        /* 5: one that is not well-formed is refused, not damage */
        {{ENTRY("e6", 10, "{\"type\":\"add\"}"), NULL}, "c d z", 2, 0},
        /* 6: a type that is not known stops everybody */
        {{ENTRY("e7", 10, "{\"type\":\"fly\"}"), NULL}, NULL, 0, GLIS_ENEWER},
    };
    struct log_version *version = NULL;
    assert_ok(log_version_new(&toy_machine, &version));
    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        defer_buffer struct buffer out = BUFFER_INIT(1 << 20), ids = BUFFER_INIT(1000);
        struct log_line_out lines[4] = {{.sets_time = false}};
        struct log_record header = golden_header(), record;
        size_t n = 0;
        while (n < 4 && steps[s].lines[n])
            lines[n] = (struct log_line_out){.text = slice_from_text(steps[s].lines[n])}, n++;
        header.record = s + 1;
        header.id[0] = (char)('1' + s);
        memcpy(header.previous, version->state.id, sizeof(header.previous));
        assert_ok(log_record_encode(&header, lines, n, &out));
        assert_ok(log_record_decode(&arena, buffer_slice(&out), s + 1, &record));
        if (steps[s].code) {
            assert_fails(log_version_apply(version, &record), steps[s].code, NULL);
            break;
        }
        assert_ok(log_version_apply(version, &record));
        const struct toy *toy = version->state.state;
        struct map_cursor cursor;
        for (map_cursor_first(&toy->ids, &cursor); cursor.valid; map_cursor_next(&cursor))
            assert_ok(buffer_printf(&ids, "%s%.*s", ids.size ? " " : "", SLICE_PRINT(cursor.key)));
        assert_ok(buffer_append_byte(&ids, 0));
        assert_string_equal((char *)ids.data, steps[s].ids);
        assert_int_equal(map_count(&version->decided), steps[s].n_decided);
        assert_int_equal(map_count(&version->decided_until), steps[s].n_decided);
        struct log_decided first, second, same;
        if (s == 0) { /* outcomes, with the reason of a refusal */
            assert_true(log_version_decided(version, SLICE("e1"), &first));
            assert_true(log_version_decided(version, SLICE("e2"), &second));
            assert_true(first.applied);
            assert_false(second.applied);
            assert_true(memmem(second.reason.data, second.reason.size, "'a' is there", 12));
            /* they pass through a snapshot */
            defer_buffer struct buffer part = BUFFER_INIT(10000);
            struct log_version *again = NULL;
            void *copy = NULL;
            assert_ok(log_version_part_write(version, &part));
            assert_ok(toy_clone(NULL, version->machine_state, &copy));
            assert_ok(log_version_part_read(&toy_machine, buffer_slice(&part), copy, &again));
            assert_int_equal(map_count(&again->decided), 2);
            assert_true(log_version_decided(again, SLICE("e2"), &same));
            assert_true(slice_equal(same.reason, second.reason));
            assert_int_equal(same.record, second.record);
            assert_string_equal(again->state.id, version->state.id);
            log_version_release(again);
        }
    }
    log_version_release(version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_written_as_the_formats_page_says),
        cmocka_unit_test(a_record_is_read_as_the_formats_page_says),
        cmocka_unit_test(large_records_are_compressed_and_come_back),
        cmocka_unit_test(lines_of_the_log_are_checked),
        cmocka_unit_test(carried_entries_are_decided_once_and_by_apply_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
