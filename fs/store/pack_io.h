/* Inside fs/store: records of a pack to and from its descriptor. */
#ifndef CYTOFS_PACK_IO_H
#define CYTOFS_PACK_IO_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "pack_format.h"

struct chunk_address;

/* Writes the head and the chunk at offset.  0, or the errno of what went wrong. */
int pack_io_write_record(int fd, uint64_t offset, const uint8_t record[PACK_RECORD_BYTES], const void *chunk, size_t count);

/* Reads the chunk at address, whose numbers are in range, and checks it.  CODE_CORRUPT, CODE_IO. */
MUST_CHECK enum code pack_io_read_record(int fd, const struct chunk_address *address, void *out, struct failure *why);

/* Reads the bytes of a chunk that lies at address as they are. */
MUST_CHECK enum code pack_io_read_unchecked(int fd, const struct chunk_address *address, void *out, struct failure *why);

/* Reads exactly count bytes; CODE_CORRUPT where the file ends before. */
MUST_CHECK enum code pack_io_read(int fd, uint64_t offset, void *bytes, size_t count, struct failure *why);

#endif
