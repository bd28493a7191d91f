/* The directories of a TIFF file as they lie in it, without libtiff: for checks that libtiff does not make,
 * and for the import, which cleans files without decoding them.  TIFF 6.0, section 2; BigTIFF as libtiff
 * defines it. */
#ifndef CYTOFS_IMAGE_TIFF_DIRECTORY_H
#define CYTOFS_IMAGE_TIFF_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_TIFF_ENTRIES_MAX 4096

struct image_tiff_file {
    /* Reads exactly `count` bytes at `offset`; false where that cannot be. */
    bool (*read)(void *context, uint64_t offset, void *into, size_t count);
    void *context;
    uint64_t size; /* bytes */
    /* set by image_tiff_directory_open: */
    bool big_endian;
    bool big;       /* BigTIFF: counts and offsets of 8 bytes */
    uint64_t first; /* offset of the first directory; 0 where there is none */
};

struct image_tiff_entry {
    uint16_t tag, type;
    uint64_t count;       /* values */
    uint64_t entry_at;    /* offset of the entry itself */
    uint64_t value_at;    /* offset of its values, in the entry or elsewhere */
    uint64_t value_bytes; /* 0 for an unknown type */
};

struct image_tiff_directory {
    struct image_tiff_entry *entries; /* owned */
    size_t count;
    uint64_t next_at; /* offset of the field that holds the next directory's offset */
    uint64_t next;    /* that offset; 0 in the last one */
};

/* Reads the header.  False where it is none of TIFF's. */
bool image_tiff_directory_open(struct image_tiff_file *file);

/* Reads the directory at `offset`.  False where it does not lie in the file, has more than
 * IMAGE_TIFF_ENTRIES_MAX entries, or without memory.  Values may still lie outside the file. */
bool image_tiff_directory_read(const struct image_tiff_file *file, uint64_t offset, struct image_tiff_directory *out);
void image_tiff_directory_free(struct image_tiff_directory *directory);

/* Whether the entry's values lie in the file. */
bool image_tiff_directory_has_value(const struct image_tiff_file *file, const struct image_tiff_entry *entry);

/* Value number `index` of an entry of whole numbers (types BYTE, SHORT, LONG, IFD, LONG8, IFD8); false where
 * there is none. */
bool image_tiff_directory_number(const struct image_tiff_file *file, const struct image_tiff_entry *entry, uint64_t index,
                                 uint64_t *number);

/* Whether the values that say how pixels are stored (sizes, offsets, palette, tables) of the first page lie
 * in the file.  libtiff leaves out what it cannot read, and would decode something else. */
bool image_tiff_directory_is_whole(struct image_tiff_file *file);

#endif
