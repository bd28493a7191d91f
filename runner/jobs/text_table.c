/* Aligned columns.  Widths count UTF-8 characters, as a terminal shows them (wide and combining ones aside).
 * Pure. */
#include "text_table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static int count_characters(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

void text_table_row(struct text_table *table, const char *first, ...)
{
    va_list args;
    va_start(args, first);
    int column = 0;
    for (const char *cell = first; cell && column < TEXT_TABLE_COLUMNS_MAX; cell = va_arg(args, const char *)) {
        int width = count_characters(cell);
        if (width > table->widths[column])
            table->widths[column] = width;
        buffer_append(&table->cells, cell, strlen(cell) + 1);
        column++;
    }
    va_end(args);
    table->columns = column;
}

void text_table_format(const struct text_table *table, struct buffer *out)
{
    int column = 0;
    for (size_t at = 0; at < table->cells.length; column = (column + 1) % table->columns) {
        const char *cell = table->cells.data + at;
        bool last = column + 1 == table->columns;
        int padding = last ? 0 : table->widths[column] - count_characters(cell) + 2;
        buffer_printf(out, "%s%*s%s", cell, padding, "", last ? "\n" : "");
        at += strlen(cell) + 1;
    }
}

void text_table_free(struct text_table *table)
{
    buffer_free(&table->cells);
}
