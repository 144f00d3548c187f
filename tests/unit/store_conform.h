/*
 * store_conform.h: what every store must do, as a table of cases. Expected values are the sentences
 * of store.h. Each case wants an empty store.
 */
#ifndef GLIS_STORE_CONFORM_H
#define GLIS_STORE_CONFORM_H

#include "test.h"

#include "store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* What is another's own affair. */
static bool sync_looks_at_objects = true; /* else a sync has nothing to do, and does nothing */
static bool uploads_show_at_once = true;  /* else small ones are one put at their end */

static int put(struct store *store, const char *key, const char *body, unsigned flags)
{
    return store_put(store, slice_from_text(key), slice_from_text(body), flags);
}

/* The object's body is this text. */
static void assert_body(struct store *store, const char *key, const char *body)
{
    defer_buffer struct buffer buffer = BUFFER_INIT(1 << 20);
    assert_ok(store_get(store, slice_from_text(key), 0, STORE_TO_END, &buffer));
    assert_int_equal(buffer.size, strlen(body));
    if (buffer.size) assert_memory_equal(buffer.data, body, buffer.size);
}

/* All keys of a list, joined by blanks. */
static void assert_keys(struct store *store, const char *prefix, const char *start_after,
                        size_t limit, const char *wanted, bool more)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list page;
    assert_ok(store_list(store, slice_from_text(prefix), slice_from_text(start_after), limit,
                         &arena, &page));
    defer_buffer struct buffer keys = BUFFER_INIT(1 << 20);
    for (size_t i = 0; i < page.n_objects; i++) {
        if (i) assert_ok(buffer_append_text(&keys, " "));
        assert_ok(buffer_append_slice(&keys, page.objects[i].key));
    }
    assert_ok(buffer_append_byte(&keys, 0));
    assert_string_equal((char *)keys.data, wanted);
    assert_int_equal(page.more, more);
}

static void a_conditional_put_has_one_winner(struct store *store)
{
    assert_ok(put(store, "log/1", "first", STORE_IF_ABSENT));
    assert_fails(put(store, "log/1", "second", STORE_IF_ABSENT), GLIS_EEXISTS, "log/1");
    assert_body(store, "log/1", "first");
    assert_ok(put(store, "log/1", "third", 0));
    assert_body(store, "log/1", "third");
    assert_ok(store_remove(store, &SLICE("log/1"), 1));
    assert_ok(put(store, "log/1", "fourth", STORE_IF_ABSENT));
    assert_body(store, "log/1", "fourth");
    assert_ok(put(store, "empty", "", STORE_IF_ABSENT));
    assert_body(store, "empty", "");
}

static void ranges_are_cut_at_the_end(struct store *store)
{
    static const struct {
        uint64_t offset, length;
        const char *wanted; /* NULL: GLIS_EINVALID */
    } cases[] = {
        {0, STORE_TO_END, "0123456789"},
        {3, 4, "3456"},
        {8, 100, "89"},
        {10, 5, ""},
        {11, 1, NULL},
        {STORE_TO_END, 3, "789"},
        {STORE_TO_END, 99, "0123456789"},
        {0, 0, ""},
        {STORE_TO_END, 0, ""},
        {9, STORE_TO_END, "9"},
        {UINT64_MAX - 1, 2, NULL},
    };
    assert_ok(put(store, "data", "0123456789", 0));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct store_read read = {
            .key = SLICE("data"), .offset = cases[i].offset, .length = cases[i].length};
        if (!cases[i].wanted) {
            assert_fails(store_read(store, &read, 1), GLIS_EINVALID, "begins at byte");
            assert_null(read.block);
            continue;
        }
        assert_ok(store_read(store, &read, 1));
        assert_int_equal(read.size, strlen(cases[i].wanted));
        assert_int_equal(read.object_size, 10);
        if (read.size) assert_memory_equal(read.data, cases[i].wanted, read.size);
        store_read_release(&read, 1);
    }
}

static void each_read_has_its_own_outcome(struct store *store)
{
    assert_ok(put(store, "a", "alpha", 0));
    assert_ok(put(store, "b/c", "beta", 0));
    struct store_read reads[] = {{.key = SLICE("a"), .offset = 1, .length = 2},
                                 {.key = SLICE("missing"), .length = STORE_TO_END},
                                 {.key = SLICE("a"), .offset = 9, .length = 1},
                                 {.key = SLICE("b"), .length = 1},
                                 {.key = SLICE("b/c"), .length = STORE_TO_END}};
    assert_fails(store_read(store, reads, 5), GLIS_EINVALID, "a range begins at byte 9");
    static const int outcomes[] = {0, GLIS_ENOTFOUND, GLIS_EINVALID, GLIS_ENOTFOUND, 0};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(reads[i].outcome, outcomes[i]);
        assert_int_equal(reads[i].block != NULL, outcomes[i] == 0);
    }
    assert_memory_equal(reads[0].data, "lp", 2);
    assert_memory_equal(reads[4].data, "beta", 4);
    store_read_release(reads, 5);
    assert_ok(store_read(store, &reads[1], 1));
    assert_int_equal(reads[1].outcome, GLIS_ENOTFOUND);
    defer_buffer struct buffer buffer = BUFFER_INIT(100);
    assert_fails(store_get(store, SLICE("missing"), 0, 1, &buffer), GLIS_ENOTFOUND, "missing");
}

static void head_knows_size_and_time(struct store *store)
{
    struct store_object object;
    int64_t before, after;
    assert_ok(store_time_ms(store, &before));
    assert_ok(put(store, "x/y", "12345", 0));
    assert_ok(store_time_ms(store, &after));
    assert_ok(store_head(store, SLICE("x/y"), &object));
    assert_int_equal(object.size, 5);
    assert_true(object.modified_ms >= before - 1000 && object.modified_ms <= after + 1000);
    assert_fails(store_head(store, SLICE("x"), &object), GLIS_ENOTFOUND, "x");
    assert_fails(store_head(store, SLICE("x/y/z"), &object), GLIS_ENOTFOUND, "x/y/z");
}

static void lists_are_in_byte_order_of_the_keys(struct store *store)
{
    static const char *const keys[] = {"b/2", "b/10", "a/b", "a-b", "ab", "a/c/d", "\xc3\xa9", "z"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        assert_ok(put(store, keys[i], "1", STORE_IF_ABSENT));
    assert_keys(store, "", "", 0, "a-b a/b a/c/d ab b/10 b/2 z \xc3\xa9", false);
    assert_keys(store, "a", "", 0, "a-b a/b a/c/d ab", false);
    assert_keys(store, "a/", "", 0, "a/b a/c/d", false);
    assert_keys(store, "a/c", "", 0, "a/c/d", false);
    assert_keys(store, "b/1", "", 0, "b/10", false);
    assert_keys(store, "", "a/b", 0, "a/c/d ab b/10 b/2 z \xc3\xa9", false);
    assert_keys(store, "", "a/b", 2, "a/c/d ab", true);
    assert_keys(store, "", "a/c", 2, "a/c/d ab", true);
    assert_keys(store, "", "a/c/d", 2, "ab b/10", true);
    assert_keys(store, "", "b/", 3, "b/10 b/2 z", true);
    assert_keys(store, "b/", "b/10", 1, "b/2", false);
    assert_keys(store, "b/", "c", 0, "", false);
    assert_keys(store, "b/", "a", 1, "b/10", true);
    assert_keys(store, "nothing/", "", 0, "", false);
    assert_keys(store, "a-b", "", 0, "a-b", false);
}

static int join_key(void *state, const struct store_object *object)
{
    struct buffer *keys = state;
    if (slice_equal_text(object->key, "n/00017")) return 17;
    return buffer_append_slice(keys, slice_part(object->key, object->key.size - 1, 1));
}

static void each_visits_all_pages_and_stops_when_told(struct store *store)
{
    char key[16];
    for (int i = 0; i < 1203; i++) {
        snprintf(key, sizeof(key), "n/%05d", i * 17 % 1203 + (i * 17 % 1203 >= 17));
        assert_ok(put(store, key, "", STORE_DEFER_SYNC));
    }
    defer_buffer struct buffer keys = BUFFER_INIT(10000);
    assert_ok(store_each(store, SLICE("n/"), SLICE_EMPTY, join_key, &keys));
    assert_int_equal(keys.size, 1203);
    assert_memory_equal(keys.data, "01234567890123456890", 20);
    assert_ok(put(store, "n/00017", "", STORE_DEFER_SYNC));
    buffer_clear(&keys);
    assert_int_equal(store_each(store, SLICE("n/"), SLICE_EMPTY, join_key, &keys), 17);
    assert_int_equal(keys.size, 17);
}

static void removing_what_is_not_there_is_success(struct store *store)
{
    assert_ok(put(store, "a/b", "1", 0));
    assert_ok(put(store, "c", "2", 0));
    struct slice keys[] = {SLICE("nothing"), SLICE("a/b"), SLICE("a/b/c"), SLICE("a"), SLICE("c")};
    assert_ok(store_remove(store, keys, 5));
    assert_keys(store, "", "", 0, "", false);
    assert_ok(store_remove(store, keys, 5));
    assert_ok(store_remove(store, NULL, 0));
}

static void a_deferred_put_is_seen_and_can_be_synced(struct store *store)
{
    assert_ok(put(store, "data/x/1", "one", STORE_DEFER_SYNC));
    assert_ok(put(store, "data/y/2", "two", STORE_DEFER_SYNC | STORE_IF_ABSENT));
    assert_body(store, "data/x/1", "one");
    struct slice keys[] = {SLICE("data/x/1"), SLICE("data/y/2"), SLICE("data/z/3")};
    assert_ok(store_sync(store, keys, 2));
    if (sync_looks_at_objects) assert_fails(store_sync(store, keys, 3), GLIS_ENOTFOUND, "data/z/3");
    assert_body(store, "data/y/2", "two");
}

static void a_put_in_parts_is_seen_only_when_finished(struct store *store)
{
    struct store_upload *upload = NULL;
    assert_fails(store_upload_open(store, SLICE("big"), STORE_IF_ABSENT, &upload), GLIS_EINVALID,
                 "conditional");
    assert_ok(store_upload_open(store, SLICE("data/big"), 0, &upload));
    assert_ok(store_upload_write(upload, SLICE("first ")));
    assert_ok(store_upload_write(upload, SLICE("")));
    assert_ok(store_upload_write(upload, SLICE("second")));
    assert_int_equal(upload->size_bytes, 12);
    assert_keys(store, "", "", 0, "", false);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_unfinished *unfinished;
    size_t n;
    assert_ok(store_unfinished_list(store, SLICE("data/"), &arena, &unfinished, &n));
    assert_int_equal(n, uploads_show_at_once);
    if (uploads_show_at_once) assert_true(slice_equal_text(unfinished[0].key, "data/big"));
    assert_ok(store_unfinished_list(store, SLICE("else/"), &arena, &unfinished, &n));
    assert_int_equal(n, 0);
    assert_ok(store_upload_finish(upload));
    assert_body(store, "data/big", "first second");
    assert_ok(store_unfinished_list(store, SLICE(""), &arena, &unfinished, &n));
    assert_int_equal(n, 0);
    assert_ok(store_upload_open(store, SLICE("data/other"), 0, &upload));
    assert_ok(store_upload_write(upload, SLICE("lost")));
    store_upload_abort(upload);
    store_upload_abort(NULL);
    assert_keys(store, "", "", 0, "data/big", false);
    if (!uploads_show_at_once) return;
    assert_ok(store_upload_open(store, SLICE("data/removed"), 0, &upload));
    assert_ok(store_unfinished_list(store, SLICE(""), &arena, &unfinished, &n));
    assert_int_equal(n, 1);
    assert_ok(store_unfinished_remove(store, &unfinished[0]));
    assert_ok(store_unfinished_list(store, SLICE(""), &arena, &unfinished, &n));
    assert_int_equal(n, 0);
    assert_true(store_upload_finish(upload) < 0);
    assert_keys(store, "", "", 0, "data/big", false);
}

static void wrong_keys_are_refused_by_every_request(struct store *store)
{
    static char long_key[STORE_KEY_BYTES_MAX + 2];
    memset(long_key, 'k', sizeof(long_key) - 1);
    for (size_t i = 100; i < sizeof(long_key) - 1; i += 100)
        long_key[i] = '/';
    const struct slice keys[] = {SLICE(""),
                                 SLICE("/a"),
                                 SLICE("a/"),
                                 SLICE("a//b"),
                                 SLICE("."),
                                 SLICE(".."),
                                 SLICE("../a"),
                                 SLICE("a/../b"),
                                 SLICE("a/.."),
                                 SLICE("a/./b"),
                                 SLICE("a\0b"),
                                 SLICE("a\nb"),
                                 SLICE("a\x7f"),
                                 SLICE("\xff"),
                                 SLICE("a\xc3"),
                                 SLICE("\xed\xa0\x80"),
                                 slice_from_text(long_key)};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct store_object object;
        struct store_upload *upload;
        struct store_read read = {.key = keys[i]};
        assert_fails(store_key_check(keys[i]), GLIS_EINVALID, "key");
        assert_fails(store_put(store, keys[i], SLICE("x"), 0), GLIS_EINVALID, "key");
        assert_fails(store_read(store, &read, 1), GLIS_EINVALID, "key");
        assert_fails(store_head(store, keys[i], &object), GLIS_EINVALID, "key");
        assert_fails(store_remove(store, &keys[i], 1), GLIS_EINVALID, "key");
        assert_fails(store_sync(store, &keys[i], 1), GLIS_EINVALID, "key");
        assert_fails(store_upload_open(store, keys[i], 0, &upload), GLIS_EINVALID, "key");
    }
    assert_keys(store, "", "", 0, "", false);
    long_key[STORE_KEY_BYTES_MAX] = '\0';
    assert_ok(put(store, long_key, "x", STORE_IF_ABSENT));
    assert_keys(store, "", "", 0, long_key, false);
    assert_ok(put(store, "...", "x", STORE_IF_ABSENT));
    assert_ok(put(store, "a b/\xe2\x82\xac", "x", STORE_IF_ABSENT));
    assert_body(store, "a b/\xe2\x82\xac", "x");
}

static void requests_are_counted(struct store *store)
{
    assert_keys(store, "", "", 0, "", false); /* the root of an instance looks for its home once */
    struct store_counters before = store_counters(store);
    struct store_object object;
    assert_ok(put(store, "a", "12345", 0));
    assert_ok(put(store, "b", "123", STORE_IF_ABSENT));
    assert_fails(put(store, "b", "12345678", STORE_IF_ABSENT), GLIS_EEXISTS, NULL);
    assert_ok(store_head(store, SLICE("a"), &object));
    assert_body(store, "a", "12345");
    assert_ok(store_sync(store, &SLICE("a"), 1));
    assert_ok(store_remove(store, &SLICE("a"), 1));
    assert_keys(store, "", "", 0, "b", false);
    struct store_counters after = store_counters(store);
    assert_int_equal(after.puts - before.puts, 1);
    assert_int_equal(after.conditional_puts - before.conditional_puts, 2);
    assert_int_equal(after.bytes_written - before.bytes_written, 8);
    assert_int_equal(after.heads - before.heads, 1);
    assert_int_equal(after.gets - before.gets, 1);
    assert_int_equal(after.bytes_read - before.bytes_read, 5);
    assert_int_equal(after.syncs - before.syncs, 1);
    assert_int_equal(after.deletes - before.deletes, 1);
    assert_int_equal(after.lists - before.lists, 1);
}

enum { RACE_THREADS = 8, RACE_KEYS = 60 };

struct racer {
    struct store *store;
    int number, wins;
};

static void *race(void *state)
{
    struct racer *racer = state;
    for (int i = 0; i < RACE_KEYS; i++) {
        char key[32], body[32];
        snprintf(key, sizeof(key), "race/%d/%d", i % 3, i);
        snprintf(body, sizeof(body), "%d", racer->number);
        int code = put(racer->store, key, body, STORE_IF_ABSENT);
        if (code == 0)
            racer->wins++;
        else if (code != GLIS_EEXISTS)
            return state;
        defer_buffer struct buffer seen = BUFFER_INIT(100);
        if (store_get(racer->store, slice_from_text(key), 0, STORE_TO_END, &seen) < 0) return state;
        bool own = slice_equal_text(buffer_slice(&seen), body);
        if (own != (code == 0)) return state;
    }
    return NULL;
}

static void of_many_threads_one_wins_each_key(struct store *store)
{
    pthread_t threads[RACE_THREADS];
    struct racer racers[RACE_THREADS];
    int wins = 0;
    for (int i = 0; i < RACE_THREADS; i++) {
        racers[i] = (struct racer){store, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACE_THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        wins += racers[i].wins;
    }
    assert_int_equal(wins, RACE_KEYS);
}

static const struct {
    const char *name;
    void (*test)(struct store *store);
} conform_cases[] = {
    {"a conditional put has one winner", a_conditional_put_has_one_winner},
    {"ranges are cut at the end", ranges_are_cut_at_the_end},
    {"each read has its own outcome", each_read_has_its_own_outcome},
    {"head knows size and time", head_knows_size_and_time},
    {"lists are in byte order of the keys", lists_are_in_byte_order_of_the_keys},
    {"each visits all pages", each_visits_all_pages_and_stops_when_told},
    {"removing what is not there is success", removing_what_is_not_there_is_success},
    {"a deferred put is seen and can be synced", a_deferred_put_is_seen_and_can_be_synced},
    {"a put in parts is seen when finished", a_put_in_parts_is_seen_only_when_finished},
    {"wrong keys are refused", wrong_keys_are_refused_by_every_request},
    {"requests are counted", requests_are_counted},
    {"of many threads one wins each key", of_many_threads_one_wins_each_key},
};

#endif
