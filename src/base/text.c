/*
 * text.c: numbers, sizes and durations as people write them, and UTF-8.
 *
 * Numbers are checked character by character before anything is computed, because the C library's
 * functions skip blanks, stop at the first odd byte and clamp; none of that may happen to a key.
 * A double with at most 15 digits and a power of ten up to 22 is exact in one multiplication or
 * division (Clinger, "How to read floating point numbers accurately", 1990); the rest goes to
 * strtod, which rounds correctly.
 */
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { QUOTED_BYTES_MAX = 60, DOUBLE_BYTES_MAX = 1100 };

static int parse_digits(struct slice digits, uint64_t *out);
static int not_a(const char *what, struct slice s);
static int out_of_range(const char *what, struct slice s);
static bool same_word(struct slice s, const char *word);
static bool named_double(struct slice s, double *out);
static size_t sequence_size(const uint8_t *at, const uint8_t *end);

int text_parse_uint64(struct slice s, uint64_t *out)
{
    struct slice digits = s;
    if (s.size && s.data[0] == '+') digits = slice_part(s, 1, s.size);
    int outcome = parse_digits(digits, out);
    if (outcome == 0) return 0;
    return outcome > 0 ? out_of_range("a whole number from 0 to 18446744073709551615", s)
                       : not_a("a whole number", s);
}

int text_parse_int64(struct slice s, int64_t *out)
{
    bool negative = s.size && s.data[0] == '-';
    struct slice digits = s;
    if (negative || (s.size && s.data[0] == '+')) digits = slice_part(s, 1, s.size);
    uint64_t magnitude;
    int outcome = parse_digits(digits, &magnitude);
    if (outcome < 0) return not_a("a whole number", s);
    if (outcome > 0 || magnitude > (uint64_t)INT64_MAX + negative)
        return out_of_range("a whole number of 64 bits", s);
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return 0;
}

int text_parse_int_between(struct slice s, int64_t min, int64_t max, int64_t *out)
{
    int64_t value;
    TRY(text_parse_int64(s, &value));
    if (value < min || value > max)
        return error_set(GLIS_EINVALID, "%lld is not in the range from %lld to %lld",
                         (long long)value, (long long)min, (long long)max);
    *out = value;
    return 0;
}

int text_parse_double(struct slice s, double *out)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    size_t i = 0, n_digits = 0, n_significant = 0;
    bool negative = s.size && s.data[0] == '-', exponent_negative = false;
    uint64_t mantissa = 0;
    int64_t scale = 0, exponent = 0;
    if (s.size && (s.data[0] == '-' || s.data[0] == '+')) i++;
    for (bool point = false; i < s.size; i++) {
        char c = s.data[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9') break;
        n_digits++;
        if (mantissa || c != '0') n_significant++;
        if (n_significant <= 19) mantissa = mantissa * 10 + (uint64_t)(c - '0');
        scale -= point;
    }
    if (n_digits == 0) return named_double(s, out) ? 0 : not_a("a number", s);
    if (i < s.size && (s.data[i] == 'e' || s.data[i] == 'E')) {
        i++;
        if (i < s.size && (s.data[i] == '-' || s.data[i] == '+'))
            exponent_negative = s.data[i++] == '-';
        if (i == s.size) return not_a("a number", s);
        for (; i < s.size && s.data[i] >= '0' && s.data[i] <= '9'; i++) {
            if (exponent < 1000000) exponent = exponent * 10 + (s.data[i] - '0');
        }
    }
    if (i < s.size) return not_a("a number", s);
    exponent = scale + (exponent_negative ? -exponent : exponent);
    if (n_significant <= 15 && exponent >= -22 && exponent <= 22) {
        double value = (double)mantissa;
        value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
        *out = negative ? -value : value;
        return 0;
    }

    char text[DOUBLE_BYTES_MAX];
    if (s.size >= sizeof(text))
        return error_set(GLIS_EINVALID, "a number of %zu characters is too long", s.size);
    memcpy(text, s.data, s.size);
    text[s.size] = '\0';
    double value = strtod(text, NULL);
    if (isinf(value)) return out_of_range("a number that a double can hold", s);
    *out = value;
    return 0;
}

int text_parse_bool(struct slice s, bool *out)
{
    bool yes = same_word(s, "true");
    if (!yes && !same_word(s, "false")) return not_a("true or false", s);
    *out = yes;
    return 0;
}

int text_parse_size(struct slice s, uint64_t *out_bytes)
{
    static const char letters[] = "KMGTPE";
    size_t n = 0;
    while (n < s.size && s.data[n] >= '0' && s.data[n] <= '9')
        n++;
    struct slice unit = slice_part(s, n, s.size);
    uint64_t value;
    int outcome = parse_digits(slice_part(s, 0, n), &value);
    if (outcome < 0) return not_a("a size such as 4096, 128K or 2G", s);
    unsigned shift = 0;
    if (unit.size && !same_word(unit, "B")) {
        const char *letter = unit.data[0] ? strchr(letters, unit.data[0] & ~0x20) : NULL;
        struct slice rest = slice_part(unit, 1, unit.size);
        if (!letter || (rest.size && !same_word(rest, "B") && !same_word(rest, "iB")))
            return not_a("a size such as 4096, 128K or 2G", s);
        shift = 10 * (unsigned)(letter - letters + 1);
    }
    if (outcome > 0 || (shift && value >> (64 - shift)))
        return out_of_range("a size of 64 bits", s);
    *out_bytes = value << shift;
    return 0;
}

int text_parse_duration(struct slice s, int64_t unit_ms, int64_t *out_ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    size_t n = 0;
    while (n < s.size && s.data[n] >= '0' && s.data[n] <= '9')
        n++;
    struct slice unit = slice_part(s, n, s.size);
    uint64_t value;
    int outcome = parse_digits(slice_part(s, 0, n), &value);
    int64_t factor = unit.size ? 0 : unit_ms;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (same_word(unit, units[i].name)) factor = units[i].ms;
    }
    if (outcome < 0 || factor == 0)
        return not_a("a duration such as 500ms, 90s, 15m, 24h or 7d", s);
    int64_t ms;
    if (outcome > 0 || value > INT64_MAX || __builtin_mul_overflow((int64_t)value, factor, &ms))
        return out_of_range("a duration in 64 bits", s);
    *out_ms = ms;
    return 0;
}

int text_append_size(struct buffer *out, uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    double value = (double)bytes;
    /* 1023.95 would be printed as 1024.0. */
    for (; value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        value /= 1024;
    if (unit == 0) return buffer_printf(out, "%llu bytes", (unsigned long long)bytes);
    value = round(value * 10) / 10;
    return buffer_printf(out, value == floor(value) ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

int text_append_duration(struct buffer *out, int64_t duration_ms)
{
    uint64_t ms = duration_ms < 0 ? 0 - (uint64_t)duration_ms : (uint64_t)duration_ms;
    if (duration_ms < 0) TRY(buffer_append_byte(out, '-'));
    unsigned long long days = ms / 86400000, hours = ms / 3600000 % 24, minutes = ms / 60000 % 60,
                       seconds = ms / 1000 % 60, rest = ms % 1000;
    if (ms < 1000) return buffer_printf(out, "%llu ms", rest);
    if (ms < 10000 && rest >= 100) return buffer_printf(out, "%llu.%llu s", seconds, rest / 100);
    if (ms < 60000) return buffer_printf(out, "%llu s", seconds);
    if (ms < 3600000)
        return seconds ? buffer_printf(out, "%llu min %llu s", minutes, seconds)
                       : buffer_printf(out, "%llu min", minutes);
    if (ms < 86400000)
        return minutes ? buffer_printf(out, "%llu h %llu min", hours, minutes)
                       : buffer_printf(out, "%llu h", hours);
    return hours ? buffer_printf(out, "%llu d %llu h", days, hours)
                 : buffer_printf(out, "%llu d", days);
}

bool text_is_utf8(struct slice s, size_t *bad_offset)
{
    const uint8_t *at = (const uint8_t *)s.data, *end = s.size ? at + s.size : at;
    while (at < end) {
        uint64_t word;
        while (end - at >= 8) {
            memcpy(&word, at, sizeof(word));
            if (word & 0x8080808080808080u) break;
            at += 8;
        }
        while (at < end && *at < 0x80)
            at++;
        /* Text beyond ASCII comes in runs. */
        while (at < end && *at >= 0x80) {
            size_t size = sequence_size(at, end);
            if (size == 0) {
                if (bad_offset) *bad_offset = (size_t)(at - (const uint8_t *)s.data);
                return false;
            }
            at += size;
        }
    }
    return true;
}

size_t text_utf8_encode(uint32_t code_point, char out[4])
{
    ASSERT(code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF));
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    size_t size = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = size; i-- > 1; code_point >>= 6)
        out[i] = (char)(0x80 | (code_point & 0x3F));
    static const uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(leads[size] | code_point);
    return size;
}

/* The size of the well-formed sequence of two to four bytes at `at`, or 0. */
static size_t sequence_size(const uint8_t *at, const uint8_t *end)
{
    uint8_t lead = at[0], low = 0x80, high = 0xBF;
    size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || (size_t)(end - at) < size) return 0;
    /* No overlong forms, no surrogates, nothing above 10FFFF: a matter of the second byte. */
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    if (at[1] < low || at[1] > high) return 0;
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80) return 0;
    }
    return size;
}

/* 0, 1 when the value passes 64 bits, or -1 when these are no digits. */
static int parse_digits(struct slice digits, uint64_t *out)
{
    uint64_t value = 0;
    bool overflow = false;
    if (digits.size == 0) return -1;
    for (size_t i = 0; i < digits.size; i++) {
        unsigned digit = (unsigned)(uint8_t)digits.data[i] - '0';
        if (digit > 9) return -1;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            overflow = true;
    }
    *out = value;
    return overflow;
}

static bool named_double(struct slice s, double *out)
{
    bool negative = s.size && s.data[0] == '-';
    if (negative || (s.size && s.data[0] == '+')) s = slice_part(s, 1, s.size);
    if (same_word(s, "nan")) {
        *out = negative ? -NAN : NAN;
        return true;
    }
    if (same_word(s, "inf") || same_word(s, "infinity")) {
        *out = negative ? -INFINITY : INFINITY;
        return true;
    }
    return false;
}

static bool same_word(struct slice s, const char *word)
{
    return s.size == strlen(word) && s.size && strncasecmp(s.data, word, s.size) == 0;
}

static int not_a(const char *what, struct slice s)
{
    if (s.size == 0) return error_set(GLIS_EINVALID, "%s is wanted, this is empty", what);
    struct slice shown = slice_part(s, 0, QUOTED_BYTES_MAX);
    return error_set(GLIS_EINVALID, "'%.*s%s' is not %s", SLICE_PRINT(shown),
                     shown.size < s.size ? "..." : "", what);
}

static int out_of_range(const char *what, struct slice s)
{
    struct slice shown = slice_part(s, 0, QUOTED_BYTES_MAX);
    return error_set(GLIS_EINVALID, "'%.*s%s' is out of range: %s is wanted", SLICE_PRINT(shown),
                     shown.size < s.size ? "..." : "", what);
}
