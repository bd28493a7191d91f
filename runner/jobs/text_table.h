/* A table of short texts in aligned columns, for people. */
#ifndef CYTOFS_TEXT_TABLE_H
#define CYTOFS_TEXT_TABLE_H

#include "buffer.h"

#define TEXT_TABLE_COLUMNS_MAX 10

struct text_table {
    struct buffer cells;                /* each cell with a 0 behind it */
    int widths[TEXT_TABLE_COLUMNS_MAX]; /* in characters */
    int columns;                        /* of every row: as the first has */
};

#define SCOPE_TEXT_TABLE __attribute__((cleanup(text_table_free))) struct text_table

/* Adds a row of cells, ended by NULL. */
void text_table_row(struct text_table *table, const char *first, ...) __attribute__((sentinel));

/* Appends the rows; the last column is not padded. */
void text_table_format(const struct text_table *table, struct buffer *out);
void text_table_free(struct text_table *table);

#endif
