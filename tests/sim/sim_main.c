/*
 * sim_main.c: runs simulated worlds (sim.h) and says what happened.
 *
 *   sim [--kind log|table|catalogue|all] [--seeds N] [--first SEED] [--seconds S]
 *                                                 many worlds, then counts
 *   sim --kind K --seed N [--trace] [--whole]     one; a failure is made as short as can be
 *   sim --mutants [--only NAME] [--limit N]       (mutants' build) each until a world kills it
 *   sim --mutant NAME --kind K --seed N --trace   one world with a rule broken
 *
 * A world that fails prints its seed, what is wrong, and the shortest course found that still goes
 * wrong. The exit code is 1 then, and when an event that belongs to the worlds never occurred over
 * 300 seeds or more of a kind.
 */
#include "sim.h"

#include "base/mutant.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef GLIS_MUTANTS
enum mutant mutant_chosen;
uint64_t mutant_met;
#endif

struct options {
    const char *kind, *mutant;
    uint64_t seeds, first, seed, limit;
    int64_t seconds;
    bool one, trace, whole, mutants, quiet;
};

static const struct sim_kind *const kinds[] = {&sim_log_kind, &sim_table_kind, &sim_catalogue_kind};
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

static bool wanted(const struct options *options, const struct sim_kind *kind)
{
    return strcmp(options->kind, "all") == 0 || strcmp(options->kind, kind->name) == 0;
}

static int64_t now_ns(void)
{
    return clock_system()->monotonic_ns(clock_system());
}

static void show_failure(const struct sim_kind *kind, uint64_t seed, bool whole)
{
    struct sim_result result;
    struct sim_mask mask = {0};
    if (!whole) sim_shrink(kind, seed, &mask, &result);
    printf("---- kind %s, seed %llu, made shorter:\n", kind->name, (unsigned long long)seed);
    sim_run(kind, seed, &mask, true, &result);
    printf("---- %s\n---- again: sim --kind %s --seed %llu --trace\n", result.broken, kind->name,
           (unsigned long long)seed);
}

static int run_one(const struct options *options)
{
    int failed = 0;
    for (unsigned i = 0; i < KINDS; i++) {
        if (!wanted(options, kinds[i])) continue;
        struct sim_result result;
        sim_run(kinds[i], options->seed, NULL, options->trace && options->whole, &result);
        printf("kind %s, seed %llu: %s (%llu steps)\n", kinds[i]->name,
               (unsigned long long)options->seed, result.failed ? result.broken : "holds",
               (unsigned long long)result.steps);
        if (result.failed && !options->whole)
            show_failure(kinds[i], options->seed, false);
        else if (!options->whole && options->trace)
            sim_run(kinds[i], options->seed, NULL, true, &result);
        failed |= result.failed;
    }
    return failed;
}

static void print_events(void)
{
    for (int i = 0; i < SIM_EVENT_KINDS; i++)
        if (sim_event_counts[i])
            printf("  %-32s %12llu\n", sim_event_texts[i], (unsigned long long)sim_event_counts[i]);
}

/* What belongs to each kind of world: when it never occurs, the worlds have become too quiet. */
static const enum sim_event wanted_log[] = {
    SIM_EVENT_COMMITTED,     SIM_EVENT_REFUSED,      SIM_EVENT_ALREADY_DONE,
    SIM_EVENT_UNKNOWN,       SIM_EVENT_REPEATED_JOB, SIM_EVENT_FAILED,
    SIM_EVENT_CRASHED,       SIM_EVENT_LOST_PUT,     SIM_EVENT_UNKNOWN_PUT,
    SIM_EVENT_LATE_PUT,      SIM_EVENT_READ_BACK,    SIM_EVENT_GHOST_PUT,
    SIM_EVENT_GHOST_READ,    SIM_EVENT_MARKER_MET,   SIM_EVENT_MARKER_IN_DOUBT,
    SIM_EVENT_TRIMMED,       SIM_EVENT_SNAPSHOT,     SIM_EVENT_SNAPSHOT_GONE,
    SIM_EVENT_BODY,          SIM_EVENT_PENDING,      SIM_EVENT_COMBINED,
    SIM_EVENT_EXPIRED,       SIM_EVENT_ENDED,        SIM_EVENT_CARRIED_BY_OTHERS,
    SIM_EVENT_CLEARED,       SIM_EVENT_AFTER_END,    SIM_EVENT_OLD_STATE,
    SIM_EVENT_CLOCK_REFUSED, SIM_EVENT_POWER_LOST,   SIM_EVENT_UNDONE,
    SIM_EVENT_RECORD_UNDONE, SIM_EVENT_TIME_SET};
static const enum sim_event wanted_table[] = {
    SIM_EVENT_INGESTED,       SIM_EVENT_COMPACTED,   SIM_EVENT_COMPACTION_LOST,
    SIM_EVENT_SPLIT,          SIM_EVENT_PUSHED_DOWN, SIM_EVENT_COLLECTED,
    SIM_EVENT_ORPHAN,         SIM_EVENT_DELETED,     SIM_EVENT_RESTORED,
    SIM_EVENT_RESET,          SIM_EVENT_PINNED,      SIM_EVENT_PINNED_READ,
    SIM_EVENT_ALTERED,        SIM_EVENT_UNKNOWN,     SIM_EVENT_EXPIRED_ASSIGNMENT,
    SIM_EVENT_CRASHED,        SIM_EVENT_LATE_PUT,    SIM_EVENT_ALREADY_DONE,
    SIM_EVENT_BULK_STEP,      SIM_EVENT_BULK_SHARED, SIM_EVENT_BULK_DONE,
    SIM_EVENT_BULK_CANCELLED, SIM_EVENT_SET_ASIDE,   SIM_EVENT_TAKEN_BACK,
    SIM_EVENT_ROLE_TAKEN,     SIM_EVENT_TRIM_LINE,   SIM_EVENT_WIDENED,
    SIM_EVENT_TIME_SET,       SIM_EVENT_POWER_LOST,  SIM_EVENT_UNDONE,
    SIM_EVENT_TRIMMED};
static const enum sim_event wanted_catalogue[] = {
    SIM_EVENT_TABLE_CREATED, SIM_EVENT_TABLE_RENAMED,     SIM_EVENT_TABLE_DROPPED,
    SIM_EVENT_TABLE_BACK,    SIM_EVENT_TABLE_SWEPT,       SIM_EVENT_TABLE_FORGOTTEN,
    SIM_EVENT_ENDED,         SIM_EVENT_AFTER_END,         SIM_EVENT_INGESTED,
    SIM_EVENT_CRASHED,       SIM_EVENT_CARRIED_BY_OTHERS, SIM_EVENT_TRIMMED,
    SIM_EVENT_POWER_LOST,    SIM_EVENT_RECORD_UNDONE};

/* Events of a kind that never occurred since `before`. */
static int check_events(const struct sim_kind *kind, const uint64_t *before)
{
    const enum sim_event *list = wanted_log;
    size_t n = sizeof(wanted_log) / sizeof(*list);
    if (kind == &sim_table_kind) {
        list = wanted_table;
        n = sizeof(wanted_table) / sizeof(*list);
    } else if (kind == &sim_catalogue_kind) {
        list = wanted_catalogue;
        n = sizeof(wanted_catalogue) / sizeof(*list);
    }
    int missing = 0;
    for (size_t i = 0; i < n; i++)
        if (sim_event_counts[list[i]] == before[list[i]]) {
            printf("FAILED kind %s: never occurred: %s\n", kind->name, sim_event_texts[list[i]]);
            missing = 1;
        }
    return missing;
}

static int run_many(const struct options *options)
{
    int failed = 0;
    int64_t all_ns = now_ns();
    for (unsigned i = 0; i < KINDS; i++) {
        if (!wanted(options, kinds[i])) continue;
        int64_t begun_ns = now_ns();
        uint64_t n = 0, steps = 0, before[SIM_EVENT_KINDS];
        memcpy(before, sim_event_counts, sizeof(before));
        unsigned failures = 0;
        for (uint64_t seed = options->first; seed < options->first + options->seeds; seed++) {
            struct sim_result result;
            sim_run(kinds[i], seed, NULL, false, &result);
            n++;
            steps += result.steps;
            if (options->seconds && now_ns() - begun_ns > options->seconds * 1000000000) break;
            if (!result.failed) continue;
            failed = 1;
            printf("FAILED kind %s, seed %llu: %s\n", kinds[i]->name, (unsigned long long)seed,
                   result.broken);
            if (failures == 0 && !options->quiet) show_failure(kinds[i], seed, false);
            fflush(stdout);
            if (++failures == 20) break;
        }
        if (n >= 300) failed |= check_events(kinds[i], before);
        double seconds = (double)(now_ns() - begun_ns) / 1e9;
        printf("%s: %llu worlds, %llu steps, %.1f s (%.0f worlds a second), %u failed\n",
               kinds[i]->name, (unsigned long long)n, (unsigned long long)steps, seconds,
               (double)n / seconds, failures);
        fflush(stdout);
    }
    print_events();
    printf("%.1f s in all\n", (double)(now_ns() - all_ns) / 1e9);
    return failed;
}

#ifdef GLIS_MUTANTS
static const struct {
    const char *name, *kind, *where, *what;
} mutants[MUTANT_COUNT] = {
#define MUTANT_ROW(name, kind, where, what) [MUTANT_##name] = {#name, #kind, where, what},
    MUTANTS(MUTANT_ROW)
#undef MUTANT_ROW
};

static enum mutant mutant_by_name(const char *name)
{
    for (int i = 1; i < MUTANT_COUNT; i++)
        if (strcmp(mutants[i].name, name) == 0) return (enum mutant)i;
    fprintf(stderr, "no mutant '%s'\n", name);
    exit(2);
}

static const struct sim_kind *kind_by_name(const char *name)
{
    for (unsigned i = 0; i < KINDS; i++)
        if (strcmp(kinds[i]->name, name) == 0) return kinds[i];
    return NULL;
}

static int run_mutants(const struct options *options)
{
    unsigned n = 0, survivors = 0;
    for (int i = 1; i < MUTANT_COUNT; i++) {
        if (options->mutant && strcmp(options->mutant, mutants[i].name) != 0) continue;
        const struct sim_kind *kind = kind_by_name(mutants[i].kind);
        if (!kind) continue;
        n++;
        mutant_chosen = (enum mutant)i;
        mutant_met = 0;
        struct sim_result result = {0};
        uint64_t seed = options->first;
        int64_t begun_ns = now_ns();
        for (; seed < options->first + options->limit; seed++) {
            sim_run(kind, seed, NULL, false, &result);
            if (!result.failed) continue;
            mutant_chosen = MUTANT_NONE; /* and with the rule kept? */
            struct sim_result kept;
            sim_run(kind, seed, NULL, false, &kept);
            mutant_chosen = (enum mutant)i;
            if (!kept.failed) break;
            printf("seed %llu fails without any mutant: %s\n", (unsigned long long)seed,
                   kept.broken);
            result.failed = false;
        }
        survivors += !result.failed;
        printf("%-38s %-15s %6llu seeds %6.1f s  %s\n", mutants[i].name, mutants[i].where,
               (unsigned long long)(seed - options->first + 1), (double)(now_ns() - begun_ns) / 1e9,
               result.failed ? result.broken
               : mutant_met  ? "SURVIVES"
                             : "SURVIVES: its place was never met");
        fflush(stdout);
        if (result.failed && options->trace) show_failure(kind, seed, false);
    }
    mutant_chosen = MUTANT_NONE;
    printf("%u mutants, %u survive\n", n, survivors);
    return survivors || !n;
}
#endif

static uint64_t number(const char *text)
{
    uint64_t value;
    if (!text || text_parse_uint64(slice_from_text(text), &value) < 0) {
        fprintf(stderr, "a number is wanted, not '%s'\n", text ? text : "");
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    struct options options = {.kind = "all", .seeds = 300, .first = 1, .limit = 2000};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(name, "--trace") == 0)
            options.trace = true;
        else if (strcmp(name, "--whole") == 0)
            options.whole = true;
        else if (strcmp(name, "--quiet") == 0)
            options.quiet = true;
        else if (strcmp(name, "--mutants") == 0)
            options.mutants = true;
        else if (strcmp(name, "--kind") == 0)
            options.kind = value, i++;
        else if (strcmp(name, "--seeds") == 0)
            options.seeds = number(value), i++;
        else if (strcmp(name, "--first") == 0)
            options.first = number(value), i++;
        else if (strcmp(name, "--seconds") == 0)
            options.seconds = (int64_t)number(value), i++;
        else if (strcmp(name, "--limit") == 0)
            options.limit = number(value), i++;
        else if (strcmp(name, "--seed") == 0)
            options.seed = number(value), options.one = true, i++;
        else if (strcmp(name, "--only") == 0 || strcmp(name, "--mutant") == 0)
            options.mutant = value, i++;
        else {
            fprintf(stderr, "unknown argument '%s'\n", name);
            return 2;
        }
    }
#ifdef GLIS_MUTANTS
    if (options.mutants) return run_mutants(&options);
    if (options.mutant) mutant_chosen = mutant_by_name(options.mutant);
#else
    if (options.mutants || options.mutant) {
        fprintf(stderr, "this build has no mutants: use sim_mutants\n");
        return 2;
    }
#endif
    return options.one ? run_one(&options) : run_many(&options);
}
