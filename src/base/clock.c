/*
 * clock.c: the system's clocks behind the clock interface.
 *
 * Wall time is for people and for file names; it may jump. Monotonic time is for measuring and for
 * deadlines. A sleep ends early when a signal arrives, so that whoever sleeps looks at the cancel
 * flag that the signal has set; callers loop until their own deadline.
 */
#include "base/runtime.h"

#include <errno.h>
#include <time.h>

static int64_t system_wall_ms(struct clock *clock);
static int64_t system_monotonic_ns(struct clock *clock);
static void system_sleep_ms(struct clock *clock, int64_t duration_ms);

struct clock *clock_system(void)
{
    static struct clock system_clock = {system_wall_ms, system_monotonic_ns, system_sleep_ms};
    return &system_clock;
}

static int64_t system_wall_ms(struct clock *clock)
{
    (void)clock;
    struct timespec now;
    ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_monotonic_ns(struct clock *clock)
{
    (void)clock;
    struct timespec now;
    ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void system_sleep_ms(struct clock *clock, int64_t duration_ms)
{
    (void)clock;
    if (duration_ms <= 0) return;
    struct timespec duration = {duration_ms / 1000, (duration_ms % 1000) * 1000000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &duration, NULL);
}
