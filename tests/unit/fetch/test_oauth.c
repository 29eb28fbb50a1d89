/* Tokens: what providers answer, how grants are kept, what a browser brings back, forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "fetch/account/provider.h"
#include "fetch/confine.h"
#include "oauth/answer.h"
#include "oauth/form.h"
#include "oauth/grant.h"
#include "fetch/oauth/redirect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void answers(void **state)
{
	static const struct {
		const char *json, *access, *refresh, *error;
		int64_t seconds;
		int rc;
	} cases[] = {
		{"{\"access_token\":\"a\",\"token_type\":\"Bearer\",\"expires_in\":3599}", "a", "",
		 "", 3599, 0},
		{"{\"access_token\":\"a\",\"refresh_token\":\"r\",\"expires_in\":\"60\"}", "a", "r",
		 "", 60, 0},
		{"{\"access_token\":\"a\",\"token_type\":\"bearer\"}", "a", "", "", 0, 0},
		{"{\"access_token\":\"a\",\"expires_in\":-5}", "a", "", "", 0, 0},
		{"{\"access_token\":\"a\",\"expires_in\":99999999999999}", "a", "", "", 366 * 86400,
		 0},
		{"{\"error\":\"invalid_grant\",\"error_description\":\"gone\"}", "", "",
		 "invalid_grant", 0, 0},
		{"{\"error\":\"a\\u001bb\"}", "", "", "a\\x1bb", 0, 0},
		{"{\"access_token\":\"a b\"}", "", "", "", 0, -1},
		{"{\"access_token\":\"a\\nb\"}", "", "", "", 0, -1},
		{"{\"access_token\":\"\"}", "", "", "", 0, -1},
		{"{\"access_token\":\"a\",\"token_type\":\"mac\"}", "", "", "", 0, -1},
		{"{\"access_token\":1}", "", "", "", 0, -1},
		{"{\"access_token\":\"a\",\"access_token\":\"b\"}", "", "", "", 0, -1},
		{"[\"access_token\"]", "", "", "", 0, -1},
		{"<html>", "", "", "", 0, -1},
		{"", "", "", "", 0, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct oauth_answer answer;

		oauth_answer_init(&answer);
		assert_int_equal(oauth_answer_read(span_of(cases[i].json), &answer), cases[i].rc);
		assert_string_equal(answer.access.bytes, cases[i].access);
		assert_string_equal(answer.refresh.bytes, cases[i].refresh);
		assert_string_equal(answer.error, cases[i].error);
		if (cases[i].rc == 0)
			assert_int_equal(answer.expires_in, cases[i].seconds);
		oauth_answer_finish(&answer);
	}
}

static void a_token_that_is_too_long(void **state)
{
	char *json = malloc(SECRET_MAX + 100);
	struct oauth_answer answer;

	(void)state;
	assert_non_null(json);
	snprintf(json, SECRET_MAX + 100, "{\"access_token\":\"%0*d\"}", SECRET_MAX + 1, 7);
	oauth_answer_init(&answer);
	assert_int_equal(oauth_answer_read(span_of(json), &answer), -1);
	assert_int_equal(answer.access.size, 0);
	snprintf(json, SECRET_MAX + 100, "{\"access_token\":\"%0*d\"}", SECRET_MAX, 7);
	assert_int_equal(oauth_answer_read(span_of(json), &answer), 0);
	assert_int_equal(answer.access.size, SECRET_MAX);
	oauth_answer_finish(&answer);
	free(json);
}

static void devices(void **state)
{
	struct oauth_device device;

	(void)state;
	assert_int_equal(
		oauth_device_read(span_of("{\"device_code\":\"d\",\"user_code\":\"W-J\","
					  "\"verification_uri\":\"https://x/\",\"expires_in\":900,"
					  "\"interval\":7}"),
				  &device),
		0);
	assert_string_equal(device.user_code, "W-J");
	assert_int_equal(device.interval, 7);
	assert_int_equal(
		oauth_device_read(span_of("{\"device_code\":\"d\",\"user_code\":\"W\","
					  "\"verification_url\":\"https://x/\",\"interval\":9999,"
					  "\"expires_in\":999999}"),
				  &device),
		0);
	assert_int_equal(device.interval, 60);
	assert_int_equal(device.expires_in, 3600);
	assert_int_equal(
		oauth_device_read(span_of("{\"device_code\":\"d\",\"user_code\":\"W\"}"), &device),
		-1);
	assert_int_equal(oauth_device_read(span_of("{\"device_code\":\"d\",\"user_code\":\"\\u001b"
						   "[2J\",\"verification_uri\":\"https://x/\"}"),
					   &device),
			 -1); /* it goes to a terminal */
	assert_int_equal(oauth_device_read(span_of("null"), &device), -1);
}

static void clients(void **state)
{
	struct oauth_client client;

	(void)state;
	assert_int_equal(oauth_client_read(span_of("{\"web\":{\"client_id\":\"i\"}}"), &client), 0);
	assert_string_equal(client.id, "i");
	assert_string_equal(client.secret, "");
	assert_int_equal(oauth_client_read(span_of("{\"client_id\":\"i\",\"client_secret\":\"s\"}"),
					   &client),
			 0);
	assert_string_equal(client.secret, "s");
	assert_int_equal(oauth_client_read(span_of("{\"installed\":\"x\"}"), &client), -1);
	assert_int_equal(oauth_client_read(span_of("{\"client_id\":\"a b\"}"), &client), -1);
}

static void grants(void **state)
{
	struct grant *one = calloc(1, sizeof(*one)), *two = calloc(1, sizeof(*two));
	char *text = malloc(GRANT_TEXT_MAX);
	int n;

	(void)state;
	assert_true(one && two && text);
	secret_set(&one->access, SPAN_LITERAL("access"));
	secret_set(&one->refresh, SPAN_LITERAL("refresh"));
	one->expires = 5;
	one->granted = 1700000000;
	n = grant_write(one, text, GRANT_TEXT_MAX);
	assert_true(n > 0);
	assert_int_equal(grant_read((pop3_span){text, (size_t)n}, two), 0);
	assert_string_equal(two->access.bytes, "access");
	assert_string_equal(two->refresh.bytes, "refresh");
	assert_int_equal(two->previous.size, 0);
	assert_int_equal(two->granted, 1700000000);
	for (int cut = 0; cut < n; cut++) { /* a part of a grant is none */
		grant_init(two);
		assert_int_equal(grant_read((pop3_span){text, (size_t)cut}, two), -1);
	}
	assert_int_equal(grant_write(one, text, (size_t)n), -1);
	grant_init(two);
	assert_int_equal(grant_read(span_of("valija-grant 1\nlater thing\naccess a\nend\n"), two),
			 0);
	grant_finish(one);
	grant_finish(two);
	free(one);
	free(two);
	free(text);
}

static void redirects(void **state)
{
	static const struct {
		const char *query;
		enum redirect_kind kind;
		const char *text;
	} cases[] = {
		{"code=abc&state=S", REDIRECT_CODE, "abc"},
		{"state=S&code=a%2Fb&scope=x", REDIRECT_CODE, "a/b"},
		{"error=access_denied&state=S", REDIRECT_ERROR, "access_denied"},
		{"error=x&error_description=a+b%0a&state=S", REDIRECT_ERROR, "x: a b\\x0a"},
		{"code=abc", REDIRECT_OTHER, ""},
		{"code=abc&state=s", REDIRECT_OTHER, ""},
		{"code=abc&state=SS", REDIRECT_OTHER, ""},
		{"code=abc&state=", REDIRECT_OTHER, ""},
		{"code=abc&state=S&state=S", REDIRECT_OTHER, ""},
		{"code=abc&code=d&state=S", REDIRECT_OTHER, ""},
		{"code=&state=S", REDIRECT_OTHER, ""},
		{"code=a%20b&state=S", REDIRECT_OTHER, ""},
		{"code=a%zz&state=S", REDIRECT_OTHER, ""},
		{"code=a%2", REDIRECT_OTHER, ""},
		{"xcode=a&state=S", REDIRECT_OTHER, ""},
		{"state=S", REDIRECT_OTHER, ""},
		{"", REDIRECT_OTHER, ""},
	};
	pop3_span part;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct redirect redirect;

		assert_int_equal(redirect_read(span_of(cases[i].query), "S", &redirect),
				 cases[i].kind);
		assert_string_equal(cases[i].kind == REDIRECT_ERROR ? redirect.words
								    : redirect.code,
				    cases[i].text);
	}
	part = redirect_query(span_of("http://127.0.0.1:1/?a=b#c"));
	assert_true(span_equal(part, SPAN_LITERAL("a=b")));
	assert_int_equal(redirect_query(span_of("http://127.0.0.1:1/")).size, 0);
	part = redirect_target(span_of("GET /?a=b HTTP/1.1\r\n"));
	assert_true(span_equal(part, SPAN_LITERAL("/?a=b")));
	assert_int_equal(redirect_target(span_of("POST /?a=b HTTP/1.1\r\n")).size, 0);
	assert_int_equal(redirect_target(span_of("GET /?a=b")).size, 0);
}

static void forms(void **state)
{
	struct form *form = malloc(sizeof(*form));

	(void)state;
	assert_non_null(form);
	form_init(form, "");
	form_add(form, "a", "b c&=%/+");
	form_add(form, "d", "\xc3\xa4~-._");
	assert_string_equal(form->text, "a=b%20c%26%3D%25%2F%2B&d=%C3%A4~-._");
	form_init(form, "https://x/?");
	form_add(form, "a", "b");
	assert_string_equal(form->text, "https://x/?a=b");
	for (int i = 0; i < 2000; i++)
		form_add(form, "name", "value");
	assert_true(form->full && strlen(form->text) < FORM_MAX);
	free(form);
}

static void providers(void **state)
{
	struct fetch_oauth oauth;
	struct err err = {0};

	(void)state;
	for (unsigned i = 0; fetch_provider_at(i); i++) {
		const struct fetch_provider *p = fetch_provider_at(i);

		assert_ptr_equal(fetch_provider_named(p->name), p);
		assert_true(!p->token == !p->scope);
		if (!p->token)
			continue;
		fetch_oauth_init(&oauth, p->name);
		assert_int_equal(fetch_oauth_complete(&oauth, &err), 0);
		assert_null(strchr(oauth.token, '{'));
		assert_null(strchr(oauth.authorize, '{'));
	}
	assert_string_equal(fetch_provider_of("a@b@GMail.com")->name, "google");
	assert_null(fetch_provider_of("a@notgmail.com"));
	assert_null(fetch_provider_of("gmail.com"));
	fetch_oauth_init(&oauth, "Microsoft");
	snprintf(oauth.tenant, sizeof(oauth.tenant), "consumers");
	assert_int_equal(fetch_oauth_complete(&oauth, &err), 0);
	assert_string_equal(oauth.device,
			    "https://login.microsoftonline.com/consumers/oauth2/v2.0/devicecode");
	fetch_oauth_init(&oauth, "microsoft");
	snprintf(oauth.tenant, sizeof(oauth.tenant), "a/b");
	assert_int_equal(fetch_oauth_complete(&oauth, &err), -1);
	fetch_oauth_init(&oauth, "nobody");
	assert_int_equal(fetch_oauth_complete(&oauth, &err), -1);
}

static int open_in(const char *folder, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", folder, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* In a child: the state folder can be read behind the wall, what was granted cannot. */
static int try_wall(const struct fetch_account *account, const char *folder)
{
	int state = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	struct err err = {0};

	fd = open_in(folder, "-grants");
	if (state < 0 || fd < 0 || fetch_confine(account, state, NULL, &err) < 0)
		return 1;
	if (open_in(folder, "/journal") < 0)
		return 2;
	if (openat(fd, "x.grant", O_RDONLY | O_CLOEXEC) >= 0 ||
	    open_in(folder, "-grants/x.grant") >= 0)
		return 3;
	return errno == EACCES ? 0 : 4;
}

static void touch(const char *folder, const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void remove_in(const char *folder, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", folder, name);
	assert_int_equal(remove(path), 0);
}

static void the_confined_process_reads_no_grant(void **state)
{
	char folder[] = "/tmp/valija-wall-XXXXXX", grants[64];
	struct fetch_account account;
	int status = -1;
	pid_t pid;

	(void)state;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0)
		skip(); /* a kernel without Landlock has no such wall */
	assert_non_null(mkdtemp(folder));
	snprintf(grants, sizeof(grants), "%s-grants", folder);
	assert_int_equal(mkdir(grants, 0700), 0);
	touch(folder, "/journal");
	touch(grants, "/x.grant");
	fetch_account_defaults(&account);
	snprintf(account.target, sizeof(account.target), "%s/Maildir", folder);
	pid = fork();
	if (pid == 0)
		_exit(try_wall(&account, folder));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	remove_in(folder, "/journal");
	remove_in(grants, "/x.grant");
	remove_in(folder, "");
	remove_in(grants, "");
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(a_token_that_is_too_long),
		cmocka_unit_test(devices),
		cmocka_unit_test(clients),
		cmocka_unit_test(grants),
		cmocka_unit_test(redirects),
		cmocka_unit_test(the_confined_process_reads_no_grant),
		cmocka_unit_test(forms),
		cmocka_unit_test(providers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
