/*
 * query_shape.c: the schemas that a query works with: what is read, what is given, row keys, keys.
 *
 * Queries that ask for the same fields of the same table use the same schemas, so these are kept by
 * the engine like pages are: projecting four schemas takes longer than finding a row. An entry is
 * known by the table's schema and the fields; it holds that schema, so that as long as it is found
 * by the schema's address, this is the schema meant.
 */
#include "query/query_int.h"

#include "base/hash.h"

#include <stdlib.h>

static void query_shape_free(struct cache_entry *entry)
{
    struct query_shape *shape = (struct query_shape *)entry;
    schema_release(shape->table);
    schema_release(shape->read);
    schema_release(shape->given);
    schema_release(shape->row_keys);
    schema_release(shape->keys);
    free(shape);
}

static uint64_t schema_bytes(const struct schema *schema)
{
    return sizeof *schema + schema->arena.total_bytes;
}

static int make_shape(struct query_shape *shape, const struct query_fields *fields)
{
    const struct schema *table = shape->table;
    uint32_t n_keys = schema_key_count(table);
    TRY(schema_project(table, fields->read, fields->n_read, &shape->read));
    TRY(schema_project(shape->read, fields->given, fields->n_given, &shape->given));
    TRY(schema_project(table, fields->read, table->n_row_keys, &shape->row_keys));
    TRY(schema_project(table, fields->read, n_keys, &shape->keys));
    shape->entry.bytes = sizeof *shape + schema_bytes(shape->read) + schema_bytes(shape->given) +
                         schema_bytes(shape->row_keys) + schema_bytes(shape->keys);
    return 0;
}

static struct cache_key shape_key(const struct schema *table, const struct query_fields *fields)
{
    struct hash128 of[2] = {
        hash_xxh3_128(fields->read, fields->n_read * sizeof *fields->read),
        hash_xxh3_128(fields->given, fields->n_given * sizeof *fields->given),
    };
    struct hash128 hash = hash_xxh3_128(of, sizeof of);
    return (struct cache_key){.file = {hash.high, hash.low ^ (uintptr_t)table},
                              .kind = CACHE_SHAPE,
                              .row_group = fields->n_read,
                              .column = fields->n_given};
}

int query_shape_get(struct query_engine *engine, const struct schema *table,
                    const struct query_fields *fields, struct query_shape **out)
{
    struct cache_key key = shape_key(table, fields);
    struct cache_entry *entry = cache_get(engine, &key);
    if (!entry) {
        struct query_shape *shape = memory_alloc_zero(sizeof *shape);
        shape->entry.key = key;
        shape->entry.free = query_shape_free;
        atomic_store(&shape->entry.references, 1);
        shape->table = schema_acquire(table);
        int code = make_shape(shape, fields);
        if (code < 0) {
            cache_release(&shape->entry);
            return code;
        }
        entry = cache_put(engine, &shape->entry);
    }
    *out = (struct query_shape *)entry;
    return 0;
}
