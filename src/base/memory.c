/*
 * memory.c: budgets, arenas and blocks.
 *
 * Budget: one compare-and-swap a level, from the leaf up; a level that refuses makes the levels
 * below give back what they had taken, so that a reservation is all or nothing. Counting is exact
 * under threads: used_bytes never passes limit_bytes.
 *
 * Arena: chunks that double from 4 KiB to 1 MiB; a request larger than a quarter of the next chunk
 * gets a chunk of its own, behind the newest, whose free room stays in use. Under the address
 * sanitizer what has not been handed out is poisoned, with a gap between neighbours, so that an
 * overrun of one arena object is found as surely as one of malloc's.
 *
 * Block: header and data are one allocation; capacity grows by halves, so that appending by
 * block_resize costs amortised constant time a byte. The budget counts capacity, not size.
 *
 * Large blocks that are freed are kept, up to KEPT_BYTES_MAX in all, for the next ones of their
 * size class (eight classes a doubling) or of a little less: memory fresh from the system costs a
 * page fault each 4 KiB, several times what it takes to decode a page into it. When the keep is
 * full the block that has lain longest goes back to the system. Kept bytes are in no budget; their
 * number is the process's, whatever its load. Under the address sanitizer nothing is kept, so that
 * a use after the release is found.
 */
#include "base/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONED 1
#endif
#endif
#ifdef ARENA_POISONED
#include <sanitizer/asan_interface.h>
#define POISON(address, size)   ASAN_POISON_MEMORY_REGION(address, size)
#define UNPOISON(address, size) ASAN_UNPOISON_MEMORY_REGION(address, size)
enum { ARENA_GAP_BYTES = 16 };
#else
#define POISON(address, size)   ((void)0)
#define UNPOISON(address, size) ((void)0)
enum { ARENA_GAP_BYTES = 0 };
#endif

enum {
    ARENA_ALIGNMENT = 16,
    SMALL_BYTES = 1024,
    ARENA_CHUNK_BYTES_MIN = 4096,
    ARENA_CHUNK_BYTES_MAX = 1 << 20,
    BLOCK_ALIGNMENT = 64,
    BLOCK_HEADER_BYTES = 64,
    BLOCK_PADDING_BYTES = 64,
    KEPT_SIZE_MIN = 32 << 10, /* of a block that is kept */
    KEPT_SIZE_MAX = 16 << 20,
    KEPT_CLASSES = 8 * 10,
    KEPT_BYTES_MAX = 64 << 20, /* of all of them */
};

/* More than any machine has; keeps sums of sizes far from overflow. */
#define MEMORY_SIZE_MAX ((uint64_t)1 << 47)

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* bytes of the whole chunk, header included */
};

/* How block_new lays a block out: this header in the first 64 bytes, then the data. */
struct block_header {
    struct block block;
    uint64_t capacity;
    uint32_t class; /* of the keep, from 1; 0: too small or too large for it */
};
_Static_assert(sizeof(struct block_header) <= BLOCK_HEADER_BYTES, "the header fits its place");

/* What stands in a block while it is kept: in the list of its class and in that by age. */
struct kept_block {
    struct kept_block *class_next, *class_previous, *older, *newer;
    uint32_t class;
};

static struct {
    pthread_mutex_t lock;
    struct kept_block *classes[KEPT_CLASSES + 1], *oldest, *newest;
    uint64_t bytes;
} keep = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void out_of_memory(uint64_t size) __attribute__((noreturn, cold));
static struct budget *budget_take(struct budget *budget, uint64_t bytes);
static bool level_take(struct budget *budget, uint64_t bytes);
static void format_bytes(char *out, size_t capacity, uint64_t bytes);
static int arena_grow(struct arena *arena, size_t need, void **out);
static struct block_header *block_allocate(uint64_t capacity);
static uint64_t block_cost(uint64_t capacity);
static uint32_t keep_class(uint64_t *size);
static void *keep_take(uint32_t *class);
static void keep_give(struct block_header *header);

void *memory_alloc(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (!memory) out_of_memory(size);
    return memory;
}

void *memory_alloc_zero(size_t size)
{
    /* What is small malloc takes from the thread's own lists, and calloc does not. */
    bool small = size <= SMALL_BYTES;
    void *memory = small ? malloc(size ? size : 1) : calloc(1, size);
    if (!memory) out_of_memory(size);
    return small ? memset(memory, 0, size) : memory;
}

void *memory_realloc(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);
    if (!memory) out_of_memory(size);
    return memory;
}

char *memory_copy_text(struct slice s)
{
    char *text = memory_alloc(s.size + 1);
    if (s.size) memcpy(text, s.data, s.size);
    text[s.size] = '\0';
    return text;
}

void memory_defer_free(void *pointer_to_pointer)
{
    void *pointer;
    memcpy(&pointer, pointer_to_pointer, sizeof(pointer));
    free(pointer);
}

/* ---- budget ---- */

void budget_init(struct budget *budget, const char *name, uint64_t limit_bytes, const char *remedy,
                 struct budget *parent)
{
    budget->name = name;
    budget->remedy = remedy;
    budget->parent = parent;
    budget->limit_bytes = limit_bytes;
    atomic_init(&budget->used_bytes, 0);
    atomic_init(&budget->peak_bytes, 0);
    atomic_init(&budget->ahead_bytes, 0);
}

int budget_reserve(struct budget *budget, uint64_t bytes)
{
    struct budget *refused = budget_take(budget, bytes);
    if (!refused) return 0;
    char more[32], limit[32], used[32];
    format_bytes(more, sizeof(more), bytes);
    format_bytes(limit, sizeof(limit), refused->limit_bytes);
    format_bytes(used, sizeof(used), budget_used(refused));
    return error_set(GLIS_ENOMEM, "%s: %s more do not fit the limit of %s (%s in use)%s%s",
                     refused->name, more, limit, used, refused->remedy ? "; to raise it, " : "",
                     refused->remedy ? refused->remedy : "");
}

bool budget_try_reserve(struct budget *budget, uint64_t bytes)
{
    return budget_take(budget, bytes) == NULL;
}

void budget_release(struct budget *budget, uint64_t bytes)
{
    for (; budget; budget = budget->parent) {
        uint64_t before =
            atomic_fetch_sub_explicit(&budget->used_bytes, bytes, memory_order_relaxed);
        ASSERT(before >= bytes);
    }
}

uint64_t budget_used(const struct budget *budget)
{
    return atomic_load_explicit(&budget->used_bytes, memory_order_relaxed);
}

uint64_t budget_left(const struct budget *budget)
{
    uint64_t left = UINT64_MAX;
    for (; budget; budget = budget->parent) {
        if (budget->limit_bytes == 0) continue;
        uint64_t here = budget->limit_bytes - budget_used(budget);
        if (here < left) left = here;
    }
    return left;
}

bool budget_has_room(const struct budget *budget, unsigned share)
{
    for (; budget; budget = budget->parent)
        if (budget->limit_bytes - budget_used(budget) < budget->limit_bytes / share) return false;
    return true;
}

bool budget_try_ahead(struct budget *budget, uint64_t bytes, unsigned share)
{
    for (struct budget *level = budget; level; level = level->parent) {
        uint64_t now =
            atomic_fetch_add_explicit(&level->ahead_bytes, bytes, memory_order_relaxed) + bytes;
        if (level->limit_bytes == 0 || now <= level->limit_bytes / share) continue;
        atomic_fetch_sub_explicit(&level->ahead_bytes, bytes, memory_order_relaxed);
        for (struct budget *back = budget; back != level; back = back->parent)
            atomic_fetch_sub_explicit(&back->ahead_bytes, bytes, memory_order_relaxed);
        return false;
    }
    return true;
}

void budget_add_ahead(struct budget *budget, uint64_t bytes)
{
    for (; budget; budget = budget->parent)
        atomic_fetch_add_explicit(&budget->ahead_bytes, bytes, memory_order_relaxed);
}

void budget_end_ahead(struct budget *budget, uint64_t bytes)
{
    for (; budget; budget = budget->parent) {
        uint64_t before =
            atomic_fetch_sub_explicit(&budget->ahead_bytes, bytes, memory_order_relaxed);
        ASSERT(before >= bytes);
    }
}

/* Reserves along the chain; NULL, or the level that refused, and then nothing is reserved. */
static struct budget *budget_take(struct budget *budget, uint64_t bytes)
{
    for (struct budget *level = budget; level; level = level->parent) {
        if (level_take(level, bytes)) continue;
        for (struct budget *back = budget; back != level; back = back->parent)
            atomic_fetch_sub_explicit(&back->used_bytes, bytes, memory_order_relaxed);
        return level;
    }
    return NULL;
}

static bool level_take(struct budget *budget, uint64_t bytes)
{
    uint64_t used = atomic_load_explicit(&budget->used_bytes, memory_order_relaxed), sum;
    do {
        if (__builtin_add_overflow(used, bytes, &sum)) return false;
        if (budget->limit_bytes && sum > budget->limit_bytes) return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->used_bytes, &used, sum,
                                                    memory_order_relaxed, memory_order_relaxed));
    uint64_t peak = atomic_load_explicit(&budget->peak_bytes, memory_order_relaxed);
    while (sum > peak &&
           !atomic_compare_exchange_weak_explicit(&budget->peak_bytes, &peak, sum,
                                                  memory_order_relaxed, memory_order_relaxed)) {}
    return true;
}

static void format_bytes(char *out, size_t capacity, uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    unsigned unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(out, capacity, unit == 0 || value == (double)(uint64_t)value ? "%.0f %s" : "%.1f %s",
             value, units[unit]);
}

static void out_of_memory(uint64_t size)
{
    fprintf(stderr, "glis: the machine has no memory left (%llu bytes asked for)\n",
            (unsigned long long)size);
    abort();
}

/* ---- arena ---- */

void arena_init(struct arena *arena, struct budget *budget)
{
    *arena = ARENA_EMPTY;
    arena->budget = budget;
}

void arena_use(struct arena *arena, void *room, size_t size)
{
    ASSERT(!arena->newest && !arena->next);
#ifdef ARENA_POISONED /* and so that a use after its end is found, in memory of its own */
    (void)room, (void)size;
#else
    size_t gap = -(uintptr_t)room & (ARENA_ALIGNMENT - 1);
    if (gap > size) return;
    arena->next = (char *)room + gap;
    arena->end = arena->next + ((size - gap) & ~(size_t)(ARENA_ALIGNMENT - 1));
#endif
}

int arena_try_alloc(struct arena *arena, size_t size, void **out)
{
    if (size > MEMORY_SIZE_MAX)
        return error_set(GLIS_ENOMEM, "an object of %zu bytes is too large", size);
    size_t need = (size + ARENA_GAP_BYTES + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (need == 0) need = ARENA_ALIGNMENT;
    if (need <= (size_t)(arena->end - arena->next)) {
        *out = arena->next;
        arena->next += need;
    } else {
        TRY(arena_grow(arena, need, out));
    }
    UNPOISON(*out, size);
    return 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *memory;
    if (arena_try_alloc(arena, size, &memory) < 0) {
        fprintf(stderr, "glis: %s\n", error_message());
        abort();
    }
    return memory;
}

void *arena_alloc_zero(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

void *arena_grow_array(struct arena *arena, void *items, size_t n, size_t *capacity,
                       size_t item_bytes)
{
    enum { FIRST_ITEMS = 16 };
    size_t bytes;
    ASSERT(n <= *capacity);
    if (n < *capacity) return items;
    size_t larger = *capacity ? *capacity * 2 : FIRST_ITEMS;
    ASSERT(larger > *capacity && !__builtin_mul_overflow(larger, item_bytes, &bytes));
    char *grown = arena_alloc(arena, bytes);
    if (n) memcpy(grown, items, n * item_bytes);
    memset(grown + n * item_bytes, 0, bytes - n * item_bytes);
    *capacity = larger;
    return grown;
}

char *arena_copy_text(struct arena *arena, struct slice s)
{
    char *text = arena_alloc(arena, s.size + 1);
    if (s.size) memcpy(text, s.data, s.size);
    text[s.size] = '\0';
    return text;
}

struct slice arena_copy(struct arena *arena, struct slice s)
{
    return slice_make(arena_copy_text(arena, s), s.size);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    ASSERT(size >= 0);
    char *text = arena_alloc(arena, (size_t)size + 1);
    va_start(arguments, format);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    va_end(arguments);
    return text;
}

void arena_free(struct arena *arena)
{
    struct arena_chunk *chunk = arena->newest;
    while (chunk) {
        struct arena_chunk *older = chunk->older;
        UNPOISON(chunk, chunk->size);
        free(chunk);
        chunk = older;
    }
    budget_release(arena->budget, arena->total_bytes);
    arena_init(arena, arena->budget);
}

/* Adds a chunk with room for `need` bytes and takes them from it. */
static int arena_grow(struct arena *arena, size_t need, void **out)
{
    size_t regular = arena->newest ? (size_t)arena->total_bytes : ARENA_CHUNK_BYTES_MIN;
    if (regular > ARENA_CHUNK_BYTES_MAX) regular = ARENA_CHUNK_BYTES_MAX;
    bool own = need > regular / 4 && arena->newest;
    size_t size = sizeof(struct arena_chunk) + need;
    if (!own && size < regular) size = regular;

    TRY(budget_reserve(arena->budget, size));
    struct arena_chunk *chunk = malloc(size);
    if (!chunk) {
        budget_release(arena->budget, size);
        return error_set(GLIS_ENOMEM, "the machine has no memory left (%zu bytes asked for)", size);
    }
    arena->total_bytes += size;
    chunk->size = size;
    char *data = (char *)(chunk + 1);
    POISON(data, size - sizeof(*chunk));
    *out = data;
    if (own) {
        chunk->older = arena->newest->older;
        arena->newest->older = chunk;
    } else {
        chunk->older = arena->newest;
        arena->newest = chunk;
        arena->next = data + need;
        arena->end = (char *)chunk + size;
    }
    return 0;
}

/* ---- block ---- */

int block_new(struct block **out, struct budget *budget, uint64_t size)
{
    if (size > MEMORY_SIZE_MAX)
        return error_set(GLIS_ENOMEM, "a block of %llu bytes is too large",
                         (unsigned long long)size);
    TRY(budget_reserve(budget, block_cost(size)));
    struct block_header *header = block_allocate(size);
    if (!header) {
        budget_release(budget, block_cost(size));
        return error_set(GLIS_ENOMEM, "the machine has no memory left (%llu bytes asked for)",
                         (unsigned long long)size);
    }
    header->block.budget = budget;
    header->block.size = size;
    memset(header->block.data + size, 0, BLOCK_PADDING_BYTES);
    *out = &header->block;
    return 0;
}

struct block *block_wrap(void *data, uint64_t size, void (*release)(void *), void *release_state)
{
    ASSERT(release != NULL);
    struct block *block = memory_alloc(sizeof(*block));
    atomic_init(&block->references, 1);
    block->budget = NULL;
    block->size = size;
    block->data = data;
    block->release = release;
    block->release_state = release_state;
    return block;
}

int block_resize(struct block **block, uint64_t size)
{
    struct block_header *header = (struct block_header *)*block;
    ASSERT(!header->block.release);
    ASSERT(atomic_load_explicit(&header->block.references, memory_order_relaxed) == 1);
    uint64_t capacity = header->capacity;
    if (size > capacity || size < capacity / 2) {
        struct block *larger;
        uint64_t wanted = size;
        if (size > capacity && size < capacity + capacity / 2) wanted = capacity + capacity / 2;
        TRY(block_new(&larger, header->block.budget, wanted));
        uint64_t kept = size < header->block.size ? size : header->block.size;
        if (kept) memcpy(larger->data, header->block.data, kept);
        block_release(*block);
        *block = larger;
    }
    (*block)->size = size;
    memset((*block)->data + size, 0, BLOCK_PADDING_BYTES);
    return 0;
}

struct block *block_acquire(struct block *block)
{
    if (block) {
        uint32_t before = atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
        ASSERT(before > 0 && before < UINT32_MAX);
    }
    return block;
}

void block_release(struct block *block)
{
    if (!block) return;
    uint32_t before = atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1) return;
    if (block->release) {
        block->release(block->release_state);
    } else {
        struct block_header *header = (struct block_header *)block;
        budget_release(block->budget, block_cost(header->capacity));
        if (header->class) {
            keep_give(header);
            return;
        }
    }
    free(block);
}

static struct block_header *block_allocate(uint64_t capacity)
{
    uint64_t size = (block_cost(capacity) + BLOCK_ALIGNMENT - 1) & ~(uint64_t)(BLOCK_ALIGNMENT - 1);
    uint32_t class = keep_class(&size);
    struct block_header *header = class ? keep_take(&class) : NULL;
    if (!header) header = aligned_alloc(BLOCK_ALIGNMENT, size);
    if (!header) return NULL;
    header->class = class;
    atomic_init(&header->block.references, 1);
    header->block.data = (uint8_t *)header + BLOCK_HEADER_BYTES;
    header->block.release = NULL;
    header->block.release_state = NULL;
    header->capacity = capacity;
    return header;
}

static uint64_t block_cost(uint64_t capacity)
{
    return BLOCK_HEADER_BYTES + capacity + BLOCK_PADDING_BYTES;
}

/* ---- the keep of large blocks ---- */

/* The bytes of a class's blocks: 32 KiB, then eight steps to each doubling. */
static uint64_t keep_class_size(uint32_t class)
{
    uint32_t doubling = (class - 1) / 8, step = (class - 1) % 8;
    return (uint64_t)(KEPT_SIZE_MIN / 8) * (8 + step) << doubling;
}

/* The smallest class that holds *size bytes, which become the class's; 0 when there is none. */
static uint32_t keep_class(uint64_t *size)
{
#ifdef ARENA_POISONED
    (void)size;
    return 0;
#else
    if (*size < KEPT_SIZE_MIN || *size > KEPT_SIZE_MAX) return 0;
    uint32_t doubling =
        63 - (uint32_t)__builtin_clzll(*size) - (uint32_t)__builtin_ctz(KEPT_SIZE_MIN);
    uint64_t step_bytes = (uint64_t)(KEPT_SIZE_MIN / 8) << doubling;
    uint32_t steps = (uint32_t)((*size + step_bytes - 1) / step_bytes); /* 8 to 16 */
    uint32_t class = 8 * doubling + steps - 8 + 1;
    if (class > KEPT_CLASSES) return 0;
    *size = keep_class_size(class);
    return class;
#endif
}

/* Out of both lists; under the lock. */
static void keep_unlink(struct kept_block *kept)
{
    if (kept->class_previous)
        kept->class_previous->class_next = kept->class_next;
    else
        keep.classes[kept->class] = kept->class_next;
    if (kept->class_next) kept->class_next->class_previous = kept->class_previous;
    if (kept->older)
        kept->older->newer = kept->newer;
    else
        keep.oldest = kept->newer;
    if (kept->newer)
        kept->newer->older = kept->older;
    else
        keep.newest = kept->older;
    keep.bytes -= keep_class_size(kept->class);
}

/* The memory of the block of a class that was given last, or of one of the next larger ones, which
 * *class then is; NULL when there is none. */
static void *keep_take(uint32_t *class)
{
    enum { STEPS_LARGER = 2 };
    struct kept_block *kept = NULL;
    pthread_mutex_lock(&keep.lock);
    for (uint32_t c = *class; !kept && c <= *class + STEPS_LARGER && c <= KEPT_CLASSES; c++)
        kept = keep.classes[c];
    if (kept) {
        *class = kept->class;
        keep_unlink(kept);
    }
    pthread_mutex_unlock(&keep.lock);
    return kept;
}

static void keep_give(struct block_header *header)
{
    uint32_t class = header->class;
    struct kept_block *kept = (struct kept_block *)(void *)header, *surplus = NULL;
    pthread_mutex_lock(&keep.lock);
    *kept = (struct kept_block){
        .class_next = keep.classes[class], .older = keep.newest, .class = class};
    if (kept->class_next) kept->class_next->class_previous = kept;
    if (kept->older)
        kept->older->newer = kept;
    else
        keep.oldest = kept;
    keep.classes[class] = keep.newest = kept;
    keep.bytes += keep_class_size(class);
    while (keep.bytes > KEPT_BYTES_MAX) {
        struct kept_block *oldest = keep.oldest;
        keep_unlink(oldest);
        oldest->class_next = surplus;
        surplus = oldest;
    }
    pthread_mutex_unlock(&keep.lock);
    while (surplus) {
        struct kept_block *next = surplus->class_next;
        free(surplus);
        surplus = next;
    }
}
