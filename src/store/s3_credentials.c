/*
 * s3_credentials.c: who the provider of credentials is, and when it is asked.
 *
 * Keys from the environment and from files are read once; what the others give out ends after some
 * hours. So what was fetched is kept with its end, and fetched anew five minutes before: by one
 * thread, the others go on with what there is. When that fails, the old ones serve until they end,
 * and the next try is ten seconds off, so that a source that is down is not hammered. Where nothing
 * can be had, the failure itself is kept for those ten seconds: sixty-four requests then wait for
 * one time-out, not for sixty-four.
 *
 * The sources themselves are in s3_sources.c. Memory that held a secret is overwritten before it is
 * freed; the arenas of requests are not.
 */
#include "store/s3_int.h"

#include "base/hash.h"
#include "base/logger.h"

#include <pthread.h>
#include <stdlib.h>

enum { RENEW_BEFORE_MS = 5 * 60 * 1000, TRY_AGAIN_MS = 10000, SHOWN_BYTES_MAX = 500 };

struct s3_provider {
    struct runtime *runtime;
    struct s3_source source;
    struct arena arena; /* of what source points to */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t fetched;
    bool fetching, has, refused;
    uint64_t n_fetches;
    struct s3_credentials held; /* heap memory */
    uint64_t refused_hash;      /* of the credentials that were refused last */
    int64_t next_try_ns;
    struct error_detail failure; /* of the last fetch; code 0: none */
};

static int fetch(struct s3_provider *provider);
static void log_failure(const struct s3_provider *provider);
static void hold(struct s3_provider *provider, const struct s3_credentials *fresh);
static void forget(struct s3_credentials *held);
static uint64_t hash_of(const struct s3_credentials *credentials);
static bool is_valid(const struct s3_provider *provider, int64_t margin_ms);
static void replace_all(char *text, size_t *size, struct slice secret);

int s3_provider_open(struct runtime *runtime, struct http *http,
                     const struct s3_environment *environment, const struct s3_settings *settings,
                     struct s3_provider **out)
{
    struct s3_provider *provider = memory_alloc_zero(sizeof(*provider));
    provider->runtime = runtime;
    provider->arena = ARENA_EMPTY;
    provider->source = (struct s3_source){
        .runtime = runtime,
        .http = http,
        .environment = environment,
        .region = arena_copy(&provider->arena, settings->region),
        .ca_file = settings->ca_file
                       ? arena_copy_text(&provider->arena, slice_from_text(settings->ca_file))
                       : NULL,
    };
    pthread_mutex_init(&provider->lock, NULL);
    pthread_cond_init(&provider->fetched, NULL);
    *out = provider;
    return 0;
}

void s3_provider_close(struct s3_provider *provider)
{
    if (!provider) return;
    forget(&provider->held);
    pthread_mutex_destroy(&provider->lock);
    pthread_cond_destroy(&provider->fetched);
    arena_free(&provider->arena);
    free(provider);
}

int s3_credentials_get(struct s3_provider *provider, struct arena *arena,
                       struct s3_credentials *out)
{
    struct clock *clock = provider->runtime->clock;
    int code = 0;
    pthread_mutex_lock(&provider->lock);
    uint64_t n_fetches = provider->n_fetches;
    for (;;) {
        if (is_valid(provider, RENEW_BEFORE_MS)) break;
        bool patient = clock->monotonic_ns(clock) < provider->next_try_ns;
        if (is_valid(provider, 0) && (provider->fetching || patient)) break;
        /* Either another thread has just failed for this one too, or some seconds ago. */
        bool failed = provider->failure.code != 0;
        if (!provider->fetching && failed && (patient || provider->n_fetches > n_fetches)) {
            code = error_load(&provider->failure);
            break;
        }
        if (provider->fetching) {
            pthread_cond_wait(&provider->fetched, &provider->lock);
            continue;
        }
        code = fetch(provider);
        if (code == 0 || !is_valid(provider, 0)) break;
        log_failure(provider); /* the old ones still serve */
        code = 0;
        break;
    }
    if (code == 0) {
        out->access_key = arena_copy(arena, provider->held.access_key);
        out->secret_key = arena_copy(arena, provider->held.secret_key);
        out->session_token = arena_copy(arena, provider->held.session_token);
        out->expires_ms = provider->held.expires_ms;
        out->source = arena_copy_text(arena, slice_from_text(provider->held.source));
    }
    pthread_mutex_unlock(&provider->lock);
    return code;
}

bool s3_credentials_refused(struct s3_provider *provider, const struct s3_credentials *used)
{
    uint64_t hash = hash_of(used);
    pthread_mutex_lock(&provider->lock);
    bool others = true;
    if (provider->has && hash_of(&provider->held) == hash) {
        others = !provider->source.is_fixed && provider->refused_hash != hash;
        if (others) {
            provider->refused = true;
            provider->refused_hash = hash;
            provider->next_try_ns = 0;
            provider->failure.code = 0;
        }
    }
    pthread_mutex_unlock(&provider->lock);
    return others;
}

/* Asks the source, with the lock given up meanwhile. */
static int fetch(struct s3_provider *provider)
{
    struct clock *clock = provider->runtime->clock;
    struct s3_credentials fresh = {.access_key = SLICE_EMPTY};
    defer_arena struct arena arena = ARENA_EMPTY;
    provider->fetching = true;
    pthread_mutex_unlock(&provider->lock);
    int code = s3_source_fetch(&provider->source, &arena, &fresh);
    pthread_mutex_lock(&provider->lock);
    provider->fetching = false;
    provider->n_fetches++;
    provider->next_try_ns = clock->monotonic_ns(clock) + (int64_t)TRY_AGAIN_MS * 1000000;
    provider->failure.code = 0;
    if (code == 0) {
        hold(provider, &fresh);
        explicit_bzero((void *)(uintptr_t)fresh.secret_key.data, fresh.secret_key.size);
    } else {
        error_save(&provider->failure);
    }
    pthread_cond_broadcast(&provider->fetched);
    return code;
}

static void log_failure(const struct s3_provider *provider)
{
    logger_log(provider->runtime->logger, LOGGER_WARN, "access keys could not be renewed",
               LOGGER_FIELD_STRING("source", provider->held.source),
               LOGGER_FIELD_STRING("reason", error_message()));
    error_clear();
}

static void hold(struct s3_provider *provider, const struct s3_credentials *fresh)
{
    struct s3_credentials copy = {
        .access_key = slice_from_text(memory_copy_text(fresh->access_key)),
        .secret_key = slice_from_text(memory_copy_text(fresh->secret_key)),
        .session_token = slice_from_text(memory_copy_text(fresh->session_token)),
        .expires_ms = fresh->expires_ms,
        .source = memory_copy_text(slice_from_text(fresh->source)),
    };
    forget(&provider->held);
    provider->held = copy;
    provider->has = true;
    provider->refused = false;
}

static void forget(struct s3_credentials *held)
{
    const struct slice texts[] = {held->access_key, held->secret_key, held->session_token};
    for (size_t i = 0; i < 3; i++) {
        if (!texts[i].data) continue;
        explicit_bzero((void *)(uintptr_t)texts[i].data, texts[i].size);
        free((void *)(uintptr_t)texts[i].data);
    }
    free((void *)(uintptr_t)held->source);
    memset(held, 0, sizeof(*held));
}

static uint64_t hash_of(const struct s3_credentials *credentials)
{
    uint64_t key = hash_xxh3_64(credentials->access_key.data, credentials->access_key.size);
    uint64_t secret =
        hash_xxh3_64_seeded(credentials->secret_key.data, credentials->secret_key.size, key);
    return hash_xxh3_64_seeded(credentials->session_token.data, credentials->session_token.size,
                               secret);
}

/* Held, not refused, and good for margin_ms more. */
static bool is_valid(const struct s3_provider *provider, int64_t margin_ms)
{
    if (!provider->has || provider->refused) return false;
    if (provider->held.expires_ms == 0) return true;
    struct clock *clock = provider->runtime->clock;
    return clock->wall_ms(clock) < provider->held.expires_ms - margin_ms;
}

struct slice s3_hide_secrets(const struct s3_credentials *credentials, struct slice text,
                             struct arena *arena)
{
    char *shown = arena_copy_text(arena, text);
    size_t size = text.size;
    if (credentials) {
        replace_all(shown, &size, credentials->secret_key);
        replace_all(shown, &size, credentials->session_token);
    }
    for (char *at = shown; (at = memmem(at, size - (size_t)(at - shown), "Signature=", 10));) {
        at += 10;
        char *end = at;
        while (end < shown + size && *end != '&' && *end != ',' && *end != ' ')
            end++;
        size_t n = end - at < 3 ? (size_t)(end - at) : 3;
        memcpy(at, "***", n);
        memmove(at + n, end, size - (size_t)(end - shown));
        size -= (size_t)(end - at) - n;
    }
    if (size > SHOWN_BYTES_MAX) {
        size = SHOWN_BYTES_MAX;
        while (size > 0 && ((uint8_t)shown[size] & 0xc0) == 0x80)
            size--;
    }
    for (size_t i = 0; i < size; i++)
        if ((uint8_t)shown[i] < 0x20 || shown[i] == 0x7f) shown[i] = ' ';
    shown[size] = '\0';
    return slice_make(shown, size);
}

/* Each occurrence becomes "***"; secrets are longer than that. */
static void replace_all(char *text, size_t *size, struct slice secret)
{
    if (secret.size < 4) return;
    for (char *at = text;
         (at = memmem(at, *size - (size_t)(at - text), secret.data, secret.size));) {
        memcpy(at, "***", 3);
        at += 3;
        char *end = at - 3 + secret.size;
        memmove(at, end, *size - (size_t)(end - text));
        *size -= secret.size - 3;
    }
}
