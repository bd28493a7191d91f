/* fs/tree: whether those who wait for the disk should wait for others. */
#include "testing.h"

#include "gathering.h"

static void nobody_is_expected_at_first_and_one_alone_never_waits(void **state)
{
    (void)state;
    struct gathering gathering = {0};
    for (int i = 0; i < 100; i++) {
        assert_true(gathering_is_complete(&gathering, 1));
        gathering_synced(&gathering, 1, 0, false);
    }
}

static void those_who_came_together_are_expected_together(void **state)
{
    (void)state;
    struct gathering gathering = {0};
    gathering_synced(&gathering, 1, 7, false); /* 7 came while the disk worked for one */
    for (unsigned waiting = 1; waiting < 8; waiting++)
        assert_false(gathering_is_complete(&gathering, waiting));
    assert_true(gathering_is_complete(&gathering, 8));
    assert_true(gathering_is_complete(&gathering, 9));
    gathering_synced(&gathering, 9, 2, false);
    assert_false(gathering_is_complete(&gathering, 10));
    assert_true(gathering_is_complete(&gathering, 11));
}

static void who_left_is_waited_for_once(void **state)
{
    (void)state;
    struct gathering gathering = {0};
    gathering_synced(&gathering, 8, 0, false);
    assert_false(gathering_is_complete(&gathering, 7));
    gathering_synced(&gathering, 7, 0, true);
    assert_true(gathering_is_complete(&gathering, 1)); /* the sync after that waits for nobody */
    gathering_synced(&gathering, 1, 6, false);
    assert_false(gathering_is_complete(&gathering, 6));
    assert_true(gathering_is_complete(&gathering, 7));
}

/* Two who sync at random times, and sometimes happen to meet: few syncs may wait in vain. */
static void guesses_that_are_wrong_become_rare(void **state)
{
    (void)state;
    struct gathering gathering = {0};
    int vain = 0;
    for (int i = 0; i < 10000; i++) {
        bool alone = gathering_is_complete(&gathering, 1);
        vain += !alone;
        gathering_synced(&gathering, 1, 1, !alone);
    }
    assert_in_range(vain, 1, 10000 / GATHERING_SKIPS_MAX + 10);
}

static void patience_grows_with_trust(void **state)
{
    (void)state;
    struct gathering gathering = {0};
    gathering_synced(&gathering, 1, 3, false);
    assert_true(gathering_patience_ns(&gathering) == GATHERING_PATIENCE_NS);
    for (int i = 0; i < GATHERING_LONG_PATIENCE_MIN; i++)
        gathering_synced(&gathering, 4, 0, false);
    assert_true(gathering_patience_ns(&gathering) == GATHERING_LONG_PATIENCE_NS);
    gathering_synced(&gathering, 3, 0, true);
    assert_true(gathering_patience_ns(&gathering) == GATHERING_PATIENCE_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_expected_at_first_and_one_alone_never_waits),
        cmocka_unit_test(those_who_came_together_are_expected_together),
        cmocka_unit_test(who_left_is_waited_for_once),
        cmocka_unit_test(guesses_that_are_wrong_become_rare),
        cmocka_unit_test(patience_grows_with_trust),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
