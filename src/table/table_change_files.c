/*
 * table_change_files.c: the transaction change_files: its forms, and the form "ingest": files come
 * with their references, once per job.
 *
 * In the order of the checks: the job (a repeat is a success without effect), generation and
 * processing version, each file (table_files.c).
 */
#include "table/table_int.h"

#include "base/text.h"

/* The job or writer of the transaction, and what will be remembered of it. */
struct coming_job {
    struct slice job, fingerprint, writer;
    bool is_given;
    uint64_t sequence;
};

/* ---- once per job ---- */

static int check_job(const struct state *state, const struct log_record_info *info,
                     const struct coming_job *coming)
{
    struct slice value;
    if (map_get(&state->maps[SECTION_JOBS], coming->job, &value)) {
        struct job_record job;
        bool good = job_unpack(value, &job);
        ASSERT(good);
        if (job_is_remembered(state, &job, info->time_ms)) {
            if (slice_equal(job.fingerprint, coming->fingerprint) ||
                GLIS_MUTANT(fingerprint_is_compared))
                return LOG_ALREADY_DONE;
            return error_set(GLIS_EREFUSED, "job '%.*s' was done with other input (record %llu)",
                             SLICE_PRINT(coming->job), (unsigned long long)job.record);
        }
    }
    return 0;
}

/* How many given jobs have run out: they are taken off in order of time before one more comes. */
static uint64_t count_expired(const struct state *state, int64_t time_ms)
{
    int64_t memory_ms = state_number(state, PROPERTY_TABLE_JOB_MEMORY);
    uint64_t n = 0;
    struct map_cursor cursor;
    map_cursor_first(&state->maps[SECTION_JOB_TIMES], &cursor);
    for (; cursor.valid; map_cursor_next(&cursor), n++) {
        int64_t done_ms = (int64_t)big_endian_get((const uint8_t *)cursor.key.data, 8);
        if (time_ms < done_ms || time_ms - done_ms < memory_ms) break;
    }
    return n;
}

static int check_writer(const struct state *state, const struct coming_job *coming)
{
    struct writer_record writer = {0};
    struct slice value;
    const struct map *writers = &state->maps[SECTION_WRITERS];
    bool known = map_get(writers, coming->writer, &value);
    if (known) {
        bool good = writer_unpack(value, &writer);
        ASSERT(good);
    }
    if (coming->sequence <= writer.sequence && !GLIS_MUTANT(sequence_is_remembered))
        return LOG_ALREADY_DONE;
    if (coming->sequence > writer.sequence + 1 && !GLIS_MUTANT(sequence_without_gap))
        return error_set(GLIS_EREFUSED, "writer '%.*s' is at %llu, so %llu is out of order",
                         SLICE_PRINT(coming->writer), (unsigned long long)writer.sequence,
                         (unsigned long long)coming->sequence);
    uint64_t max = (uint64_t)state_number(state, PROPERTY_TABLE_WRITERS_MAX);
    if (!known && map_count(writers) >= max)
        return error_set(GLIS_EREFUSED,
                         "no more than %llu writers (glis.table.writers.max); forget one first",
                         (unsigned long long)max);
    return 0;
}

static int read_job(const struct json *transaction, struct arena *arena, struct coming_job *out)
{
    *out = (struct coming_job){0};
    TRY(json_optional_string(transaction, "job", &out->job));
    TRY(json_optional_string(transaction, "writer", &out->writer));
    if (!out->job.data == !out->writer.data)
        return error_set(GLIS_EINVALID, "either 'job' or 'writer' is wanted");
    if (out->writer.data) {
        TRY(job_id_check("writer", out->writer));
        TRY(json_get_u64(transaction, "sequence", &out->sequence));
        if (out->sequence == 0) return error_set(GLIS_EINVALID, "sequences begin with 1");
        return 0;
    }
    TRY(job_id_check("job id", out->job));
    TRY(json_optional_bool(transaction, "given", &out->is_given));
    struct slice hex;
    TRY(json_get_string(transaction, "fingerprint", &hex));
    struct buffer bytes = BUFFER_INIT(64);
    int code = text_hex_decode(&bytes, slice_part(hex, 0, 64));
    if (code == 0 && bytes.size == 16 && hex.size == 32)
        out->fingerprint = arena_copy(arena, buffer_slice(&bytes));
    buffer_free(&bytes);
    if (!out->fingerprint.data) return error_set(GLIS_EINVALID, "'fingerprint' is no hash");
    return 0;
}

static void forget_expired(struct state *state, uint64_t n)
{
    for (; n; n--) {
        struct map_cursor cursor;
        map_cursor_first(&state->maps[SECTION_JOB_TIMES], &cursor);
        map_remove(&state->maps[SECTION_JOBS], slice_part(cursor.key, 8, cursor.key.size));
        defer_packer struct packer key = {0};
        pack_bytes(&key, cursor.key);
        map_remove(&state->maps[SECTION_JOB_TIMES], packed(&key));
        state->numbers[NUMBER_GIVEN_JOBS]--;
    }
}

static void remember(struct state *state, const struct log_record_info *info,
                     const struct coming_job *coming)
{
    defer_packer struct packer value = {0};
    if (coming->writer.data) {
        writer_pack(&value, &(struct writer_record){coming->sequence, info->record});
        map_put(&state->maps[SECTION_WRITERS], coming->writer, packed(&value));
        return;
    }
    job_pack(&value, &(struct job_record){coming->fingerprint, info->record, info->time_ms,
                                          coming->is_given});
    if (GLIS_MUTANT(job_is_remembered)) return;
    map_put(&state->maps[SECTION_JOBS], coming->job, packed(&value));
    if (!coming->is_given) return;
    defer_packer struct packer key = {0};
    uint8_t time[8];
    big_endian_put(time, (uint64_t)info->time_ms, 8);
    pack_bytes(&key, slice_make(time, 8));
    pack_bytes(&key, coming->job);
    map_put(&state->maps[SECTION_JOB_TIMES], packed(&key), SLICE_EMPTY);
    state->numbers[NUMBER_GIVEN_JOBS]++;
}

static int apply_ingest(struct state *state, const struct log_record_info *info,
                        const struct json *transaction, struct arena *arena)
{
    struct coming_job job;
    const struct json *array, *cutoffs;
    struct coming_file *files;
    TRY(read_job(transaction, arena, &job));
    TRY(json_get_array(transaction, "files", &array));
    int code = job.writer.data ? check_writer(state, &job) : check_job(state, info, &job);
    if (code) return code;
    TRY(check_processing(state, transaction));
    TRY(cutoffs_read(state, info, transaction, &cutoffs));
    uint64_t n_expired = count_expired(state, info->time_ms);
    uint64_t jobs_max = (uint64_t)state_number(state, PROPERTY_TABLE_JOB_MEMORY_MAX);
    if (job.is_given && state->numbers[NUMBER_GIVEN_JOBS] - n_expired >= jobs_max)
        return error_set(GLIS_EREFUSED,
                         "%llu job ids are remembered (glis.table.job.memory.max); a new one "
                         "must wait until some run out",
                         (unsigned long long)jobs_max);
    TRY(coming_files_read(state, info, array, arena, &files));

    forget_expired(state, n_expired);
    coming_files_add(state, info, files, array->n_items);
    cutoffs_keep(state, cutoffs);
    remember(state, info, &job);
    return 0;
}

/* The forms of change_files. */
static const struct transaction_type forms[] = {
    {"ingest", apply_ingest, false},       {"compaction", apply_compaction, false},
    {"push_down", apply_push_down, false}, {"delete", apply_delete, false},
    {"expire", apply_expire, false},       {"set_aside", apply_set_aside, false},
    {"take_back", apply_take_back, false},
};

int apply_change_files(struct state *state, const struct log_record_info *info,
                       const struct json *transaction, struct arena *arena)
{
    struct slice form;
    TRY(json_get_string(transaction, "for", &form));
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (slice_equal_text(form, forms[i].name))
            return forms[i].apply(state, info, transaction, arena);
    return error_set(GLIS_ENEWER, "change_files for '%.*s', which this program does not know",
                     SLICE_PRINT(form));
}

/* ---- its text ---- */

int write_ingest(struct buffer *out, const struct ingest_commit *commit)
{
    const struct state *state = commit->state->state;
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "change_files");
    json_write_field_text(&json, "for", "ingest");
    if (commit->writer.size) {
        json_write_field_string(&json, "writer", commit->writer);
        json_write_field_uint(&json, "sequence", commit->sequence);
    } else {
        static const char digits[] = "0123456789abcdef";
        char hex[33] = "";
        for (int i = 0; i < 32; i++)
            hex[i] = digits[commit->fingerprint[i / 16] >> 4 * (15 - i % 16) & 15];
        json_write_field_string(&json, "job", commit->job);
        if (commit->job_is_given) json_write_field_bool(&json, "given", true);
        json_write_field_text(&json, "fingerprint", hex);
    }
    json_write_field_uint(&json, "generation", state->numbers[NUMBER_GENERATION]);
    json_write_field_uint(&json, "processing", state->numbers[NUMBER_PROCESSING]);
    json_write_name(&json, "files");
    json_write_array_begin(&json);
    for (size_t i = 0; i < commit->n_files; i++)
        write_new_file(&json, &commit->files[i], state_schema(state)->n_row_keys,
                       state->numbers[NUMBER_SCHEMA_VERSION]);
    json_write_array_end(&json);
    write_cutoffs(&json, commit->cutoffs, commit->n_cutoffs, commit->now_ms);
    if (commit->rows_read) json_write_field_uint(&json, "rowsRead", commit->rows_read);
    if (commit->duration_ms > 0) json_write_field_int(&json, "durationMs", commit->duration_ms);
    json_write_object_end(&json);
    return json_writer_finish(&json);
}
