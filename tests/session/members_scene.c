/* See members_scene.h. */
#include "members_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_store.h"
#include "chunk_store_memory.h"
#include "lab_view.h"
#include "member_key.h"
#include "people.h"
#include "people_view.h"
#include "session.h"
#include "testing.h"
#include "tree_lending.h"
#include "tree_homes.h"
#include "tree_members.h"
#include "tree_readers.h"
#include "tree_path.h"

static void take_answer(void *context, const struct iovec *parts, int count)
{
    struct scene *scene = context;
    if (scene->answered)
        scene->answered(scene->answered_context, parts, count);
}

void members_scene_write(struct scene *scene, const char *folder, const char *name, const char *text)
{
    struct failure why;
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_code_ok(tree_path_make_folders(scene->tree, folder, &why), why);
    assert_code_ok(tree_path_write(scene->tree, path, 0644, text, strlen(text), &why), why);
}

/* What ada, who opened the store, has made. */
static void make_adas_things(struct scene *scene)
{
    struct failure why;
    members_scene_write(scene, "datasets/shared", "f", "text");
    members_scene_write(scene, "datasets/closed", "f", "text");
    assert_code_ok(readers_unshare(scene->tree, "closed", READERS_EVERYONE, &why), why);
    members_scene_write(scene, "home/ada", "f", "text");
    members_scene_write(scene, "jobs", "a.yaml", "text");
    members_scene_write(scene, "experiments/e/a", "f", "text");
    members_scene_write(scene, "models/m/1", "f", "text");
    assert_code_ok(tree_path_link(scene->tree, "models/m/production", "1", &why), why);
}

struct wraps {
    struct lending_wrap list[16];
    int count;
};

static bool keep_wrap(void *context, const struct lending_wrap *wrap)
{
    struct wraps *wraps = context;
    wraps->list[wraps->count++] = *wrap;
    return wraps->count < 16;
}

/* As his workstation does. */
static void lend_bobs_home(struct scene *scene)
{
    struct failure why;
    struct wraps wraps = {.count = 0};
    assert_code_ok(lending_list(scene->tree, "bob", keep_wrap, &wraps, &why), why);
    assert_int_equal(wraps.count, 1);
    uint8_t key[SPACE_KEY_BYTES];
    const struct lending_wrap *wrap = &wraps.list[0];
    assert_code_ok(keywrap_open(&wrap->place, scene->bob_key, &wrap->sender, wrap->wrapped, key, &why), why);
    assert_code_ok(lending_take(scene->tree, "bob", wrap->number, wrap->place.generation, key, &why), why);
}

static void make_bobs_things(struct scene *scene)
{
    lend_bobs_home(scene);
    viewer_enter(&scene->bob);
    members_scene_write(scene, "datasets/mine", "f", "text");
    members_scene_write(scene, "home/bob", "f", "text");
    members_scene_write(scene, "jobs", "b.yaml", "text");
    members_scene_write(scene, "experiments/e/b", "f", "text");
    members_scene_write(scene, "models/m/2", "f", "text");
    viewer_leave();
}

static void add_bob(struct scene *scene)
{
    struct failure why;
    struct member_card card = {.name = "bob"};
    assert_code_ok(member_key_generate(&scene->bob_key, &why), why);
    card.public = *member_key_public(scene->bob_key);
    assert_code_ok(members_add(scene->tree, &card, ROLE_SCIENTIST, &why), why);
    assert_code_ok(homes_make(scene->tree, "bob", &why), why);
    scene->bob = (struct viewer){.name = "bob", .role = ROLE_SCIENTIST, .id = card.public.id, .session = 1};
}

void members_scene_make(struct scene *scene)
{
    struct failure why;
    assert_code_ok(chunk_store_memory_create(0, &scene->chunks, &why), why);
    const struct tree_open_options options = {.chunks = scene->chunks, .member_name = "ada"};
    assert_code_ok(tree_open(&options, &scene->tree, &why), why);
    assert_code_ok(lab_view_add(scene->tree, &why), why);
    assert_code_ok(people_create(scene->tree, &(struct people_options){0}, &scene->people, &why), why);
    assert_code_ok(people_view_add(scene->people, &why), why);
    if (scene->add_rules)
        scene->add_rules(scene->add_rules_context, scene->tree);
    add_bob(scene);
    make_adas_things(scene);
    make_bobs_things(scene);
    const struct session_peer peer = {.send = take_answer, .context = scene, .viewer = &scene->bob};
    const struct session_options session = {.peer = &peer};
    assert_code_ok(session_start(scene->tree, &session, &scene->session, &why), why);
}

void members_scene_destroy(struct scene *scene)
{
    session_destroy(scene->session);
    tree_close(scene->tree);
    people_destroy(scene->people);
    chunk_store_destroy(scene->chunks);
    member_key_destroy(scene->bob_key);
}

int members_scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    members_scene_make(scene);
    *state = scene;
    return 0;
}

int members_scene_teardown(void **state)
{
    members_scene_destroy(*state);
    free(*state);
    return 0;
}

uint64_t members_scene_node(struct scene *scene, const char *path)
{
    struct failure why;
    struct node_attributes attributes = {.id = TREE_ROOT};
    char text[200], *rest = text;
    snprintf(text, sizeof text, "%s", path);
    for (char *name; (name = strsep(&rest, "/"));)
        if (*name)
            assert_code_ok(tree_lookup(scene->tree, attributes.id, name, &attributes, &why), why);
    return attributes.id.value;
}
