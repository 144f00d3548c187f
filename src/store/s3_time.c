/*
 * s3_time.c: the two ways in which S3 writes a time, without the locale and the time zone that the
 * C library would bring in: RFC 3339 in UTC (lists, credentials) and RFC 9110's IMF-fixdate
 * (headers). Days are counted by the proleptic Gregorian calendar from 1970 on.
 */
#include "store/s3_int.h"

static bool digits(struct slice text, size_t at, size_t n, int *out);
static bool to_ms(int year, int month, int day, int hour, int minute, int second, int64_t *out);

int s3_time_iso(struct slice text, int64_t *out_ms)
{
    int year, month, day, hour, minute, second, ms = 0;
    bool good = text.size >= 20 && digits(text, 0, 4, &year) && text.data[4] == '-' &&
                digits(text, 5, 2, &month) && text.data[7] == '-' && digits(text, 8, 2, &day) &&
                text.data[10] == 'T' && digits(text, 11, 2, &hour) && text.data[13] == ':' &&
                digits(text, 14, 2, &minute) && text.data[16] == ':' &&
                digits(text, 17, 2, &second);
    size_t at = 19;
    if (good && text.data[at] == '.') {
        int scale = 100, digit;
        for (at++; at < text.size && digits(text, at, 1, &digit); at++) {
            ms += digit * scale;
            scale /= 10;
        }
        good = at > 20;
    }
    good = good && at < text.size &&
           (slice_equal_text(slice_part(text, at, text.size), "Z") ||
            slice_equal_text(slice_part(text, at, text.size), "+00:00"));
    if (!good || !to_ms(year, month, day, hour, minute, second, out_ms))
        return error_set(GLIS_EINVALID, "no time: '%.*s'", SLICE_PRINT(slice_part(text, 0, 64)));
    *out_ms += ms;
    return 0;
}

int s3_time_http(struct slice text, int64_t *out_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int year, month = 0, day, hour, minute, second;
    bool good = text.size == 29 && text.data[3] == ',' && text.data[4] == ' ' &&
                digits(text, 5, 2, &day) && text.data[7] == ' ' && text.data[11] == ' ' &&
                digits(text, 12, 4, &year) && text.data[16] == ' ' && digits(text, 17, 2, &hour) &&
                text.data[19] == ':' && digits(text, 20, 2, &minute) && text.data[22] == ':' &&
                digits(text, 23, 2, &second) && slice_equal_text(slice_part(text, 25, 4), " GMT");
    while (good && month < 12 && memcmp(text.data + 8, months + (size_t)month * 3, 3) != 0)
        month++;
    if (!good || month == 12 || !to_ms(year, month + 1, day, hour, minute, second, out_ms))
        return error_set(GLIS_EINVALID, "no time: '%.*s'", SLICE_PRINT(slice_part(text, 0, 64)));
    return 0;
}

static bool digits(struct slice text, size_t at, size_t n, int *out)
{
    *out = 0;
    for (size_t i = at; i < at + n; i++) {
        if (i >= text.size || text.data[i] < '0' || text.data[i] > '9') return false;
        *out = *out * 10 + (text.data[i] - '0');
    }
    return true;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* 60 seconds are a leap second, taken as the next minute's first. */
static bool to_ms(int year, int month, int day, int hour, int minute, int second, int64_t *out)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    if (year < 1970 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    int length = before[month] - before[month - 1] + (month == 2 && is_leap(year));
    if (day > length) return false;
    int64_t past = year - 1;
    int64_t days = past * 365 + past / 4 - past / 100 + past / 400 - 719162;
    days += before[month - 1] + (month > 2 && is_leap(year)) + day - 1;
    *out = ((days * 24 + hour) * 60 + minute) * 60000 + second * 1000;
    return true;
}
