/*
 * test_hash.c: hashes of a known pattern, as the xxhash package for Python (which brings its own
 * copy of the reference) and Python's zlib give them; published values of empty and short inputs.
 */
#include "test.h"

#include "base/hash.h"

#include <stdio.h>

static const struct {
    size_t size;
    uint64_t xxh3, xxh64_seed_42;
    const char *xxh128;
    uint32_t crc;
} cases[] = {
    {0, 0x2d06800538d394c2u, 0x98b1582b0977e704u, "99aa06d3014798d86001c324468d497f", 0x00000000u},
    {1, 0x4c5cca45d0f4811fu, 0xda6da76043d2a83eu, "495b62073ef70ca44c5cca45d0f4811f", 0x4c667a2eu},
    {3, 0x6e3e2670e61106acu, 0x68adf3d78e6987c3u, "390cdc5b4a895dd76e3e2670e61106ac", 0x45d3c3ebu},
    {8, 0xf9fd4dd0b04d78f5u, 0x51901a87d2f93e8eu, "6a86a3bda6af4e3d61ddbe7f31a6100d", 0xf7921d46u},
    {16, 0x86abf6baccea0858u, 0x9f7e35638c442c07u, "7f9a218b0425449ae2ce54a7c19c730d", 0xea7e5b68u},
    {17, 0xb58bf5dc5022d071u, 0x3e10330785e0e114u, "66fc23f6439dbd778d96ef110fcdebb4", 0x293cddb3u},
    {128, 0x10d17f72c0ccba41u, 0x466738dafd6649aeu, "aec730751478556cff361dec1385710a",
     0xcc816b20u},
    {129, 0x1648bdc3db49d1a2u, 0x32f60748f70870a8u, "98cd36ccbb5579264545b3a09738e31a",
     0x9a7c58adu},
    {240, 0xb6cfaf343fab81e6u, 0xf6d0c345e33a6986u, "5293e17bf553903d3f2c53e72293711f",
     0xb3422b2eu},
    {241, 0x956cae592c67279eu, 0x033c53f8d5b8bb2du, "b53840fe3fedf161956cae592c67279e",
     0x16d0e71eu},
    {256, 0xb15e550733c5dfacu, 0x2030d62a7496386eu, "d0d2829a226d0edbb15e550733c5dfac",
     0x0d75ad75u},
    {1024, 0x70bd377d9574f4bbu, 0xe0dd4b313831ec27u, "f69630613f24324d70bd377d9574f4bb",
     0x0824e952u},
    {3000, 0x33a08283bba03e0cu, 0xd0d645b52d8a788cu, "90cabc4f5f59603233a08283bba03e0c",
     0x1a986ca7u},
};

static void fill_pattern(uint8_t data[3000])
{
    for (size_t i = 0; i < 3000; i++)
        data[i] = (uint8_t)(i * 131 + 7);
}

static void all_lengths_agree_with_another_program(void **state)
{
    (void)state;
    uint8_t data[3000];
    fill_pattern(data);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char hex[HASH128_HEX_BYTES + 1];
        assert_true(hash_xxh3_64(data, cases[i].size) == cases[i].xxh3);
        assert_true(hash_xxh64(data, cases[i].size, 42) == cases[i].xxh64_seed_42);
        hash_hex128(hash_xxh3_128(data, cases[i].size), hex);
        assert_string_equal(hex, cases[i].xxh128);
        assert_int_equal(hash_crc32(0, data, cases[i].size), cases[i].crc);
    }
}

static void published_values(void **state)
{
    (void)state;
    assert_true(hash_xxh64("", 0, 0) == 0xef46db3751d8e999u);
    assert_true(hash_xxh64("xxhash", 6, 20141025) == 0xb559b98d844e0635u);
    assert_true(hash_xxh3_64("", 0) == 0x2d06800538d394c2u);
    assert_true(hash_xxh3_64_seeded("abc", 3, 5) == 0x5599169c9856140bu);
    assert_int_equal(hash_crc32(0, "123456789", 9), 0xcbf43926u);
    char hex[HASH64_HEX_BYTES + 1];
    hash_hex64(0x0123456789abcdefu, hex);
    assert_string_equal(hex, "0123456789abcdef");
}

static void pieces_give_the_hash_of_the_whole(void **state)
{
    (void)state;
    uint8_t data[3000];
    fill_pattern(data);
    for (size_t piece = 1; piece < 3000; piece = piece * 3 + 1) {
        struct hash_stream *stream = hash_stream_new();
        uint32_t crc = 0;
        for (size_t at = 0; at < 3000; at += piece) {
            size_t size = 3000 - at < piece ? 3000 - at : piece;
            hash_stream_add(stream, data + at, size);
            crc = hash_crc32(crc, data + at, size);
            (void)hash_stream_64(stream);
        }
        struct hash128 whole = hash_xxh3_128(data, 3000), streamed = hash_stream_128(stream);
        assert_true(hash_stream_64(stream) == hash_xxh3_64(data, 3000));
        assert_memory_equal(&whole, &streamed, sizeof(whole));
        assert_int_equal(crc, hash_crc32(0, data, 3000));
        hash_stream_free(stream);
    }
    hash_stream_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lengths_agree_with_another_program),
        cmocka_unit_test(published_values),
        cmocka_unit_test(pieces_give_the_hash_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
