/* Rules: what makes the tree more than a disk.
 *
 * A rule is attached to a path pattern: components separated by '/', each a literal or with one '*' that stands for any
 * run of bytes in this one component (written with blanks here only because of C: "jobs/ *.yaml", "experiments/ * / *
 * /status").  Names that begin with '.' are matched only by a pattern component that begins with '.'.  Paths are relative to
 * the root, without a leading '/'.
 *
 * DERIVED  a file that exists because of the rule: a pure function of stored files.  Made when looked at, cached until
 *          its stamp changes, shown with its true size and a stable modification time.  Read-only; unlinking it succeeds
 *          without effect, so that `rm -r` of its folder works.
 * STREAM   an endless derived file; each open has its own position.  A reader comes once to its end, where it has caught up,
 * so that cat(1) shows what there is and tail(1) goes on from there; after that its reads wait for more. WATCH    a stored
 * file whose life the rule follows: its contents are checked when a writer closes it (FLUSH answers), and acted on
 * afterwards (RELEASE acts). CONTROL  a derived file that can also be written: each write is one command, whole.  Making a
 * new one and removing one may be commands too.
 *
 * Rules are added before the tree is served and live as long as it.  Callbacks run without any lock of the tree, from any
 * thread, possibly several at once; they may use tree_path.h.
 */
#ifndef CYTOFS_RULE_H
#define CYTOFS_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "failure.h"

struct tree;

enum rule_kind { RULE_DERIVED, RULE_STREAM, RULE_WATCH, RULE_CONTROL };

/* Given to list callbacks: reports one name that exists. */
typedef void rule_emit(void *emit_context, const char *name);

struct stream; /* the rule's own per-open state */

struct rule {
    enum rule_kind kind;
    const char *pattern;
    void *context; /* first argument of every callback */

    /* DERIVED, CONTROL: reports the names in `folder` that match the pattern's last component and exist now.  NULL where
     * that component has no '*': then the name exists wherever the folder does. */
    void (*list)(void *context, const char *folder, rule_emit *emit, void *emit_context);

    /* DERIVED, CONTROL: the contents.  CODE_NOT_FOUND makes the name absent. */
    enum code (*render)(void *context, const char *path, struct buffer *out, struct failure *why);

    /* DERIVED: counts up whenever the contents may have changed, and when that was.  NULL: the stamp of the folder
     * that holds the file and everything below it (tree_path_stamp). */
    void (*stamp)(void *context, const char *path, uint64_t *version, int64_t *modify_ns);

    /* CONTROL: one write(2). */
    enum code (*command)(void *context, const char *path, const char *text, size_t count, struct failure *why);

    /* CONTROL: a name that matches and does not exist may be created and written to; the command makes it exist. */
    bool creatable;
    /* CONTROL: unlink(2).  NULL: refused. */
    enum code (*remove)(void *context, const char *path, struct failure *why);

    /* WATCH: a handle that wrote (or truncated) is being closed; the answer is close(2)'s.  May be called several times,
     * and with an empty file. */
    enum code (*check)(void *context, const char *path, struct failure *why);

    /* WATCH: the last writing handle was released after a change, or a rename, a link or a symbolic link put something
     * there; called before that operation returns.  A rename onto the name settles it and removes nothing. */
    void (*settled)(void *context, const char *path);

    /* WATCH: before a file of this name is made (create, link, symlink, rename to it); may refuse.  target: of the
     * symbolic link that is being made, NULL for anything else. */
    enum code (*admit)(void *context, const char *path, const char *target, struct failure *why);

    /* WATCH: this name was unlinked (not renamed away: that calls nothing). */
    void (*removed)(void *context, const char *path);

    /* WATCH: the last handle, of any kind, on the file was released. */
    void (*released)(void *context, const char *path);

    /* WATCH: writes that are no appends, and truncation, are refused (CODE_NOT_PERMITTED). */
    bool append_only;

    /* STREAM */
    enum code (*open)(void *context, const char *path, struct stream **out, struct failure *why);
    /* Copies up to count bytes of whole lines; 0 in *got: nothing yet. */
    enum code (*read)(struct stream *stream, char *bytes, size_t count, size_t *got, struct failure *why);
    /* As tree_file_watch. */
    bool (*watch)(struct stream *stream, void (*wake)(void *wake_context), void *wake_context);
    void (*close)(struct stream *stream);
    /* Not less than any reader was given so far, and more after each line: stat(2) shows it as the size, by whose growth
     * tail -f learns of something new.  NULL: 0. */
    uint64_t (*size)(void *context, const char *path);

    /* DERIVED, CONTROL: the contents depend on who looks (viewer.h): each viewer has a file of his own. */
    bool personal;

    uint32_t mode; /* permission bits of derived, stream and control files; 0 means 0444 (control: 0644) */
};

/* Adds a copy of *rule (the pattern and the context stay borrowed). */
MUST_CHECK enum code rule_add(struct tree *tree, const struct rule *rule, struct failure *why);

/* Whether path matches pattern, by the syntax above. */
bool rule_matches(const char *pattern, const char *path);

#endif
