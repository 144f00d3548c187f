/*
 * table_snapshot.c: snapshots of tables and catalogue, as rows of (section, key, value). This is
 * the one file that knows their bytes; docs/formats.md, "Snapshots", describes them.
 *
 * The rows of a section ascend by key, so a map is built from them without a search; sections
 * ascend. The log checks the whole against its hash before it asks for the rows; still every length
 * is checked here.
 */
#include "table/table_int.h"

#include <stdlib.h>

static const char magic[] = "GLIS snapshot 1\n";

struct snapshot_writer {
    struct buffer *out;
};

static int append(struct buffer *out, const struct packer *packer)
{
    return buffer_append_slice(out, packed(packer));
}

int snapshot_writer_open(const char *kind, struct slice log_part, struct buffer *out,
                         struct snapshot_writer **writer)
{
    defer_packer struct packer head = {0};
    pack_bytes(&head, slice_from_text(magic));
    pack_text(&head, slice_from_text(kind));
    pack_text(&head, log_part);
    TRY(append(out, &head));
    *writer = memory_alloc_zero(sizeof(**writer));
    (*writer)->out = out;
    return 0;
}

int snapshot_writer_add(struct snapshot_writer *writer, uint32_t section, struct slice key,
                        struct slice value)
{
    defer_packer struct packer row = {0};
    pack_number(&row, section);
    pack_text(&row, key);
    pack_text(&row, value);
    return append(writer->out, &row);
}

int snapshot_writer_add_map(struct snapshot_writer *writer, uint32_t section, const struct map *map)
{
    struct map_cursor cursor;
    for (map_cursor_first(map, &cursor); cursor.valid; map_cursor_next(&cursor))
        TRY(snapshot_writer_add(writer, section, cursor.key, cursor.value));
    return 0;
}

int snapshot_writer_finish(struct snapshot_writer *writer)
{
    (void)writer;
    return 0;
}

void snapshot_writer_free(struct snapshot_writer *writer)
{
    free(writer);
}

int snapshot_each(const char *kind, struct block *block, struct slice bytes, struct arena *arena,
                  struct slice *log_part,
                  int (*visit)(void *context, uint32_t section, struct slice key,
                               struct slice value),
                  void *context)
{
    (void)block;
    struct unpacker in = unpack_begin(bytes);
    if (!slice_equal_text(unpack_bytes(&in, sizeof(magic) - 1), magic))
        return error_set(GLIS_ENEWER, "a snapshot in a form that this program does not know");
    struct slice found = unpack_text(&in), part = unpack_text(&in);
    if (in.bad || !slice_equal_text(found, kind))
        return error_set(GLIS_ECORRUPT, "not a snapshot of a %s", kind);
    *log_part = arena_copy(arena, part);
    while (in.at != in.end) {
        uint64_t section = unpack_number(&in);
        struct slice key = unpack_text(&in), value = unpack_text(&in);
        if (in.bad || section > UINT32_MAX)
            return error_set(GLIS_ECORRUPT, "a row of the snapshot cannot be read");
        TRY(visit(context, (uint32_t)section, key, value));
    }
    return 0;
}
