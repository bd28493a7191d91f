/* See tiny_images.h.  A table says what each file is; one writer a format makes it from the table's row.  The
 * writers are the libraries' plain use, so what cytofs decodes is compared with a formula and not with cytofs
 * itself.  A failing library call ends the test program: nothing here may fail. */
#include "tiny_images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>
#include <png.h>
#include <tiffio.h>

#define PALETTE_SIZE 16

/* How a row of the table is stored in its file. */
struct storage {
    struct tiny_image image;
    int bits, samples; /* in the file */
    int colour;        /* PNG colour type, TIFF photometric kind */
    int compression;   /* TIFF */
    int tile;          /* TIFF: side of a tile, 0 for strips of 5 rows; PNG: interlaced; JPEG: progressive */
    int planar;        /* TIFF */
    const char *mode;  /* TIFF: byte order and size of offsets, as TIFFOpen wants it */
};

#define PNG_ROW(name, channels, bits, labels, stored, samples, colour, interlaced)                                          \
    {                                                                                                                       \
        {"png, " name, TINY_PNG, channels, bits, labels, 0}, stored, samples, PNG_COLOR_TYPE_##colour, 0, interlaced, 0,    \
            NULL                                                                                                            \
    }

#define JPEG_ROW(name, channels, tolerance, progressive)                                                                    \
    {                                                                                                                       \
        {"jpeg, " name, TINY_JPEG, channels, 8, 0, tolerance}, 8, channels, 0, 0, progressive, 0, NULL                      \
    }

#define TIFF_ROW(name, channels, bits, labels, tolerance, stored, samples, kind, packing, tile, planar, mode)               \
    {                                                                                                                       \
        {"tiff, " name, TINY_TIFF, channels, bits, labels, tolerance}, stored, samples, PHOTOMETRIC_##kind,                 \
            COMPRESSION_##packing, tile, planar, mode                                                                       \
    }

static const struct storage table[] = {
    PNG_ROW("grey, 8 bit", 1, 8, 8, 8, 1, GRAY, 0),
    PNG_ROW("grey, 16 bit", 1, 16, 16, 16, 1, GRAY, 0),
    PNG_ROW("grey, 1 bit", 1, 8, 1, 1, 1, GRAY, 0),
    PNG_ROW("grey with alpha, 8 bit", 1, 8, 8, 8, 2, GRAY_ALPHA, 0),
    PNG_ROW("RGB, 8 bit, interlaced", 3, 8, 24, 8, 3, RGB, 1),
    PNG_ROW("RGBA, 8 bit", 3, 8, 24, 8, 4, RGB_ALPHA, 0),
    PNG_ROW("RGB, 16 bit", 3, 16, 0, 16, 3, RGB, 0),
    PNG_ROW("palette, 4 bit", 3, 8, 4, 4, 1, PALETTE, 0),
    JPEG_ROW("grey", 1, 6, 0),
    JPEG_ROW("colour", 3, 12, 0),
    JPEG_ROW("colour, progressive", 3, 12, 1),
    TIFF_ROW("grey, 8 bit, strips", 1, 8, 8, 0, 8, 1, MINISBLACK, NONE, 0, 1, "wl"),
    TIFF_ROW("grey, 16 bit, LZW, big-endian", 1, 16, 16, 0, 16, 1, MINISBLACK, LZW, 0, 1, "wb"),
    TIFF_ROW("grey, 8 bit, min is white", 1, 8, 0, 0, 8, 1, MINISWHITE, PACKBITS, 0, 1, "wl"),
    TIFF_ROW("grey, 1 bit", 1, 8, 1, 0, 1, 1, MINISBLACK, PACKBITS, 0, 1, "wl"),
    TIFF_ROW("RGB, 8 bit, tiles, deflate", 3, 8, 24, 0, 8, 3, RGB, ADOBE_DEFLATE, 16, 1, "wl"),
    TIFF_ROW("RGB, 16 bit, planar, tiles, LZW", 3, 16, 0, 0, 16, 3, RGB, LZW, 16, 2, "wl"),
    TIFF_ROW("RGBA, 8 bit, planar strips", 3, 8, 24, 0, 8, 4, RGB, NONE, 0, 2, "wb"),
    TIFF_ROW("palette, 8 bit", 3, 8, 4, 0, 8, 1, PALETTE, NONE, 0, 1, "wl"),
    TIFF_ROW("BigTIFF, grey, 16 bit, deflate", 1, 16, 16, 0, 16, 1, MINISBLACK, ADOBE_DEFLATE, 0, 1, "w8l"),
    TIFF_ROW("colour, JPEG inside", 3, 8, 0, 12, 8, 3, YCBCR, JPEG, 16, 1, "wl"),
    TIFF_ROW("labels of 32 bits", 0, 0, 32, 0, 32, 1, MINISBLACK, LZW, 0, 1, "wl"),
};

static void must(bool held)
{
    if (!held)
        abort();
}

static bool has_palette(const struct storage *storage)
{
    return (storage->image.format == TINY_PNG && storage->colour == PNG_COLOR_TYPE_PALETTE) ||
           (storage->image.format == TINY_TIFF && storage->colour == PHOTOMETRIC_PALETTE);
}

static unsigned palette_entry(unsigned index, int channel)
{
    return (index * 15 + (unsigned)channel * 5) & 0xFF;
}

/* The stored sample. */
static uint32_t stored(const struct storage *storage, int x, int y, int channel)
{
    uint32_t ux = (uint32_t)x, uy = (uint32_t)y, c = (uint32_t)channel;
    if (storage->image.tolerance > 0) /* smooth, for lossy compression */
        return 60 + 3 * ux + 2 * uy;
    if (has_palette(storage))
        return (ux + 3 * uy) % PALETTE_SIZE;
    switch (storage->bits) {
    case 1:
        return (ux / 3 + uy / 2) & 1;
    case 8:
        return (ux * 7 + uy * 11 + c * 50) & 0xFF;
    case 16:
        return (ux * 1000 + uy * 333 + c * 77 + 1) & 0xFFFF;
    default:
        return ux * 1000003 + uy * 65537;
    }
}

unsigned tiny_images_sample(const struct tiny_image *image, int x, int y, int channel)
{
    const struct storage *storage = (const struct storage *)image;
    uint32_t value = stored(storage, x, y, channel);
    if (has_palette(storage))
        return palette_entry(value, channel);
    if (storage->bits == 1)
        return value * 255;
    if (image->format == TINY_TIFF && storage->colour == PHOTOMETRIC_MINISWHITE)
        return 255 - value;
    return value;
}

uint32_t tiny_images_label(const struct tiny_image *image, int x, int y)
{
    const struct storage *storage = (const struct storage *)image;
    if (image->label_bits == 24)
        return stored(storage, x, y, 0) | stored(storage, x, y, 1) << 8 | stored(storage, x, y, 2) << 16;
    return stored(storage, x, y, 0);
}

/* One row of `samples` interleaved samples from column x0 on, beginning with `channel`, in host order. */
static void fill_row(const struct storage *storage, int x0, int width, int y, int channel, int samples, uint8_t *row)
{
    memset(row, 0, (size_t)width * (size_t)samples * 4);
    for (int i = 0; i < width * samples; i++) {
        int x = x0 + i / samples;
        uint32_t value = stored(storage, x, y, channel + i % samples);
        if (storage->bits == 32)
            memcpy(row + 4 * i, &value, 4);
        else if (storage->bits == 16)
            memcpy(row + 2 * i, &(uint16_t){(uint16_t)value}, 2);
        else
            row[i * storage->bits / 8] |= (uint8_t)(value << (8 - storage->bits - i * storage->bits % 8));
    }
}

static void collect(png_structp png, png_bytep bytes, size_t count)
{
    buffer_append(png_get_io_ptr(png), bytes, count);
}

static void plant_in_png(png_structp png, png_infop info)
{
    png_byte exif[] = "II*\0\x08\0\0\0\0\0\0\0\0\0 " TINY_SECRET;
    png_text texts[3] = {
        {.compression = PNG_TEXT_COMPRESSION_NONE, .key = (char *)"Author", .text = (char *)TINY_SECRET " one"},
        {.compression = PNG_TEXT_COMPRESSION_NONE, .key = (char *)"Comment", .text = (char *)"name " TINY_SECRET},
        {.compression = PNG_ITXT_COMPRESSION_NONE,
         .key = (char *)"XML:com.adobe.xmp",
         .text = (char *)TINY_SECRET,
         .lang = (char *)"",
         .lang_key = (char *)""}};
    png_set_text(png, info, texts, 3);
    png_set_eXIf_1(png, info, sizeof exif, exif);
    png_set_tIME(png, info, &(png_time){2020, 1, 2, 3, 4, 5});
}

static void make_png(const struct storage *storage, bool planted, struct buffer *out)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    must(png && info);
    png_set_write_fn(png, out, collect, NULL);
    png_set_IHDR(png, info, TINY_WIDTH, TINY_HEIGHT, storage->bits, storage->colour,
                 storage->tile ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (has_palette(storage)) {
        png_color palette[PALETTE_SIZE];
        png_byte alpha[PALETTE_SIZE] = {0, 128, 255};
        for (unsigned i = 0; i < PALETTE_SIZE; i++)
            palette[i] =
                (png_color){(png_byte)palette_entry(i, 0), (png_byte)palette_entry(i, 1), (png_byte)palette_entry(i, 2)};
        png_set_PLTE(png, info, palette, PALETTE_SIZE);
        png_set_tRNS(png, info, alpha, 3, NULL);
    }
    png_set_pHYs(png, info, 4000000, 4000000, PNG_RESOLUTION_METER); /* 0.25 um */
    if (planted)
        plant_in_png(png, info);
    png_write_info(png, info);
    if (storage->bits == 16)
        png_set_swap(png);
    uint8_t rows[TINY_HEIGHT][TINY_WIDTH * 4 * 4];
    png_bytep pointers[TINY_HEIGHT];
    for (int y = 0; y < TINY_HEIGHT; y++) {
        fill_row(storage, 0, TINY_WIDTH, y, 0, storage->samples, rows[y]);
        pointers[y] = rows[y];
    }
    png_write_image(png, pointers);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
}

static void make_jpeg(const struct storage *storage, bool planted, struct buffer *out)
{
    static const uint8_t exif[] = "Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0 " TINY_SECRET;
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    unsigned char *bytes = NULL;
    unsigned long count = 0;
    jpeg_mem_dest(&jpeg, &bytes, &count);
    jpeg.image_width = TINY_WIDTH;
    jpeg.image_height = TINY_HEIGHT;
    jpeg.input_components = storage->samples;
    jpeg.in_color_space = storage->samples == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 95, TRUE);
    if (storage->tile)
        jpeg_simple_progression(&jpeg);
    jpeg.density_unit = 2;
    jpeg.X_density = jpeg.Y_density = 20000; /* 0.5 um */
    jpeg_start_compress(&jpeg, TRUE);
    if (planted) {
        jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif, sizeof exif);
        jpeg_write_marker(&jpeg, JPEG_APP0 + 13, (const uint8_t *)"Photoshop 3.0 " TINY_SECRET, 21);
        jpeg_write_marker(&jpeg, JPEG_COM, (const uint8_t *)TINY_SECRET, strlen(TINY_SECRET));
    }
    for (int y = 0; y < TINY_HEIGHT; y++) {
        uint8_t row[TINY_WIDTH * 4 * 4];
        fill_row(storage, 0, TINY_WIDTH, y, 0, storage->samples, row);
        JSAMPROW pointer = row;
        jpeg_write_scanlines(&jpeg, &pointer, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    buffer_append(out, bytes, count);
    free(bytes);
}

static void plant_in_tiff(TIFF *tiff)
{
    static const TIFFFieldInfo vendor[] = {{50000, -1, -1, TIFF_ASCII, FIELD_CUSTOM, 1, 0, (char *)"Vendor"}};
    static const uint32_t texts[] = {TIFFTAG_IMAGEDESCRIPTION, TIFFTAG_ARTIST,       TIFFTAG_SOFTWARE, TIFFTAG_HOSTCOMPUTER,
                                     TIFFTAG_COPYRIGHT,        TIFFTAG_DOCUMENTNAME, TIFFTAG_MAKE,     TIFFTAG_MODEL,
                                     TIFFTAG_PAGENAME};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        must(TIFFSetField(tiff, texts[i], "a long text with the name " TINY_SECRET));
    must(TIFFSetField(tiff, TIFFTAG_XMLPACKET, 7, TINY_SECRET));
    must(TIFFSetField(tiff, TIFFTAG_PHOTOSHOP, 7, TINY_SECRET));
    must(TIFFMergeFieldInfo(tiff, vendor, 1) == 0);
    must(TIFFSetField(tiff, 50000, "vendor text: " TINY_SECRET));
}

static void write_tiles(TIFF *tiff, const struct storage *storage, int planes, int samples)
{
    int side = storage->tile;
    uint8_t tile[16 * 16 * 4 * 4], row[16 * 4 * 4];
    size_t row_bytes = (size_t)(side * samples * storage->bits) / 8;
    for (int plane = 0; plane < planes; plane++)
        for (int y = 0; y < TINY_HEIGHT; y += side)
            for (int x = 0; x < TINY_WIDTH; x += side) {
                for (int inner = 0; inner < side; inner++) {
                    fill_row(storage, x, side, y + inner, plane, samples, row);
                    memcpy(tile + (size_t)inner * row_bytes, row, row_bytes);
                }
                must(TIFFWriteTile(tiff, tile, (uint32_t)x, (uint32_t)y, 0, (uint16_t)plane) > 0);
            }
}

static void write_strips(TIFF *tiff, const struct storage *storage, int planes, int samples)
{
    for (int plane = 0; plane < planes; plane++)
        for (int y = 0; y < TINY_HEIGHT; y++) {
            uint8_t row[TINY_WIDTH * 4 * 4];
            fill_row(storage, 0, TINY_WIDTH, y, plane, samples, row);
            must(TIFFWriteScanline(tiff, row, (uint32_t)y, (uint16_t)plane) > 0);
        }
}

static void set_tags(TIFF *tiff, const struct storage *storage)
{
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, TINY_WIDTH);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, TINY_HEIGHT);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, storage->bits);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, storage->samples);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, storage->colour);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, storage->compression);
    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, storage->planar);
    TIFFSetField(tiff, TIFFTAG_XRESOLUTION, 40000.0); /* 0.25 um */
    TIFFSetField(tiff, TIFFTAG_YRESOLUTION, 40000.0);
    TIFFSetField(tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_CENTIMETER);
    if (storage->samples == 4)
        TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &(uint16_t){EXTRASAMPLE_UNASSALPHA});
    if (storage->compression == COMPRESSION_JPEG) {
        TIFFSetField(tiff, TIFFTAG_JPEGQUALITY, 95);
        TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    }
    if (has_palette(storage)) {
        uint16_t map[3][256] = {{0}};
        for (unsigned i = 0; i < PALETTE_SIZE; i++)
            for (int c = 0; c < 3; c++)
                map[c][i] = (uint16_t)(palette_entry(i, c) * 257);
        TIFFSetField(tiff, TIFFTAG_COLORMAP, map[0], map[1], map[2]);
    }
    if (storage->tile) {
        TIFFSetField(tiff, TIFFTAG_TILEWIDTH, storage->tile);
        TIFFSetField(tiff, TIFFTAG_TILELENGTH, storage->tile);
    } else {
        TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 5);
    }
}

static void make_tiff(const struct storage *storage, bool planted, struct buffer *out)
{
    char path[] = "/tmp/tiny-image-XXXXXX";
    int fd = mkstemp(path);
    must(fd >= 0);
    unlink(path);
    TIFF *tiff = TIFFFdOpen(dup(fd), "tiny", storage->mode);
    must(tiff);
    set_tags(tiff, storage);
    if (planted)
        plant_in_tiff(tiff);
    bool separate = storage->planar == PLANARCONFIG_SEPARATE;
    int planes = separate ? storage->samples : 1, samples = separate ? 1 : storage->samples;
    if (storage->tile)
        write_tiles(tiff, storage, planes, samples);
    else
        write_strips(tiff, storage, planes, samples);
    TIFFClose(tiff);
    off_t size = lseek(fd, 0, SEEK_END);
    void *into = buffer_reserve(out, (size_t)size);
    must(into && pread(fd, into, (size_t)size, 0) == size);
    out->length += (size_t)size;
    close(fd);
}

const struct tiny_image *tiny_images_make(size_t index, bool planted, struct buffer *out)
{
    if (index >= sizeof table / sizeof *table)
        return NULL;
    const struct storage *storage = &table[index];
    if (storage->image.format == TINY_PNG)
        make_png(storage, planted, out);
    else if (storage->image.format == TINY_JPEG)
        make_jpeg(storage, planted, out);
    else
        make_tiff(storage, planted, out);
    return &storage->image;
}
