/*
 * Logins with app passwords: what they cost beside the main password, whose they are, and that a
 * database is asked for the entry alone. Not a clock but the work itself is compared: the linker
 * puts counters before what costs time.
 */
#include "users/app_edit.h"
#include "users/app_passwords.h"
#include "users/login.h"

#include "base/digest.h"
#include "base/text.h"

#include <crypt.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SETTING "$5$rounds=1000$saltsalt$"
#define OF_THE_FORM "abcd-efgh-ijkl-mnop-qrst-uvwx-yz23"

static char directory[] = "/tmp/test-login-app-XXXXXX", path[64], phone[APP_SHOWN_MAX];
static int dir_fd;
static struct users *users;
static struct app_passwords *apps;
static struct login_service *service;
static struct config *config;

static struct work {
	unsigned hashes, macs;
} work;

char *__real_crypt_r(const char *, const char *, struct crypt_data *);
char *__wrap_crypt_r(const char *, const char *, struct crypt_data *);
char *__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
	work.hashes++;
	return __real_crypt_r(phrase, setting, data);
}

void __real_hmac_finish(struct hmac *, unsigned char *);
void __wrap_hmac_finish(struct hmac *, unsigned char *);
void __wrap_hmac_finish(struct hmac *hmac, unsigned char *ret)
{
	work.macs++;
	__real_hmac_finish(hmac, ret);
}

static void write_users(const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static void add(const char *name, const char *label, uint64_t expires, char shown[APP_SHOWN_MAX])
{
	struct app_password app = {.expires = expires};

	assert_int_equal(span_copy(span_of(name), app.name, sizeof(app.name)), 0);
	assert_int_equal(span_copy(span_of(label), app.label, sizeof(app.label)), 0);
	assert_int_equal(app_edit_add(path, &app, shown, NULL), 0);
}

static int set_up(void **state)
{
	char text[1024], *hash;

	(void)state;
	strcpy(directory, "/tmp/test-login-app-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/users", directory);
	dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	hash = crypt("word", SETTING);
	snprintf(text, sizeof(text), "anna:%s\nbert:%s\nmute:%s::::::nologin\nlocked:!\nstar:*\n",
		 hash, hash, hash);
	write_users(text);
	add("anna", "phone", 0, phone);
	config = calloc(1, sizeof(*config));
	assert_non_null(config);
	return 0;
}

static void open_service(struct login_settings settings)
{
	settings.host_name = "host";
	settings.cache_entries = 100;
	settings.cache_seconds = 3600;
	if (!settings.mechanisms)
		settings.mechanisms = "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN";
	assert_int_equal(users_open_passwd_file(dir_fd, "users", NULL, &users, NULL), 0);
	assert_int_equal(app_passwords_open(dir_fd, &apps, NULL), 0);
	settings.apps = apps;
	assert_int_equal(login_service_create(users, &settings, &service, NULL), 0);
	work = (struct work){0};
}

static int tear_down(void **state)
{
	(void)state;
	login_service_destroy(service);
	app_passwords_close(apps);
	users_close(users);
	service = NULL;
	apps = NULL;
	users = NULL;
	free(config);
	unlinkat(dir_fd, "users", 0);
	unlinkat(dir_fd, APP_PASSWORDS_FILE, 0);
	close(dir_fd);
	return rmdir(directory);
}

/* One whole attempt; *ret_work: what it cost. */
static enum login_verdict pass(const char *name, const char *password, struct work *ret_work)
{
	struct login *login = login_pass(service, span_of(name), span_of(password));
	enum login_verdict verdict;

	work = (struct work){0};
	verdict = login_step_fast(login, (pop3_span){NULL, 0}, false);
	if (verdict == LOGIN_SLOW)
		verdict = login_step(login, (pop3_span){NULL, 0}, false);
	if (ret_work)
		*ret_work = work;
	login_destroy(login);
	return verdict;
}

static void test_a_right_one_costs_a_digest(void **state)
{
	struct login *login;

	(void)state;
	open_service((struct login_settings){0});
	login = login_pass(service, SPAN_LITERAL("ANNA"), span_of(phone));
	assert_int_equal(login_step_fast(login, (pop3_span){NULL, 0}, false), LOGIN_GRANTED);
	assert_int_equal(work.hashes, 0);
	assert_int_equal(work.macs, 1);
	assert_string_equal(login_user(login)->name, "anna");
	assert_string_equal(login_app(login)->label, "phone");
	assert_string_equal(login_reason(login), "app password phone");
	login_destroy(login);
	/* the main password is none */
	login = login_pass(service, SPAN_LITERAL("anna"), SPAN_LITERAL("word"));
	assert_int_equal(login_step(login, (pop3_span){NULL, 0}, false), LOGIN_GRANTED);
	assert_null(login_app(login));
	login_destroy(login);
}

static void test_threat_19_20_a_wrong_one_costs_what_a_stranger_s_does(void **state)
{
	static const char *const names[] = {"anna", "bert", "mute", "locked", "nobody", "../etc"};
	struct work form, other;

	(void)state;
	open_service((struct login_settings){0});
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(pass(names[i], OF_THE_FORM, &form), LOGIN_DENIED);
		assert_int_equal(pass(names[i], "of another form", &other), LOGIN_DENIED);
		assert_int_equal(form.hashes, 1);
		assert_int_equal(other.hashes, 1);
		assert_int_equal(form.macs, other.macs + 1);
	}
}

/* However many a user has. */
static void test_threat_92_many_of_one_user_cost_no_more(void **state)
{
	char shown[APP_SHOWN_MAX], label[16];
	struct work one, many;

	(void)state;
	open_service((struct login_settings){0});
	(void)pass("anna", OF_THE_FORM, &one);
	for (int i = 0; i < 20; i++) {
		snprintf(label, sizeof(label), "l%d", i);
		add("anna", label, 0, shown);
	}
	(void)pass("anna", OF_THE_FORM, &many);
	assert_memory_equal(&one, &many, sizeof(one));
	assert_int_equal(pass("anna", shown, NULL), LOGIN_GRANTED);
}

static void test_whose_it_is(void **state)
{
	char shown[APP_SHOWN_MAX];

	(void)state;
	open_service((struct login_settings){0});
	assert_int_equal(pass("bert", phone, NULL), LOGIN_DENIED);
	assert_int_equal(pass("nobody", phone, NULL), LOGIN_DENIED);
	add("mute", "phone", 0, shown);
	assert_int_equal(pass("mute", shown, NULL), LOGIN_DENIED);
	add("locked", "phone", 0, shown);
	assert_int_equal(pass("locked", shown, NULL), LOGIN_DENIED);
	add("star", "phone", 0, shown); /* no main password, and that is all */
	assert_int_equal(pass("star", shown, NULL), LOGIN_GRANTED);
	add("gone", "phone", 0, shown);
	assert_int_equal(pass("gone", shown, NULL), LOGIN_DENIED);
	add("anna", "old", 1, shown); /* it expired in 1970 */
	assert_int_equal(pass("anna", shown, NULL), LOGIN_DENIED);
	add("anna", "new", UINT32_MAX * 10ull, shown);
	assert_int_equal(pass("anna", shown, NULL), LOGIN_GRANTED);
}

static void test_only_app_passwords(void **state)
{
	static const char *const names[] = {"anna", "star", "nobody"};
	struct login_channel channel = {.loopback = true};
	struct login *login;
	char offer[100];
	struct work cost;

	(void)state;
	open_service((struct login_settings){.app_only = true, .keys_with_databases = true});
	assert_int_equal(pass("anna", phone, NULL), LOGIN_GRANTED);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(pass(names[i], "word", &cost), LOGIN_DENIED);
		assert_int_equal(cost.hashes, 0); /* there is nothing that they could show */
		assert_int_equal(pass(names[i], OF_THE_FORM, &cost), LOGIN_DENIED);
		assert_int_equal(cost.hashes, 0);
	}
	login_mechanisms(service, true, offer, sizeof(offer));
	assert_string_equal(offer, "PLAIN LOGIN");
	login = login_sasl(service, SPAN_LITERAL("CRAM-MD5"), &channel);
	assert_int_equal(login_step(login, (pop3_span){NULL, 0}, false), LOGIN_PERM);
	login_destroy(login);
	login = login_apop(service, SPAN_LITERAL("anna"), SPAN_LITERAL("00"),
			   SPAN_LITERAL("<a@b>"));
	assert_int_equal(login_step(login, (pop3_span){NULL, 0}, false), LOGIN_DENIED);
	login_destroy(login);
}

static void test_keys_are_not_offered_beside_app_passwords(void **state)
{
	char offer[100];
	unsigned n;

	(void)state;
	write_users("anna:{PLAIN}word\n");
	open_service((struct login_settings){0});
	login_mechanisms(service, true, offer, sizeof(offer));
	assert_string_equal(offer, "PLAIN LOGIN");
	assert_int_equal(app_edit_revoke(path, "anna", NULL, &n, NULL), 0);
	login_mechanisms(service, true, offer, sizeof(offer));
	assert_string_equal(offer, "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN");
}

static void test_named_mechanisms_are_offered_all_the_same(void **state)
{
	char offer[100];

	(void)state;
	write_users("anna:{PLAIN}word\n");
	open_service((struct login_settings){.keys_with_databases = true});
	login_mechanisms(service, true, offer, sizeof(offer));
	assert_string_equal(offer, "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN");
}

/* ---- users of databases ---- */

static struct finding *answer(const char *name, enum users_status status)
{
	struct finding *finding = calloc(1, sizeof(*finding));

	assert_non_null(finding);
	finding->status = status;
	finding->database = "people";
	snprintf(finding->name, sizeof(finding->name), "%s", name);
	snprintf(finding->user.name, sizeof(finding->user.name), "%s", name);
	return finding;
}

/* Begins a login that a database has to be asked for. */
static struct login *begin(const char *name, const char *password)
{
	struct login *login = login_pass(service, span_of(name), span_of(password));

	assert_int_equal(login_step_fast(login, (pop3_span){NULL, 0}, false), LOGIN_ASK);
	return login;
}

static void open_with_database(void)
{
	config->database_count = 1;
	config->databases[0] = (struct config_database){
		.name = "people", .driver = DRIVER_SYSTEM, .purposes = CONFIG_FOR_LOGIN};
	open_service((struct login_settings){.config = config});
}

static void test_a_database_is_asked_for_the_entry_alone(void **state)
{
	char shown[APP_SHOWN_MAX];
	struct login *login;

	(void)state;
	add("carla", "phone", 0, shown);
	open_with_database();
	login = begin("carla", shown);
	assert_true(login_question(login).proved);
	assert_int_equal(login_question(login).password.size, 0); /* it is no password of theirs */
	login_answered(login, answer("carla", USERS_FOUND));
	assert_int_equal(login_step_fast(login, (pop3_span){NULL, 0}, false), LOGIN_GRANTED);
	assert_string_equal(login_app(login)->label, "phone");
	assert_string_equal(login_database(login), "people");
	login_destroy(login);
	/* another password of the same form is theirs to judge */
	login = begin("carla", OF_THE_FORM);
	assert_false(login_question(login).proved);
	assert_int_equal(login_question(login).password.size, strlen(OF_THE_FORM));
	login_destroy(login);
}

static void test_what_the_database_says_counts(void **state)
{
	char shown[APP_SHOWN_MAX];
	struct finding *finding;
	struct login *login;

	(void)state;
	add("carla", "phone", 0, shown);
	open_with_database();
	login = begin("carla", shown);
	login_answered(login, answer("carla", USERS_UNKNOWN));
	assert_int_equal(login_step_fast(login, (pop3_span){NULL, 0}, false), LOGIN_DENIED);
	login_destroy(login);
	login = begin("carla", shown);
	login_answered(login, answer("carla", USERS_DOWN));
	assert_int_equal(login_step_fast(login, (pop3_span){NULL, 0}, false), LOGIN_TEMP);
	login_destroy(login);
	login = begin("carla", shown);
	finding = answer("carla", USERS_FOUND);
	finding->user.nologin = finding->cached = true;
	login_answered(login, finding);
	/* it was remembered, and may be old */
	assert_int_equal(login_step_fast(login, (pop3_span){NULL, 0}, false), LOGIN_ASK);
	assert_true(login_question(login).fresh && login_question(login).proved);
	finding = answer("carla", USERS_FOUND);
	finding->user.nologin = true;
	login_answered(login, finding);
	assert_int_equal(login_step_fast(login, (pop3_span){NULL, 0}, false), LOGIN_DENIED);
	login_destroy(login);
}

#define SITE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE(test_a_right_one_costs_a_digest),
		SITE(test_threat_19_20_a_wrong_one_costs_what_a_stranger_s_does),
		SITE(test_threat_92_many_of_one_user_cost_no_more),
		SITE(test_whose_it_is),
		SITE(test_only_app_passwords),
		SITE(test_keys_are_not_offered_beside_app_passwords),
		SITE(test_named_mechanisms_are_offered_all_the_same),
		SITE(test_a_database_is_asked_for_the_entry_alone),
		SITE(test_what_the_database_says_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
