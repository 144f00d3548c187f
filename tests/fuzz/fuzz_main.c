/*
 * fuzz_main.c: runs a fuzz target over files, without a fuzzer.
 *
 * Each file is given to the target as it is. A small one is then cut at every byte, and has every
 * single bit flipped, in turn. Each input is a heap object of exactly its size, so the address
 * sanitizer sees a read of one byte too many. Built with -Dfuzzer=true the targets are linked with
 * libFuzzer instead, for long runs by hand: build-fuzz/tests/fuzz/fuzz_json tests/fuzz/corpus/json
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_BYTES_MAX = 2048 };

static void give(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    long end = ftell(file);
    uint8_t *data = end < 0 ? NULL : malloc((size_t)end + 1);
    rewind(file);
    if (!data || fread(data, 1, (size_t)end, file) != (size_t)end) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    fclose(file);
    *size = (size_t)end;
    return data;
}

int main(int n_arguments, char **arguments)
{
    unsigned long long n_inputs = 0;
    for (int i = 1; i < n_arguments; i++) {
        size_t size;
        uint8_t *data = read_file(arguments[i], &size);
        give(data, size);
        n_inputs++;
        for (size_t end = 0; size <= SMALL_BYTES_MAX && end < size; end++, n_inputs++)
            give(data, end);
        for (size_t bit = 0; size <= SMALL_BYTES_MAX && bit < size * 8; bit++, n_inputs++) {
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            give(data, size);
            data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        free(data);
    }
    printf("%llu inputs\n", n_inputs);
    return 0;
}
