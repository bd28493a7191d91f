/* Texts as values: numbers, sizes, durations, names.  Each returns false, and leaves *out alone, where the
 * text is none. */
#ifndef CYTOFS_SPEC_VALUE_H
#define CYTOFS_SPEC_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool spec_value_integer(const char *text, int64_t *out); /* "12", "-3"; only what int64_t holds */
bool spec_value_number(const char *text, double *out);   /* "0.1", "2e-3"; finite */
bool spec_value_size(const char *text, uint64_t *out);   /* bytes: "8G", "512M", "1.5T", "8GiB", "100k"; powers of 1024 */
bool spec_value_duration(const char *text, int64_t *seconds); /* "2h", "90m", "1h30m", "45s", "1d" */

/* Letters, digits, '.', '_', '-'; not beginning with '.' or '-'; 1 to `max` bytes. */
bool spec_value_is_name(const char *text, size_t max);

#endif
