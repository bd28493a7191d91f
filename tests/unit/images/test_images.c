/* Images in and out.  The files are made by the format libraries (tests/support/tiny_images.c), their pixels
 * are known by a formula. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "image.h"
#include "scope.h"
#include "tiny_images.h"

static char folder[] = "/tmp/test-images-XXXXXX";

static unsigned sample_of(const struct image *image, int x, int y, int c)
{
    size_t at = ((size_t)y * (size_t)image->width + (size_t)x) * (size_t)image->channels + (size_t)c;
    return image->bits == 8 ? ((const uint8_t *)image->data)[at] : ((const uint16_t *)image->data)[at];
}

static void check_pixels(const struct tiny_image *tiny, const struct image *image)
{
    assert_int_equal(image->width, TINY_WIDTH);
    assert_int_equal(image->height, TINY_HEIGHT);
    assert_int_equal(image->channels, tiny->channels);
    assert_int_equal(image->bits, tiny->bits);
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++)
            for (int c = 0; c < image->channels; c++) {
                unsigned wanted = tiny_images_sample(tiny, x, y, c), got = sample_of(image, x, y, c);
                if (abs((int)wanted - (int)got) > tiny->tolerance)
                    fail_msg("%s: (%d, %d) channel %d is %u, not %u", tiny->name, x, y, c, got, wanted);
            }
}

static void every_kind_of_file_decodes_to_its_pixels(void **state)
{
    (void)state;
    for (size_t i = 0;; i++) {
        SCOPE_BUFFER bytes = {0};
        SCOPE_IMAGE image = {0};
        struct failure why;
        const struct tiny_image *tiny = tiny_images_make(i, false, &bytes);
        if (!tiny)
            break;
        enum code code = image_decode(bytes.data, bytes.length, tiny->name, &image, &why);
        if (tiny->bits == 0) { /* labels only */
            assert_int_equal(code, CODE_UNSUPPORTED);
            continue;
        }
        assert_code_ok(code, why);
        check_pixels(tiny, &image);
    }
}

static void label_images_keep_their_numbers(void **state)
{
    (void)state;
    for (size_t i = 0;; i++) {
        SCOPE_BUFFER bytes = {0};
        struct image_labels labels;
        struct failure why;
        const struct tiny_image *tiny = tiny_images_make(i, false, &bytes);
        if (!tiny)
            break;
        if (tiny->label_bits == 0)
            continue;
        assert_code_ok(image_decode_labels(bytes.data, bytes.length, tiny->name, &labels, &why), why);
        for (int y = 0; y < TINY_HEIGHT; y++)
            for (int x = 0; x < TINY_WIDTH; x++)
                if (labels.labels[y * TINY_WIDTH + x] != tiny_images_label(tiny, x, y))
                    fail_msg("%s: (%d, %d) is %u, not %u", tiny->name, x, y, labels.labels[y * TINY_WIDTH + x],
                             tiny_images_label(tiny, x, y));
        image_labels_free(&labels);
    }
}

static void the_pixel_size_is_read(void **state)
{
    (void)state;
    for (size_t i = 0;; i++) {
        SCOPE_BUFFER bytes = {0};
        SCOPE_IMAGE image = {0};
        const struct tiny_image *tiny = tiny_images_make(i, false, &bytes);
        if (!tiny)
            break;
        if (image_decode(bytes.data, bytes.length, tiny->name, &image, NULL) == CODE_OK)
            assert_float_equal(image.pixel_um, tiny->format == TINY_JPEG ? 0.5 : 0.25, 1e-6);
    }
}

/* Fails, or (where only a comment behind the pixels is missing) gives the right pixels. */
static void check_prefix(const struct tiny_image *tiny, const uint8_t *bytes, size_t count)
{
    SCOPE_IMAGE image = {0};
    SCOPE_FREE uint8_t *exact = malloc(count ? count : 1);
    struct failure why = {0};
    memcpy(exact, bytes, count);
    enum code code = image_decode(exact, count, "cut.png", &image, &why);
    if (code == CODE_OK)
        check_pixels(tiny, &image);
    else if (!strstr(why.text, "cut.png"))
        fail_msg("%s cut to %zu bytes: the text does not name the file: %s", tiny->name, count, why.text);
}

static void a_file_cut_short_at_any_byte_fails_or_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0;; i++) {
        SCOPE_BUFFER bytes = {0};
        const struct tiny_image *tiny = tiny_images_make(i, true, &bytes);
        if (!tiny)
            break;
        for (size_t count = 0; count < bytes.length; count++)
            check_prefix(tiny, (const uint8_t *)bytes.data, count);
    }
}

static void half_of_a_file_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0;; i++) {
        SCOPE_BUFFER bytes = {0};
        SCOPE_IMAGE image = {0};
        const struct tiny_image *tiny = tiny_images_make(i, false, &bytes);
        if (!tiny)
            break;
        if (image_decode(bytes.data, bytes.length / 2, "half", &image, NULL) == CODE_OK)
            fail_msg("%s: half of it was taken for a picture", tiny->name);
    }
}

static void a_library_that_complains_prints_nothing(void **state)
{
    (void)state;
    FILE *caught = tmpfile();
    int kept = dup(STDERR_FILENO);
    assert_true(caught && kept >= 0 && dup2(fileno(caught), STDERR_FILENO) >= 0);
    for (size_t i = 0;; i++) {
        SCOPE_BUFFER bytes = {0};
        const struct tiny_image *tiny = tiny_images_make(i, true, &bytes);
        if (!tiny)
            break;
        for (size_t at = 9; at < bytes.length; at += 7) {
            SCOPE_IMAGE image = {0};
            struct image_labels labels;
            bytes.data[at] ^= 0x55;
            if (image_decode(bytes.data, bytes.length, "damaged", &image, NULL) != CODE_OK &&
                image_decode_labels(bytes.data, at, "cut", &labels, NULL) == CODE_OK)
                image_labels_free(&labels);
            bytes.data[at] ^= 0x55;
        }
    }
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_int_equal(fseek(caught, 0, SEEK_END), 0);
    assert_int_equal(ftell(caught), 0);
    fclose(caught);
}

static char *path_of(const char *name)
{
    char *path = file_join(folder, name);
    assert_non_null(path);
    return path;
}

static void sizes_are_read_from_headers_alone(void **state)
{
    (void)state;
    SCOPE_FREE char *path = path_of("size");
    for (size_t i = 0;; i++) {
        SCOPE_BUFFER bytes = {0};
        struct failure why;
        const struct tiny_image *tiny = tiny_images_make(i, false, &bytes);
        if (!tiny)
            break;
        if (tiny->bits == 0)
            continue;
        int width = 0, height = 0;
        assert_code_ok(file_write(path, bytes.data, bytes.length, &why), why);
        assert_code_ok(image_read_size(path, &width, &height, &why), why);
        assert_int_equal(width, TINY_WIDTH);
        assert_int_equal(height, TINY_HEIGHT);
        assert_code_ok(file_write(path, bytes.data, bytes.length * 2 / 3, &why), why);
        if (image_read_size(path, &width, &height, &why) == CODE_OK)
            fail_msg("%s: two thirds of it passed for a whole file", tiny->name);
    }
}

static void what_is_behind_the_end_of_a_picture_does_no_harm(void **state)
{
    (void)state;
    SCOPE_FREE char *path = path_of("tail");
    for (size_t i = 0; i < 11; i++) { /* PNG and JPEG */
        SCOPE_BUFFER bytes = {0};
        struct failure why;
        int width = 0, height = 0;
        const struct tiny_image *tiny = tiny_images_make(i, false, &bytes);
        for (int k = 0; k < 500; k++)
            buffer_append_text(&bytes, "x");
        assert_code_ok(file_write(path, bytes.data, bytes.length, &why), why);
        assert_code_ok(image_read_size(path, &width, &height, &why), why);
        assert_int_equal(width, TINY_WIDTH);
        SCOPE_IMAGE image = {0};
        assert_code_ok(image_read(path, &image, &why), why);
        check_pixels(tiny, &image);
    }
}

static void the_format_is_told_by_the_first_bytes_and_not_by_the_name(void **state)
{
    (void)state;
    SCOPE_FREE char *path = path_of("really-a-jpeg.png");
    SCOPE_BUFFER bytes = {0};
    SCOPE_IMAGE image = {0};
    struct failure why;
    const struct tiny_image *tiny = tiny_images_make(9, false, &bytes);
    assert_int_equal(tiny->format, TINY_JPEG);
    assert_int_equal(image_sniff(bytes.data, bytes.length), IMAGE_JPEG);
    assert_code_ok(file_write(path, bytes.data, bytes.length, &why), why);
    assert_code_ok(image_read(path, &image, &why), why);
    check_pixels(tiny, &image);
}

static void text_is_no_image(void **state)
{
    (void)state;
    struct image image;
    struct failure why;
    assert_int_equal(image_decode("hello", 5, "notes.txt", &image, &why), CODE_UNSUPPORTED);
    assert_non_null(strstr(why.text, "notes.txt"));
    assert_int_equal(image_decode("", 0, "empty", &image, &why), CODE_INVALID);
}

/* A PNG header that promises a picture of these sides, and a few bytes of data. */
static size_t forge_png(uint8_t *bytes, uint32_t width, uint32_t height)
{
    static const uint8_t start[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R'};
    memcpy(bytes, start, sizeof start);
    for (int i = 0; i < 4; i++) {
        bytes[16 + i] = (uint8_t)(width >> (24 - 8 * i));
        bytes[20 + i] = (uint8_t)(height >> (24 - 8 * i));
    }
    memcpy(bytes + 24, "\x08\x02\0\0\0", 5);
    uint32_t crc = 0xFFFFFFFF; /* PNG specification, annex D */
    for (int i = 12; i < 29; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
    }
    crc = ~crc;
    for (int i = 0; i < 4; i++)
        bytes[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
    memcpy(bytes + 33,
           "\0\0\0\x04"
           "IDAT"
           "\x78\x9c\0\0\0\0\0\0",
           16);
    return 49;
}

static void a_header_that_promises_too_much_is_refused_before_memory_is_taken(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct image image;
    struct failure why;
    size_t count = forge_png(bytes, 60000, 60000);
    assert_int_equal(image_decode(bytes, count, "bomb", &image, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "cut short or forged"));
    count = forge_png(bytes, 70000, 2);
    assert_int_not_equal(image_decode(bytes, count, "wide", &image, &why), CODE_OK);
    count = forge_png(bytes, 0, 10);
    assert_int_not_equal(image_decode(bytes, count, "nothing", &image, &why), CODE_OK);
}

static void a_tiff_of_gigantic_tiles_is_refused(void **state)
{
    (void)state;
    SCOPE_BUFFER bytes = {0};
    struct image image;
    struct failure why;
    const struct tiny_image *tiny = tiny_images_make(15, false, &bytes);
    assert_string_equal(tiny->name, "tiff, RGB, 8 bit, tiles, deflate");
    size_t changed = 0;
    for (size_t at = 8; at + 12 <= bytes.length; at++) { /* TileWidth 322, TileLength 323 */
        uint8_t *entry = (uint8_t *)bytes.data + at;
        if ((entry[0] == 0x42 || entry[0] == 0x43) && entry[1] == 1 && entry[4] == 1 && entry[8] == 16) {
            entry[8] = 0xF0;
            entry[9] = 0xFF;
            changed++;
        }
    }
    assert_int_equal(changed, 2);
    assert_int_not_equal(image_decode(bytes.data, bytes.length, "tiles", &image, &why), CODE_OK);
}

static void check_round_trip(int channels, int bits, bool png)
{
    SCOPE_FREE char *path = path_of("written");
    SCOPE_IMAGE image = {0}, back = {0};
    struct failure why;
    assert_code_ok(image_create(TINY_WIDTH, TINY_HEIGHT, channels, bits, &image, &why), why);
    image.pixel_um = 0.325;
    size_t size = (size_t)TINY_WIDTH * TINY_HEIGHT * (size_t)channels * (size_t)bits / 8;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)image.data)[i] = (uint8_t)(i * 31 + i / 256);
    assert_code_ok(png ? image_write_png(path, &image, &why) : image_write_tiff(path, &image, &why), why);
    assert_code_ok(image_read(path, &back, &why), why);
    assert_int_equal(back.channels, channels);
    assert_int_equal(back.bits, bits);
    assert_float_equal(back.pixel_um, 0.325, 1e-5);
    assert_memory_equal(back.data, image.data, size);
}

static void pictures_written_are_read_back_the_same(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 3; channels += 2)
        for (int bits = 8; bits <= 16; bits += 8) {
            check_round_trip(channels, bits, true);
            check_round_trip(channels, bits, false);
        }
}

static void a_written_tiff_is_the_same_bytes_each_time(void **state)
{
    (void)state;
    SCOPE_FREE char *path = path_of("same.tif");
    SCOPE_IMAGE image = {0};
    SCOPE_BUFFER bytes = {0};
    struct failure why;
    assert_code_ok(image_create(2, 1, 1, 16, &image, &why), why);
    ((uint16_t *)image.data)[0] = 0x0102;
    ((uint16_t *)image.data)[1] = 0xFFFE;
    assert_code_ok(image_write_tiff(path, &image, &why), why);
    assert_code_ok(file_read(path, 4096, &bytes, &why), why);
    static const uint8_t wanted[] = {'I',  'I', 42, 0, 8,    0,    0,    0,   9,   0,       /* header, 9 entries */
                                     0x00, 1,   4,  0, 1,    0,    0,    0,   2,   0, 0, 0, /* width 2 */
                                     0x01, 1,   4,  0, 1,    0,    0,    0,   1,   0, 0, 0, /* height 1 */
                                     0x02, 1,   3,  0, 1,    0,    0,    0,   16,  0, 0, 0, /* 16 bits */
                                     0x03, 1,   3,  0, 1,    0,    0,    0,   1,   0, 0, 0, /* not compressed */
                                     0x06, 1,   3,  0, 1,    0,    0,    0,   1,   0, 0, 0, /* 0 is black */
                                     0x11, 1,   4,  0, 1,    0,    0,    0,   122, 0, 0, 0, /* pixels begin here */
                                     0x15, 1,   3,  0, 1,    0,    0,    0,   1,   0, 0, 0, /* 1 sample a pixel */
                                     0x16, 1,   4,  0, 1,    0,    0,    0,   1,   0, 0, 0, /* 1 row in the strip */
                                     0x17, 1,   4,  0, 1,    0,    0,    0,   4,   0, 0, 0, /* of 4 bytes */
                                     0,    0,   0,  0, 0x02, 0x01, 0xFE, 0xFF};
    assert_int_equal(bytes.length, sizeof wanted);
    assert_memory_equal(bytes.data, wanted, sizeof wanted);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_tree(folder, NULL) == CODE_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_file_decodes_to_its_pixels),
        cmocka_unit_test(label_images_keep_their_numbers),
        cmocka_unit_test(the_pixel_size_is_read),
        cmocka_unit_test(a_file_cut_short_at_any_byte_fails_or_is_whole),
        cmocka_unit_test(half_of_a_file_is_refused),
        cmocka_unit_test(a_library_that_complains_prints_nothing),
        cmocka_unit_test(sizes_are_read_from_headers_alone),
        cmocka_unit_test(what_is_behind_the_end_of_a_picture_does_no_harm),
        cmocka_unit_test(the_format_is_told_by_the_first_bytes_and_not_by_the_name),
        cmocka_unit_test(text_is_no_image),
        cmocka_unit_test(a_header_that_promises_too_much_is_refused_before_memory_is_taken),
        cmocka_unit_test(a_tiff_of_gigantic_tiles_is_refused),
        cmocka_unit_test(pictures_written_are_read_back_the_same),
        cmocka_unit_test(a_written_tiff_is_the_same_bytes_each_time),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
