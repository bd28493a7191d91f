/* A member's session, let in properly, that means harm: messages of every operation, mutated, on nodes and handles that it
 * knows, guesses or makes up.  Behind the gate lies a lab with another member's private things in it, and with all the rules
 * that a lab has.
 *
 * What must hold: nothing crashes (the sanitizers watch); every answer is well formed; no answer, of whatever operation,
 * ever holds a byte of what was not shared (canaries in contents, names, attributes, links and refusals); memory stays
 * bounded.
 *
 *     CYTOFS_HOSTILE_MESSAGES  how many (100,000); CYTOFS_HOSTILE_SEED  which ones (1) */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "extra.h"
#include "hostile_messages.h"
#include "jobs.h"
#include "members_scene.h"
#include "session.h"
#include "session_gate.h"
#include "testing.h"
#include "tree.h"
#include "tree_path.h"
#include "views.h"

#define MESSAGES_DEFAULT 100000
#define RENEW_MESSAGES   20000 /* a lab in memory grows; each begins with another role */
#define ANSWER_MAX       (MESSAGE_IO_MAX + 65536)
#define GROWTH_MAX_PAGES ((size_t)(1536u << 20) / 4096) /* over the first lab's, the sanitizer's own memory included */

static const char canary[] = "CaNaRy-7f3a91";

struct hostile {
    struct scene scene;
    struct jobs *jobs;
    struct hostile_messages *messages;
    pthread_mutex_t lock; /* guards what follows */
    uint8_t *answer;
    uint64_t answers, done, refused;
};

/* What is private ------------------------------------------------------------------------------------------------------ */

static void hide_canaries(struct scene *scene)
{
    struct failure why;
    char name[64];
    snprintf(name, sizeof name, "name-%s", canary);
    members_scene_write(scene, "home/ada", "secret", canary);
    members_scene_write(scene, "home/ada", name, "text");
    members_scene_write(scene, "home/ada/deep/er", "secret", canary);
    members_scene_write(scene, "datasets/closed", "secret", canary);
    members_scene_write(scene, "datasets/closed", name, "text");
    assert_code_ok(tree_path_link(scene->tree, "datasets/closed/link", canary, &why), why);
    struct node_id secret = {members_scene_node(scene, "home/ada/secret")};
    assert_code_ok(tree_set_xattr(scene->tree, secret, "user.secret", canary, sizeof canary, 0, &why), why);
    failure_set(&why, CODE_INVALID, "what ada did wrong: %s", canary);
    tree_note_failure(scene->tree, "home/ada/secret", &why);
}

static const char *const private_paths[] = {
    "home/ada",        "home/ada/secret",        "home/ada/deep",       "home/ada/deep/er/secret",
    "datasets/closed", "datasets/closed/secret", "datasets/closed/link"};
static const char *const open_paths[] = {"",
                                         "datasets",
                                         "home",
                                         "home/bob",
                                         "home/bob/f",
                                         "datasets/mine",
                                         "datasets/mine/f",
                                         "datasets/shared",
                                         "datasets/shared/f",
                                         "jobs",
                                         "jobs/a.yaml",
                                         "jobs/b.yaml",
                                         "experiments",
                                         "experiments/e/b",
                                         "models/m",
                                         "models/m/1/f",
                                         "lab",
                                         "lab/members",
                                         "lab/spaces",
                                         "lab/last-error",
                                         "README"};

/* Answers ------------------------------------------------------------------------------------------------------------- */

static void take(void *context, const struct iovec *parts, int count)
{
    struct hostile *hostile = context;
    pthread_mutex_lock(&hostile->lock);
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        assert_true(length + parts[i].iov_len <= ANSWER_MAX);
        memcpy(hostile->answer + length, parts[i].iov_base, parts[i].iov_len);
        length += parts[i].iov_len;
    }
    const struct fuse_out_header *header = (const void *)hostile->answer;
    assert_true(length >= sizeof *header && header->len == length);
    assert_true(header->error <= 0 || header->unique == 0);
    if (memmem(hostile->answer, length, canary, strlen(canary)))
        fail_msg("message %" PRIu64 ": an answer holds what was not shared", hostile->answers);
    hostile->answers++;
    hostile->done += header->error == 0;
    hostile->refused += header->error == -EACCES;
    if (header->unique && header->error == 0)
        hostile_messages_learn(hostile->messages, header->unique, hostile->answer + sizeof *header, length - sizeof *header);
    pthread_mutex_unlock(&hostile->lock);
}

/* Sending ------------------------------------------------------------------------------------------------------------- */

static void send_one(struct hostile *hostile, const void *bytes, size_t count, int greeted)
{
    struct failure why;
    struct message known;
    size_t length = count;
    uint8_t *exact = malloc(count ? count : 1); /* of its own size, so that a byte too many is seen */
    memcpy(exact, bytes, count);
    if (session_gate_admit(hostile->scene.session, exact, &length, greeted, &known, &why) == CODE_OK)
        session_process(hostile->scene.session, exact, length);
    free(exact);
}

static void greet(struct hostile *hostile)
{
    struct {
        struct fuse_in_header header;
        struct fuse_init_in init;
    } message = {.header = {.len = sizeof message, .opcode = FUSE_INIT, .unique = 1},
                 .init = {.major = 7, .minor = 38, .flags = UINT32_MAX}};
    send_one(hostile, &message, sizeof message, 0);
}

static void add_rules(void *context, struct tree *tree)
{
    struct hostile *hostile = context;
    struct failure why;
    assert_code_ok(views_add(tree, &why), why);
    assert_code_ok(jobs_add(tree, &(struct jobs_options){0}, &hostile->jobs, &why), why);
}

static void begin(struct hostile *hostile, enum member_role role)
{
    hostile->scene = (struct scene){.answered = take, .answered_context = hostile, .add_rules = add_rules};
    hostile->scene.add_rules_context = hostile;
    members_scene_make(&hostile->scene);
    hostile->scene.bob.role = role;
    hide_canaries(&hostile->scene);
    greet(hostile);
    hostile_messages_forget(hostile->messages);
    for (size_t i = 0; i < sizeof private_paths / sizeof *private_paths; i++)
        hostile_messages_add_node(hostile->messages, members_scene_node(&hostile->scene, private_paths[i]));
    for (size_t i = 0; i < sizeof open_paths / sizeof *open_paths; i++)
        hostile_messages_add_node(hostile->messages, members_scene_node(&hostile->scene, open_paths[i]));
}

static void end(struct hostile *hostile)
{
    members_scene_destroy(&hostile->scene);
    jobs_destroy(hostile->jobs);
}

static size_t resident_pages(void)
{
    size_t all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu %zu", &all, &resident), 2);
    fclose(file);
    return resident;
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void nothing_that_a_member_sends_does_harm_or_tells_what_was_not_shared(void **state)
{
    (void)state;
    uint64_t wanted = number_from("CYTOFS_HOSTILE_MESSAGES", MESSAGES_DEFAULT), sent = 0;
    struct hostile hostile = {.lock = PTHREAD_MUTEX_INITIALIZER};
    hostile.answer = malloc(ANSWER_MAX);
    hostile.messages = hostile_messages_create(number_from("CYTOFS_HOSTILE_SEED", 1));
    size_t first = 0;
    for (unsigned labs = 0; sent < wanted; labs++) {
        begin(&hostile, (enum member_role)(labs % ROLE_COUNT));
        for (uint64_t i = 0; i < RENEW_MESSAGES && sent < wanted; i++, sent++) {
            const void *message;
            pthread_mutex_lock(&hostile.lock);
            size_t count = hostile_messages_next(hostile.messages, &message);
            pthread_mutex_unlock(&hostile.lock);
            send_one(&hostile, message, count, 1);
        }
        end(&hostile);
        size_t now = resident_pages();
        first = first ? first : now;
        assert_true(now < first + GROWTH_MAX_PAGES);
        if (labs % 50 == 49)
            print_message("%" PRIu64 " messages so far, %zu MiB\n", sent, now * 4096 >> 20);
    }
    print_message("%" PRIu64 " messages, %" PRIu64 " answers: %" PRIu64 " carried out, %" PRIu64 " refused as not allowed\n",
                  sent, hostile.answers, hostile.done, hostile.refused);
    assert_true(hostile.done > wanted / 20 && hostile.refused > wanted / 100);
    hostile_messages_destroy(hostile.messages);
    free(hostile.answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_a_member_sends_does_harm_or_tells_what_was_not_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
