/* A lab on disk with two members, one of whom has it open at a time: ada, who has made it and is its admin, and bob.
 * datasets/cells/one.txt is a text that both may read. */
#ifndef CYTOFS_TEST_TWO_MEMBERS_H
#define CYTOFS_TEST_TWO_MEMBERS_H

#include "lab_fixture.h"
#include "member_card.h"

struct two_members {
    struct lab lab; /* ada has it open at first */
    struct member_key *ada, *bob;
};

/* cmocka's set-up and tear-down; the state is a struct two_members. */
int two_members_make(void **state);
int two_members_remove(void **state);

struct member_card two_members_card(const struct member_key *key, const char *name);

/* Closes the lab and opens it with another key. */
void two_members_open_as(struct two_members *people, struct member_key *key);

/* CODE_OK where the lab's present opener can read the file. */
enum code two_members_read(struct two_members *people, const char *path, struct failure *why);

/* Fails the test where the check (check.h) finds a problem in what the present opener can read, contents and all. */
void two_members_check(struct two_members *people);

#endif
