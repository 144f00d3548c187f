/*
 * age_filter.c: rows that are too old go. A value is compared with one threshold, which is worked
 * out once: the greater of now - age and the state's own cut-off, both in milliseconds, turned into
 * the field's unit in 128 bits. A row stays while its value is above it:
 *
 *   LongType (milliseconds)       v > cut-off
 *   TimestampType (microseconds)  v > cut-off * 1000
 *   DateType (days)               v * 86,400,000 > cut-off, that is v > floor(cut-off / 86,400,000)
 *
 * A state's cut-off also holds for fields that no filter names any more: rows below it are gone
 * from some files already.
 */
#include "process/process_int.h"

#include <stdlib.h>

enum { DAY_MS = 86400000 };

struct age_rule {
    uint32_t column;
    enum { RULE_KEEPS_ALL, RULE_ABOVE, RULE_KEEPS_NONE } kind; /* of values that are not null */
    int64_t above;
    bool drop_nulls;
};

struct age_stream {
    struct batch_stream stream;
    struct batch_stream *behind;
    struct budget *budget;
    struct process_counts *counts;
    struct age_rule *rules;
    uint32_t n_rules;
    uint8_t *keep;
    int64_t capacity;
};

/* ---- rules ---- */

static void set_threshold(struct age_rule *rule, const struct type *type, int64_t cutoff_ms)
{
    int128 above = cutoff_ms;
    int64_t least = INT64_MIN, greatest = INT64_MAX;
    if (type->kind == TYPE_TIMESTAMP) {
        above *= 1000;
    } else if (type->kind == TYPE_DATE) {
        above = cutoff_ms / DAY_MS - (cutoff_ms % DAY_MS < 0);
        least = INT32_MIN;
        greatest = INT32_MAX;
    }
    rule->kind = above < least ? RULE_KEEPS_ALL : above < greatest ? RULE_ABOVE : RULE_KEEPS_NONE;
    rule->above = rule->kind == RULE_ABOVE ? (int64_t)above : 0;
}

static void make_rules(struct age_stream *age, const struct processing *processing,
                       const struct process_options *options)
{
    uint32_t n_fields = 0;
    for (uint32_t i = 0; i < processing->n_filters; i++)
        if (processing->filters[i].field >= n_fields) n_fields = processing->filters[i].field + 1;
    for (uint32_t i = 0; i < options->n_cutoffs; i++)
        if (options->cutoffs[i].field >= n_fields) n_fields = options->cutoffs[i].field + 1;
    age->rules = memory_alloc_zero(n_fields * sizeof *age->rules);
    for (uint32_t field = 0; field < n_fields; field++) {
        int64_t cutoff = INT64_MIN;
        bool found = false, drop_nulls = false;
        for (uint32_t i = 0; i < processing->n_filters; i++) {
            const struct age_filter *filter = &processing->filters[i];
            if (filter->field != field) continue;
            cutoff = age_cutoff_ms(filter->age_ms, options->now_ms);
            drop_nulls = filter->drop_nulls;
            found = true;
        }
        for (uint32_t i = 0; i < options->n_cutoffs; i++) {
            if (options->cutoffs[i].field != field) continue;
            if (!found || options->cutoffs[i].cutoff_ms > cutoff)
                cutoff = options->cutoffs[i].cutoff_ms;
            found = true;
        }
        if (!found) continue;
        int column = process_column_of(options, field);
        ASSERT(column >= 0);
        struct age_rule *rule = &age->rules[age->n_rules++];
        rule->column = (uint32_t)column;
        rule->drop_nulls = drop_nulls;
        set_threshold(rule, &age->stream.schema->fields[column].type, cutoff);
    }
}

/* ---- rows ---- */

/* Clears keep[] where the rule does not hold. */
static void apply_rule(const struct age_rule *rule, const struct column *column, uint8_t *keep)
{
    int64_t n = column->length;
    const uint8_t *values = column->values.data;
    bool nulls = column->null_count > 0;
    bool wide = type_width(column->type) == 8;
    if (rule->kind == RULE_KEEPS_ALL && !(nulls && rule->drop_nulls)) return;
    if (nulls) {
        for (int64_t i = 0; i < n; i++) {
            if (column_is_null(column, i)) {
                keep[i] &= !rule->drop_nulls;
                continue;
            }
            int32_t narrow;
            int64_t value;
            if (wide) {
                memcpy(&value, values + 8 * (column->offset + i), 8);
            } else {
                memcpy(&narrow, values + 4 * (column->offset + i), 4);
                value = narrow;
            }
            keep[i] &=
                rule->kind == RULE_KEEPS_ALL || (rule->kind == RULE_ABOVE && value > rule->above);
        }
    } else if (rule->kind == RULE_KEEPS_NONE) {
        memset(keep, 0, (size_t)n);
    } else if (wide) {
        const int64_t *v = (const int64_t *)(const void *)values + column->offset;
        for (int64_t i = 0; i < n; i++)
            keep[i] &= v[i] > rule->above;
    } else {
        const int32_t *v = (const int32_t *)(const void *)values + column->offset;
        int32_t above = (int32_t)rule->above;
        for (int64_t i = 0; i < n; i++)
            keep[i] &= v[i] > above;
    }
}

static int age_next(struct batch_stream *stream, struct batch **out)
{
    struct age_stream *age = (struct age_stream *)stream;
    for (;;) {
        struct batch *batch;
        TRY(batch_stream_next(age->behind, &batch));
        *out = batch;
        if (!batch) return 0;
        int64_t n = batch->n_rows;
        if (n > age->capacity) {
            age->keep = memory_realloc(age->keep, (size_t)n);
            age->capacity = n;
        }
        memset(age->keep, 1, (size_t)n);
        for (uint32_t i = 0; i < age->n_rules; i++)
            apply_rule(&age->rules[i], &batch->columns[age->rules[i].column], age->keep);
        TRY(process_select(batch, age->keep, age->budget, out));
        if (age->counts) age->counts->rows_aged += (uint64_t)(n - (*out ? (*out)->n_rows : 0));
        if (*out) return 0;
    }
}

static void age_close(struct batch_stream *stream)
{
    struct age_stream *age = (struct age_stream *)stream;
    batch_stream_close(age->behind);
    free(age->rules);
    free(age->keep);
    free(age);
}

int age_filter_open(struct batch_stream **out, struct batch_stream *in,
                    const struct processing *processing, const struct process_options *options,
                    struct budget *budget)
{
    struct age_stream *age = memory_alloc_zero(sizeof *age);
    age->stream = (struct batch_stream){in->schema, age_next, age_close};
    age->behind = in;
    age->budget = budget;
    age->counts = options->counts;
    make_rules(age, processing, options);
    *out = &age->stream;
    return 0;
}
