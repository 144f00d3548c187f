/*
 * fuzz_table_snapshot.c: snapshots of tables and of the catalogue: any bytes give an error, or a
 * state that can be walked and asked without falling over.
 */
#include "fuzz.h"

#include "table/table_int.h"

static int look_at(void *context, const struct table_leaf *leaf)
{
    uint64_t *rows = context;
    for (size_t i = 0; i < leaf->n_references; i++)
        *rows += leaf->references[i].rows;
    return 0;
}

static int look_at_file(void *context, const struct table_file *file)
{
    *(uint64_t *)context += file->rows;
    return 0;
}

static void walk(struct state *state)
{
    const struct table_state *hold = table_state_own(state, 1, 1);
    uint64_t rows = 0;
    if (state_schema(state) && table_each_leaf(hold, NULL, NULL, look_at, &rows) == 0 &&
        table_each_file(hold, look_at_file, &rows) == 0)
        (void)!table_validate(hold);
    table_state_release(hold);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice log_part;
    struct block *block;
    void *state;
    if (block_new(&block, NULL, size) < 0) return 0;
    if (size) memcpy(block->data, data, size);
    struct slice bytes = slice_make(block->data, size);
    if (table_machine.snapshot_read(NULL, block, bytes, &arena, &log_part, &state) == 0)
        walk(state);
    if (catalogue_machine.snapshot_read(NULL, block, bytes, &arena, &log_part, &state) == 0)
        catalogue_machine.state_free(NULL, state);
    block_release(block);
    return 0;
}
