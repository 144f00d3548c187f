/*
 * fuzz_processing.c: the texts of filters, aggregations and visibility, and labels. The first byte
 * says which text the input is; what is accepted keeps the rules of a processing.
 */
#include "fuzz.h"

#include "process/process.h"

static struct slice text_if(bool wanted, struct slice text)
{
    return wanted ? text : SLICE_EMPTY;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct schema *schema;
    struct processing processing;
    struct slice text = slice_make(data + 1, size - 1);
    unsigned which = data[0] % 5;
    int code = schema_from_json(
        SLICE("{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"StringType\"}],\"sortKeyFields\":[{"
              "\"name\":\"t\",\"type\":\"LongType\"}],\"valueFields\":["
              "{\"name\":\"n\",\"type\":\"LongType\",\"nullable\":true},"
              "{\"name\":\"d\",\"type\":\"DoubleType\"}]}"),
        &schema);
    ASSERT(code == 0);
    struct processing_settings settings = {.filters = text_if(which == 0, text),
                                           .aggregations = text_if(which == 1, text),
                                           .visibility_field = text_if(which == 2, text),
                                           .iterator = text_if(which == 3, text),
                                           .inexact = data[0] & 0x80};
    if (which == 4) {
        struct slice terms[] = {SLICE("A"), SLICE("B")};
        enum label_result more = label_evaluate(text, terms, 2);
        enum label_result less = label_evaluate(text, terms, 1);
        ASSERT((more == LABEL_BAD) == (less == LABEL_BAD));
        ASSERT(less != LABEL_VISIBLE || more == LABEL_VISIBLE); /* more terms show no less */
    } else if (processing_parse(schema, &settings, &arena, &processing) == 0) {
        for (uint32_t i = 0; i < processing.n_filters; i++) {
            ASSERT(processing.filters[i].field < schema->n_fields);
            ASSERT(processing.filters[i].age_ms >= 0);
            ASSERT(i == 0 || processing.filters[i - 1].field < processing.filters[i].field);
        }
        ASSERT(processing.visibility_field < (int)schema->n_fields);
        ASSERT(!processing.is_inexact || processing.inexact);
        ASSERT(!processing.aggregations ||
               (!processing.aggregations[0] && processing.aggregations[2] &&
                processing.aggregations[3]));
    }
    schema_release(schema);
    return 0;
}
