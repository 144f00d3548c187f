/*
 * memory.h: budgets, arenas and shared blocks: the three ways in which Glis holds memory.
 *
 * budget  a limit in bytes with a name and a way to raise it; budgets form a tree and a reservation
 *         counts in all ancestors. Whatever is sized by input is reserved first and may fail with
 *         GLIS_ENOMEM, which names the limit.
 * arena   memory of one job, query or request: grown by bump allocation, freed as a whole. Small
 *         bookkeeping; not thread safe.
 * block   a reference-counted run of bytes, 64-byte aligned, for column buffers and cached pages.
 *         Counts are atomic; what a block holds is written by its maker before it is shared and
 *         never after.
 *
 * memory_alloc and friends are for small fixed bookkeeping: they end the process when the machine
 * has no memory left. A NULL budget is allowed everywhere and means "not counted"; use it only for
 * what is not sized by input.
 */
#ifndef GLIS_BASE_MEMORY_H
#define GLIS_BASE_MEMORY_H

#include "base/error.h"
#include "base/slice.h"

#include <stdatomic.h>

/* As malloc, calloc and realloc, but never NULL; freed with free(). */
void *memory_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *memory_alloc_zero(size_t size) __attribute__((malloc, returns_nonnull));
void *memory_realloc(void *old, size_t size) __attribute__((returns_nonnull));
char *memory_copy_text(struct slice s)
    __attribute__((returns_nonnull)); /* NUL-terminated; caller frees with free() */

/* Frees *pointer at the end of the scope: `defer_free char *text = ...;`. */
void memory_defer_free(void *pointer_to_pointer);
#define defer_free __attribute__((cleanup(memory_defer_free), unused))

/* ---- budget ---- */

struct budget {
    const char *name;      /* what is limited, for people: "row memory" */
    const char *remedy;    /* how to raise it: "set glis.ingest.memory"; may be NULL */
    struct budget *parent; /* may be NULL */
    uint64_t limit_bytes;  /* 0: no limit at this level, only counted */
    _Atomic uint64_t used_bytes;
    _Atomic uint64_t peak_bytes;
    _Atomic uint64_t ahead_bytes; /* budget_try_ahead */
};

/* `name` and `remedy` are for people and must outlive the budget, as must the parent. */
void budget_init(struct budget *budget, const char *name, uint64_t limit_bytes, const char *remedy,
                 struct budget *parent);
/* All or nothing over the whole chain of parents. GLIS_ENOMEM names the level that ran out.
 * Thread safe. */
int budget_reserve(struct budget *budget, uint64_t bytes) GLIS_CHECKED;
bool budget_try_reserve(struct budget *budget,
                        uint64_t bytes); /* the same without an error detail */
void budget_release(struct budget *budget, uint64_t bytes);
uint64_t budget_used(const struct budget *budget);
/* Bytes that could still be reserved at this level and all above; UINT64_MAX without a limit. */
uint64_t budget_left(const struct budget *budget);
/* Whether at least one `share`-th of it is left at each level. */
bool budget_has_room(const struct budget *budget, unsigned share);
/* For what is only useful when there is room for it, such as bytes that are asked for before they
 * are needed: true when all of that, of everybody who has this budget, then takes at most one
 * `share`-th of it at each level. It is not reserved by this, for it counts where it is kept.
 * budget_add_ahead adds what is there already; budget_end_ahead ends either. */
bool budget_try_ahead(struct budget *budget, uint64_t bytes, unsigned share);
void budget_add_ahead(struct budget *budget, uint64_t bytes);
void budget_end_ahead(struct budget *budget, uint64_t bytes);

/* ---- arena ---- */

struct arena_chunk;
struct arena {
    struct arena_chunk *newest;
    char *next, *end;
    struct budget *budget;
    uint64_t total_bytes;
};

#define ARENA_EMPTY ((struct arena){NULL, NULL, NULL, NULL, 0})
/* Empty; its chunks are counted in `budget`, which may be NULL. */
void arena_init(struct arena *arena, struct budget *budget);
/* Has an empty arena take its first bytes from `room`, which is the caller's and outlives what is
 * in the arena: a small piece of work then asks for no memory at all. Not counted in the budget. */
void arena_use(struct arena *arena, void *room, size_t size);
/* Aligned to 16, not cleared. Never NULL: these end the process when memory or the arena's
 * budget is out; for what is sized by input use arena_try_alloc. Size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull));
void *arena_alloc_zero(struct arena *arena, size_t size) __attribute__((returns_nonnull));
int arena_try_alloc(struct arena *arena, size_t size, void **out) GLIS_CHECKED;
char *arena_copy_text(struct arena *arena, struct slice s); /* NUL-terminated */
struct slice arena_copy(struct arena *arena, struct slice s);
char *arena_printf(struct arena *arena, const char *format, ...) GLIS_PRINTF(2, 3);
void arena_free(struct arena *arena); /* back to empty with the same budget; may be used again */
#define defer_arena                 __attribute__((cleanup(arena_free), unused))
#define ARENA_NEW(arena, type)      ((type *)arena_alloc_zero((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, n) ((type *)arena_alloc_zero((arena), sizeof(type) * (size_t)(n)))

/* Room for one more item in a growing array of an arena: items[n] may be written afterwards. Each
 * time that it is full it is copied into one twice as large, so that all of it takes at most twice
 * the memory of what it becomes. `capacity` is a size_t that begins at 0, items NULL. */
#define ARENA_GROW(arena, items, n, capacity) \
    ((items) = arena_grow_array((arena), (items), (n), &(capacity), sizeof *(items)))
void *arena_grow_array(struct arena *arena, void *items, size_t n, size_t *capacity,
                       size_t item_bytes) __attribute__((returns_nonnull));

/* ---- block ---- */

struct block {
    _Atomic uint32_t references;
    struct budget *budget;
    uint64_t size;                        /* bytes at data */
    uint8_t *data;                        /* 64-byte aligned when made by block_new */
    void (*release)(void *release_state); /* NULL for blocks made by block_new */
    void *release_state;
};

/* One reference, for the caller. The 64 bytes after `size` exist and are zero, so that wide
 * loads may pass the end. */
int block_new(struct block **out, struct budget *budget, uint64_t size) GLIS_CHECKED;
/* A block over memory that is somebody else's: release(release_state) is called when the last
 * reference goes. */
struct block *block_wrap(void *data, uint64_t size, void (*release)(void *), void *release_state);
/* Grows or shrinks a block that has one reference and was made by block_new; the contents are
 * kept, new bytes are undefined. */
int block_resize(struct block **block, uint64_t size) GLIS_CHECKED;
struct block *block_acquire(struct block *block); /* NULL is passed through */
void block_release(struct block *block);          /* NULL is allowed */

#endif
