/*
 * file_ages.c: what a state must know of a file to let it go unread once all of its rows are too
 * old: of each field that an ageOff filter names, the greatest value and the number of nulls. They
 * are gathered while the rows are written, a pass over one column each.
 *
 * Rows that are copied from another file without being decoded are not seen here; then nothing is
 * said of the file's ages, and it stays until a merge reads it. (Tables with such filters copy
 * none: their rows pass the filter.)
 */
#include "lsm/ingest_int.h"

enum { DAY_MS = 86400000 };

int file_ages_begin(struct file_ages *out, const struct table_state *state, struct arena *arena)
{
    struct processing processing;
    *out = (struct file_ages){0};
    TRY(table_state_processing(state, arena, &processing));
    out->columns = ARENA_ARRAY(arena, uint32_t, processing.n_filters);
    out->ages = ARENA_ARRAY(arena, struct file_age, processing.n_filters);
    out->n = processing.n_filters;
    for (uint32_t i = 0; i < out->n; i++) {
        out->columns[i] = processing.filters[i].field;
        out->ages[i].field = table_state_schema(state)->fields[out->columns[i]].name;
    }
    return 0;
}

/* Milliseconds since 1970, rounded up. */
static int64_t value_ms(const struct type *type, int64_t value)
{
    if (type->kind == TYPE_DATE) return value * DAY_MS;
    if (type->kind != TYPE_TIMESTAMP) return value;
    return value / 1000 + (value % 1000 > 0);
}

static void take_value(struct file_age *age, int64_t value)
{
    if (!age->has_max || value > age->max) age->max = value;
    age->has_max = true;
}

static void add_column(struct file_age *age, const struct column *column)
{
    struct file_age raw = {0};
    const uint8_t *values = column->values.data;
    for (int64_t i = 0; i < column->length; i++) {
        if (column->null_count && column_is_null(column, i)) {
            raw.n_nulls++;
            continue;
        }
        int64_t value;
        if (column->dictionary || type_width(column->type) != 8) {
            struct value any;
            column_value(column, i, &any);
            value = any.integer;
        } else {
            memcpy(&value, values + 8 * (column->offset + i), 8);
        }
        take_value(&raw, value);
    }
    age->n_nulls += raw.n_nulls;
    if (raw.has_max) take_value(age, value_ms(column->type, raw.max));
}

void file_ages_add(struct file_ages *ages, const struct batch *batch)
{
    for (uint32_t i = 0; i < ages->n; i++)
        add_column(&ages->ages[i], &batch->columns[ages->columns[i]]);
}
