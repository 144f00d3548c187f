/*
 * test_buffer.c: growth, the maximum and the budget of a buffer.
 */
#include "test.h"

#include "base/buffer.h"

static void appends_of_every_kind_stand_one_behind_the_other(void **state)
{
    (void)state;
    defer_buffer struct buffer buffer = BUFFER_INIT(1000);
    assert_ok(buffer_append(&buffer, "ab", 2));
    assert_ok(buffer_append_slice(&buffer, SLICE("cd")));
    assert_ok(buffer_append_text(&buffer, "ef"));
    assert_ok(buffer_append_byte(&buffer, 'g'));
    assert_ok(buffer_append_zeros(&buffer, 2));
    assert_ok(buffer_printf(&buffer, "%d-%s", 12, "h"));
    assert_int_equal(buffer.size, 13);
    assert_memory_equal(buffer.data, "abcdefg\0\00012-h", 13);
    buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    assert_true(buffer.capacity > 0);
}

static void passing_the_maximum_fails_and_changes_nothing(void **state)
{
    (void)state;
    defer_buffer struct buffer buffer = BUFFER_INIT(100);
    assert_ok(buffer_append_zeros(&buffer, 99));
    assert_fails(buffer_append_text(&buffer, "xy"), GLIS_ELIMIT, "limit of 100 bytes");
    assert_int_equal(buffer.size, 99);
    assert_fails(buffer_append_zeros(&buffer, SIZE_MAX), GLIS_ELIMIT, "limit");
    assert_ok(buffer_printf(&buffer, "%c", 'x'));
    assert_fails(buffer_printf(&buffer, "%c", 'x'), GLIS_ELIMIT, "limit");
    assert_int_equal(buffer.size, 100);
}

static void long_printing_is_whole(void **state)
{
    (void)state;
    defer_buffer struct buffer buffer = BUFFER_INIT(10000);
    assert_ok(buffer_printf(&buffer, "%0*d|", 5000, 7));
    assert_int_equal(buffer.size, 5001);
    assert_int_equal(buffer.data[4999], '7');
    assert_int_equal(buffer.data[5000], '|');
}

static void the_budget_counts_capacity_and_gets_it_back(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, "test memory", 1000, "ask for more", NULL);
    struct buffer buffer;
    buffer_init(&buffer, 5000, &budget);
    assert_ok(buffer_append_zeros(&buffer, 700));
    assert_int_equal(budget_used(&budget), buffer.capacity);
    assert_fails(buffer_append_zeros(&buffer, 701), GLIS_ENOMEM, "test memory");
    assert_int_equal(buffer.size, 700);
    buffer_free(&buffer);
    assert_int_equal(budget_used(&budget), 0);
    assert_int_equal(buffer.max_bytes, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_of_every_kind_stand_one_behind_the_other),
        cmocka_unit_test(passing_the_maximum_fails_and_changes_nothing),
        cmocka_unit_test(long_printing_is_whole),
        cmocka_unit_test(the_budget_counts_capacity_and_gets_it_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
