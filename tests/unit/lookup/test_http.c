/*
 * The driver http: what is asked, every kind of answer, and a server on a Unix socket that answers,
 * cuts, hangs, never ends or is not there.
 */
#include "lookup/driver.h"
#include "lookup/http/message.h"
#include "lookup/web/web.h"

#include "base/text.h"

#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const struct message_names one_name = {.count = 1},
				  two_names = {.count = 2, .places = {0, 3}};

/* ---- answers ---- */

static void read_text(const char *text, const struct message_names *names,
		      struct lookup_answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->status = LOOKUP_UNKNOWN;
	message_read(span_of(text), names, answer);
}

static void expect(const char *text, enum lookup_status status)
{
	struct lookup_answer answer;

	read_text(text, &one_name, &answer);
	if (answer.status != status)
		fail_msg("%s: %d, not %d: %s", text, answer.status, status, answer.why);
	assert_int_equal(answer.why[0] != '\0',
			 status == LOOKUP_DOWN || status == LOOKUP_BAD_ENTRY);
	if (status != LOOKUP_FOUND)
		assert_int_equal(answer.size, 0);
}

static void test_answers(void **state)
{
	(void)state;
	expect("{\"status\":\"found\"}", LOOKUP_FOUND);
	expect("{\"version\":1,\"status\":\"found\",\"matched\":0,\"fields\":{},\"ttl\":60}",
	       LOOKUP_FOUND);
	expect("{\"status\":\"unknown\"}", LOOKUP_UNKNOWN);
	expect("{\"status\":\"wrong\",\"fields\":{\"home\":\"x\"}}", LOOKUP_WRONG);
	expect("{\"status\":\"refused\"}", LOOKUP_REFUSED);
	expect("{\"status\":\"down\"}", LOOKUP_DOWN);
}

static void test_threat_101_answers_bad(void **state)
{
	static const char *const texts[] = {
		"",
		"<html>",
		"[]",
		"\"found\"",
		"{}",
		"{\"status\":\"Found\"}",
		"{\"status\":\"bad_entry\"}",
		"{\"status\":true}",
		"{\"status\":\"found\"",
		"{\"status\":\"found\"} {}",
		"{\"status\":\"wrong\",\"status\":\"found\"}",
		"{\"status\":\"found\",\"extra\":1}",
		"{\"status\":\"found\",\"version\":2}",
		"{\"status\":\"found\",\"version\":\"1\"}",
		"{\"status\":\"found\",\"matched\":1}",
		"{\"status\":\"found\",\"matched\":-1}",
		"{\"status\":\"found\",\"matched\":\"0\"}",
		"{\"status\":\"found\",\"matched\":0.5}",
		"{\"status\":\"found\",\"matched\":99999999999999999999}",
		"{\"status\":\"found\",\"ttl\":-1}",
		"{\"status\":\"found\",\"ttl\":86401}",
		"{\"status\":\"found\",\"ttl\":1.5}",
		"{\"status\":\"found\",\"fields\":[]}",
		"{\"status\":\"found\",\"fields\":{\"a\":\"x\\u0000y\"}}",
		"{\"status\":\"found\",\"fields\":{\"a\":\"\xff\"}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		expect(texts[i], LOOKUP_DOWN);
}

static void test_fields(void **state)
{
	static const char expected[] =
		"password\0{PLAIN}x\0uid\0001000\0nologin\0no\0alias\0a@x\0alias\0b@x\0"
		"allow_networks\000192.0.2.0/24,::1";
	struct lookup_answer answer;

	(void)state;
	read_text("{\"status\":\"found\",\"matched\":1,\"ttl\":30,\"fields\":{\"password\":"
		  "\"{PLAIN}x\",\"uid\":1000,\"nologin\":false,\"home\":null,\"alias\":[\"a@x\","
		  "\"b@x\"],\"allow_networks\":[\"192.0.2.0/24\",\"::1\"]}}",
		  &two_names, &answer);
	assert_int_equal(answer.status, LOOKUP_FOUND);
	assert_int_equal(answer.matched, 3); /* the second that was asked about */
	assert_int_equal(answer.ttl, 30);
	assert_int_equal(answer.size, sizeof(expected));
	assert_memory_equal(answer.fields, expected, sizeof(expected));
}

static void test_fields_bad(void **state)
{
	char text[40000] = "{\"status\":\"found\",\"fields\":{\"home\":\"";

	(void)state;
	expect("{\"status\":\"found\",\"fields\":{\"uid\":1.5}}", LOOKUP_BAD_ENTRY);
	expect("{\"status\":\"found\",\"fields\":{\"home\":{}}}", LOOKUP_BAD_ENTRY);
	expect("{\"status\":\"found\",\"fields\":{\"home\":[\"a\"]}}", LOOKUP_BAD_ENTRY);
	expect("{\"status\":\"found\",\"fields\":{\"alias\":[[]]}}", LOOKUP_BAD_ENTRY);
	/* from nowhere, or from everywhere? */
	expect("{\"status\":\"found\",\"fields\":{\"allow_networks\":[]}}", LOOKUP_BAD_ENTRY);
	expect("{\"status\":\"found\",\"fields\":{\"allow_networks\":[1]}}", LOOKUP_BAD_ENTRY);
	expect("{\"status\":\"found\",\"fields\":{\"allow_nets\":[\"::1\",null]}}",
	       LOOKUP_BAD_ENTRY);
	memset(text + strlen(text), 'x', 30000);
	strcat(text, "\"}}");
	expect(text, LOOKUP_BAD_ENTRY);
}

/* ---- requests ---- */

static void expect_member(const json_t *json, const char *name, const char *value)
{
	assert_non_null(json_string_value(json_object_get(json, name)));
	assert_string_equal(json_string_value(json_object_get(json, name)), value);
}

static json_t *written(const struct lookup_question *question, struct message_names *names)
{
	char *buf = malloc(MESSAGE_REQUEST_MAX);
	int n = message_write(question, names, buf, MESSAGE_REQUEST_MAX);
	json_t *json = json_loadb(buf, n > 0 ? (size_t)n : 0, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(json);
	free(buf);
	return json;
}

static void test_request(void **state)
{
	struct lookup_question question = {.kind = LOOKUP_FIND,
					   .names = {"a\"b@x", "\xff", "b@x"},
					   .name_count = 3,
					   .service = "lmtp"};
	struct message_names names;
	json_t *json = written(&question, &names), *array = json_object_get(json, "names");

	(void)state;
	expect_member(json, "kind", "find");
	expect_member(json, "service", "lmtp");
	assert_int_equal(json_integer_value(json_object_get(json, "version")), 1);
	assert_int_equal(json_object_size(json), 4);
	assert_int_equal(json_array_size(array), 2); /* one is not UTF-8 */
	assert_string_equal(json_string_value(json_array_get(array, 0)), "a\"b@x");
	assert_int_equal(names.count, 2);
	assert_int_equal(names.places[1], 2);
	json_decref(json);
	question.kind = LOOKUP_PASSWORD;
	question.secret = SPAN_LITERAL("\"},{\\ \xc3\xbc\t");
	question.tls = true;
	strcpy(question.address, "192.0.2.1");
	json = written(&question, &names);
	expect_member(json, "kind", "verify");
	expect_member(json, "password", "\"},{\\ \xc3\xbc\t");
	expect_member(json, "address", "192.0.2.1");
	assert_true(json_is_true(json_object_get(json, "tls")));
	json_decref(json);
}

/* A password of 16 KiB that needs escapes has room; one that is not UTF-8 is not sent. */
static void test_request_odd(void **state)
{
	char *secret = malloc(IPC_LOOKUP_SECRET_MAX), buf[100];
	struct lookup_question question = {.kind = LOOKUP_PASSWORD,
					   .names = {"anna"},
					   .name_count = 1,
					   .secret = {secret, IPC_LOOKUP_SECRET_MAX},
					   .service = "pop3"};
	struct message_names names;

	(void)state;
	memset(secret, 1, IPC_LOOKUP_SECRET_MAX);
	json_decref(written(&question, &names));
	assert_int_equal(message_write(&question, &names, buf, sizeof(buf)), -1);
	secret[5] = (char)0xff;
	assert_int_equal(message_write(&question, &names, buf, sizeof(buf)), 0);
	assert_int_equal(names.count, 1);
	question.names[0] = "\xff";
	assert_int_equal(message_write(&question, &names, buf, sizeof(buf)), 0);
	assert_int_equal(names.count, 0);
	free(secret);
}

/* ---- the driver ---- */

struct site {
	struct config config;
	struct lookup_database database;
	struct sandbox sandbox;
	void *driver, *connection;
	struct err err;
};

/* They live as long as the process, as a driver expects. */
static struct site *sites[64];
static size_t site_count;

static struct site *site_of(const char *first, ...)
{
	struct site *site = calloc(1, sizeof(*site));
	const char *name = first;
	va_list ap;

	assert_true(site_count < sizeof(sites) / sizeof(sites[0]));
	sites[site_count++] = site;
	assert_int_equal(config_database_begin(&site->config, "shop", 1, &site->err), 0);
	assert_int_equal(config_database_set(&site->config, "driver", "http", &site->err), 0);
	va_start(ap, first);
	for (; name; name = va_arg(ap, const char *))
		assert_int_equal(config_database_set(&site->config, name, va_arg(ap, const char *),
						     &site->err),
				 0);
	va_end(ap);
	assert_int_equal(config_database_end(&site->config, &site->err), 0);
	site->database = (struct lookup_database){.config = &site->config,
						  .settings = &site->config.databases[0],
						  .secrets = "token_file\0abc",
						  .secrets_size = 15};
	return site;
}

static void ask_for(struct site *site, enum lookup_kind kind, pop3_span secret, uint64_t ms,
		    struct lookup_answer *answer)
{
	struct timespec now;
	struct lookup_question question = {.kind = kind,
					   .names = {"anna"},
					   .name_count = 1,
					   .secret = secret,
					   .service = "pop3"};

	clock_gettime(CLOCK_MONOTONIC, &now);
	question.deadline = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + ms;
	memset(answer, 0, sizeof(*answer));
	lookup_driver.ask(site->driver, &site->connection, &question, answer);
}

/* What the server does with each connection, and what it got last. */
static struct {
	const char *answer; /* NULL: none, until the client goes away */
	bool endless;
	int listener;
	atomic_int connections;
	char request[4096];
	char path[108];
	pthread_t thread;
} server;

static void serve(int fd)
{
	static const char line[] = "X-More: and more\r\n";
	size_t used = 0;
	ssize_t n;

	while (used < sizeof(server.request) - 1 && !(used && server.request[used - 1] == '}') &&
	       (n = read(fd, server.request + used, sizeof(server.request) - 1 - used)) > 0) {
		used += (size_t)n;
		server.request[used] = '\0';
	}
	if (server.answer)
		n = send(fd, server.answer, strlen(server.answer), MSG_NOSIGNAL);
	while (server.endless && send(fd, line, sizeof(line) - 1, MSG_NOSIGNAL) > 0)
		;
	while (!server.answer && read(fd, server.request, 1) > 0)
		;
	close(fd);
}

static void *listen_on(void *unused)
{
	int fd;

	(void)unused;
	while ((fd = accept(server.listener, NULL, NULL)) >= 0) {
		atomic_fetch_add(&server.connections, 1);
		serve(fd);
	}
	return NULL;
}

static int start_server(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char directory[] = "/tmp/test-http-XXXXXX";

	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(server.path, sizeof(server.path), "%s/socket", directory);
	strcpy(address.sun_path, server.path);
	server.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(server.listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(server.listener, 16) < 0)
		return -1;
	return pthread_create(&server.thread, NULL, listen_on, NULL);
}

static int stop_server(void **state)
{
	(void)state;
	shutdown(server.listener, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.listener);
	unlink(server.path);
	*strrchr(server.path, '/') = '\0';
	return rmdir(server.path);
}

static struct site *open_site(void)
{
	struct site *site = site_of("socket", server.path, "url", "http://localhost/users", NULL);

	if (lookup_driver.open(&site->database, &site->sandbox, &site->driver, &site->err) < 0)
		fail_msg("%s", site->err.text);
	return site;
}

static void close_site(struct site *site)
{
	web_destroy(site->connection);
	site->connection = NULL;
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n"

static void test_over_a_socket(void **state)
{
	struct site *site = open_site();
	struct lookup_answer answer;

	(void)state;
	server.answer = OK_HEAD "Content-Length: 44\r\n\r\n"
				"{\"status\":\"found\",\"fields\":{\"home\":\"anna\"}} ";
	ask_for(site, LOOKUP_FIND, SPAN_LITERAL(""), 5000, &answer);
	assert_int_equal(answer.status, LOOKUP_FOUND);
	assert_memory_equal(answer.fields, "home\0anna", 10);
	assert_non_null(strstr(server.request, "POST /users HTTP/1.1\r\n"));
	assert_non_null(strstr(server.request, "\r\nAuthorization: Bearer abc\r\n"));
	assert_non_null(strstr(server.request, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(server.request, "\"names\":[\"anna\"]"));
	server.answer = OK_HEAD "\r\n{\"status\":\"wrong\"}";
	ask_for(site, LOOKUP_PASSWORD, SPAN_LITERAL("secret"), 5000, &answer);
	assert_int_equal(answer.status, LOOKUP_WRONG);
	assert_non_null(strstr(server.request, "\"password\":\"secret\""));
	close_site(site);
}

/* Nothing is asked. */
static void test_not_asked(void **state)
{
	struct site *site = open_site();
	struct lookup_answer answer;
	int before = atomic_load(&server.connections);

	(void)state;
	ask_for(site, LOOKUP_PASSWORD, SPAN_LITERAL(""), 5000, &answer);
	assert_int_equal(answer.status, LOOKUP_WRONG);
	ask_for(site, LOOKUP_PASSWORD, SPAN_LITERAL("\xff"), 5000, &answer);
	assert_int_equal(answer.status, LOOKUP_WRONG);
	ask_for(site, LOOKUP_TOKEN, SPAN_LITERAL("token"), 5000, &answer);
	assert_int_equal(answer.status, LOOKUP_UNKNOWN);
	assert_int_equal(atomic_load(&server.connections), before);
	close_site(site);
}

static void expect_down(struct site *site, const char *text, const char *words)
{
	struct lookup_answer answer;

	server.answer = text;
	ask_for(site, LOOKUP_FIND, SPAN_LITERAL(""), 5000, &answer);
	assert_int_equal(answer.status, LOOKUP_DOWN);
	if (!strstr(answer.why, words))
		fail_msg("\"%s\" is not in \"%s\"", words, answer.why);
}

static void test_threat_101_bad_servers(void **state)
{
	struct site *site = open_site();
	static char huge[100000];

	(void)state;
	expect_down(site, "HTTP/1.1 500 no\r\nConnection: close\r\n\r\n", "HTTP status 500");
	expect_down(site, "HTTP/1.1 401 no\r\nConnection: close\r\n\r\n", "token_file");
	expect_down(site, "HTTP/1.1 204 no\r\nConnection: close\r\n\r\n", "HTTP status 204");
	/* a password goes where it was meant to go */
	expect_down(site,
		    "HTTP/1.1 307 no\r\nConnection: close\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
		    "HTTP status 307");
	expect_down(site, OK_HEAD "\r\n<html>", "JSON");
	expect_down(site, OK_HEAD "Content-Length: 500\r\n\r\n{\"status\":\"found\"}", "");
	expect_down(site, "", "");
	expect_down(site, "220 mail.example ESMTP\r\n", "");
	expect_down(site, OK_HEAD "Content-Length: 70000\r\n\r\n{", "too long");
	snprintf(huge, sizeof(huge), OK_HEAD "\r\n{\"status\":\"found\"}%90000s", "");
	expect_down(site, huge, "too long");
	server.endless = true; /* headers without end */
	expect_down(site, "HTTP/1.1 200 OK\r\n", "");
	server.endless = false;
	close_site(site);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A server that is slow with one question makes no pause for others. */
static void test_hanging(void **state)
{
	struct site *site = open_site();
	struct lookup_answer answer;
	uint64_t begun = now_ms();

	(void)state;
	server.answer = NULL;
	ask_for(site, LOOKUP_FIND, SPAN_LITERAL(""), 200, &answer);
	assert_int_equal(answer.status, LOOKUP_DOWN);
	assert_true(now_ms() - begun < 60000);
	server.answer = OK_HEAD "\r\n{\"status\":\"unknown\"}";
	ask_for(site, LOOKUP_FIND, SPAN_LITERAL(""), 5000, &answer);
	assert_int_equal(answer.status, LOOKUP_UNKNOWN);
	ask_for(site, LOOKUP_FIND, SPAN_LITERAL(""), 0, &answer);
	assert_int_equal(answer.status, LOOKUP_DOWN);
	close_site(site);
}

/* One that cannot be reached is not tried again at once. */
static void test_pause(void **state)
{
	struct site *site = open_site();
	struct lookup_answer answer;
	char other[120];
	int before = atomic_load(&server.connections);

	(void)state;
	server.answer = OK_HEAD "\r\n{\"status\":\"unknown\"}";
	snprintf(other, sizeof(other), "%s.away", server.path);
	assert_int_equal(rename(server.path, other), 0);
	ask_for(site, LOOKUP_FIND, SPAN_LITERAL(""), 5000, &answer);
	assert_int_equal(answer.status, LOOKUP_DOWN);
	assert_true(answer.why[0] != '\0');
	assert_int_equal(rename(other, server.path), 0);
	ask_for(site, LOOKUP_FIND, SPAN_LITERAL(""), 5000, &answer);
	if (answer.status == LOOKUP_DOWN) /* else the machine slept for the pause */
		assert_int_equal(atomic_load(&server.connections), before);
	for (int i = 0; i < 600 && answer.status == LOOKUP_DOWN; i++) {
		usleep(100000);
		ask_for(site, LOOKUP_FIND, SPAN_LITERAL(""), 5000, &answer);
	}
	assert_int_equal(answer.status, LOOKUP_UNKNOWN);
	close_site(site);
}

static void refused(struct site *site, const char *words)
{
	if (lookup_driver.open(&site->database, &site->sandbox, &site->driver, &site->err) == 0)
		fail_msg("opened, without: %s", words);
	if (!strstr(site->err.text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, site->err.text);
}

static void opened(struct site *site)
{
	if (lookup_driver.open(&site->database, &site->sandbox, &site->driver, &site->err) < 0)
		fail_msg("%s", site->err.text);
}

static void test_settings(void **state)
{
	static const char *const bad[] = {"http://users.example.org/",
					  "http://127.0.0.1.example.org/",
					  "http://128.0.0.1/",
					  "http://localhost.example/",
					  "http://[::2]/",
					  "ftp://localhost/",
					  "file:///etc/passwd",
					  "https://user:password@localhost/",
					  "localhost",
					  "https://",
					  "no url"};
	static const char *const good[] = {"https://users.example.org/a?b=c",
					   "http://127.0.0.1:8080/", "http://localhost/",
					   "http://[::1]:8080/"};
	struct site *site = site_of("url", "https://x/", NULL);
	char path[200];

	(void)state;
	site->database.secrets = "token_file\0a\nb";
	refused(site, "token_file");
	refused(site_of(NULL), "url");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(site_of("url", bad[i], NULL), "url");
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		opened(site_of("url", good[i], NULL));
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	refused(site_of("socket", path, NULL), "socket");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_threat_101_answers_bad),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_fields_bad),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_request_odd),
		cmocka_unit_test(test_over_a_socket),
		cmocka_unit_test(test_not_asked),
		cmocka_unit_test(test_threat_101_bad_servers),
		cmocka_unit_test(test_hanging),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
