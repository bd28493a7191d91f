/* Links between a workstation and the server: what comes through, in which order, how often, and who is let in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "random.h"
#include "scope.h"
#include "testing.h"
#include "wire_fixture.h"

#define ANY_PORT ((uint16_t)-1)

struct scene {
    struct fixture_lab lab;
    struct wire_credentials ada;
    struct fixture_end server_end, end;
    struct wire_server *server;
    struct wire_link *link;
};

static void serve(struct scene *scene, uint16_t port, const struct buffer *saved)
{
    struct failure why;
    struct wire_server_options options = {.address = "127.0.0.1",
                                          .port = port,
                                          .credentials = &scene->lab.server,
                                          .saved = saved ? saved->data : NULL,
                                          .saved_count = saved ? saved->length : 0};
    assert_code_ok(wire_server_start(&options, &fixture_server_events, &scene->server_end, &scene->server, &why), why);
}

static enum code connect_as(struct scene *scene, const struct wire_credentials *who, uint16_t port, struct failure *why)
{
    struct wire_connect_options options = {.host = "127.0.0.1", .port = port, .credentials = who, .give_up_ms = 1};
    return wire_connect(&options, &fixture_events, &scene->end, &scene->link, why);
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    fixture_lab_make(&scene->lab);
    fixture_credentials_make(&scene->lab, "ada", &scene->ada);
    fixture_end_init(&scene->server_end);
    fixture_end_init(&scene->end);
    serve(scene, ANY_PORT, NULL);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    wire_link_destroy(scene->link);
    wire_server_destroy(scene->server);
    fixture_end_free(&scene->server_end);
    fixture_end_free(&scene->end);
    fixture_credentials_free(&scene->ada);
    fixture_lab_free(&scene->lab);
    free(scene);
    return 0;
}

static void connect_ada(struct scene *scene)
{
    struct failure why;
    assert_code_ok(connect_as(scene, &scene->ada, wire_server_port(scene->server), &why), why);
}

static void messages_of_every_size_come_back_in_order(void **state)
{
    struct scene *scene = *state;
    struct random random = {7};
    uint64_t bytes = 0;
    scene->server_end.echoes = true;
    connect_ada(scene);
    for (uint64_t i = 0; i < 400; i++) {
        size_t length = i % 20 == 0 ? WIRE_MESSAGE_MAX - i : 8 + random_below(&random, 5000);
        bytes += length;
        fixture_send(scene->link, i, length);
    }
    assert_true(fixture_await(&scene->end, &scene->end.messages, 400));
    assert_int_equal(scene->end.bytes, bytes);
    assert_int_equal(scene->end.out_of_order, 0);
    assert_int_equal(scene->server_end.out_of_order, 0);
    assert_string_equal(scene->server_end.peer.holder.name, "ada");
}

static void each_message_comes_once_however_often_the_connection_is_cut(void **state)
{
    struct scene *scene = *state;
    struct random random = {11};
    struct failure why;
    enum { COUNT = 3000 };
    scene->server_end.echoes = true;
    struct fixture_proxy *proxy = fixture_proxy_start(wire_server_port(scene->server), 4000, 400000, 3);
    assert_code_ok(connect_as(scene, &scene->ada, fixture_proxy_port(proxy), &why), why);
    for (uint64_t i = 0; i < COUNT; i++)
        fixture_send(scene->link, i, 8 + random_below(&random, i % 50 == 0 ? 100000 : 300));
    assert_true(fixture_await(&scene->end, &scene->end.messages, COUNT));
    assert_int_equal(scene->end.messages, COUNT);
    assert_int_equal(scene->server_end.messages, COUNT);
    assert_int_equal(scene->end.out_of_order, 0);
    assert_int_equal(scene->server_end.out_of_order, 0);
    assert_true(fixture_proxy_cuts(proxy) >= 10);
    assert_int_equal(scene->end.renewed, 0);
    wire_link_destroy(scene->link);
    scene->link = NULL;
    fixture_proxy_stop(proxy);
}

static void whoever_is_no_member_is_told_so(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    scene->server_end.refused = "ada";
    assert_int_equal(connect_as(scene, &scene->ada, wire_server_port(scene->server), &why), CODE_DENIED);
    assert_non_null(strstr(why.text, "ada is no longer a member"));
}

static void another_labs_certificate_opens_nothing_on_either_side(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    struct fixture_lab other;
    struct wire_credentials eve, mixed;
    fixture_lab_make(&other);
    fixture_credentials_make(&other, "ada", &eve);
    /* She does not know our server. */
    assert_int_equal(connect_as(scene, &eve, wire_server_port(scene->server), &why), CODE_DENIED);
    /* She takes our server for hers: the server does not know her. */
    mixed = eve;
    mixed.lab_certificate = scene->ada.lab_certificate;
    assert_int_not_equal(connect_as(scene, &mixed, wire_server_port(scene->server), &why), CODE_OK);
    assert_int_equal(scene->server_end.connected, 0);
    fixture_credentials_free(&eve);
    fixture_lab_free(&other);
}

static void a_member_cannot_pose_as_the_server(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    wire_server_destroy(scene->server);
    struct wire_server_options options = {.address = "127.0.0.1", .port = ANY_PORT, .credentials = &scene->ada};
    assert_code_ok(wire_server_start(&options, &fixture_server_events, &scene->server_end, &scene->server, &why), why);
    assert_int_equal(connect_as(scene, &scene->ada, wire_server_port(scene->server), &why), CODE_DENIED);
    assert_non_null(strstr(why.text, "not of the lab's server"));
}

static void who_has_no_certificate_may_ask_and_nothing_else(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    uint8_t fingerprint[CERTIFICATE_FINGERPRINT_BYTES];
    SCOPE_BUFFER answer = {0};
    assert_code_ok(certificate_fingerprint(&scene->lab.server.lab_certificate, fingerprint, &why), why);
    scene->server_end.answer = "you said ";
    uint16_t port = wire_server_port(scene->server);
    assert_code_ok(wire_ask("127.0.0.1", port, fingerprint, "may I?", 6, &answer, &why), why);
    assert_string_equal(buffer_text(&answer), "you said may I?");
    scene->server_end.answer = NULL;
    assert_int_equal(wire_ask("127.0.0.1", port, fingerprint, "may I?", 6, &answer, &why), CODE_DENIED);
    assert_non_null(strstr(why.text, "used already"));
    fingerprint[5] ^= 1;
    assert_int_equal(wire_ask("127.0.0.1", port, fingerprint, "may I?", 6, &answer, &why), CODE_DENIED);
    assert_non_null(strstr(why.text, "not the one of the invitation"));
}

static void links_survive_a_restart_of_the_server(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    SCOPE_BUFFER saved = {0};
    connect_ada(scene);
    uint16_t port = wire_server_port(scene->server);
    for (uint64_t i = 0; i < 100; i++) {
        fixture_send(scene->link, i, 20000);
        fixture_send(scene->server_end.link, i, 30000);
    }
    wire_server_freeze(scene->server);
    assert_code_ok(wire_server_save(scene->server, &saved, &why), why);
    wire_server_destroy(scene->server);
    for (uint64_t i = 100; i < 200; i++)
        fixture_send(scene->link, i, 20000);
    serve(scene, port, &saved);
    for (uint64_t i = 100; i < 200; i++)
        fixture_send(scene->server_end.link, i, 30000);
    assert_true(fixture_await(&scene->end, &scene->end.messages, 200));
    assert_true(fixture_await(&scene->server_end, &scene->server_end.messages, 200));
    assert_int_equal(scene->end.out_of_order, 0);
    assert_int_equal(scene->server_end.out_of_order, 0);
    assert_int_equal(scene->end.renewed, 0);
}

static void damaged_saved_links_are_refused(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    SCOPE_BUFFER saved = {0};
    connect_ada(scene);
    fixture_send(scene->server_end.link, 0, 3000);
    wire_server_freeze(scene->server);
    assert_code_ok(wire_server_save(scene->server, &saved, &why), why);
    struct wire_server *server;
    for (size_t length = 1; length < saved.length; length += 13) {
        struct wire_server_options options = {.saved = saved.data, .saved_count = length};
        struct fixture_end end;
        fixture_end_init(&end);
        enum code code = wire_server_start(&options, &fixture_server_events, &end, &server, &why);
        assert_int_equal(code, CODE_CORRUPT);
        fixture_end_free(&end);
    }
}

static void a_server_that_forgot_says_so(void **state)
{
    struct scene *scene = *state;
    connect_ada(scene);
    uint16_t port = wire_server_port(scene->server);
    fixture_send(scene->link, 0, 100);
    assert_true(fixture_await(&scene->server_end, &scene->server_end.messages, 1));
    wire_server_destroy(scene->server);
    serve(scene, port, NULL);
    assert_true(fixture_await_state(&scene->end, &scene->end.renewed, 1));
    scene->server_end.messages = 0;
    fixture_send(scene->link, 0, 100);
    assert_true(fixture_await(&scene->server_end, &scene->server_end.messages, 1));
    assert_int_equal(scene->server_end.out_of_order, 0);
}

static void a_link_that_is_given_up_by_name_ends_for_its_owner_alone(void **state)
{
    struct scene *scene = *state;
    struct wire_credentials eve;
    struct fixture_end after;
    struct wire_link *of_eve, *of_ada;
    struct failure why;
    uint8_t former[WIRE_SESSION_BYTES];
    connect_ada(scene);
    wire_link_session(scene->link, former);
    fixture_credentials_make(&scene->lab, "eve", &eve);
    fixture_end_init(&after);
    struct wire_connect_options options = {
        .host = "127.0.0.1", .port = wire_server_port(scene->server), .credentials = &eve, .former = former};
    assert_code_ok(wire_connect(&options, &fixture_events, &after, &of_eve, &why), why);
    fixture_send(scene->link, 0, 100);
    assert_true(fixture_await(&scene->server_end, &scene->server_end.messages, 1));
    assert_int_equal(scene->server_end.ended, 0);
    assert_int_equal(scene->end.lost, 0);
    options.credentials = &scene->ada;
    assert_code_ok(wire_connect(&options, &fixture_events, &after, &of_ada, &why), why);
    assert_true(fixture_await_state(&scene->server_end, &scene->server_end.ended, 1));
    wire_link_destroy(of_eve);
    wire_link_destroy(of_ada);
    fixture_credentials_free(&eve);
    assert_true(fixture_await_state(&scene->end, &scene->end.renewed, 1)); /* that process was not dead after all */
    fixture_end_free(&after);
}

static void whoever_does_not_read_makes_the_sender_wait(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    connect_ada(scene);
    wire_link_pause(scene->server_end.link, true);
    static uint8_t bytes[1 << 20];
    struct iovec part = {bytes, sizeof bytes};
    int sent = 0;
    while (wire_link_send(scene->link, &part, 1, &why) == CODE_OK)
        sent++;
    assert_int_equal(why.code, CODE_AGAIN);
    assert_true(sent >= 60 && sent <= 64);
    assert_true(wire_link_backlog(scene->link) <= WIRE_WINDOW_MAX);
    wire_link_pause(scene->server_end.link, false);
    assert_true(fixture_await(&scene->server_end, &scene->server_end.messages, (uint64_t)sent));
}

static void an_expelled_member_is_cut_at_once_and_not_let_in_again(void **state)
{
    struct scene *scene = *state;
    connect_ada(scene);
    scene->server_end.refused = "ada";
    wire_server_expel(scene->server, "ada");
    assert_true(fixture_await_state(&scene->end, &scene->end.ended, 1));
    assert_int_equal(scene->end.why.code, CODE_DENIED);
    assert_true(fixture_await_state(&scene->server_end, &scene->server_end.ended, 1));
}

static void one_member_leaves_places_to_others(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    struct wire_credentials bob;
    struct wire_link *links[WIRE_LINKS_MEMBER_MAX];
    fixture_credentials_make(&scene->lab, "bob", &bob);
    for (int i = 0; i < WIRE_LINKS_MEMBER_MAX; i++) {
        connect_ada(scene);
        links[i] = scene->link;
        scene->link = NULL;
    }
    assert_int_equal(connect_as(scene, &scene->ada, wire_server_port(scene->server), &why), CODE_AGAIN);
    assert_non_null(strstr(why.text, "you are connected 32 times already"));
    assert_code_ok(connect_as(scene, &bob, wire_server_port(scene->server), &why), why);
    for (int i = 0; i < WIRE_LINKS_MEMBER_MAX; i++)
        wire_link_destroy(links[i]);
    fixture_credentials_free(&bob);
}

/* A link whose workstation is gone without a word. */
static void leave_a_link_behind(struct scene *scene)
{
    struct failure why;
    int lost = scene->server_end.lost;
    struct fixture_proxy *proxy = fixture_proxy_start(wire_server_port(scene->server), 1 << 20, 1 << 20, 3);
    assert_code_ok(connect_as(scene, &scene->ada, fixture_proxy_port(proxy), &why), why);
    fixture_proxy_stop(proxy);
    assert_true(fixture_await_state(&scene->server_end, &scene->server_end.lost, lost + 1));
    wire_link_destroy(scene->link);
    scene->link = NULL;
}

static void links_left_behind_keep_nobody_out(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < WIRE_LINKS_MEMBER_MAX; i++)
        leave_a_link_behind(scene);
    assert_int_equal(scene->server_end.ended, 0);
    connect_ada(scene);
    assert_true(fixture_await_state(&scene->server_end, &scene->server_end.ended, 1));
    scene->server_end.messages = 0;
    fixture_send(scene->link, 0, 100);
    assert_true(fixture_await(&scene->server_end, &scene->server_end.messages, 1));
    assert_int_equal(scene->server_end.ended, 1);
}

static void closing_delivers_what_was_sent_before(void **state)
{
    struct scene *scene = *state;
    connect_ada(scene);
    for (uint64_t i = 0; i < 50; i++)
        fixture_send(scene->link, i, 500000);
    wire_link_destroy(scene->link);
    scene->link = NULL;
    assert_int_equal(scene->server_end.messages, 50);
    assert_int_equal(scene->end.ended, 1);
    assert_true(fixture_await_state(&scene->server_end, &scene->server_end.ended, 1));
}

static void a_unix_socket_says_whose_process_it_is_who_can_be_expelled(void **state)
{
    struct scene *scene = *state;
    struct failure why;
    char folder[] = "/tmp/cytofs-wire-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket", folder);
    wire_server_destroy(scene->server);
    struct wire_server_options options = {.socket_path = path, .socket_mode = 0600};
    assert_code_ok(wire_server_start(&options, &fixture_server_events, &scene->server_end, &scene->server, &why), why);
    struct wire_connect_options local = {.host = path};
    scene->server_end.echoes = true;
    assert_code_ok(wire_connect(&local, &fixture_events, &scene->end, &scene->link, &why), why);
    fixture_send(scene->link, 0, 5000);
    assert_true(fixture_await(&scene->end, &scene->end.messages, 1));
    assert_int_equal(scene->server_end.peer.uid, getuid());
    wire_server_expel_link(scene->server_end.link);
    assert_true(fixture_await_state(&scene->end, &scene->end.ended, 1));
    assert_int_equal(scene->end.why.code, CODE_DENIED);
    wire_link_destroy(scene->link);
    scene->link = NULL;
    wire_server_destroy(scene->server);
    scene->server = NULL;
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_of_every_size_come_back_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_message_comes_once_however_often_the_connection_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whoever_is_no_member_is_told_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_labs_certificate_opens_nothing_on_either_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_member_cannot_pose_as_the_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_has_no_certificate_may_ask_and_nothing_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_survive_a_restart_of_the_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_saved_links_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_forgot_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_that_is_given_up_by_name_ends_for_its_owner_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whoever_does_not_read_makes_the_sender_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_expelled_member_is_cut_at_once_and_not_let_in_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_member_leaves_places_to_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_left_behind_keep_nobody_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_delivers_what_was_sent_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_unix_socket_says_whose_process_it_is_who_can_be_expelled, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
