/*
 * value_text.c: the text forms of scalars, both ways (column.h, "Text forms"). Dates are of the
 * proleptic Gregorian calendar; days are counted by the era method (400 years are 146,097 days).
 */
#include "base/text.h"
#include "column/column_int.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- writing ---- */

size_t text_from_int64(int64_t value, char *out)
{
    return (size_t)snprintf(out, VALUE_TEXT_BYTES, "%" PRId64, value);
}

static size_t special_real(double value, char *out)
{
    return (size_t)snprintf(out, VALUE_TEXT_BYTES, "%s",
                            isnan(value) ? "NaN"
                            : value > 0  ? "Infinity"
                                         : "-Infinity");
}

size_t text_from_double(double value, char *out)
{
    int n = 0;
    if (!isfinite(value)) return special_real(value, out);
    /* any 15 digits come back, but for the smallest numbers, which have fewer */
    for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        n = snprintf(out, VALUE_TEXT_BYTES, "%.*g", digits, value);
        double back;
        if (text_parse_double(slice_make(out, (size_t)n), &back) == 0 && back == value) break;
    }
    return (size_t)n;
}

size_t text_from_float(float value, char *out)
{
    int n = 0;
    if (!isfinite(value)) return special_real((double)value, out);
    for (int digits = fabsf(value) < FLT_MIN ? 1 : 6; digits <= 9; digits++) {
        n = snprintf(out, VALUE_TEXT_BYTES, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value) break;
    }
    return (size_t)n;
}

static void date_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned of_era = (unsigned)(days - era * 146097);
    unsigned years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * years + years / 4 - years / 100);
    unsigned shifted = (5 * of_year + 2) / 153;
    *day = of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = (int64_t)years + era * 400 + (*month <= 2);
}

static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned years = (unsigned)(year - era * 400);
    unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned of_era = years * 365 + years / 4 - years / 100 + of_year;
    return era * 146097 + (int64_t)of_era - 719468;
}

static size_t put_date(int64_t days, char *out)
{
    int64_t year;
    unsigned month, day;
    date_from_days(days, &year, &month, &day);
    const char *sign = year < 0 ? "-" : year > 9999 ? "+" : "";
    return (size_t)snprintf(out, VALUE_TEXT_BYTES, "%s%04" PRId64 "-%02u-%02u", sign,
                            year < 0 ? -year : year, month, day);
}

size_t text_from_date(int32_t days, char *out)
{
    return put_date(days, out);
}

size_t text_from_timestamp(int64_t micros, char *out)
{
    int64_t second = micros / 1000000, fraction = micros % 1000000;
    if (fraction < 0) {
        fraction += 1000000;
        second--;
    }
    int64_t day = second / 86400, of_day = second % 86400;
    if (of_day < 0) {
        of_day += 86400;
        day--;
    }
    size_t n = put_date(day, out);
    n += (size_t)snprintf(out + n, VALUE_TEXT_BYTES - n, "T%02d:%02d:%02d", (int)(of_day / 3600),
                          (int)(of_day / 60 % 60), (int)(of_day % 60));
    if (fraction) n += (size_t)snprintf(out + n, VALUE_TEXT_BYTES - n, ".%06d", (int)fraction);
    out[n++] = 'Z';
    return n;
}

size_t text_from_decimal(int128 unscaled, unsigned scale, char *out)
{
    char digits[48];
    unsigned n = 0;
    size_t at = 0;
    unsigned __int128 left =
        unscaled < 0 ? 0 - (unsigned __int128)unscaled : (unsigned __int128)unscaled;
    do {
        digits[n++] = (char)('0' + (int)(left % 10));
        left /= 10;
    } while (left || n <= scale);
    if (unscaled < 0) out[at++] = '-';
    while (n > 0) {
        if (n == scale) out[at++] = '.';
        out[at++] = digits[--n];
    }
    return at;
}

static size_t put_time(const struct type *type, int64_t value, char *out)
{
    static const int64_t units[] = {1000, 1000000, 1000000000};
    int64_t unit = units[type->unit], second = value / unit, fraction = value % unit;
    size_t n = (size_t)snprintf(out, VALUE_TEXT_BYTES, "%02d:%02d:%02d", (int)(second / 3600 % 100),
                                (int)(second / 60 % 60), (int)(second % 60));
    if (fraction)
        n += (size_t)snprintf(out + n, VALUE_TEXT_BYTES - n, ".%0*" PRId64,
                              type->unit == UNIT_MILLI   ? 3
                              : type->unit == UNIT_MICRO ? 6
                                                         : 9,
                              fraction);
    return n;
}

/* Nanoseconds are written to their nine digits, local readings without a Z. */
static size_t put_timestamp(const struct type *type, int64_t value, char *out)
{
    int64_t micros = value, rest = 0;
    if (type->unit == UNIT_MILLI && __builtin_mul_overflow(value, 1000, &micros))
        return text_from_int64(value, out);
    if (type->unit == UNIT_NANO) {
        micros = value / 1000;
        rest = value % 1000;
        if (rest < 0) {
            rest += 1000;
            micros--;
        }
    }
    size_t n = text_from_timestamp(micros, out) - 1;
    if (rest) {
        if (micros % 1000000 == 0) n += (size_t)snprintf(out + n, 16, ".000000");
        n += (size_t)snprintf(out + n, 8, "%03d", (int)rest);
    }
    if (type->utc) out[n++] = 'Z';
    return n;
}

static size_t put_scalar(const struct type *type, const struct value *value, char *out)
{
    switch (type->kind) {
    case TYPE_BOOLEAN: return (size_t)snprintf(out, 8, "%s", value->integer ? "true" : "false");
    case TYPE_FLOAT16:
    case TYPE_FLOAT: return text_from_float((float)value->real, out);
    case TYPE_DOUBLE: return text_from_double(value->real, out);
    case TYPE_DATE: return text_from_date((int32_t)value->integer, out);
    case TYPE_TIME: return put_time(type, value->integer, out);
    case TYPE_TIMESTAMP: return put_timestamp(type, value->integer, out);
    case TYPE_DECIMAL: return text_from_decimal(value->decimal, type->scale, out);
    case TYPE_UINT64:
        return (size_t)snprintf(out, VALUE_TEXT_BYTES, "%" PRIu64, (uint64_t)value->integer);
    default: return text_from_int64(value->integer, out);
    }
}

int value_to_text(const struct type *type, const struct value *value, struct buffer *out)
{
    char text[VALUE_TEXT_BYTES];
    if (value->is_null) return 0;
    if (type->kind == TYPE_STRING) return buffer_append_slice(out, value->bytes);
    if (type->kind == TYPE_BYTES || type->kind == TYPE_FIXED_BYTES ||
        type->kind == TYPE_DECIMAL256 || type->kind == TYPE_INTERVAL)
        return text_base64_encode(out, value->bytes);
    return buffer_append(out, text, put_scalar(type, value, text));
}

/* ---- reading ---- */

static int not_a(const char *what, struct slice text)
{
    return error_set(GLIS_EDATA, "not %s: '%.*s'", what, SLICE_PRINT(slice_part(text, 0, 64)));
}

/* n digits at `*at`, moved on. */
static bool take_digits(struct slice *text, unsigned n, int64_t *out)
{
    *out = 0;
    if (text->size < n) return false;
    for (unsigned i = 0; i < n; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') return false;
        *out = *out * 10 + (text->data[i] - '0');
    }
    *text = slice_part(*text, n, SIZE_MAX);
    return true;
}

static bool take(struct slice *text, char byte)
{
    if (!text->size || text->data[0] != byte) return false;
    *text = slice_part(*text, 1, SIZE_MAX);
    return true;
}

static bool take_date(struct slice *text, int64_t *days)
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year, month, day;
    bool negative = take(text, '-'), many = !negative && take(text, '+');
    unsigned digits = 4;
    if (negative || many)
        while (digits < 7 && text->size > digits && text->data[digits] != '-')
            digits++;
    if (!take_digits(text, digits, &year) || !take(text, '-') || !take_digits(text, 2, &month) ||
        !take(text, '-') || !take_digits(text, 2, &day) || month < 1 || month > 12 || day < 1)
        return false;
    if (negative) year = -year;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > lengths[month - 1] + (month == 2 && leap)) return false;
    *days = days_from_date(year, (unsigned)month, (unsigned)day);
    return true;
}

static bool take_zone(struct slice *text, int64_t *seconds)
{
    int64_t hours, minutes;
    *seconds = 0;
    if (take(text, 'Z')) return true;
    bool behind = take(text, '-');
    if (!behind && !take(text, '+')) return false;
    if (!take_digits(text, 2, &hours) || !take(text, ':') || !take_digits(text, 2, &minutes) ||
        hours > 18 || minutes > 59)
        return false;
    *seconds = (behind ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

static int timestamp_from_text(struct slice all, int64_t *out)
{
    struct slice text = all;
    int64_t days, hour, minute, second, zone, nanos = 0;
    if (!take_date(&text, &days) || !take(&text, 'T') || !take_digits(&text, 2, &hour) ||
        !take(&text, ':') || !take_digits(&text, 2, &minute) || !take(&text, ':') ||
        !take_digits(&text, 2, &second) || hour > 23 || minute > 59 || second > 59)
        return not_a("a timestamp", all);
    if (take(&text, '.')) {
        unsigned n = 0;
        while (n < 9 && n < text.size && text.data[n] >= '0' && text.data[n] <= '9')
            n++;
        if (n == 0 || !take_digits(&text, n, &nanos)) return not_a("a timestamp", all);
        for (; n < 9; n++)
            nanos *= 10;
    }
    if (!take_zone(&text, &zone) || text.size) return not_a("a timestamp with a zone", all);
    if (nanos % 1000) return not_a("a timestamp of whole microseconds", all);
    second += hour * 3600 + minute * 60 - zone;
    /* the first day of the range begins before it */
    int128 total = (int128)days * 86400000000 + second * 1000000 + nanos / 1000;
    if (total > INT64_MAX || total < INT64_MIN) return not_a("a timestamp within range", all);
    *out = (int64_t)total;
    return 0;
}

static int decimal_from_text(const struct type *type, struct slice text, int128 *out)
{
    struct slice at = text;
    bool negative = take(&at, '-'), point = false, any = false;
    unsigned behind = 0;
    int128 value = 0, tenth = decimal_limit(type->precision) / 10;
    for (size_t i = 0; i < at.size; i++) {
        char c = at.data[i];
        if (c == '.' && !point && any && i + 1 < at.size) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9') return not_a("a decimal", text);
        any = true;
        if (point && behind == type->scale) {
            if (c != '0') return not_a("a decimal of so few digits behind the point", text);
            continue;
        }
        behind += point;
        if (value >= tenth) return not_a("a decimal of so few digits", text);
        value = value * 10 + (c - '0');
    }
    if (!any) return not_a("a decimal", text);
    for (; behind < type->scale; behind++) {
        if (value >= tenth && value) return not_a("a decimal of so few digits", text);
        value *= 10;
    }
    *out = negative ? -value : value;
    return 0;
}

static int real_from_text(const struct type *type, struct slice text, double *out)
{
    bool number = text.size > 0 && text.size < 400;
    for (size_t i = 0; i < text.size && number; i++) {
        char c = text.data[i];
        number = (c >= '0' && c <= '9') || c == '-' || c == '.' || c == 'e' || c == 'E' ||
                 (c == '+' && i > 0);
    }
    *out = slice_equal_text(text, "Infinity")    ? (double)INFINITY
           : slice_equal_text(text, "-Infinity") ? -(double)INFINITY
                                                 : (double)NAN;
    if (!isnan(*out) || slice_equal_text(text, "NaN")) return 0;
    if (!number) return not_a("a number", text);
    if (text_parse_double(text, out) < 0) return not_a("a number", text);
    if (type->kind == TYPE_FLOAT) *out = (double)(float)*out;
    return isfinite(*out) ? 0 : not_a("a number within range", text);
}

static int integer_from_text(const struct type *type, struct slice text, int64_t *out)
{
    struct slice at = text;
    bool negative = take(&at, '-');
    uint64_t value = 0, limit = type->kind == TYPE_INT32 ? INT32_MAX : INT64_MAX;
    if (at.size == 0) return not_a("a whole number", text);
    for (size_t i = 0; i < at.size; i++) {
        unsigned digit = (unsigned)(uint8_t)at.data[i] - '0';
        if (digit > 9) return not_a("a whole number", text);
        if (value > (limit + negative - digit) / 10)
            return not_a(type->kind == TYPE_INT32 ? "a number of 32 bits" : "a number of 64 bits",
                         text);
        value = value * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return 0;
}

static int bytes_from_text(struct slice text, struct arena *arena, struct slice *out)
{
    struct buffer bytes defer_buffer = BUFFER_INIT(text.size + 4);
    TRY(text_base64_decode(&bytes, text));
    *out = arena_copy(arena, buffer_slice(&bytes));
    return 0;
}

int value_from_text(const struct type *type, struct slice text, struct arena *arena,
                    struct value *out)
{
    size_t bad;
    *out = (struct value){.kind = type->kind};
    switch (type->kind) {
    case TYPE_BOOLEAN:
        out->integer = slice_equal_text(text, "true");
        return out->integer || slice_equal_text(text, "false") ? 0 : not_a("true or false", text);
    case TYPE_INT32:
    case TYPE_INT64: return integer_from_text(type, text, &out->integer);
    case TYPE_FLOAT:
    case TYPE_DOUBLE: return real_from_text(type, text, &out->real);
    case TYPE_DATE: {
        struct slice at = text;
        if (!take_date(&at, &out->integer) || at.size || out->integer > INT32_MAX ||
            out->integer < INT32_MIN)
            return not_a("a date", text);
        return 0;
    }
    case TYPE_TIMESTAMP:
        if (type->unit == UNIT_MICRO && type->utc) return timestamp_from_text(text, &out->integer);
        break;
    case TYPE_DECIMAL: return decimal_from_text(type, text, &out->decimal);
    case TYPE_STRING:
        out->bytes = text;
        return text_is_utf8(text, &bad) ? 0 : error_set(GLIS_EDATA, "text that is not UTF-8");
    case TYPE_BYTES: {
        int code = bytes_from_text(text, arena, &out->bytes);
        return code < 0 ? not_a("base64", text) : 0;
    }
    default: break;
    }
    return error_set(GLIS_EUNSUPPORTED, "values of the type %s are not read from text",
                     type_name(type, arena));
}
