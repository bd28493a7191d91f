/* Every state that a power cut may leave behind, of many workloads: recorded, made, opened, checked.
 *
 *     test_crash_states [--states N] [--seed S] [--only WORKLOAD] [--jobs N] [--folder DIR] [--keep]
 *
 * Each workload runs twice in a process of its own: alone, and beside a thread that commits at any moment.  All states of a
 * record are listed; where they are more than N (default STATES_SHORT; 0: no limit), N of them are taken by chance, by the
 * seed. Each is made where the workload ran: stores know where their mirrors lie.  In each, the lab is opened, must be what
 * it may be at that moment (crash_run.h), must pass the check with all contents, and, in some, must take a new file and keep
 * it over another opening.  One line a workload:
 *
 *     workload <name> <alone|beside commits> changes <n> loose <most at once> possible <n> states <n> distinct <n> by-file
 * <n> violations <n> seconds <s>
 *
 * --keep leaves the folders of violations where they were made.  DIR: for the stores, best in memory (default /dev/shm, else
 * /tmp).
 */
#include <errno.h>
#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "crash_run.h"
#include "crash_workloads.h"
#include "disk_calls.h"
#include "disk_state.h"
#include "file.h"
#include "logging.h"
#include "random.h"
#include "scope.h"
#include "timing.h"

#define STATES_SHORT     10
#define EXHAUSTIVE_LOOSE 6 /* up to so many loose changes all of their subsets are made */
#define SAMPLES          8 /* states by chance, a moment and kind */
#define WRITE_ON_EACH    8 /* one in so many states is gone on with */
#define VIOLATIONS_TOLD  5
#define CHOICES_MAX      128

struct settings {
    uint64_t states, seed;
    const char *only, *folder;
    unsigned jobs;
    bool keep;
};

struct outcome {
    uint64_t changes, loose_most, possible, states, distinct, by_file, violations;
    char doing[160]; /* for when the process dies */
};

struct replay {
    const struct settings *settings;
    const struct crash_workload *workload;
    struct crash_run *run;
    struct outcome *outcome; /* shared with the parent */
    struct random random;
    uint64_t *seen; /* a set of sums, open addressing */
    size_t seen_room;
};

/* Recording ---------------------------------------------------------------------------------------------------------------
 */

static atomic_bool stop_committing;

static void *commit_at_any_moment(void *context)
{
    struct crash_run *run = context;
    struct random random = {timing_monotonic_ns() | 1};
    while (!atomic_load(&stop_committing)) {
        (void)!tree_sync(run->lab.tree, NULL);
        usleep(random_below(&random, 2000));
    }
    return NULL;
}

static void run_beside_commits(const struct crash_workload *workload, struct crash_run *run)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, commit_at_any_moment, run) != 0)
        exit(3);
    workload->run(run);
    atomic_store(&stop_committing, true);
    pthread_join(thread, NULL);
}

static void copy_tree(const char *from, const char *to)
{
    struct disk_record found;
    struct disk_point now;
    struct disk_image image;
    disk_record_begin(&found, from);
    disk_point_make(&now, &found, found.count);
    disk_image_make(&image, &now, &(struct disk_choice){.luck = LUCK_ALL, .sector = 512});
    if (!disk_image_write(&image, to))
        exit(3);
    disk_image_free(&image);
    disk_point_free(&now);
    disk_record_free(&found);
}

static void remove_folder(const char *path)
{
    struct failure why;
    if (file_remove_tree(path, &why) != CODE_OK)
        fprintf(stderr, "%s\n", why.text);
}

/* What a kill at this moment leaves behind takes the folder's place. */
static void leave_as_killed(struct crash_run *run)
{
    char copy[80];
    snprintf(copy, sizeof copy, "%s.copy", run->root);
    copy_tree(run->root, copy);
    lab_store_close(&run->lab);
    remove_folder(run->root);
    if (rename(copy, run->root) != 0)
        exit(3);
}

static void prepare(const struct crash_workload *workload, struct crash_run *run)
{
    if (workload->bare)
        workload->prepare(run);
    if (!workload->prepare || workload->bare)
        return;
    crash_run_make(run);
    crash_run_open(run);
    workload->prepare(run);
    if (workload->left_open)
        leave_as_killed(run);
    else
        lab_store_close(&run->lab);
    for (size_t i = 0; i < run->version_count; i++)
        free(run->versions[i]);
    run->version_count = 0;
}

static void record(const struct crash_workload *workload, struct crash_run *run, bool beside_commits)
{
    prepare(workload, run);
    disk_record_begin(&run->record, run->root);
    disk_calls_watch(&(struct disk_watch){.root = run->root, .record = &run->record});
    if (workload->itself) {
        workload->run(run);
    } else {
        crash_run_open(run);
        if (beside_commits)
            run_beside_commits(workload, run);
        else
            workload->run(run);
        crash_run_close(run);
    }
    disk_calls_watch(NULL);
}

/* The record must say all that happened: with all of it, the state is what lies there. */
static bool record_is_whole(const struct crash_run *run)
{
    struct disk_point end;
    struct disk_image image;
    disk_point_make(&end, &run->record, run->record.count);
    disk_image_make(&image, &end, &(struct disk_choice){.luck = LUCK_ALL, .sector = 512});
    bool whole = run->record.unseen == 0 && disk_image_equals(&image, run->root);
    disk_image_free(&image);
    disk_point_free(&end);
    return whole;
}

/* Choosing ----------------------------------------------------------------------------------------------------------------
 */

static void add_choice(struct disk_choice *choices, size_t *count, enum disk_luck luck, uint64_t number, uint32_t sector)
{
    if (*count < CHOICES_MAX)
        choices[(*count)++] = (struct disk_choice){luck, number, sector};
}

/* Where the last bytes that were written may be torn. */
static void add_torn(const struct disk_point *point, struct disk_choice *choices, size_t *count)
{
    const struct disk_op *last = NULL;
    for (size_t i = 0; i < point->loose_count; i++)
        if (point->record->ops[point->loose[i]].change == DISK_BYTES)
            last = &point->record->ops[point->loose[i]];
    if (!last)
        return;
    uint64_t sectors = (last->offset + last->count - 1) / 512 - last->offset / 512 + 1;
    const uint64_t cuts[] = {1, 2, 7, sectors / 2, sectors - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        if (cuts[i] == 0 || cuts[i] >= sectors)
            continue;
        add_choice(choices, count, LUCK_TORN, cuts[i], 512);
        add_choice(choices, count, LUCK_TORN_HEAD, cuts[i], 512);
    }
}

static size_t list_choices(const struct disk_point *point, struct disk_choice choices[CHOICES_MAX])
{
    size_t count = 0;
    add_choice(choices, &count, LUCK_ALL, 0, 512);
    add_choice(choices, &count, LUCK_NONE, 0, 512);
    const struct disk_op *last = &point->record->ops[point->end - 1];
    if (last->change == DISK_SYNC || last->change == DISK_MARK)
        return count; /* nothing else is new */
    add_choice(choices, &count, LUCK_SIZES, 0, 512);
    if (point->loose_count <= EXHAUSTIVE_LOOSE)
        for (uint64_t mask = 1; mask + 1 < UINT64_C(1) << point->loose_count; mask++)
            add_choice(choices, &count, LUCK_MASK, mask, 512);
    for (size_t i = 0; i < SAMPLES && point->loose_count > EXHAUSTIVE_LOOSE; i++) {
        add_choice(choices, &count, LUCK_BUT_ONE, point->loose_count - 1 - i % point->loose_count, 512);
        add_choice(choices, &count, LUCK_CHANGES, point->end * 64 + i, 512);
    }
    for (size_t i = 0; i < SAMPLES; i++)
        add_choice(choices, &count, LUCK_SECTORS, point->end * 64 + i, i % 2 ? 512 : 4096);
    add_torn(point, choices, &count);
    return count;
}

static uint64_t count_possible(const struct crash_run *run, uint64_t *loose_most)
{
    uint64_t possible = 0;
    struct disk_choice choices[CHOICES_MAX];
    for (size_t end = run->from; end <= run->record.count; end++) {
        struct disk_point point;
        disk_point_make(&point, &run->record, end);
        if (end > run->record.begins)
            possible += list_choices(&point, choices);
        if (point.loose_count > *loose_most)
            *loose_most = point.loose_count;
        disk_point_free(&point);
    }
    return possible;
}

/* Looking at one state
 * ------------------------------------------------------------------------------------------------------ */

static bool is_new(struct replay *replay, uint64_t sum)
{
    sum |= 1;
    for (size_t i = sum % replay->seen_room;; i = (i + 1) % replay->seen_room) {
        if (replay->seen[i] == sum)
            return false;
        if (replay->seen[i] == 0) {
            replay->seen[i] = sum;
            return true;
        }
    }
}

static void check_whole(struct tree *tree, struct buffer *wrong)
{
    struct failure why;
    struct check_summary summary = {0};
    if (check_run(tree, &(struct check_options){.contents = true}, wrong, &summary, &why) != CODE_OK)
        buffer_printf(wrong, "the check could not be made: %s", why.text);
}

static enum code write_on(struct tree *tree, struct failure *why)
{
    enum code code = tree_path_write(tree, "jobs/after", 0644, "after the crash", 15, why);
    return code == CODE_OK ? tree_sync(tree, why) : code;
}

/* The lab goes on: a new file, another opening, and everything is there and whole. */
static void go_on(const char *store, const char *key, struct lab_store *lab, struct buffer *wrong)
{
    struct failure why;
    SCOPE_BUFFER before = {0};
    SCOPE_BUFFER after = {0};
    enum code code = write_on(lab->tree, &why);
    if (code == CODE_OK)
        code = crash_run_describe(lab->tree, &before, &why);
    lab_store_close(lab);
    if (code == CODE_OK)
        code = lab_store_open(store, &(struct lab_store_options){.key = key}, lab, &why);
    if (code == CODE_OK)
        code = crash_run_describe(lab->tree, &after, &why);
    if (code != CODE_OK)
        buffer_printf(wrong, "going on after the crash: %s", why.text);
    else if (strcmp(buffer_text(&before), buffer_text(&after)) != 0)
        buffer_printf(wrong, "going on after the crash: something is another at the second opening");
    else
        check_whole(lab->tree, wrong);
}

/* Before init was acknowledged there may be no lab yet; then init can be done again. */
static void make_again(const struct crash_window *window, const char *store, const char *key, const struct failure *refused,
                       struct buffer *wrong)
{
    struct failure why;
    struct lab_store_made made = {0};
    char another[112]; /* a key is never overwritten */
    snprintf(another, sizeof another, "%s.again", key);
    if (window->newest > 0)
        buffer_printf(wrong, "does not open: %s", refused->text);
    else if (lab_store_create(&(struct lab_store_plan){.path = store, .member = "ada", .key = another}, &made, &why) !=
             CODE_OK)
        buffer_printf(wrong, "neither opens (%s) nor can it be made again (%s)", refused->text, why.text);
    buffer_free(&made.key_path);
}

static void look(struct replay *replay, const char *store, const struct crash_window *window, struct buffer *wrong)
{
    const struct crash_run *run = replay->run;
    const struct crash_workload *workload = replay->workload;
    struct lab_store lab;
    struct failure why;
    if (lab_store_open(store, &(struct lab_store_options){.key = run->key}, &lab, &why) != CODE_OK) {
        if (workload->itself && !workload->left_open)
            make_again(window, store, run->key, &why, wrong);
        else
            buffer_printf(wrong, "does not open: %s", why.text);
        return;
    }
    bool by_file = false;
    if (workload->books || crash_run_is_legal(run, lab.tree, window, &by_file, wrong))
        check_whole(lab.tree, wrong);
    replay->outcome->by_file += by_file;
    if (!wrong->length && !workload->books && replay->outcome->states % WRITE_ON_EACH == 0)
        go_on(store, run->key, &lab, wrong);
    lab_store_close(&lab);
    if (!wrong->length && workload->look)
        workload->look(run, window, wrong);
}

/* With one folder of a mirrored store gone, the other one is the whole lab. */
static void look_alone(struct replay *replay, const struct disk_image *image, const struct crash_window *window,
                       struct buffer *wrong)
{
    const struct crash_run *run = replay->run;
    const char *const folders[] = {run->store, run->mirror};
    for (size_t i = 0; i < 2 && !wrong->length; i++) {
        remove_folder(run->root);
        if (!disk_image_write(image, run->root)) {
            buffer_append_text(wrong, "the state could not be made: is the disk full?");
            return;
        }
        remove_folder(folders[i]);
        look(replay, folders[1 - i], window, wrong);
        if (wrong->length)
            buffer_printf(wrong, " (%s alone)", i ? "the store" : "the mirror");
    }
}

static void tell_violation(struct replay *replay, const struct disk_point *point, const struct disk_choice *choice,
                           const char *wrong)
{
    if (++replay->outcome->violations > VIOLATIONS_TOLD)
        return;
    printf("violation %s: moment %zu of %zu, luck %d %llu, sectors of %u: %s\n", replay->workload->name, point->end,
           replay->run->record.count, choice->luck, (unsigned long long)choice->number, choice->sector, wrong);
    if (!replay->settings->keep)
        return;
    struct disk_image image;
    char folder[96];
    SCOPE_BUFFER text = {0};
    snprintf(folder, sizeof folder, "%s.violation%llu", replay->run->root, (unsigned long long)replay->outcome->violations);
    disk_image_make(&image, point, choice);
    (void)!disk_image_write(&image, folder);
    disk_image_free(&image);
    disk_point_describe(point, &text);
    strncat(folder, "/changes", sizeof folder - strlen(folder) - 1);
    (void)!file_write(folder, buffer_text(&text), text.length, NULL);
}

static void try_state(struct replay *replay, const struct disk_point *point, const struct disk_choice *choice)
{
    struct crash_window window;
    struct disk_image image;
    struct outcome *outcome = replay->outcome;
    snprintf(outcome->doing, sizeof outcome->doing, "moment %zu, luck %d %llu, sectors of %u", point->end, choice->luck,
             (unsigned long long)choice->number, choice->sector);
    crash_run_window(replay->run, point->end, &window);
    disk_image_make(&image, point, choice);
    outcome->states++;
    /* Claims change what is allowed without a version: then each moment counts. */
    uint64_t moment = replay->run->claim_count || replay->workload->look
                          ? point->end
                          : window.floor * 100003 + window.fsyncs_floor * 1009 + window.newest + window.mirrored * 31;
    if (is_new(replay, image.sum + moment * UINT64_C(0x9E3779B97F4A7C15))) {
        SCOPE_BUFFER wrong = {0};
        outcome->distinct++;
        remove_folder(replay->run->root);
        if (!disk_image_write(&image, replay->run->root))
            buffer_append_text(&wrong, "the state could not be made: is the disk full?");
        else
            look(replay, replay->run->store, &window, &wrong);
        if (!wrong.length && window.mirrored)
            look_alone(replay, &image, &window, &wrong);
        if (wrong.length)
            tell_violation(replay, point, choice, buffer_text(&wrong));
    }
    disk_image_free(&image);
}

static void try_all(struct replay *replay)
{
    const struct crash_run *run = replay->run;
    struct outcome *outcome = replay->outcome;
    uint64_t limit = replay->settings->states;
    outcome->possible = count_possible(run, &outcome->loose_most);
    double part = limit && limit < outcome->possible ? (double)limit / (double)outcome->possible : 1;
    for (size_t end = run->from; end <= run->record.count; end++) {
        struct disk_choice choices[CHOICES_MAX];
        struct disk_point point;
        disk_point_make(&point, &run->record, end);
        size_t count = end > run->record.begins ? list_choices(&point, choices) : 0;
        for (size_t i = 0; i < count; i++)
            if (random_uniform(&replay->random) < part)
                try_state(replay, &point, &choices[i]);
        disk_point_free(&point);
    }
}

/* Workloads
 * ------------------------------------------------------------------------------------------------------------------ */

static int run_workload(const struct settings *settings, const struct crash_workload *workload, bool beside_commits,
                        struct outcome *outcome)
{
    struct crash_run run = {.claims_lock = PTHREAD_MUTEX_INITIALIZER};
    struct replay replay = {.settings = settings,
                            .workload = workload,
                            .run = &run,
                            .outcome = outcome,
                            .random = random_stream(settings->seed, 1),
                            .seen_room = 1 << 20};
    snprintf(run.root, sizeof run.root, "%.40s/crash-%d", settings->folder, (int)getpid());
    snprintf(run.store, sizeof run.store, "%s/store", run.root);
    snprintf(run.key, sizeof run.key, "%s/member.key", run.root);
    snprintf(run.mirror, sizeof run.mirror, "%s/mirror", run.root);
    snprintf(run.backup, sizeof run.backup, "%s/backup", run.root);
    replay.seen = calloc(replay.seen_room, sizeof *replay.seen);
    if (!replay.seen || mkdir(run.root, 0700) != 0)
        return 3;
    strcpy(outcome->doing, "the workload itself");
    record(workload, &run, beside_commits);
    if (!settings->keep && !freopen("/dev/null", "w", stderr)) /* what each opening says of the crash */
        return 3;
    outcome->changes = run.record.count - run.record.begins;
    if (!record_is_whole(&run)) {
        printf("violation %s: the record does not say all that happened\n", workload->name);
        outcome->violations++;
    }
    if (run.from < run.record.begins)
        run.from = run.record.begins;
    try_all(&replay);
    remove_folder(run.root);
    free(replay.seen);
    crash_run_free(&run);
    fflush(stdout);
    return 0;
}

struct job {
    pid_t process;
    const struct crash_workload *workload;
    bool beside_commits;
    int64_t began_ms;
    struct outcome *outcome;
};

static void tell(const struct job *job, int status)
{
    const struct outcome *outcome = job->outcome;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        printf("violation %s: the program died (status %d) at %s (--keep shows why)\n", job->workload->name, status,
               outcome->doing);
        job->outcome->violations++;
    }
    printf("workload %s %s changes %llu loose %llu possible %llu states %llu distinct %llu by-file %llu violations %llu "
           "seconds %.1f\n",
           job->workload->name, job->beside_commits ? "beside commits" : "alone", (unsigned long long)outcome->changes,
           (unsigned long long)outcome->loose_most, (unsigned long long)outcome->possible,
           (unsigned long long)outcome->states, (unsigned long long)outcome->distinct, (unsigned long long)outcome->by_file,
           (unsigned long long)outcome->violations, (double)(timing_monotonic_ms() - job->began_ms) / 1000);
    fflush(stdout);
}

static void start(const struct settings *settings, struct job *job)
{
    job->began_ms = timing_monotonic_ms();
    job->process = fork();
    if (job->process == 0)
        _exit(run_workload(settings, job->workload, job->beside_commits, job->outcome));
}

/* Waits for one of them, whose place can be taken. */
static struct job *wait_for_one(struct job *jobs, size_t count)
{
    int status;
    pid_t ended = waitpid(-1, &status, 0);
    for (size_t i = 0; i < count; i++)
        if (jobs[i].process == ended) {
            tell(&jobs[i], status);
            jobs[i].process = 0;
            return &jobs[i];
        }
    return NULL;
}

static const struct crash_workload *workload_at(size_t index)
{
    return index < crash_workload_count ? &crash_workloads[index] : &crash_lab_workloads[index - crash_workload_count];
}

static int run_all(const struct settings *settings)
{
    size_t all = ((size_t)crash_workload_count + crash_lab_workload_count) * 2, running = 0, ran = 0;
    struct job *jobs = calloc(all, sizeof *jobs);
    struct outcome *outcomes = mmap(NULL, all * sizeof *outcomes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct outcome sum = {0};
    if (!jobs || outcomes == MAP_FAILED)
        return 3;
    for (size_t i = 0; i < all; i++) {
        jobs[i] = (struct job){.workload = workload_at(i / 2), .beside_commits = i % 2, .outcome = &outcomes[i]};
        if ((jobs[i].workload->itself && jobs[i].beside_commits) ||
            (settings->only && strcmp(settings->only, jobs[i].workload->name) != 0))
            continue;
        if (running == settings->jobs && wait_for_one(jobs, i))
            running--;
        start(settings, &jobs[i]);
        running++;
        ran++;
    }
    while (running > 0 && wait_for_one(jobs, all))
        running--;
    for (size_t i = 0; i < all; i++) {
        sum.states += outcomes[i].states;
        sum.distinct += outcomes[i].distinct;
        sum.violations += outcomes[i].violations;
    }
    printf("all: workloads %zu states %llu distinct %llu violations %llu\n", ran, (unsigned long long)sum.states,
           (unsigned long long)sum.distinct, (unsigned long long)sum.violations);
    free(jobs);
    return sum.violations || ran == 0 ? 1 : 0;
}

int main(int count, char **arguments)
{
    static const struct option options[] = {{"states", 1, NULL, 'n'},
                                            {"seed", 1, NULL, 's'},
                                            {"only", 1, NULL, 'o'},
                                            {"jobs", 1, NULL, 'j'},
                                            {"folder", 1, NULL, 'f'},
                                            {"keep", 0, NULL, 'k'},
                                            {0}};
    struct settings settings = {
        .states = STATES_SHORT, .seed = 1, .folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", .jobs = 2};
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        switch (option) {
        case 'n':
            settings.states = strtoull(optarg, NULL, 10);
            break;
        case 's':
            settings.seed = strtoull(optarg, NULL, 10);
            break;
        case 'o':
            settings.only = optarg;
            break;
        case 'j':
            settings.jobs = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'f':
            settings.folder = optarg;
            break;
        case 'k':
            settings.keep = true;
            break;
        default:
            fprintf(
                stderr,
                "usage: test_crash_states [--states N] [--seed S] [--only WORKLOAD] [--jobs N] [--folder DIR] [--keep]\n");
            return 2;
        }
    }
    umask(0077); /* a key that others may read is refused */
    return run_all(&settings);
}
