/*
 * test_logger.c: entries as text and JSON, levels, secrets, forged lines, and entries that are too
 * long.
 */
#include "test.h"

#include "base/logger.h"

#include <unistd.h>

static int64_t fixed_wall_ms(struct clock *clock)
{
    (void)clock;
    return 1456833600123; /* 2016-03-01T12:00:00.123Z: behind a leap day */
}

static struct clock fixed_clock = {.wall_ms = fixed_wall_ms};

/* What the calls between open and take have written. */
struct capture {
    int pipe[2];
    char text[LOGGER_ENTRY_BYTES + 1];
};

static void capture_open(struct capture *capture, struct logger *logger, enum logger_format format)
{
    assert_int_equal(pipe(capture->pipe), 0);
    logger_init(logger, capture->pipe[1], LOGGER_INFO, format, &fixed_clock);
}

static const char *capture_take(struct capture *capture)
{
    close(capture->pipe[1]);
    ssize_t n = read(capture->pipe[0], capture->text, LOGGER_ENTRY_BYTES);
    assert_true(n >= 0);
    capture->text[n] = '\0';
    close(capture->pipe[0]);
    return capture->text;
}

static void text_lines(void **state)
{
    (void)state;
    struct capture capture;
    struct logger logger;
    capture_open(&capture, &logger, LOGGER_TEXT);
    logger_log(&logger, LOGGER_DEBUG, "not shown", LOGGER_FIELD_NUMBER("n", 1));
    logger_log(&logger, LOGGER_INFO, "ingest committed", LOGGER_FIELD_STRING("table", "t1"),
               LOGGER_FIELD_NUMBER("rows", -5), LOGGER_FIELD_REAL("seconds", 1.5),
               LOGGER_FIELD_STRING("empty", ""), LOGGER_FIELD_STRING("blank", "a b"),
               LOGGER_FIELD_SLICE("forged", SLICE("x\n2016 error y=\"z\"")));
    logger_write(&logger, LOGGER_ERROR, "bare", NULL, 0);
    logger_write(NULL, LOGGER_ERROR, "nobody", NULL, 0);
    assert_string_equal(capture_take(&capture),
                        "2016-03-01T12:00:00.123Z info ingest committed table=t1 rows=-5 "
                        "seconds=1.5 empty=\"\" blank=\"a b\" "
                        "forged=\"x\\n2016 error y=\\\"z\\\"\"\n"
                        "2016-03-01T12:00:00.123Z error bare\n");
}

static void json_lines(void **state)
{
    (void)state;
    struct capture capture;
    struct logger logger;
    capture_open(&capture, &logger, LOGGER_JSON);
    logger_log(&logger, LOGGER_WARN, "a \"b\"", LOGGER_FIELD_STRING("table", "t\n1"),
               LOGGER_FIELD_NUMBER("rows", 5));
    assert_string_equal(capture_take(&capture),
                        "{\"time\":\"2016-03-01T12:00:00.123Z\",\"level\":\"warn\","
                        "\"message\":\"a \\\"b\\\"\",\"table\":\"t\\n1\",\"rows\":5}\n");
}

static void secrets_are_never_written(void **state)
{
    (void)state;
    static const char *const names[] = {"password", "aws_secret_access_key", "Session-Token",
                                        "credentials", "Authorization"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int format = LOGGER_TEXT; format <= LOGGER_JSON; format++) {
            struct capture capture;
            struct logger logger;
            capture_open(&capture, &logger, (enum logger_format)format);
            logger_log(&logger, LOGGER_INFO, "m", LOGGER_FIELD_STRING(names[i], "hunter2"));
            const char *text = capture_take(&capture);
            assert_null(strstr(text, "hunter2"));
            assert_non_null(strstr(text, "***"));
        }
    }
}

static void long_values_and_entries_are_cut_and_stay_one_line(void **state)
{
    (void)state;
    static char value[5000];
    memset(value, 'v', sizeof(value) - 1);
    for (int format = LOGGER_TEXT; format <= LOGGER_JSON; format++) {
        struct capture capture;
        struct logger logger;
        capture_open(&capture, &logger, (enum logger_format)format);
        (void)error_set(GLIS_EIO, "before");
        logger_log(&logger, LOGGER_INFO, "m", LOGGER_FIELD_STRING("a", value),
                   LOGGER_FIELD_STRING("b", value), LOGGER_FIELD_STRING("c", value),
                   LOGGER_FIELD_STRING("d", value), LOGGER_FIELD_STRING("e", "x"));
        assert_string_equal(error_message(), "before");
        const char *text = capture_take(&capture);
        assert_in_range(strlen(text), 6000, LOGGER_ENTRY_BYTES);
        const char *ending = format == LOGGER_JSON ? ",\"cut\":true}\n" : " cut=true\n";
        assert_string_equal(text + strlen(text) - strlen(ending), ending);
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    }
}

static void levels_and_formats_are_read(void **state)
{
    (void)state;
    enum logger_level level;
    enum logger_format format;
    assert_ok(logger_level_parse(SLICE("warn"), &level));
    assert_int_equal(level, LOGGER_WARN);
    assert_fails(logger_level_parse(SLICE("loud"), &level), GLIS_EINVALID,
                 "'loud' is not one of debug, info, warn, error or off");
    assert_ok(logger_format_parse(SLICE("json"), &format));
    assert_int_equal(format, LOGGER_JSON);
    assert_fails(logger_format_parse(SLICE("xml"), &format), GLIS_EINVALID, "text or json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(secrets_are_never_written),
        cmocka_unit_test(long_values_and_entries_are_cut_and_stay_one_line),
        cmocka_unit_test(levels_and_formats_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
