/* Reaching a store that is served: see lab_reach.h.  Whether somebody listens at the socket is asked by connecting: a server
 * that was killed leaves its socket behind. */
#include "lab_reach.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "scope.h"
#include "session_mount.h"

extern char **environ;

char *lab_reach_socket(const char *store)
{
    char *path = file_join(store, "serve/socket");
    if (path && strlen(path) < sizeof((struct sockaddr_un){0}).sun_path)
        return path;
    free(path);
    return NULL;
}

char *lab_reach_server(const char *store)
{
    SCOPE_FREE char *absolute = file_absolute(store);
    char *path = absolute ? lab_reach_socket(absolute) : NULL;
    if (!path)
        return NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    SCOPE_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return path;
    free(path);
    return NULL;
}

/* cytofs mount SOCKET FOLDER, without its word that it did. */
static enum code mount_at(const char *socket_path, const char *folder, struct failure *why)
{
    char program[PATH_MAX] = "";
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
        return failure_set_errno(why, errno, "mounting the lab for this command");
    char *arguments[] = {(char *)"cytofs", (char *)"mount", (char *)"--no-cache", (char *)socket_path, (char *)folder, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid;
    int error = posix_spawn(&pid, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error)
        return failure_set_errno(why, error, "mounting the lab for this command");
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0
               ? CODE_OK
               : failure_set(why, CODE_IO, "%s: the lab is served, and could not be mounted for this command", socket_path);
}

enum code lab_reach_open(const char *given, struct lab_reach *out, struct failure *why)
{
    *out = (struct lab_reach){.path = given};
    SCOPE_FREE char *socket_path = lab_reach_server(given);
    if (!socket_path)
        return CODE_OK;
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char *folder = NULL;
    if (asprintf(&folder, "%s/cytofs-reach-XXXXXX", runtime && file_is_folder(runtime) ? runtime : "/tmp") < 0)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    enum code code = mkdtemp(folder) ? mount_at(socket_path, folder, why)
                                     : failure_set_errno(why, errno, "%s: the folder cannot be made", folder);
    if (code != CODE_OK) {
        rmdir(folder);
        free(folder);
        return code;
    }
    out->path = out->mounted = folder;
    return CODE_OK;
}

void lab_reach_close(struct lab_reach *reach)
{
    if (!reach->mounted)
        return;
    if (session_mount_remove(reach->mounted, NULL) == CODE_OK)
        rmdir(reach->mounted);
    free(reach->mounted);
    *reach = (struct lab_reach){0};
}
