/* The commands of main.c's table: each is one file, command_NAME.c, with its help text beside its code. */
#ifndef CYTOFS_COMMANDS_H
#define CYTOFS_COMMANDS_H

#include "command.h"

#define COMMAND_DECLARE(name)                                                                                               \
    int command_##name(const struct command *command, int argc, char **argv);                                               \
    extern const char command_##name##_details[]

COMMAND_DECLARE(init);
COMMAND_DECLARE(mount);
COMMAND_DECLARE(serve);
COMMAND_DECLARE(join);
COMMAND_DECLARE(submit);
COMMAND_DECLARE(watch);
COMMAND_DECLARE(import);
COMMAND_DECLARE(synth);
COMMAND_DECLARE(train);
COMMAND_DECLARE(detect);
COMMAND_DECLARE(evaluate);
COMMAND_DECLARE(node);
COMMAND_DECLARE(fsck);
COMMAND_DECLARE(snapshot);
COMMAND_DECLARE(backup);
COMMAND_DECLARE(gc);
COMMAND_DECLARE(restore);
COMMAND_DECLARE(scrub);
COMMAND_DECLARE(mirror);
COMMAND_DECLARE(member);
COMMAND_DECLARE(quota);
COMMAND_DECLARE(audit);
COMMAND_DECLARE(share);
COMMAND_DECLARE(unshare);
COMMAND_DECLARE(leave);
COMMAND_DECLARE(rotate);
COMMAND_DECLARE(recover);
COMMAND_DECLARE(recovery_key);
COMMAND_DECLARE(passphrase);
int command_version(const struct command *command, int argc, char **argv);

/* Makes `mirror` a mirror of the new store at `path`; returns the exit status. */
int command_mirror_fill_new(const struct command *command, const char *path, const char *mirror);

#endif
