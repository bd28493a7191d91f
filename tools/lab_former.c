/* The mount of before: see lab_former.h. */
#include "lab_former.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "digest.h"
#include "file.h"
#include "logging.h"
#include "scope.h"

static char *make_path(const char *server, const char *directory, struct failure *why)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    SCOPE_FREE char *folder = NULL;
    char *path = NULL, text[DIGEST_TEXT_BYTES];
    uint8_t name[DIGEST_BYTES];
    struct digest digest;
    digest_begin(&digest);
    digest_add_text(&digest, server);
    digest_add_text(&digest, directory);
    digest_end(&digest, name);
    digest_to_text(name, text);
    int made = state && state[0] ? asprintf(&folder, "%s/cytofs/mounts", state)
                                 : asprintf(&folder, "%s/.local/state/cytofs/mounts", home && home[0] ? home : "/tmp");
    if (made < 0 || file_make_folders(folder, why) != CODE_OK || asprintf(&path, "%s/%s", folder, text) < 0)
        return NULL;
    return path;
}

void lab_former_open(struct lab_former *former, const char *server, const char *directory)
{
    struct failure why;
    *former = (struct lab_former){.file = -1, .path = make_path(server, directory, &why)};
    if (!former->path)
        return;
    former->file = open(former->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (former->file >= 0 && flock(former->file, LOCK_EX | LOCK_NB) != 0) { /* it lives */
        close(former->file);
        former->file = -1;
    } else if (former->file < 0) {
        logging_info("%s: %s: should this mount be killed, its locks stay for an hour", former->path, strerror(errno));
    }
    if (former->file >= 0)
        former->known = pread(former->file, former->session, WIRE_SESSION_BYTES, 0) == WIRE_SESSION_BYTES;
}

void lab_former_keep(struct lab_former *former, struct wire_link *link)
{
    if (former->file < 0)
        return;
    wire_link_session(link, former->session);
    if (pwrite(former->file, former->session, WIRE_SESSION_BYTES, 0) != WIRE_SESSION_BYTES)
        logging_info("%s: %s", former->path, strerror(errno));
}

void lab_former_close(struct lab_former *former)
{
    if (former->file >= 0) {
        unlink(former->path);
        close(former->file);
    }
    free(former->path);
    *former = (struct lab_former){.file = -1};
}
