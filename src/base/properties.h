/*
 * properties.h: texts in the syntax of Java's properties files, in full, as java.util.Properties
 * documents it: comments with # and !, names ended by =, : or blanks, lines continued by a
 * backslash, escapes \t \n \r \f \uXXXX (pairs of surrogates become one character).
 *
 * A text that is valid UTF-8 is read as UTF-8, any other as Latin-1, Java's older rule; what comes
 * out is UTF-8. Ownership: names and values live in the arena.
 */
#ifndef GLIS_BASE_PROPERTIES_H
#define GLIS_BASE_PROPERTIES_H

#include "base/buffer.h"

struct property {
    struct slice name, value;
    unsigned line; /* on which it begins, from 1 */
};

/* In the order of the text, repeated names included. */
struct properties {
    struct property *items;
    size_t n_items;
};

enum { PROPERTIES_BYTES_MAX = 16 << 20 };

/* Reads a text. GLIS_EINVALID names the line; GLIS_ELIMIT beyond PROPERTIES_BYTES_MAX. */
int properties_parse(struct arena *arena, struct slice text, struct properties *out) GLIS_CHECKED;
/* The value of a name: the last one when it is repeated, as in Java; NULL when there is none. */
const struct property *properties_find(const struct properties *properties, const char *name);

/* Appends "name=value\n", escaped so that properties_parse and Java's load give both back. */
int properties_write(struct buffer *out, struct slice name, struct slice value) GLIS_CHECKED;
/* Appends the text as comment lines, "# " before each. */
int properties_write_comment(struct buffer *out, struct slice text) GLIS_CHECKED;

#endif
