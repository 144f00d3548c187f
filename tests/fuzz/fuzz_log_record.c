/*
 * fuzz_log_record.c: any bytes as a record, and as the lines of a record whose header is right, so
 * that the hashes do not keep everything out. What is accepted has the lines it says.
 */
#include "fuzz.h"

#include "log/log_int.h"

static void decode(struct slice object)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct log_record record;
    if (log_record_decode(&arena, object, 1, &record) < 0) return;
    ASSERT(record.n_lines > 0 && record.record == 1);
    for (size_t i = 0; i < record.n_lines; i++) {
        struct log_line *line = &record.lines[i];
        ASSERT(line->text.size > 0);
        ASSERT((line->kind == LOG_LINE_DIRECT) == (line->json != NULL));
        if (line->kind == LOG_LINE_BODY) (void)!log_body_decode(&arena, object, line);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    defer_buffer struct buffer out = BUFFER_INIT(64 << 20);
    defer_arena struct arena arena = ARENA_EMPTY;
    decode(slice_make(data, size));
    size_t n = 1;
    for (size_t i = 0; i < size; i++)
        n += data[i] == '\n';
    if (n > 1000 || size == 0) return 0;
    struct log_line_out *lines = ARENA_ARRAY(&arena, struct log_line_out, n);
    struct slice rest = slice_make(data, size);
    for (size_t i = 0; i < n; i++) {
        const char *end = rest.size ? memchr(rest.data, '\n', rest.size) : NULL;
        lines[i].text = end ? slice_part(rest, 0, (size_t)(end - rest.data)) : rest;
        rest = slice_part(rest, lines[i].text.size + 1, rest.size);
    }
    struct log_record header = {.record = 1,
                                .id = "000102030405060708090a0b0c0d0e0f",
                                .previous = "00000000000000000000000000000000",
                                .writer = SLICE("fuzz")};
    if (log_record_encode(&header, lines, n, &out) == 0) decode(buffer_slice(&out));
    return 0;
}
