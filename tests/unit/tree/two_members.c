/* See two_members.h. */
#include "testing.h"

#include "two_members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "member_key.h"
#include "tree_members.h"

static struct failure why;

struct member_card two_members_card(const struct member_key *key, const char *name)
{
    struct member_card card = {.public = *member_key_public(key)};
    snprintf(card.name, sizeof card.name, "%s", name);
    return card;
}

void two_members_open_as(struct two_members *people, struct member_key *key)
{
    lab_close(&people->lab);
    people->lab.member = key;
    lab_open(&people->lab);
}

int two_members_make(void **state)
{
    struct two_members *people = calloc(1, sizeof *people);
    lab_create(&people->lab);
    people->ada = people->lab.member;
    assert_code_ok(member_key_generate(&people->bob, &why), why);
    const struct member_card card = two_members_card(people->bob, "bob");
    assert_code_ok(members_add(people->lab.tree, &card, ROLE_SCIENTIST, &why), why);
    lab_make_folder(&people->lab, "datasets/cells");
    lab_write(&people->lab, "datasets/cells/one.txt", "a shared text");
    *state = people;
    return 0;
}

int two_members_remove(void **state)
{
    struct two_members *people = *state;
    people->lab.member = people->ada;
    lab_destroy(&people->lab);
    member_key_destroy(people->bob);
    free(people);
    return 0;
}

enum code two_members_read(struct two_members *people, const char *path, struct failure *failure)
{
    SCOPE_BUFFER text = {0};
    return tree_path_read(people->lab.tree, path, 1 << 20, &text, failure);
}

void two_members_check(struct two_members *people)
{
    struct check_summary summary;
    SCOPE_BUFFER report = {0};
    assert_code_ok(check_run(people->lab.tree, &(struct check_options){.contents = true}, &report, &summary, &why), why);
    if (summary.problems)
        fail_msg("%s", buffer_text(&report));
}
