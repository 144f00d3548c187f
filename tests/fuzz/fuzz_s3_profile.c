/*
 * fuzz_s3_profile.c: the shared files of Amazon's tools with any content: read, or refused by line,
 * and never quoted.
 */
#include "fuzz.h"

#include "store/s3_int.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static char path[64];

static const char *get(const struct s3_environment *environment, const char *name)
{
    (void)environment;
    bool is_file =
        strcmp(name, "AWS_SHARED_CREDENTIALS_FILE") == 0 || strcmp(name, "AWS_CONFIG_FILE") == 0;
    return is_file ? path : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    static const struct s3_environment environment = {.get = get};
    if (file < 0) {
        file = memfd_create("profile", 0);
        ASSERT(file >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    }
    ASSERT(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct s3_profile profile;
    struct s3_settings settings;
    if (s3_profile_load(&environment, &arena, &profile) == 0) {
        for (size_t i = 0; i < profile.n_items; i++) {
            ASSERT(profile.items[i].name.size > 0 && profile.items[i].line > 0);
            ASSERT(s3_profile_find(&profile, profile.items[i].name.data) == &profile.items[i]);
        }
        ASSERT(profile.n_items == 0 || profile.found);
    }
    if (s3_settings_load(&environment, SLICE("s3://bucket/prefix"), &arena, &settings) == 0)
        ASSERT(settings.host.size > 0 && s3_region_is_valid(settings.region));
    return 0;
}
