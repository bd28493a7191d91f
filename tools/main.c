/* cytofs: one program, many commands.  This file only chooses; each command lives in command_NAME.c. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "commands.h"
#include "polite_threads.h"
#include "version.h"

const struct command command_table[] = {
    {"init", "STORE", "make a lab: an encrypted store and its first member", command_init_details, command_init, false},
    {"mount", "STORE|NAME@HOST[:PORT] DIR", "show the lab in a folder, and run its jobs on this machine",
     command_mount_details, command_mount, false},
    {"serve", "STORE", "serve the lab to its members on other machines, and run its jobs on this one", command_serve_details,
     command_serve, false},
    {"submit", "SPEC", "hand a job spec to a mounted lab", command_submit_details, command_submit, false},
    {"watch", "[JOB]", "follow jobs until they end", command_watch_details, command_watch, false},
    {"import", "SOURCE DATASET", "copy images and annotations, without what could name a patient", command_import_details,
     command_import, false},
    {"synth", "KIND DIR", "make a dataset of synthetic cells", command_synth_details, command_synth, false},
    {"train", "DATASET", "train a detector from a folder of annotated images", command_train_details, command_train, true},
    {"detect", "MODEL IMAGE...", "find cells in images", command_detect_details, command_detect, true},
    {"evaluate", "MODEL DATASET", "score a detector on annotated images", command_evaluate_details, command_evaluate, true},
    {"node", "LAB", "run a mounted lab's jobs on this machine", command_node_details, command_node, false},
    {"fsck", "STORE", "check a store", command_fsck_details, command_fsck, false},
    {"snapshot", "DATASET [LABEL]", "keep a dataset of a mounted lab as it is now; list and drop snapshots",
     command_snapshot_details, command_snapshot, false},
    {"backup", "STORE|LAB DIR", "save a store, or a lab in use, into a folder that keeps several points in time",
     command_backup_details, command_backup, false},
    {"gc", "STORE|LAB", "give back the space of what nothing needs any more", command_gc_details, command_gc, false},
    {"restore", "DIR STORE", "make a store from a backup", command_restore_details, command_restore, false},
    {"scrub", "STORE", "find damaged bytes, and mend them from a mirror; needs no key", command_scrub_details, command_scrub,
     false},
    {"mirror", "[add|remove] STORE [DIR]", "keep the store in a second folder too", command_mirror_details, command_mirror,
     false},
    {"join", "HOST[:PORT] INVITATION", "take up an invitation to a lab on another machine", command_join_details,
     command_join, false},
    {"member", "key|show|add|list|role|revoke|delete-home ...", "your key and card; the members of a lab",
     command_member_details, command_member, false},
    {"quota", "STORE|LAB [MEMBER [WORD...]]", "what members may use: storage, jobs, GPUs", command_quota_details,
     command_quota, false},
    {"share", "STORE|LAB SPACE NAME", "let a member, or everyone, read a dataset or home", command_share_details,
     command_share, false},
    {"unshare", "STORE|LAB SPACE NAME", "no longer let a member, or everyone else, read it", command_unshare_details,
     command_unshare, false},
    {"leave", "STORE|LAB SPACE", "give up your own key of a dataset", command_leave_details, command_leave, false},
    {"rotate", "STORE|LAB SPACE", "give a space a new key", command_rotate_details, command_rotate, false},
    {"audit", "show|verify STORE|LAB", "who did what in a lab that is served, and whether the log is whole",
     command_audit_details, command_audit, false},
    {"recover", "STORE", "make a new key with the recovery key", command_recover_details, command_recover, false},
    {"recovery-key", "STORE|LAB", "replace the recovery key: print a new one, which alone is valid from then on",
     command_recovery_key_details, command_recovery_key, false},
    {"passphrase", "[KEY]", "change the passphrase of a key file", command_passphrase_details, command_passphrase, false},
    {"version", "", "print the version, the formats and the devices", NULL, command_version, false},
    {0},
};

static int print_overview(FILE *to, int status)
{
    fprintf(to, "cytofs %s: cell detection, kept in one encrypted folder\n\nusage: cytofs COMMAND [OPTION]...\n\n",
            CYTOFS_VERSION);
    for (const struct command *command = command_table; command->name; command++)
        fprintf(to, "  %-12s %s\n", command->name, command->summary);
    fprintf(to, "\ncytofs COMMAND --help says more; so does man cytofs.\n");
    return status;
}

static const struct command *find_command(const char *name)
{
    for (const struct command *command = command_table; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

/* How many letters are to be changed, added or taken away to make b of a; more than 3 count as 4. */
static size_t distance(const char *a, const char *b)
{
    size_t row[32], count = strlen(b);
    if (count >= sizeof row / sizeof *row || strlen(a) > count + 3 || count > strlen(a) + 3)
        return 4;
    for (size_t k = 0; k <= count; k++)
        row[k] = k;
    for (size_t i = 0; a[i]; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < count; k++) {
            size_t changed = corner + (a[i] != b[k]), fewer = row[k] < row[k + 1] ? row[k] : row[k + 1];
            corner = row[k + 1];
            row[k + 1] = changed < fewer + 1 ? changed : fewer + 1;
        }
    }
    return row[count];
}

static int refuse(const char *name)
{
    const struct command *nearest = NULL;
    size_t least = strlen(name) < 4 ? 2 : 3; /* that is too far away */
    for (const struct command *command = command_table; command->name; command++)
        if (distance(name, command->name) < least) {
            nearest = command;
            least = distance(name, command->name);
        }
    fprintf(stderr, "cytofs: there is no command \"%s\"%s%s%s\ntry: cytofs --help\n", name, nearest ? " (did you mean " : "",
            nearest ? nearest->name : "", nearest ? "?)" : "");
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return print_overview(stderr, EXIT_USAGE);
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0)
        name = "version";
    bool help = strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    if (help && argc < 3)
        return print_overview(stdout, EXIT_DONE);
    const struct command *command = find_command(help ? argv[2] : name);
    if (!command)
        return refuse(help ? argv[2] : name);
    if (help) {
        static char help_option[] = "--help";
        char *arguments[] = {argv[2], help_option, NULL};
        return command->run(command, 2, arguments);
    }
    if (command->computes)
        polite_threads_ensure(argv);
    return command->run(command, argc - 1, argv + 1);
}
