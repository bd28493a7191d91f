/* Clocks that do not agree: whose certificate is not good by somebody's clock is told so, with what to do.  In place of a
 * clock the certificates' dates are moved, and the lab's key signs them again. */
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "certificate_x509.h"
#include "scope.h"
#include "testing.h"
#include "wire_fixture.h"

#define ANY_PORT ((uint16_t)-1)
#define DAY_S    86400L

struct scene {
    struct fixture_lab lab;
    struct wire_credentials ada;
    struct fixture_end server_end, end;
    struct wire_server *server;
    struct wire_link *link;
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    fixture_lab_make(&scene->lab);
    fixture_credentials_make(&scene->lab, "ada", &scene->ada);
    fixture_end_init(&scene->server_end);
    fixture_end_init(&scene->end);
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

/* Good from and until so many seconds from now. */
static void date(const struct fixture_lab *lab, struct wire_credentials *whose, long from_s, long until_s)
{
    struct failure why;
    X509 *certificate = certificate_read(&whose->certificate, &why);
    EVP_PKEY *key = certificate_read_key(&lab->key, &why);
    BIO *out = BIO_new(BIO_s_mem());
    char *text;
    assert_true(certificate && key && out);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), from_s));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), until_s));
    assert_true(X509_sign(certificate, key, NULL) > 0);
    assert_int_equal(PEM_write_bio_X509(out, certificate), 1);
    long length = BIO_get_mem_data(out, &text);
    buffer_clear(&whose->certificate);
    buffer_append(&whose->certificate, text, (size_t)length);
    BIO_free(out);
    EVP_PKEY_free(key);
    X509_free(certificate);
}

static void expect_refused(struct scene *scene, const char *word, const char *advice)
{
    struct failure why;
    const struct wire_server_options serving = {.address = "127.0.0.1", .port = ANY_PORT, .credentials = &scene->lab.server};
    assert_code_ok(wire_server_start(&serving, &fixture_server_events, &scene->server_end, &scene->server, &why), why);
    const struct wire_connect_options options = {
        .host = "127.0.0.1", .port = wire_server_port(scene->server), .credentials = &scene->ada, .give_up_ms = 1};
    assert_int_equal(wire_connect(&options, &fixture_events, &scene->end, &scene->link, &why), CODE_IO);
    if (!strstr(why.text, word) || !strstr(why.text, advice))
        fail_msg("not told \"%s\" and \"%s\": %s", word, advice, why.text);
}

static void a_server_from_the_future_is_a_clock_that_is_behind(void **state)
{
    struct scene *scene = *state;
    date(&scene->lab, &scene->lab.server, DAY_S, 2 * DAY_S);
    expect_refused(scene, "not valid yet", "set the clock");
}

static void a_server_of_the_past_needs_another_certificate(void **state)
{
    struct scene *scene = *state;
    date(&scene->lab, &scene->lab.server, -2 * DAY_S, -DAY_S);
    expect_refused(scene, "the other side's certificate has expired", "ask who runs the lab");
}

static void a_member_of_the_past_joins_again(void **state)
{
    struct scene *scene = *state;
    date(&scene->lab, &scene->ada, -2 * DAY_S, -DAY_S);
    expect_refused(scene, "this computer's certificate has expired", "join again with a new invitation");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_server_from_the_future_is_a_clock_that_is_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_of_the_past_needs_another_certificate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_member_of_the_past_joins_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
