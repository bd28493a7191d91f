/* The line that says which commit of a store a member has seen: "cytofs seen 1 <commit, 20 digits>\n".  Pure. */
#ifndef CYTOFS_SEEN_TEXT_H
#define CYTOFS_SEEN_TEXT_H

#include <stdint.h>

#define SEEN_TEXT_BYTES 35

/* commit: at most INT64_MAX, as the catalog keeps it. */
void seen_text_write(uint64_t commit, char text[SEEN_TEXT_BYTES + 1]);

/* Of SEEN_TEXT_BYTES bytes; 0 where they are no such line, or name a commit that no store can have. */
uint64_t seen_text_read(const char *text);

#endif
