/*
 * turns.h: players who take turns: each is a thread, exactly one of them runs at a time, and at
 * each point where one offers its turn a seed decides who goes on. A world of several writers and
 * readers so has one course, which its seed gives again.
 *
 * turns_gate is a store that offers the turn of its player before each request, and passes it on to
 * the store behind. A player must not offer its turn while it holds a lock that another may want.
 */
#ifndef GLIS_TEST_TURNS_H
#define GLIS_TEST_TURNS_H

#include "base/memory.h"
#include "base/runtime.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>

enum { TURNS_PLAYERS_MAX = 8 };

struct turns;
struct turns_player {
    struct turns *turns;
    void (*play)(void *state);
    /* Told of each request that passes its gate, and of each put that was done; may be NULL. */
    void (*request)(void *state);
    void (*was_put)(void *state, struct slice key, struct slice body);
    void *state;
    unsigned number;
    pthread_t thread;
    pthread_cond_t turn;
    bool alive;
};

struct turns {
    struct random *random; /* the schedule's; not owned */
    pthread_mutex_t lock;  /* only there to hand over: all else is the running player's */
    struct turns_player players[TURNS_PLAYERS_MAX];
    unsigned n_players, n_alive, running, awake;
    bool over; /* no more turns: whoever looks at the end goes straight on */
};

static inline void turns_init(struct turns *turns, struct random *random)
{
    *turns = (struct turns){.random = random, .running = TURNS_PLAYERS_MAX};
    ASSERT(pthread_mutex_init(&turns->lock, NULL) == 0);
}

static inline struct turns_player *turns_add(struct turns *turns, void (*play)(void *state),
                                             void *state)
{
    ASSERT(turns->n_players < TURNS_PLAYERS_MAX);
    struct turns_player *player = &turns->players[turns->n_players];
    *player = (struct turns_player){
        .turns = turns, .play = play, .state = state, .number = turns->n_players++, .alive = true};
    ASSERT(pthread_cond_init(&player->turn, NULL) == 0);
    return player;
}

/* Chooses who goes on; returns when it is `me`'s turn again (at once when me is NULL or has ended).
 */
static inline void turns_hand_over(struct turns *turns, struct turns_player *me)
{
    if (turns->n_alive == 0 || turns->over) return;
    /* For spans of some dozen requests only a part of them is awake: the others sleep through what
     * these do. */
    if (random_below(turns->random, 48) == 0)
        turns->awake = (unsigned)random_below(turns->random, 1u << turns->n_players);
    unsigned next = (unsigned)random_below(turns->random, turns->n_players);
    for (unsigned i = 0; i < turns->n_players; i++, next = (next + 1) % turns->n_players)
        if (turns->players[next].alive && (turns->awake & 1u << next)) break;
    while (!turns->players[next].alive)
        next = (next + 1) % turns->n_players;
    if (me && next == me->number) return;
    pthread_mutex_lock(&turns->lock);
    turns->running = next;
    pthread_cond_signal(&turns->players[next].turn);
    while (me && me->alive && turns->running != me->number)
        pthread_cond_wait(&me->turn, &turns->lock);
    pthread_mutex_unlock(&turns->lock);
}

static inline void *turns_thread(void *state)
{
    struct turns_player *player = state;
    struct turns *turns = player->turns;
    pthread_mutex_lock(&turns->lock);
    while (turns->running != player->number)
        pthread_cond_wait(&player->turn, &turns->lock);
    pthread_mutex_unlock(&turns->lock);
    player->play(player->state);
    player->alive = false;
    turns->n_alive--;
    turns_hand_over(turns, player);
    return NULL;
}

/* Plays to the end of the last player. */
static inline void turns_run(struct turns *turns)
{
    turns->n_alive = turns->n_players;
    for (unsigned i = 0; i < turns->n_players; i++)
        ASSERT(pthread_create(&turns->players[i].thread, NULL, turns_thread, &turns->players[i]) ==
               0);
    turns_hand_over(turns, NULL);
    for (unsigned i = 0; i < turns->n_players; i++)
        ASSERT(pthread_join(turns->players[i].thread, NULL) == 0);
    turns->over = true;
}

static inline void turns_end(struct turns *turns)
{
    for (unsigned i = 0; i < turns->n_players; i++)
        pthread_cond_destroy(&turns->players[i].turn);
    pthread_mutex_destroy(&turns->lock);
}

/* ---- the gate ---- */

struct turns_upload {
    struct store_upload upload;
    struct store_upload *behind;
    struct turns_upload *next;
};
struct turns_gate {
    struct store store;
    struct store *behind;
    struct turns_player *player;
    struct turns_upload *uploads; /* under way, and those that a dead process left */
};

/* Offers the turn; then the store behind. */
static inline struct store *gate_pass(struct store *store)
{
    struct turns_gate *gate = (struct turns_gate *)store;
    turns_hand_over(gate->player->turns, gate->player);
    if (gate->player->request) gate->player->request(gate->player->state);
    return gate->behind;
}

static inline int gate_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct turns_player *player = ((struct turns_gate *)store)->player;
    TRY(store_put(gate_pass(store), key, body, flags));
    if (player->was_put) player->was_put(player->state, key, body);
    return 0;
}

static inline void gate_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    for (size_t i = 0; i < n_reads; i++) { /* one at a time: others come in between */
        int code = store_read(gate_pass(store), &reads[i], 1);
        ASSERT(code == reads[i].outcome || reads[i].outcome == GLIS_ENOTFOUND);
    }
}

static inline int gate_head(struct store *store, struct slice key, struct store_object *out)
{
    return store_head(gate_pass(store), key, out);
}

static inline int gate_list(struct store *store, struct slice prefix, struct slice start_after,
                            size_t limit, struct arena *arena, struct store_list *out)
{
    return store_list(gate_pass(store), prefix, start_after, limit ? limit : 3, arena, out);
}

static inline int gate_remove(struct store *store, const struct slice *keys, size_t n_keys)
{
    for (size_t i = 0; i < n_keys; i++)
        TRY(store_remove(gate_pass(store), &keys[i], 1));
    return 0;
}

static inline int gate_sync(struct store *store, const struct slice *keys, size_t n_keys)
{
    return store_sync(gate_pass(store), keys, n_keys);
}

static inline int gate_upload_open(struct store *store, struct slice key, unsigned flags,
                                   struct store_upload **out)
{
    struct store_upload *behind;
    TRY(store_upload_open(gate_pass(store), key, flags, &behind));
    struct turns_upload *upload = memory_alloc_zero(sizeof *upload);
    upload->behind = behind;
    upload->next = ((struct turns_gate *)store)->uploads;
    ((struct turns_gate *)store)->uploads = upload;
    *out = &upload->upload;
    return 0;
}

/* Takes an upload from the list; the one behind. */
static inline struct store_upload *gate_upload_end(struct store_upload *base)
{
    struct turns_upload *upload = (struct turns_upload *)base;
    struct turns_upload **link = &((struct turns_gate *)base->store)->uploads;
    while (*link != upload)
        link = &(*link)->next;
    *link = upload->next;
    struct store_upload *behind = upload->behind;
    free(upload);
    return behind;
}

static inline int gate_upload_write(struct store_upload *base, struct slice part)
{
    gate_pass(base->store);
    return store_upload_write(((struct turns_upload *)base)->behind, part);
}

static inline int gate_upload_finish(struct store_upload *base)
{
    gate_pass(base->store);
    return store_upload_finish(gate_upload_end(base));
}

static inline void gate_upload_abort(struct store_upload *base)
{
    gate_pass(base->store);
    store_upload_abort(gate_upload_end(base));
}

static inline int gate_unfinished_list(struct store *store, struct slice prefix,
                                       struct arena *arena, struct store_unfinished **out,
                                       size_t *n_out)
{
    return store_unfinished_list(gate_pass(store), prefix, arena, out, n_out);
}

static inline int gate_unfinished_remove(struct store *store, const struct store_unfinished *upload)
{
    return store_unfinished_remove(gate_pass(store), upload);
}

static inline int gate_time_ms(struct store *store, int64_t *out)
{
    return store_time_ms(((struct turns_gate *)store)->behind, out);
}

static inline void gate_close(struct store *store)
{
    struct turns_gate *gate = (struct turns_gate *)store;
    while (gate->uploads) {
        struct turns_upload *next = gate->uploads->next;
        free(gate->uploads);
        gate->uploads = next;
    }
    free(gate);
}

/* A gate before a store, which it does not own. */
static inline struct store *turns_gate_open(struct turns_player *player, struct store *behind)
{
    static const struct store_ops ops = {
        .put = gate_put,
        .read = gate_read,
        .head = gate_head,
        .list = gate_list,
        .remove = gate_remove,
        .sync = gate_sync,
        .upload_open = gate_upload_open,
        .upload_write = gate_upload_write,
        .upload_finish = gate_upload_finish,
        .upload_abort = gate_upload_abort,
        .unfinished_list = gate_unfinished_list,
        .unfinished_remove = gate_unfinished_remove,
        .time_ms = gate_time_ms,
        .close = gate_close,
    };
    struct turns_gate *gate = memory_alloc_zero(sizeof *gate);
    gate->store.ops = &ops;
    gate->store.description = memory_copy_text(SLICE("gate"));
    gate->behind = behind;
    gate->player = player;
    return &gate->store;
}

#endif
