/* Bytes as lower-case hexadecimal digits and back.  Constant maximums are the callers'; nothing is allocated.
 */
#ifndef CYTOFS_HEX_H
#define CYTOFS_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEX_TEXT_BYTES(count) (2 * (count) + 1)

/* Writes 2 * count digits and a terminator; text has room for HEX_TEXT_BYTES(count). */
void hex_encode(const void *bytes, size_t count, char *text);

/* Reads exactly 2 * count lower-case digits; false, with *bytes undefined, where text is anything else.
 * `length` is the text's, which needs no terminator.  The time taken depends on the length alone while all
 * digits are valid. */
bool hex_decode(const char *text, size_t length, void *bytes, size_t count);

#endif
