/*
 * fuzz.h: the one function that a fuzz target defines. It is called with any bytes, must give them
 * to the code under test, and returns 0; what it finds it reports by ending the process.
 */
#ifndef GLIS_FUZZ_H
#define GLIS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
