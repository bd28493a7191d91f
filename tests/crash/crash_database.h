/* An SQLite database in a lab, with a rollback journal: SQLite reaches the tree's files through a VFS of its own, so that
 * its every write and sync is one of the lab's. */
#ifndef CYTOFS_CRASH_DATABASE_H
#define CYTOFS_CRASH_DATABASE_H

#include <stdint.h>

struct buffer;
struct crash_database;
struct tree;

/* In the folder; made where it lacks.  What fails in any of these ends the program. */
struct crash_database *crash_database_open(struct tree *tree, const char *folder);
void crash_database_close(struct crash_database *database);

void crash_database_begin(struct crash_database *database); /* its table */

/* Transaction n, from 1 on: changes all rows and adds some.  Durable when it returns. */
void crash_database_commit(struct crash_database *database, uint64_t n);

/* What the folder holds is copied out and opened by SQLite itself, which takes back what was under way; says what is wrong
 * where it is damaged, or is not as some transaction from `first` to `last` left it. */
void crash_database_look(struct tree *tree, const char *folder, uint64_t first, uint64_t last, struct buffer *wrong);

#endif
