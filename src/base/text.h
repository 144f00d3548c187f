/*
 * text.h: small things about text: numbers, sizes and durations as people write them, UTF-8,
 * base64, and the nearest of several words.
 *
 * The parsers take the whole slice: no blanks around, nothing behind. Their errors are
 * GLIS_EINVALID and quote the text (shortened); what it was for, the caller adds with
 * error_context.
 */
#ifndef GLIS_BASE_TEXT_H
#define GLIS_BASE_TEXT_H

#include "base/buffer.h"

/* Decimal digits with an optional sign ('-', or '+'); out of range is an error that says so. */
int text_parse_int64(struct slice s, int64_t *out) GLIS_CHECKED;
int text_parse_uint64(struct slice s, uint64_t *out) GLIS_CHECKED;
/* The same within [min, max]. */
int text_parse_int_between(struct slice s, int64_t min, int64_t max, int64_t *out) GLIS_CHECKED;
/* Decimal with optional point and exponent, or NaN, Infinity, inf in any case with a sign; rounded
 * to the nearest. A finite number beyond the range of double is an error; no hexadecimal. */
int text_parse_double(struct slice s, double *out) GLIS_CHECKED;
/* true or false, in any case. */
int text_parse_bool(struct slice s, bool *out) GLIS_CHECKED;

/* "4096", "128K", "64M", "1G", "2T", also "128KB", "128KiB", "10B", in any case: powers of 1024. */
int text_parse_size(struct slice s, uint64_t *out_bytes) GLIS_CHECKED;
/* "500ms", "90s", "15m", "24h", "7d"; a number without unit counts `unit_ms` each (0: refused). */
int text_parse_duration(struct slice s, int64_t unit_ms, int64_t *out_ms) GLIS_CHECKED;

/* Appends a size as people read it, "1.5 GiB", and a duration, "2 h 5 min", "350 ms". */
int text_append_size(struct buffer *out, uint64_t bytes) GLIS_CHECKED;
int text_append_duration(struct buffer *out, int64_t duration_ms) GLIS_CHECKED;

/* Whether it is well-formed UTF-8 (Unicode 15, table 3-7). When not, *bad_offset, if not NULL, is
 * where the first wrong sequence begins. */
bool text_is_utf8(struct slice s, size_t *bad_offset);
/* Writes a code point (not a surrogate, at most 0x10FFFF) to out[4]; returns 1 to 4 bytes. */
size_t text_utf8_encode(uint32_t code_point, char out[4]);

/* RFC 4648 section 4, with padding. Decoding refuses anything else, white space too. */
int text_base64_encode(struct buffer *out, struct slice bytes) GLIS_CHECKED;
int text_base64_decode(struct buffer *out, struct slice text) GLIS_CHECKED;
/* Lower-case hexadecimal; decoding takes both cases. */
int text_hex_encode(struct buffer *out, struct slice bytes) GLIS_CHECKED;
int text_hex_decode(struct buffer *out, struct slice text) GLIS_CHECKED;

/* The number of single-character insertions, deletions, changes and swaps of neighbours that turn
 * a into b, without regard to ASCII case; long words are compared by their first 64 bytes. */
unsigned text_distance(struct slice a, struct slice b);
/* The candidate that the writer may have meant: nearest by text_distance and not too far (a third
 * of its length), or one that the word begins; NULL when there is none. */
const char *text_closest(struct slice word, const char *const *candidates, size_t n);

#endif
