/* runner/plan: labs in a table, and properties over random labs. */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "plan.h"
#include "random.h"

#define GIB (UINT64_C(1) << 30)

static const struct plan_node small = {"small", 2, 0, 4 * GIB};
static const struct plan_node large = {"large", 8, 1, 32 * GIB};

/* A lab of up to 2 nodes and 5 runs, and what must be said of each run. */
struct lab {
    struct plan_node nodes[2];
    size_t node_count;
    struct plan_run runs[5];
    size_t run_count;
    const char *said[5]; /* "" for a run that a node has */
};

#define SMALL                                                                                                               \
    {                                                                                                                       \
        "small", 2, 0, 4 * GIB                                                                                              \
    }
#define LARGE                                                                                                               \
    {                                                                                                                       \
        "large", 8, 1, 32 * GIB                                                                                             \
    }

static const struct plan_quota one_gpu = {1, -1}, no_gpu = {0, -1}, four_cpus = {-1, 4}, nothing = {0, 0};

static const struct lab known_labs[] = {
    {.run_count = 1, .runs = {{"e/1", "eve", -1, 0, 0, -1, NULL}}, .said = {"waits for a node: none is present"}},
    {{SMALL}, 1, {{"e/1", "eve", -1, 0, 0, -1, NULL}}, 1, {"starts on small in a moment"}},
    {{SMALL},
     1,
     {{"e/1", "eve", -1, 0, 0, 0, NULL}, {"e/2", "eve", -1, 0, 0, -1, NULL}},
     2,
     {"", "waits for a free node: small runs e/1"}},
    {{SMALL},
     1,
     {{"e/1", "eve", -1, 0, 0, -1, NULL}, {"e/2", "eve", -1, 0, 0, -1, NULL}, {"e/3", "eve", -1, 0, 0, -1, NULL}},
     3,
     {"starts on small in a moment", "waits for a free node: small starts e/1", "waits for a free node: small starts e/1"}},
    {{SMALL},
     1,
     {{"e/1", "eve", 1, 0, 0, -1, NULL},
      {"e/2", "eve", 2, 1, 0, -1, NULL},
      {"e/3", "eve", 0, 3, 0, -1, NULL},
      {"e/4", "eve", 0, 1, 5 * GIB, -1, NULL},
      {"e/5", "eve", 0, 1, 0, -1, NULL}},
     5,
     {"needs 1 GPU: no node has one", "needs 2 GPUs: no node has as many", "needs 3 CPUs: no node has as many",
      "needs 5.0 GiB of memory: no node has as much", "starts on small in a moment"}},
    /* A wish for a GPU finds the node that has one, also behind one that has none. */
    {{SMALL, LARGE},
     2,
     {{"e/1", "eve", -1, 2, 0, -1, NULL}, {"e/2", "eve", -1, 2, 0, -1, NULL}},
     2,
     {"starts on large in a moment", "starts on small in a moment"}},
    /* Two share a node's cpus; the third does not fit, and keeps the fourth, who would, from passing. */
    {{LARGE},
     1,
     {{"e/1", "eve", 0, 3, 0, 0, NULL},
      {"e/2", "eve", 0, 4, 0, -1, NULL},
      {"e/3", "eve", 0, 4, 0, -1, NULL},
      {"e/4", "eve", 0, 1, 0, -1, NULL}},
     4,
     {"", "starts on large in a moment", "waits for 4 free CPUs: large starts e/2",
      "waits for 1 free CPU: large starts e/2"}},
    /* Memory is shared out as well. */
    {{LARGE},
     1,
     {{"e/1", "eve", 0, 1, 30 * GIB, 0, NULL}, {"e/2", "eve", 0, 1, 4 * GIB, -1, NULL}},
     2,
     {"", "waits for 1 free CPU with 4.0 GiB of memory: large runs e/1"}},
    /* The one who has nothing running comes before the one who asked earlier. */
    {{SMALL, LARGE},
     2,
     {{"e/1", "eve", 0, 0, 0, 0, NULL}, {"e/2", "eve", 0, 0, 0, -1, NULL}, {"e/3", "bob", 0, 0, 0, -1, NULL}},
     3,
     {"", "waits for a free node: small runs e/1", "starts on large in a moment"}},
    /* Who has what his quota allows waits, whatever is free, and others pass. */
    {{{"gpus", 8, 3, 0}},
     1,
     {{"e/1", "eve", 1, 1, 0, 0, &one_gpu},
      {"e/2", "eve", 1, 1, 0, -1, &one_gpu},
      {"e/3", "eve", 0, 1, 0, -1, &one_gpu},
      {"e/4", "bob", 1, 1, 0, -1, NULL}},
     4,
     {"", "waits for 1 GPU of eve's quota: 1 of 1 are in use", "starts on gpus in a moment", "starts on gpus in a moment"}},
    /* One that alone is more than the quota never runs, and says so. */
    {{{"gpus", 8, 3, 0}},
     1,
     {{"e/1", "eve", 2, 1, 0, -1, &one_gpu},
      {"e/2", "bob", 0, 0, 0, -1, &four_cpus},
      {"e/3", "zoe", 0, 1, 0, -1, &nothing},
      {"e/4", "ada", 2, 1, 0, -1, NULL}},
     4,
     {"needs 2 GPUs: eve may have 1 at once (lab/quotas/eve)", "needs 8 CPUs: bob may have 4 at once (lab/quotas/bob)",
      "needs 1 CPU: zoe may have 0 at once (lab/quotas/zoe)", "starts on gpus in a moment"}},
    /* A wish for a GPU that the quota does not grant is none where there is a node without. */
    {{LARGE, SMALL}, 2, {{"e/1", "eve", -1, 1, 0, -1, &no_gpu}}, 1, {"starts on small in a moment"}},
    {{LARGE}, 1, {{"e/1", "eve", -1, 1, 0, -1, &no_gpu}}, 1, {"needs 1 GPU: eve may have 0 at once (lab/quotas/eve)"}},
    /* CPUs are counted over nodes. */
    {{SMALL, LARGE},
     2,
     {{"e/1", "eve", 0, 2, 0, 0, &four_cpus},
      {"e/2", "eve", 0, 3, 0, -1, &four_cpus},
      {"e/3", "eve", 0, 2, 0, -1, &four_cpus}},
     3,
     {"", "waits for 3 CPUs of eve's quota: 2 of 4 are in use", "starts on large in a moment"}},
};

static void each_lab_is_planned_as_a_person_would(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof known_labs / sizeof known_labs[0]; i++) {
        const struct lab *lab = &known_labs[i];
        struct plan_decision decisions[5];
        struct failure why;
        assert_code_ok(plan_make(lab->nodes, lab->node_count, lab->runs, lab->run_count, decisions, &why), why);
        for (size_t k = 0; k < lab->run_count; k++) {
            SCOPE_BUFFER said = {0};
            plan_explain(lab->nodes, lab->runs, decisions, k, &said);
            if (strcmp(buffer_text(&said), lab->said[k])) {
                print_error("lab %zu, run %zu:\n  %s\nand not\n  %s\n", i, k, buffer_text(&said), lab->said[k]);
                wrong++;
            }
        }
    }
    assert_int_equal(wrong, 0);
}

static struct plan_run random_run(struct random *random, size_t node_count)
{
    static const char *const members[] = {"eve", "bob", "zoe"};
    return (struct plan_run){"e/x",
                             members[random_below(random, 3)],
                             (int)random_below(random, 4) - 1,
                             (int)random_below(random, 10),
                             random_below(random, 40) * GIB,
                             random_below(random, 4) ? -1 : (int)random_below(random, (uint32_t)node_count),
                             NULL};
}

/* What starts fits, unless what runs there already (a node that came back smaller) is too much by itself. */
static void no_node_is_ever_given_more_than_it_has(void **state)
{
    (void)state;
    struct random random = {3};
    for (int round = 0; round < 2000; round++) {
        struct plan_node nodes[3] = {small, large, small};
        struct plan_run runs[12];
        size_t run_count = 1 + random_below(&random, 12);
        for (size_t i = 0; i < run_count; i++)
            runs[i] = random_run(&random, 3);
        struct plan_decision decisions[12];
        struct failure why;
        assert_code_ok(plan_make(nodes, 3, runs, run_count, decisions, &why), why);
        for (int node = 0; node < 3; node++) {
            int cpus = 0, gpus = 0, started = 0;
            uint64_t memory = 0, memory_held = 0;
            for (size_t i = 0; i < run_count; i++) {
                assert_int_equal(decisions[i].reason == PLAN_HELD, runs[i].node >= 0);
                if (decisions[i].node != node || decisions[i].reason == PLAN_BUSY)
                    continue;
                started += decisions[i].reason == PLAN_GO;
                cpus += runs[i].cpus ? runs[i].cpus : nodes[node].cpus;
                gpus += runs[i].gpus >= 0 ? runs[i].gpus : nodes[node].gpus > 0;
                memory += runs[i].memory_bytes;
                memory_held += runs[i].node >= 0 ? runs[i].memory_bytes : 0;
            }
            if (started > 0) {
                assert_true(cpus <= nodes[node].cpus);
                assert_true(gpus <= nodes[node].gpus);
                assert_true(memory <= nodes[node].memory_bytes || memory == memory_held);
            }
        }
        for (size_t i = 0; i < run_count; i++) {
            SCOPE_BUFFER said = {0};
            plan_explain(nodes, runs, decisions, i, &said);
            assert_int_equal(said.length > 0, runs[i].node < 0);
        }
    }
}

/* Whatever runs already (a quota may have been lowered), nothing starts by which a member would have more than his quota. */
static void no_member_is_ever_given_more_than_his_quota(void **state)
{
    (void)state;
    static const char *const members[] = {"eve", "bob", "zoe"};
    struct random random = {4};
    for (int round = 0; round < 2000; round++) {
        struct plan_node nodes[3] = {small, {"gpus", 8, 4, 0}, large};
        struct plan_quota quotas[3];
        struct plan_run runs[12];
        struct plan_decision decisions[12];
        struct failure why;
        size_t run_count = 1 + random_below(&random, 12);
        for (int i = 0; i < 3; i++)
            quotas[i] = (struct plan_quota){(int)random_below(&random, 5) - 1, (int)random_below(&random, 12) - 1};
        for (size_t i = 0; i < run_count; i++) {
            int member = (int)random_below(&random, 3);
            runs[i] = random_run(&random, 3);
            runs[i].member = members[member];
            runs[i].quota = &quotas[member];
        }
        assert_code_ok(plan_make(nodes, 3, runs, run_count, decisions, &why), why);
        for (int member = 0; member < 3; member++) {
            int gpus = 0, cpus = 0, gpus_started = 0, cpus_started = 0;
            for (size_t i = 0; i < run_count; i++) {
                if (runs[i].member != members[member] ||
                    (decisions[i].reason != PLAN_GO && decisions[i].reason != PLAN_HELD))
                    continue;
                const struct plan_node *node = &nodes[decisions[i].node];
                int run_gpus = runs[i].gpus >= 0 ? runs[i].gpus : node->gpus > 0,
                    run_cpus = runs[i].cpus ? runs[i].cpus : node->cpus;
                gpus += run_gpus;
                cpus += run_cpus;
                gpus_started += decisions[i].reason == PLAN_GO ? run_gpus : 0;
                cpus_started += decisions[i].reason == PLAN_GO ? run_cpus : 0;
            }
            assert_true(quotas[member].gpus < 0 || gpus_started == 0 || gpus <= quotas[member].gpus);
            assert_true(quotas[member].cpus < 0 || cpus_started == 0 || cpus <= quotas[member].cpus);
        }
    }
}

static void a_plan_for_too_many_is_refused(void **state)
{
    (void)state;
    struct failure why;
    assert_int_equal(plan_make(NULL, 0, NULL, PLAN_RUNS_MAX + 1, NULL, &why), CODE_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_lab_is_planned_as_a_person_would),
        cmocka_unit_test(no_node_is_ever_given_more_than_it_has),
        cmocka_unit_test(no_member_is_ever_given_more_than_his_quota),
        cmocka_unit_test(a_plan_for_too_many_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
