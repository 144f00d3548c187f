/*
 * instance_cache.c: the cache of an instance's data files, as its properties say: how much memory,
 * how much disk, and which folder. Instances in a folder of this machine have none unless
 * glis.cache.local asks for it: the system caches their files already.
 */
#include "table/instance_int.h"

int instance_cache_folder(const struct property_overrides *overrides,
                          const struct instance *instance, struct arena *arena, char **out)
{
    struct slice said;
    int64_t ignored;
    TRY(property_resolve(overrides, instance, PROPERTY_CACHE_DIR, &said, &ignored));
    *out = NULL;
    if (said.size) {
        *out = arena_copy_text(arena, said);
        return 0;
    }
    if (!overrides || !overrides->environment) return 0;
    const char *base = overrides->environment(overrides->environment_state, "XDG_CACHE_HOME");
    if (base && base[0] == '/') {
        *out = arena_printf(arena, "%s/glis", base);
        return 0;
    }
    base = overrides->environment(overrides->environment_state, "HOME");
    if (base && base[0] == '/') *out = arena_printf(arena, "%s/.cache/glis", base);
    return 0;
}

int instance_cache_start(struct instance *instance)
{
    if (instance->store->local && !instance_number(instance, PROPERTY_CACHE_LOCAL))
        return store_root_cache(instance->store, NULL);
    char *folder;
    TRY(instance_cache_folder(instance->overrides, instance, &instance->arena, &folder));
    struct store_cache_settings settings = {
        .memory_bytes = (uint64_t)instance_number(instance, PROPERTY_CACHE_MEMORY),
        .disk_bytes = (uint64_t)instance_number(instance, PROPERTY_CACHE_DISK),
        .folder = folder,
        .quiet = instance_text(instance, PROPERTY_CACHE_DIR).size == 0,
        .look_only = instance->flags & INSTANCE_CACHE_LOOK,
    };
    return store_root_cache(instance->store, &settings);
}
