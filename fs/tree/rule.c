/* Patterns and the table of rules.  Rules are added before the tree is served, so the table is read without a lock. */
#include "rule.h"

#include <string.h>

#include "tree_internal.h"

/* One component against one component of a pattern; neither holds '/'. */
static bool component_matches(const char *pattern, size_t pattern_length, const char *name, size_t length)
{
    if (length && name[0] == '.' && !(pattern_length && pattern[0] == '.'))
        return false;
    const char *star = memchr(pattern, '*', pattern_length);
    if (!star)
        return pattern_length == length && memcmp(pattern, name, length) == 0;
    size_t before = (size_t)(star - pattern), after = pattern_length - before - 1;
    return length >= before + after && memcmp(pattern, name, before) == 0 &&
           memcmp(star + 1, name + length - after, after) == 0;
}

bool rule_matches(const char *pattern, const char *path)
{
    for (;;) {
        size_t pattern_length = strcspn(pattern, "/"), length = strcspn(path, "/");
        if (length == 0 || !component_matches(pattern, pattern_length, path, length))
            return false;
        pattern += pattern_length;
        path += length;
        if (!*pattern || !*path)
            return !*pattern && !*path;
        pattern++;
        path++;
    }
}

/* Every component is not empty and holds at most one '*'. */
static bool pattern_is_valid(const char *pattern)
{
    for (;;) {
        size_t length = strcspn(pattern, "/");
        const char *star = memchr(pattern, '*', length);
        if (length == 0 || (star && memchr(star + 1, '*', length - (size_t)(star + 1 - pattern))))
            return false;
        if (!pattern[length])
            return true;
        pattern += length + 1;
    }
}

enum code rule_add(struct tree *tree, const struct rule *rule, struct failure *why)
{
    if (!pattern_is_valid(rule->pattern))
        return failure_set(why, CODE_INVALID, "the rule's pattern \"%s\" has an empty component or two stars in one",
                           rule->pattern);
    bool complete = rule->kind == RULE_WATCH || (rule->kind == RULE_STREAM && rule->open && rule->read) ||
                    (rule->kind == RULE_DERIVED && rule->render) ||
                    (rule->kind == RULE_CONTROL && rule->render && rule->command);
    if (!complete)
        return failure_set(why, CODE_INVALID, "the rule for \"%s\" lacks a callback", rule->pattern);
    if (tree->rule_count == TREE_RULES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "there are %d rules already", TREE_RULES_MAX);
    tree->rules[tree->rule_count++] = *rule;
    return CODE_OK;
}
