/* runner/jobs/run_state.h: every move that is allowed and every one that is not, and texts that no one should
 * write. */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "random.h"
#include "run_state.h"

/* Written down a second time, from the table in runner/README.md: what each event leads to in each state
 * ('.': not allowed).  Order of states: none queued claimed running cancelling finished failed cancelled. */
static const struct {
    enum run_event_kind kind;
    const char *next; /* by first letter: q c r g(cancelling) F X(failed) C(cancelled) */
} expected[] = {
    {RUN_EVENT_SUBMITTED, "q......."}, {RUN_EVENT_CLAIMED, ".c......"},          {RUN_EVENT_STARTED, "..r....."},
    {RUN_EVENT_LOST, "..qqC..."},      {RUN_EVENT_CANCEL_REQUESTED, ".Cgg...."}, {RUN_EVENT_CANCELLED, "....C..."},
    {RUN_EVENT_FINISHED, "...FF..."},  {RUN_EVENT_FAILED, "..XXX..."},
};

static void each_event_leads_where_the_protocol_says(void **state)
{
    (void)state;
    static const char letters[] = ".qcrgFXC";
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        for (int from = RUN_NONE; from < RUN_STATE_COUNT; from++) {
            char letter = expected[i].next[from];
            enum run_state to = run_state_move((enum run_state)from, expected[i].kind, false);
            assert_int_equal(run_state_allows((enum run_state)from, expected[i].kind), letter != '.');
            assert_int_equal(to, letter == '.' ? from : strchr(letters, letter) - letters);
        }
}

static struct run_summary fold(const char *text)
{
    struct run_summary summary;
    run_summary_fold(text, strlen(text), &summary);
    return summary;
}

#define SUBMITTED                                                                                                           \
    "{\"ms\":10,\"event\":\"submitted\",\"job\":\"a\",\"member\":\"eve\",\"dataset\":\"datasets/d/.snap/"                   \
    "1\"}\n"
#define CLAIMED  "{\"ms\":20,\"event\":\"claimed\",\"node\":\"n1\",\"attempt\":1}\n"
#define STARTED  "{\"ms\":30,\"event\":\"started\",\"pid\":7}\n"
#define LOST     "{\"ms\":40,\"event\":\"lost\",\"reason\":\"gone\"}\n"
#define CANCEL   "{\"ms\":50,\"event\":\"cancel_requested\",\"member\":\"eve\"}\n"
#define FINISHED "{\"ms\":60,\"event\":\"finished\",\"model\":\"models/m/1\"}\n"

static void a_run_that_finishes_says_so(void **state)
{
    (void)state;
    struct run_summary run = fold(SUBMITTED CLAIMED STARTED FINISHED);
    assert_int_equal(run.state, RUN_FINISHED);
    assert_string_equal(run.job, "a");
    assert_string_equal(run.member, "eve");
    assert_string_equal(run.node, "n1");
    assert_string_equal(run.model, "models/m/1");
    assert_string_equal(run.dataset, "datasets/d/.snap/1");
    assert_int_equal(run.submitted_ms, 10);
    assert_int_equal(run.started_ms, 30);
    assert_int_equal(run.ended_ms, 60);
    assert_int_equal(run.attempt, 1);
    assert_int_equal(run.ignored, 0);
}

static void a_lost_run_waits_again_and_the_third_loss_is_the_last(void **state)
{
    (void)state;
    struct run_summary run = fold(SUBMITTED CLAIMED STARTED LOST);
    assert_int_equal(run.state, RUN_QUEUED);
    assert_string_equal(run.reason, "gone");
    run = fold(SUBMITTED CLAIMED STARTED LOST CLAIMED LOST CLAIMED STARTED LOST);
    assert_int_equal(run.state, RUN_FAILED);
    assert_int_equal(run.attempt, 3);
    assert_string_equal(run.reason, "lost 3 times; the last time: gone");
    assert_int_equal(run.ended_ms, 40);
}

#define ORDERLY "{\"ms\":41,\"event\":\"lost\",\"orderly\":true,\"reason\":\"restart\"}\n"

static void restarts_do_not_count_against_a_run_but_not_without_end(void **state)
{
    (void)state;
    struct run_summary run = fold(SUBMITTED CLAIMED ORDERLY CLAIMED LOST CLAIMED ORDERLY CLAIMED ORDERLY CLAIMED LOST);
    assert_int_equal(run.state, RUN_QUEUED);
    assert_int_equal(run.losses, 2);
    assert_int_equal(run.attempt, 5);
    SCOPE_BUFFER text = {0};
    buffer_append_text(&text, SUBMITTED);
    for (int i = 0; i < RUN_ATTEMPTS_MAX; i++) {
        assert_int_equal(fold(buffer_text(&text)).state, RUN_QUEUED);
        buffer_append_text(&text, CLAIMED ORDERLY);
    }
    assert_int_equal(fold(buffer_text(&text)).state, RUN_FAILED);
}

static void a_cancelled_run_says_who_cancelled_it(void **state)
{
    (void)state;
    assert_int_equal(fold(SUBMITTED CANCEL).state, RUN_CANCELLED);
    assert_int_equal(fold(SUBMITTED CLAIMED CANCEL STARTED).state, RUN_CANCELLING);
    struct run_summary run = fold(SUBMITTED CLAIMED STARTED CANCEL "{\"ms\":51,\"event\":\"cancelled\"}\n");
    assert_int_equal(run.state, RUN_CANCELLED);
    assert_string_equal(run.reason, "cancelled by eve");
    run = fold(SUBMITTED CLAIMED STARTED CANCEL LOST);
    assert_int_equal(run.state, RUN_CANCELLED);
    assert_string_equal(run.reason, "cancelled by eve");
}

static void a_late_word_of_an_earlier_attempt_is_ignored(void **state)
{
    (void)state;
    struct run_summary run =
        fold(SUBMITTED CLAIMED STARTED LOST CLAIMED STARTED "{\"ms\":70,\"event\":\"failed\",\"attempt\":1}\n");
    assert_int_equal(run.state, RUN_RUNNING);
    assert_int_equal(run.ignored, 1);
}

static void a_torn_last_line_and_unknown_events_are_ignored(void **state)
{
    (void)state;
    struct run_summary run =
        fold(SUBMITTED "{\"ms\":1,\"event\":\"waved\"}\nnot json\n[]\n" CLAIMED "{\"ms\":30,\"event\":\"star");
    assert_int_equal(run.state, RUN_CLAIMED);
    assert_int_equal(run.ignored, 4);
    assert_int_equal(fold("").state, RUN_NONE);
    assert_int_equal(fold("\n\n").ignored, 0);
}

static void an_event_reads_back_as_it_was_written(void **state)
{
    (void)state;
    struct run_event event = {.kind = RUN_EVENT_FAILED, .ms = 5, .attempt = 2, .reason = "it said \"no\"\n"};
    SCOPE_BUFFER line = {0};
    run_event_format(&event, &line);
    assert_string_equal(buffer_text(&line),
                        "{\"ms\":5,\"event\":\"failed\",\"attempt\":2,\"reason\":\"it said \\\"no\\\"\\u000a\"}\n");
    struct run_event back;
    assert_true(run_event_parse(line.data, line.length - 1, &back));
    assert_int_equal(back.kind, RUN_EVENT_FAILED);
    assert_int_equal(back.attempt, 2);
    assert_string_equal(back.reason, event.reason);
    assert_string_equal(back.node, "");
    run_event_free(&back);
}

static void no_sequence_of_events_leaves_an_ended_state(void **state)
{
    (void)state;
    struct random random = {7};
    for (int round = 0; round < 5000; round++) {
        struct run_summary run = {.state = RUN_NONE};
        for (int step = 0; step < 30; step++) {
            struct run_event event = {.kind = (enum run_event_kind)random_below(&random, RUN_EVENT_COUNT), .ms = step + 1};
            struct run_summary before = run;
            run_summary_apply(&run, &event);
            if (run_state_is_over(before.state)) {
                assert_int_equal(run.state, before.state);
                assert_int_equal(run.ended_ms, before.ended_ms);
            }
            assert_true(run_state_is_over(run.state) == (run.ended_ms != 0));
            assert_true(run.attempt <= RUN_ATTEMPTS_MAX);
        }
    }
}

static void no_bytes_break_the_fold(void **state)
{
    (void)state;
    static const char seed_text[] = SUBMITTED CLAIMED STARTED CANCEL FINISHED;
    struct random random = {9};
    for (int round = 0; round < 3000; round++) {
        char text[sizeof seed_text];
        memcpy(text, seed_text, sizeof text);
        for (int edits = 0; edits < 4; edits++)
            text[random_below(&random, sizeof seed_text)] = (char)random_next(&random);
        struct run_summary run;
        run_summary_fold(text, sizeof seed_text - 1, &run);
        assert_true(run.state < RUN_STATE_COUNT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_leads_where_the_protocol_says),
        cmocka_unit_test(a_run_that_finishes_says_so),
        cmocka_unit_test(a_lost_run_waits_again_and_the_third_loss_is_the_last),
        cmocka_unit_test(restarts_do_not_count_against_a_run_but_not_without_end),
        cmocka_unit_test(a_cancelled_run_says_who_cancelled_it),
        cmocka_unit_test(a_late_word_of_an_earlier_attempt_is_ignored),
        cmocka_unit_test(a_torn_last_line_and_unknown_events_are_ignored),
        cmocka_unit_test(an_event_reads_back_as_it_was_written),
        cmocka_unit_test(no_sequence_of_events_leaves_an_ended_state),
        cmocka_unit_test(no_bytes_break_the_fold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
