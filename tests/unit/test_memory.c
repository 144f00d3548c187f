/*
 * test_memory.c: budgets as a tree and under threads, arenas, blocks and their references.
 */
#include "test.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>

static void a_reservation_counts_in_all_ancestors_or_nowhere(void **state)
{
    (void)state;
    struct budget process, job;
    budget_init(&process, "process memory", 100, NULL, NULL);
    budget_init(&job, "row memory", 80, "set x", &process);
    assert_ok(budget_reserve(&job, 60));
    assert_int_equal(budget_used(&process), 60);
    assert_int_equal(budget_left(&job), 20);
    assert_fails(budget_reserve(&job, 21), GLIS_ENOMEM, "row memory");
    assert_non_null(strstr(error_message(), "set x"));
    assert_ok(budget_reserve(&process, 30));
    assert_int_equal(budget_left(&job), 10);
    assert_fails(budget_reserve(&job, 15), GLIS_ENOMEM, "process memory");
    assert_int_equal(budget_used(&job), 60);
    assert_false(budget_try_reserve(&job, UINT64_MAX));
    budget_release(&job, 60);
    assert_int_equal(budget_used(&job), 0);
    assert_int_equal(budget_used(&process), 30);
    assert_int_equal(atomic_load(&process.peak_bytes), 90);
}

static void a_level_without_limit_only_counts(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, "all", 0, NULL, NULL);
    assert_int_equal(budget_left(&budget), UINT64_MAX);
    assert_ok(budget_reserve(&budget, (uint64_t)1 << 60));
    assert_ok(budget_reserve(NULL, UINT64_MAX));
    assert_fails(budget_reserve(&budget, UINT64_MAX), GLIS_ENOMEM, "all");
    budget_release(&budget, (uint64_t)1 << 60);
}

static void *reserve_and_release(void *state)
{
    struct budget *budget = state;
    for (int i = 0; i < 20000; i++) {
        if (!budget_try_reserve(budget, 30)) continue;
        if (budget_used(budget->parent) > 100) abort();
        budget_release(budget, 30);
    }
    return NULL;
}

static void threads_never_pass_the_limit(void **state)
{
    (void)state;
    struct budget parent, budget;
    pthread_t threads[4];
    budget_init(&parent, "parent", 100, NULL, NULL);
    budget_init(&budget, "child", 110, NULL, &parent);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reserve_and_release, &budget), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(budget_used(&budget), 0);
    assert_int_equal(budget_used(&parent), 0);
    assert_in_range(atomic_load(&parent.peak_bytes), 30, 100);
}

static void an_arena_hands_out_aligned_pieces_that_stay(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    uint8_t *pieces[300];
    for (size_t i = 0; i < 300; i++) {
        pieces[i] = arena_alloc(&arena, i * 7);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < 300; i++) {
        for (size_t j = 0; j < i * 7; j++)
            assert_int_equal(pieces[i][j], i & 0xFF);
    }
    assert_string_equal(arena_copy_text(&arena, SLICE("abc")), "abc");
    assert_true(slice_equal(arena_copy(&arena, SLICE("a\0b")), SLICE("a\0b")));
    assert_string_equal(arena_printf(&arena, "%s-%d", "x", 5), "x-5");
    int *zeros = ARENA_ARRAY(&arena, int, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(zeros[i], 0);
}

static void an_arena_of_any_mix_of_sizes_wastes_at_most_its_double(void **state)
{
    (void)state;
    struct budget budget;
    struct arena arena;
    budget_init(&budget, "arena", 0, NULL, NULL);
    arena_init(&arena, &budget);
    size_t asked = 0;
    for (size_t i = 0; i < 5000; i++) {
        size_t size = i % 97 == 0 ? 100000 : 100;
        asked += size;
        arena_alloc(&arena, size);
    }
    assert_int_equal(budget_used(&budget), arena.total_bytes);
    assert_in_range(arena.total_bytes, asked, asked * 2);
    arena_free(&arena);
    assert_int_equal(budget_used(&budget), 0);
    assert_ptr_equal(arena.budget, &budget);
}

static void an_arena_goes_on_behind_the_room_it_was_given(void **state)
{
    (void)state;
    char room[1 + 256 + 1];
    memset(room, 'r', sizeof room);
    defer_arena struct arena arena = ARENA_EMPTY;
    arena_use(&arena, room + 1, 256); /* at an odd address */
    char *pieces[40];
    for (size_t i = 0; i < 40; i++) {
        pieces[i] = arena_alloc(&arena, i);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < 40; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(pieces[i][k], i);
    assert_int_equal(room[0], 'r');
    assert_int_equal(room[sizeof room - 1], 'r');
    arena_free(&arena);
    assert_int_equal(arena.total_bytes, 0);
    arena_use(&arena, room, 3); /* too little for anything */
    memset(arena_alloc(&arena, 100), 1, 100);
}

static void an_arena_out_of_budget_fails_and_stays_usable(void **state)
{
    (void)state;
    struct budget budget;
    struct arena arena;
    void *memory;
    budget_init(&budget, "parser memory", 10000, NULL, NULL);
    arena_init(&arena, &budget);
    assert_fails(arena_try_alloc(&arena, 20000, &memory), GLIS_ENOMEM, "parser memory");
    assert_fails(arena_try_alloc(&arena, SIZE_MAX - 8, &memory), GLIS_ENOMEM, NULL);
    assert_ok(arena_try_alloc(&arena, 3000, &memory));
    arena_free(&arena);
    assert_int_equal(budget_used(&budget), 0);
}

static void an_array_in_an_arena_grows_and_keeps_its_items(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, "test", 1 << 20, NULL, NULL);
    struct arena arena;
    arena_init(&arena, &budget);
    uint32_t *items = NULL;
    size_t n = 0, capacity = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        ARENA_GROW(&arena, items, n, capacity);
        assert_true(n < capacity);
        assert_int_equal(items[n], 0);
        items[n++] = i;
    }
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(items[i], i);
    assert_true(capacity < 2 * n);
    arena_free(&arena);
}

static void a_block_is_aligned_padded_and_counted(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    struct budget budget;
    struct block *block;
    budget_init(&budget, "columns", 10000, NULL, NULL);
    assert_ok(block_new(&block, &budget, 1001));
    assert_int_equal((uintptr_t)block->data % 64, 0);
    assert_int_equal(block->size, 1001);
    assert_memory_equal(block->data + 1001, zeros, 64);
    assert_in_range(budget_used(&budget), 1001, 1200);
    assert_ptr_equal(block_acquire(block), block);
    block_release(block);
    assert_true(budget_used(&budget) > 0);
    block_release(block);
    assert_int_equal(budget_used(&budget), 0);
    assert_fails(block_new(&block, &budget, 10001), GLIS_ENOMEM, "columns");
    assert_fails(block_new(&block, NULL, UINT64_MAX), GLIS_ENOMEM, NULL);
    block_release(NULL);
    assert_null(block_acquire(NULL));
}

static void a_resized_block_keeps_its_bytes_and_its_padding(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    struct budget budget;
    struct block *block;
    budget_init(&budget, "columns", 5000, NULL, NULL);
    assert_ok(block_new(&block, &budget, 0));
    for (uint64_t size = 1; size <= 2000; size++) {
        assert_ok(block_resize(&block, size));
        block->data[size - 1] = (uint8_t)(size * 13);
    }
    static const uint64_t sizes[] = {2000, 1999, 900, 899, 1500, 10, 0};
    uint64_t kept = 2000;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_ok(block_resize(&block, sizes[i]));
        if (sizes[i] < kept) kept = sizes[i];
        for (uint64_t j = 0; j < kept; j++)
            assert_int_equal(block->data[j], (uint8_t)((j + 1) * 13));
        assert_memory_equal(block->data + sizes[i], zeros, 64);
        assert_int_equal((uintptr_t)block->data % 64, 0);
    }
    assert_fails(block_resize(&block, 6000), GLIS_ENOMEM, "columns");
    assert_int_equal(block->size, 0);
    block_release(block);
    assert_int_equal(budget_used(&budget), 0);
}

static void large_blocks_that_come_back_share_nothing_with_those_in_use(void **state)
{
    (void)state;
    enum { N = 64 };
    struct block *blocks[N] = {NULL};
    struct budget budget;
    uint64_t seed = 7;
    budget_init(&budget, "test memory", 0, NULL, NULL);
    for (int round = 0; round < 2000; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int i = (int)(seed >> 40) % N;
        if (blocks[i]) { /* what was written is there still, at both ends */
            assert_int_equal(blocks[i]->data[0], i);
            assert_int_equal(blocks[i]->data[blocks[i]->size - 1], i);
            assert_int_equal(blocks[i]->data[blocks[i]->size + 63], 0);
            block_release(blocks[i]);
        }
        uint64_t size = 30000 + (seed >> 20) % (round % 10 == 0 ? 20 << 20 : 300000);
        assert_ok(block_new(&blocks[i], &budget, size));
        assert_int_equal(blocks[i]->size, size);
        assert_int_equal((uintptr_t)blocks[i]->data % 64, 0);
        blocks[i]->data[0] = blocks[i]->data[size - 1] = (uint8_t)i;
    }
    for (int i = 0; i < N; i++)
        block_release(blocks[i]);
    assert_int_equal(budget_used(&budget), 0);
}

static void count_release(void *state)
{
    ++*(int *)state;
}

static void a_wrapped_block_tells_its_owner_once(void **state)
{
    (void)state;
    int n_releases = 0;
    char data[] = "somebody else's";
    struct block *block = block_wrap(data, sizeof(data), count_release, &n_releases);
    block_acquire(block);
    block_release(block);
    assert_int_equal(n_releases, 0);
    block_release(block);
    assert_int_equal(n_releases, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reservation_counts_in_all_ancestors_or_nowhere),
        cmocka_unit_test(a_level_without_limit_only_counts),
        cmocka_unit_test(threads_never_pass_the_limit),
        cmocka_unit_test(an_arena_hands_out_aligned_pieces_that_stay),
        cmocka_unit_test(an_arena_of_any_mix_of_sizes_wastes_at_most_its_double),
        cmocka_unit_test(an_arena_goes_on_behind_the_room_it_was_given),
        cmocka_unit_test(an_arena_out_of_budget_fails_and_stays_usable),
        cmocka_unit_test(an_array_in_an_arena_grows_and_keeps_its_items),
        cmocka_unit_test(a_block_is_aligned_padded_and_counted),
        cmocka_unit_test(a_resized_block_keeps_its_bytes_and_its_padding),
        cmocka_unit_test(large_blocks_that_come_back_share_nothing_with_those_in_use),
        cmocka_unit_test(a_wrapped_block_tells_its_owner_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
