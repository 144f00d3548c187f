/*
 * example.c: a table made, filled and asked through glis.h.
 *
 *     cc -o example example.c $(pkg-config --cflags --libs glis) && ./example FOLDER
 *
 * FOLDER is an empty folder. Rows come out in the Arrow C data interface: struct arrays whose
 * children are the columns.
 */
#include <glis.h>
#include <stdio.h>
#include <string.h>

static const char schema[] = "{\"rowKeyFields\":[{\"name\":\"city\",\"type\":\"StringType\"}],"
                             "\"valueFields\":[{\"name\":\"people\",\"type\":\"LongType\"}]}";

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, glis_error_message());
    return 1;
}

/* Prints city (a string: 32-bit offsets and bytes) and people (64-bit integers). */
static void print_rows(const struct ArrowArray *rows)
{
    const struct ArrowArray *city = rows->children[0], *people = rows->children[1];
    const int32_t *offsets = city->buffers[1];
    const char *bytes = city->buffers[2];
    const int64_t *values = people->buffers[1];
    for (int64_t i = 0; i < rows->length; i++) {
        int64_t c = city->offset + i, p = people->offset + i;
        printf("%.*s: %lld\n", (int)(offsets[c + 1] - offsets[c]), bytes + offsets[c],
               (long long)values[p]);
    }
}

int main(int argc, char **argv)
{
    char root[4096], file[4096];
    if (argc != 2) {
        fprintf(stderr, "usage: example FOLDER\n");
        return 2;
    }
    snprintf(root, sizeof root, "%s/instance", argv[1]);
    snprintf(file, sizeof file, "%s/cities.csv", argv[1]);
    FILE *csv = fopen(file, "w");
    if (!csv) {
        perror(file);
        return 1;
    }
    fputs("city,people\nZurich,421878\nAachen,249070\nBern,134591\n", csv);
    fclose(csv);

    struct glis_instance *instance;
    if (glis_instance_init(root) < 0) return fail("init");
    if (glis_instance_open(root, &instance) < 0) return fail("open");
    const char *split_points[] = {"M"};
    if (glis_table_create(instance, "cities", schema, split_points, 1) < 0) return fail("create");
    uint64_t n_rows = 0;
    if (glis_ingest_file(instance, "cities", file, "first", &n_rows) < 0) return fail("ingest");
    printf("%llu rows added\n", (unsigned long long)n_rows);
    /* The same job again is a success that adds nothing. */
    if (glis_ingest_file(instance, "cities", file, "first", &n_rows) < 0) return fail("ingest");
    if (n_rows != 0) return 1;

    struct ArrowArrayStream stream;
    if (glis_query(instance, "cities", "{\"regions\":[{}]}", &stream) < 0) return fail("query");
    int64_t n_read = 0;
    for (;;) {
        struct ArrowArray rows;
        if (stream.get_next(&stream, &rows) != 0) {
            fprintf(stderr, "query: %s\n", stream.get_last_error(&stream));
            return 1;
        }
        if (!rows.release) break;
        print_rows(&rows);
        n_read += rows.length;
        rows.release(&rows);
    }
    stream.release(&stream);
    glis_instance_close(instance);
    return n_read == 3 ? 0 : 1;
}
