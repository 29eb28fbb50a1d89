/* The IMAP and the Gmail sink with a program in place of valija-upload that says what a test wants:
 * this program, started under that name. What it is told, and what its answers mean. */
#include "sink_test.h"

#include "fetch/program.h"
#include "fetch/sink/uploader.h"
#include "fetch/upload/upload.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { ANSWERS = 8, ORDERS = 8, END = 1000 /* as a result: it ends */ };

/* In a file of the test's, for the program. */
struct script {
	struct upload_answer answers[ANSWERS]; /* the first one is to the setup */
	unsigned answered, ordered;
	size_t short_by; /* the second answer is so many octets short */
	struct upload_setup setup;
	struct {
		struct upload_order order;
		char text[200];
	} orders[ORDERS];
	struct secret renewed;
	bool ignores_signals, ended;
};

static struct script *script;
static char script_path[100];

/* ---- the program ---- */

static bool answer(struct script *s)
{
	const struct upload_answer *one = &s->answers[s->answered++];

	if ((int)one->result == END)
		return false;
	return send(STDIN_FILENO, one, sizeof(*one) - (s->answered == 2 ? s->short_by : 0),
		    MSG_NOSIGNAL) > 0;
}

static void take_message(struct script *s, struct msghdr *header)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(header);
	char *text = s->orders[s->ordered - 1].text;
	int fd;

	if (!cmsg)
		return;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	(void)!read(fd, text, sizeof(s->orders[0].text) - 1);
	close(fd);
}

static bool take_order(struct script *s)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct upload_order *order = &s->orders[s->ordered].order;
	struct iovec part = {order, sizeof(*order)};
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};

	if (recvmsg(STDIN_FILENO, &header, 0) != sizeof(*order))
		return false;
	s->ordered++;
	if (order->verb == UPLOAD_RENEW)
		return recv(STDIN_FILENO, &s->renewed, sizeof(s->renewed), 0) > 0;
	take_message(s, &header);
	return answer(s);
}

static int program(void)
{
	int fd = open(getenv("UPLOAD_SCRIPT"), O_RDWR | O_CLOEXEC);
	struct script *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct sigaction now;

	if (s == MAP_FAILED)
		return 1;
	s->ignores_signals = sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
	if (recv(STDIN_FILENO, &s->setup, sizeof(s->setup), 0) == sizeof(s->setup) && answer(s))
		while (take_order(s))
			;
	s->ended = true;
	return 0;
}

void __wrap_fetch_program(const char *name, char ret[PATH_MAX]);
void __wrap_fetch_program(const char *name, char ret[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);

	assert_string_equal(name, "valija-upload");
	ret[n > 0 ? n : 0] = '\0';
}

/* ---- the tests ---- */

static int begin(void **state)
{
	int rc = place_begin(state), fd;

	snprintf(script_path, sizeof(script_path), "%s/script", place.path);
	fd = open(script_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, sizeof(*script)), 0);
	script = mmap(NULL, sizeof(*script), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	assert_ptr_not_equal(script, MAP_FAILED);
	setenv("UPLOAD_SCRIPT", script_path, 1);
	place.account.sink = FETCH_IMAP;
	snprintf(place.account.target, sizeof(place.account.target), "imaps://b@to.example/In");
	snprintf(place.account.place.user, sizeof(place.account.place.user), "b");
	place.account.place.password_source = FETCH_PASSWORD_FILE;
	snprintf(place.account.place.password_from, sizeof(place.account.place.password_from),
		 "%s/password", place.path);
	place_write("password", "secret\n");
	return rc;
}

static int end(void **state)
{
	int rc = place_end(state);

	munmap(script, sizeof(*script));
	return rc;
}

static void will_answer(unsigned n, int result, int code, uint32_t wait, const char *words)
{
	script->answers[n] = (struct upload_answer){
		.result = (enum upload_result)result, .code = code, .wait = wait};
	snprintf(script->answers[n].words, sizeof(script->answers[n].words), "%s", words);
}

static enum sink_answer ask(void)
{
	struct sink_message message = {.id = PLACE_ID};

	place.err = (struct err){0};
	assert_int_equal(place.sink->ops->begin(place.sink, message.id, &place.err), SINK_OK);
	assert_int_equal(place.sink->ops->write(place.sink, SPAN_LITERAL("A: b\r\n"), &place.err),
			 SINK_OK);
	return place.sink->ops->ask(place.sink, &message, &place.err);
}

static void fill_place(struct fetch_place *to)
{
	to->port = 994;
	to->tls = FETCH_TLS_STARTTLS;
	strcpy(to->host, "to.example");
	strcpy(to->folder, "In");
	strcpy(to->flags, "\\Seen");
	strcpy(to->ca_file, "/ca.pem");
	strcpy(to->api, "https://api.example");
	to->never_spam = true;
	to->pins[0][0] = 7;
	to->pin_count = 1;
	to->proxy = (struct fetch_proxy){.kind = FETCH_HTTP, .port = 3128};
	strcpy(to->proxy.host, "proxy.example");
	strcpy(to->proxy.user, "pu");
	strcpy(to->proxy.password, "pp");
}

static void what_the_program_is_told(void **state)
{
	const struct upload_setup *setup = &script->setup;

	(void)state;
	fill_place(&place.account.place);
	place.account.limits.connect_seconds = 11;
	place.account.limits.reply_seconds = 12;
	place_open();
	assert_true(script->ignores_signals); /* a message under way is delivered */
	assert_int_equal(setup->version, UPLOAD_VERSION);
	assert_int_equal(setup->kind, UPLOAD_IMAP);
	assert_true(setup->starttls && setup->never_spam && !setup->token);
	assert_int_equal(setup->port, 994);
	assert_int_equal(setup->connect_seconds, 11);
	assert_int_equal(setup->reply_seconds, 12);
	assert_string_equal(setup->user, "b");
	assert_string_equal(setup->host, "to.example");
	assert_string_equal(setup->folder, "In");
	assert_string_equal(setup->flags, "\\Seen");
	assert_string_equal(setup->labels, "imaps://b@to.example/In");
	assert_string_equal(setup->api, "https://api.example");
	assert_string_equal(setup->ca_file, "/ca.pem");
	assert_int_equal(setup->pin_count, 1);
	assert_int_equal(setup->pins[0][0], 7);
	assert_int_equal(setup->proxy.kind, UPLOAD_HTTP);
	assert_int_equal(setup->proxy.port, 3128);
	assert_string_equal(setup->proxy.host, "proxy.example");
	assert_string_equal(setup->proxy.user, "pu");
	assert_string_equal(setup->proxy.password, "pp");
	assert_int_equal(setup->secret.size, 6);
	assert_string_equal(setup->secret.bytes, "secret");
	place_close();
	assert_true(script->ended);
}

static void a_gmail_account_has_a_token(void **state)
{
	(void)state;
	place_target(FETCH_GMAIL, "a,b");
	place.account.place.tls = FETCH_TLS_IMPLICIT;
	place.account.place.proxy.kind = FETCH_SOCKS5;
	place_open();
	assert_int_equal(script->setup.kind, UPLOAD_GMAIL);
	assert_true(script->setup.token && !script->setup.starttls && !script->setup.never_spam);
	assert_string_equal(script->setup.labels, "a,b");
	assert_int_equal(script->setup.proxy.kind, UPLOAD_SOCKS5);
}

static void messages_one_by_one(void **state)
{
	(void)state;
	place_open();
	assert_int_equal(place.sink->batch, 1);
	place_expect(place_deliver("A: 1\r\n"), SINK_OK, 0, "");
	assert_int_equal(place.sink->ops->begin(place.sink, PLACE_ID, NULL), SINK_OK);
	assert_int_equal(place.sink->ops->write(place.sink, SPAN_LITERAL("lost"), NULL), SINK_OK);
	place.sink->ops->drop(place.sink);
	place_expect(place_deliver("A: 2\r\n"), SINK_OK, 0, "");
	assert_int_equal(ask(), SINK_THERE);
	assert_int_equal(place.sink->ops->settle(place.sink, NULL), SINK_OK);
	assert_int_equal(place.sink->ops->publish(place.sink, NULL), SINK_OK);
	assert_int_equal(script->ordered, 3);
	assert_int_equal(script->orders[0].order.verb, UPLOAD_SEND);
	assert_string_equal(script->orders[0].order.id, "0123456789abcdef0123456789abcde0");
	assert_string_equal(script->orders[0].text, "A: 1\r\n");
	assert_string_equal(script->orders[1].order.id, "0123456789abcdef0123456789abcde1");
	assert_string_equal(script->orders[1].text, "A: 2\r\n");
	assert_int_equal(script->orders[2].order.verb, UPLOAD_ASK);
	assert_string_equal(script->orders[2].order.id, PLACE_ID);
	assert_string_equal(script->orders[2].text, "A: b\r\n");
}

#define TARGET "imaps://b@to.example/In"
#define ENDED TARGET ": the program valija-upload has ended"

static void each_answer(void **state)
{
	static const struct {
		int result, code;
		uint32_t wait;
		enum sink_result sent;
		enum sink_answer asked;
		int err_code;
		const char *text;
		bool later;
	} cases[] = {
		{UPLOAD_DONE, 0, 0, SINK_OK, SINK_THERE, 0, "", false},
		{UPLOAD_FAILED, 0, 0, SINK_FAILED, SINK_NO_ANSWER, EX_TEMPFAIL, "words", false},
		{UPLOAD_LATER, 0, 77, SINK_LATER, SINK_NO_ANSWER, EX_TEMPFAIL, TARGET ": words",
		 true},
		{UPLOAD_LOGIN, 0, 0, SINK_BROKEN, SINK_NO_ANSWER, FETCH_EX_CONSENT,
		 TARGET " does not accept the token: words", false},
		{UPLOAD_BROKEN, EX_PROTOCOL, 0, SINK_BROKEN, SINK_NO_ANSWER, EX_PROTOCOL,
		 TARGET ": words", false},
		{UPLOAD_BROKEN, 0, 0, SINK_BROKEN, SINK_NO_ANSWER, EX_SOFTWARE, TARGET ": words",
		 false},
		{UPLOAD_RESULT_COUNT, 0, 0, SINK_BROKEN, SINK_NO_ANSWER, EX_SOFTWARE, ENDED, false},
		{-1, 0, 0, SINK_BROKEN, SINK_NO_ANSWER, EX_SOFTWARE, ENDED, false},
		{END, 0, 0, SINK_BROKEN, SINK_NO_ANSWER, EX_SOFTWARE, ENDED, false},
	};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
		bool asks = i % 2;
		size_t n = i / 2;

		will_answer(1, cases[n].result, cases[n].code, cases[n].wait, "words");
		place_open();
		if (asks) {
			assert_int_equal(ask(), cases[n].asked);
			assert_int_equal(place.sink->later, cases[n].later);
		} else {
			place_expect(place_deliver("A: b\r\n"), cases[n].sent, cases[n].err_code,
				     cases[n].text);
		}
		if (cases[n].result != UPLOAD_FAILED || !asks)
			assert_string_equal(place.err.text, cases[n].text);
		assert_int_equal(place.sink->wait, cases[n].wait);
		assert_int_equal(end(state), 0);
		assert_int_equal(begin(state), 0);
	}
}

static void what_only_a_question_gets(void **state)
{
	(void)state;
	will_answer(1, UPLOAD_ABSENT, 0, 0, "");
	will_answer(2, UPLOAD_UNKNOWN, 0, 0, "");
	will_answer(3, UPLOAD_LATER, 0, 3, "not now");
	will_answer(4, UPLOAD_BROKEN, EX_TEMPFAIL, 0, "gone");
	place_open();
	assert_int_equal(ask(), SINK_ABSENT);
	assert_int_equal(ask(), SINK_UNKNOWN);
	assert_int_equal(ask(), SINK_NO_ANSWER);
	assert_true(place.sink->later);
	assert_int_equal(ask(), SINK_NO_ANSWER);
	assert_false(place.sink->later);
}

static void a_refused_message_is_kept(void **state)
{
	char text[200];

	(void)state;
	will_answer(1, UPLOAD_REFUSED, 0, 0, "too large");
	place_open();
	assert_int_equal(place_deliver("A: b\r\n"), SINK_REFUSED);
	assert_int_equal(place.err.code, EX_UNAVAILABLE);
	assert_int_equal(strncmp(place.err.text, "too large (it is kept in ", 25), 0);
	snprintf(text, sizeof(text), "%s",
		 place_refused("new/0123456789abcdef0123456789abcde0.valija"));
	assert_string_equal(place_read(text), "A: b\r\n");
	place_expect(place_deliver("A: c\r\n"), SINK_OK, 0, "");
}

/* An answer of another size is none, words without an end are ended. */
static void answers_that_are_wrong(void **state)
{
	(void)state;
	script->short_by = 1;
	place_open();
	place_expect(place_deliver("A: b\r\n"), SINK_BROKEN, EX_SOFTWARE, ENDED);
	assert_int_equal(end(state), 0);
	assert_int_equal(begin(state), 0);
	will_answer(1, UPLOAD_FAILED, 0, 0, "");
	memset(script->answers[1].words, 'x', UPLOAD_WORDS_MAX);
	place_open();
	assert_int_equal(place_deliver("A: b\r\n"), SINK_FAILED);
	assert_int_equal(strlen(place.err.text), UPLOAD_WORDS_MAX - 1);
}

static void a_program_that_does_not_begin(void **state)
{
	char self[PATH_MAX], text[PATH_MAX + 100];

	(void)state;
	__wrap_fetch_program("valija-upload", self);
	will_answer(0, UPLOAD_BROKEN, EX_CONFIG, 0, "no such folder");
	assert_int_equal(place_try_open(), -1);
	assert_int_equal(place.err.code, EX_CONFIG);
	snprintf(text, sizeof(text), "%s: no such folder", self);
	assert_string_equal(place.err.text, text);
	script->answered = 0;
	will_answer(0, END, 0, 0, "");
	assert_int_equal(place_try_open(), -1);
	assert_int_equal(place.err.code, EX_SOFTWARE);
	snprintf(text, sizeof(text), "%s: the program valija-upload has ended", self);
	assert_string_equal(place.err.text, text);
	place.account.place.password_from[0] = '\0';
	assert_int_equal(place_try_open(), -1);
	assert_int_equal(strncmp(place.err.text, "the destination: ", 17), 0);
}

/* ---- tokens ---- */

static void with_token(const char *token)
{
	place.account.place.password_source = FETCH_TOKEN_COMMAND;
	snprintf(place.account.place.password_from, sizeof(place.account.place.password_from),
		 "cat %s/token", place.path);
	place_write("token", token);
}

static void a_token_that_is_renewed(void **state)
{
	(void)state;
	with_token("first\n");
	will_answer(1, UPLOAD_LOGIN, 0, 0, "expired");
	will_answer(3, UPLOAD_LOGIN, 0, 0, "expired again");
	place_open();
	assert_string_equal(script->setup.secret.bytes, "first");
	assert_true(script->setup.token);
	place_write("token", "second\n");
	place_expect(place_deliver("A: 1\r\n"), SINK_OK, 0, "");
	assert_int_equal(script->ordered, 3);
	assert_int_equal(script->orders[1].order.verb, UPLOAD_RENEW);
	assert_string_equal(script->renewed.bytes, "second");
	assert_int_equal(script->orders[2].order.verb, UPLOAD_SEND);
	assert_string_equal(script->orders[2].order.id, script->orders[0].order.id);
	/* once in a run */
	place_expect(place_deliver("A: 2\r\n"), SINK_BROKEN, FETCH_EX_CONSENT,
		     TARGET " does not accept the token: expired again");
	assert_int_equal(script->ordered, 4);
}

static void a_token_that_cannot_be_renewed(void **state)
{
	for (int asks = 0; asks < 2; asks++) {
		with_token("first\n");
		will_answer(1, UPLOAD_LOGIN, 0, 0, "expired");
		place_open();
		place_write("token", "");
		if (asks)
			assert_int_equal(ask(), SINK_NO_ANSWER);
		else
			assert_int_equal(place_deliver("A: 1\r\n"), SINK_BROKEN);
		assert_int_equal(strncmp(place.err.text, "the token for " TARGET ": ",
					 strlen("the token for " TARGET ": ")),
				 0);
		assert_int_equal(script->ordered, 1);
		assert_int_equal(end(state), 0);
		assert_int_equal(begin(state), 0);
	}
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, begin, end)

/* A process that may have no other descriptor. */
static void a_program_that_cannot_be_started(void **state)
{
	struct upload_setup setup = {.version = UPLOAD_VERSION};
	struct uploader *uploader = NULL;
	struct rlimit before, none;
	int rc;

	(void)state;
	place.err = (struct err){0};
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	rc = uploader_start(&setup, &uploader, &place.err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(rc, -1);
	assert_null(uploader);
	assert_int_equal(place.err.code, EX_OSERR);
	assert_non_null(strstr(place.err.text, "cannot prepare to deliver mail"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(what_the_program_is_told),
		IN_PLACE(a_gmail_account_has_a_token),
		IN_PLACE(messages_one_by_one),
		IN_PLACE(each_answer),
		IN_PLACE(what_only_a_question_gets),
		IN_PLACE(a_refused_message_is_kept),
		IN_PLACE(answers_that_are_wrong),
		IN_PLACE(a_program_that_does_not_begin),
		IN_PLACE(a_token_that_is_renewed),
		IN_PLACE(a_token_that_cannot_be_renewed),
		IN_PLACE(a_program_that_cannot_be_started),
	};

	if (argc && strcmp(argv[0], "valija-upload") == 0)
		return program();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
