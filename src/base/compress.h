/*
 * compress.h: zstd frames of bounded size (RFC 8878), for what is written and read whole.
 */
#ifndef GLIS_BASE_COMPRESS_H
#define GLIS_BASE_COMPRESS_H

#include "base/buffer.h"

/* Whether these bytes begin like a zstd frame. */
bool compress_is_zstd(struct slice bytes);
/* Appends one frame with its content size in the header. Level 1 to 19; 3 is zstd's own choice. */
int compress_zstd(struct buffer *out, struct slice bytes, int level) GLIS_CHECKED;
/* Appends what one whole frame holds. GLIS_ECORRUPT when it is not exactly one well-formed frame
 * that states its content size; GLIS_ELIMIT when that is above max_bytes (nothing is
 * decompressed then). */
int decompress_zstd(struct buffer *out, struct slice frame, uint64_t max_bytes) GLIS_CHECKED;

#endif
