/* Mounting and unmounting, as root by mount(2), as anyone else through fusermount3. */
#ifndef CYTOFS_SESSION_MOUNT_H
#define CYTOFS_SESSION_MOUNT_H

#include <stdbool.h>

#include "failure.h"

/* Resolves the mountpoint to an absolute path (*absolute, the caller's to free) and sees to it that it is an empty folder:
 * what a server that died left mounted there is unmounted first, and the log says so. */
MUST_CHECK enum code session_mount_prepare(const char *mountpoint, char **absolute, struct failure *why);

/* Mounts there; *fd is the open /dev/fuse. */
MUST_CHECK enum code session_mount(const char *mountpoint, const char *label, bool allow_other, int *fd,
                                   struct failure *why);

/* Takes the mount away at once, even where files are still open. */
MUST_CHECK enum code session_mount_remove(const char *mountpoint, struct failure *why);

/* Lets the kernel read ahead in messages of SESSION_WRITE_MAX where it would by default stop at 128 KiB.  Only root may, and
 * nothing depends on it.  To be called when the mount answers. */
void session_mount_widen_reads(const char *mountpoint);

#endif
