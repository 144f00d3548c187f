/*
 * text_code.c: base64 and hexadecimal (RFC 4648), and the nearest of several words.
 *
 * Decoders are strict: no white space, no missing padding, no stray bits behind the last byte, so
 * that every value has exactly one text. The distance between words is optimal string alignment:
 * Levenshtein's with swaps of neighbours, in time proportional to the product of the lengths, which
 * are cut at 64 bytes.
 */
#include "base/text.h"

#include <strings.h>

enum { DISTANCE_BYTES_MAX = 64 };

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int base64_value(char c);
static int hex_value(char c);
static unsigned lesser(unsigned a, unsigned b);
static char lower(char c);

int text_base64_encode(struct buffer *out, struct slice bytes)
{
    size_t n_groups = bytes.size / 3 + (bytes.size % 3 != 0), size;
    if (__builtin_mul_overflow(n_groups, 4, &size)) size = SIZE_MAX;
    TRY(buffer_reserve(out, size));
    const uint8_t *in = (const uint8_t *)bytes.data;
    char *to = (char *)out->data + out->size;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t n = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t bits = (uint32_t)in[i] << 16;
        if (n > 1) bits |= (uint32_t)in[i + 1] << 8;
        if (n > 2) bits |= in[i + 2];
        *to++ = base64_alphabet[bits >> 18];
        *to++ = base64_alphabet[bits >> 12 & 63];
        *to++ = n > 1 ? base64_alphabet[bits >> 6 & 63] : '=';
        *to++ = n > 2 ? base64_alphabet[bits & 63] : '=';
    }
    out->size += size;
    return 0;
}

int text_base64_decode(struct buffer *out, struct slice text)
{
    if (text.size % 4 != 0)
        return error_set(GLIS_EINVALID, "base64 of %zu characters is not a multiple of four",
                         text.size);
    if (text.size == 0) return 0;
    size_t n_padding = text.data[text.size - 1] == '=' ? 1 : 0;
    if (n_padding && text.data[text.size - 2] == '=') n_padding = 2;
    size_t size = text.size / 4 * 3 - n_padding;
    TRY(buffer_reserve(out, size));
    uint8_t *to = out->data + out->size, *end = to + size;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.size; i++) {
        bool padding = i >= text.size - n_padding;
        int value = padding ? 0 : base64_value(text.data[i]);
        if (value < 0) return error_set(GLIS_EINVALID, "character %zu is not base64", i + 1);
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 != 3) continue;
        for (unsigned shift = 24; shift > 0 && to < end; shift -= 8)
            *to++ = (uint8_t)(bits >> (shift - 8));
        if (i + 1 == text.size && (bits & (0xFFFFFFu >> (24 - 8 * n_padding))))
            return error_set(GLIS_EINVALID, "the base64 ends in bits that belong to no byte");
        bits = 0;
    }
    out->size += size;
    return 0;
}

int text_hex_encode(struct buffer *out, struct slice bytes)
{
    size_t size;
    if (__builtin_mul_overflow(bytes.size, 2, &size)) size = SIZE_MAX;
    TRY(buffer_reserve(out, size));
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = (uint8_t)bytes.data[i];
        out->data[out->size++] = (uint8_t) "0123456789abcdef"[byte >> 4];
        out->data[out->size++] = (uint8_t) "0123456789abcdef"[byte & 15];
    }
    return 0;
}

int text_hex_decode(struct buffer *out, struct slice text)
{
    if (text.size % 2 != 0)
        return error_set(GLIS_EINVALID, "hexadecimal of %zu digits has half a byte", text.size);
    TRY(buffer_reserve(out, text.size / 2));
    uint8_t *to = out->data + out->size;
    for (size_t i = 0; i < text.size; i += 2) {
        int high = hex_value(text.data[i]), low = hex_value(text.data[i + 1]);
        if (high < 0 || low < 0)
            return error_set(GLIS_EINVALID, "character %zu is no hexadecimal digit",
                             high < 0 ? i + 1 : i + 2);
        *to++ = (uint8_t)(high << 4 | low);
    }
    out->size += text.size / 2;
    return 0;
}

unsigned text_distance(struct slice a, struct slice b)
{
    unsigned rows[3][DISTANCE_BYTES_MAX + 1];
    a = slice_part(a, 0, DISTANCE_BYTES_MAX);
    b = slice_part(b, 0, DISTANCE_BYTES_MAX);
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= b.size; j++)
        above[j] = before[j] = j;
    for (unsigned i = 1; i <= a.size; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b.size; j++) {
            char x = lower(a.data[i - 1]), y = lower(b.data[j - 1]);
            row[j] = lesser(lesser(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b.data[j - 2]) && y == lower(a.data[i - 2]))
                row[j] = lesser(row[j], before[j - 2] + 1);
        }
        unsigned *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.size];
}

const char *text_closest(struct slice word, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    unsigned best_distance = 0;
    if (word.size == 0) return NULL;
    for (size_t i = 0; i < n; i++) {
        struct slice candidate = slice_from_text(candidates[i]);
        unsigned distance = text_distance(word, candidate);
        unsigned allowed = word.size < 6 ? 1 : (unsigned)lesser((unsigned)word.size, 64) / 3;
        bool begins = word.size >= 3 && word.size < candidate.size &&
                      strncasecmp(word.data, candidate.data, word.size) == 0;
        if (distance > allowed && !begins) continue;
        if (begins && distance > allowed) distance = allowed;
        if (best && distance >= best_distance) continue;
        best = candidates[i];
        best_distance = distance;
    }
    return best;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static unsigned lesser(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}
