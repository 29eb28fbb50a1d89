/*
 * APPEND into an IMAP folder. libcurl makes the connection: TLS or STARTTLS, its verification, and
 * the login (CURLOPT_CONNECT_ONLY). The commands behind that are ours, over the same connection:
 * libcurl's own upload sets \Seen always and no internal date, and says nothing of why a server
 * refused. With LITERAL+ a message is one turn, else two.
 */
#include "fetch/upload/carrier.h"

#include "base/text.h"
#include "fetch/upload/folder.h"
#include "fetch/upload/head.h"
#include "fetch/upload/reply.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	AHEAD_MAX = 1 << 20, /* larger messages wait for the go-ahead: they may be refused */
	AHEAD_MINUS = 4096,  /* RFC 7888, LITERAL- */
	OUT_SIZE = 32768,
	LINES_MAX = 10000, /* of one command: a server that never ends is left */
};

struct imap {
	struct carrier carrier;
	const struct upload_setup *setup;
	CURL *curl; /* NULL: not connected */
	curl_socket_t socket;
	struct curl_slist *addresses;
	char curl_words[CURL_ERROR_SIZE], last[UPLOAD_WORDS_MAX]; /* the last line of the login */
	struct reply_reader reader;
	char in[8192];
	size_t in_at, in_end;
	char out[OUT_SIZE];
	size_t out_used;
	unsigned command;
	char tag[16], folder[FOLDER_WIRE_MAX];
	bool ahead, ahead_small; /* LITERAL+, LITERAL- */
	uint64_t limit;          /* APPENDLIMIT; 0: none known */
	char head[HEAD_READ_MAX];
};

/* A message on its way. */
struct letter {
	int fd;
	uint64_t size;  /* of the file */
	char first[80]; /* our header, in front */
	const char *id;
};

static void hang_up(struct imap *imap)
{
	if (imap->curl)
		curl_easy_cleanup(imap->curl);
	imap->curl = NULL;
	imap->in_at = imap->in_end = imap->out_used = 0;
	imap->reader = (struct reply_reader){0};
}

/* Keeps the last line that the server sent before libcurl gave up; nothing that goes out. */
static int note_line(CURL *curl, curl_infotype type, char *text, size_t size, void *context)
{
	struct imap *imap = context;

	(void)curl;
	if (type != CURLINFO_HEADER_IN)
		return 0;
	while (size && (text[size - 1] == '\r' || text[size - 1] == '\n'))
		size--;
	text_escape(imap->last, sizeof(imap->last) - 1, (pop3_span){text, size});
	return 0;
}

static void set_login(struct imap *imap)
{
	const struct upload_setup *setup = imap->setup;
	bool ipv6 = strchr(setup->host, ':') != NULL;
	char url[UPLOAD_TEXT_MAX + 32];
	CURL *curl = imap->curl;

	snprintf(url, sizeof(url), "%s://%s%s%s:%u/", setup->starttls ? "imap" : "imaps",
		 ipv6 ? "[" : "", setup->host, ipv6 ? "]" : "", setup->port);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, setup->starttls ? "imap" : "imaps");
	curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
	curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(curl, CURLOPT_SASL_IR, 1L);
	curl_easy_setopt(curl, CURLOPT_USERNAME, setup->user);
	curl_easy_setopt(curl, setup->token ? CURLOPT_XOAUTH2_BEARER : CURLOPT_PASSWORD,
			 setup->secret.bytes);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, imap->curl_words);
	curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, note_line);
	curl_easy_setopt(curl, CURLOPT_DEBUGDATA, imap);
	curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
}

static enum upload_result login_failed(struct imap *imap, CURLcode code, struct upload_answer *ret)
{
	struct reply reply;
	pop3_span line = span_of(imap->last);
	const char *blank = strchr(imap->last, ' ');
	char tag[sizeof(imap->tag)] = "";

	if (code != CURLE_LOGIN_DENIED)
		return carrier_failed(imap->curl, code, imap->curl_words, ret);
	if (blank)
		snprintf(tag, sizeof(tag), "%.*s", (int)(blank - imap->last), imap->last);
	reply_parse(line, tag, &reply);
	if (reply_code_is(&reply, "UNAVAILABLE") || reply_code_is(&reply, "INUSE") ||
	    reply_code_is(&reply, "LIMIT"))
		return answer_set(ret, UPLOAD_LATER, EX_TEMPFAIL, reply.text);
	return answer_set(ret, imap->setup->token ? UPLOAD_LOGIN : UPLOAD_BROKEN, EX_NOPERM,
			  reply.text.size ? reply.text : span_of("the login was refused"));
}

static int lost(struct imap *imap, struct upload_answer *ret, const char *why)
{
	hang_up(imap);
	answer_set(ret, UPLOAD_BROKEN, EX_TEMPFAIL, span_of(why));
	return -1;
}

static int wait_for(struct imap *imap, short events, struct upload_answer *ret)
{
	struct pollfd poll_fd = {.fd = imap->socket, .events = events};
	int n;

	do {
		n = poll(&poll_fd, 1, (int)imap->setup->reply_seconds * 1000);
	} while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : lost(imap, ret, n == 0 ? "no answer in time" : strerror(errno));
}

static int flush(struct imap *imap, struct upload_answer *ret)
{
	size_t at = 0;

	while (at < imap->out_used) {
		size_t n = 0;
		CURLcode code = curl_easy_send(imap->curl, imap->out + at, imap->out_used - at, &n);

		if (code == CURLE_AGAIN) {
			if (wait_for(imap, POLLOUT, ret) < 0)
				return -1;
		} else if (code != CURLE_OK) {
			return lost(imap, ret, "the connection was lost");
		}
		at += n;
	}
	imap->out_used = 0;
	return 0;
}

static int put(struct imap *imap, const char *octets, size_t size, struct upload_answer *ret)
{
	while (size) {
		size_t n = OUT_SIZE - imap->out_used;

		n = n < size ? n : size;
		memcpy(imap->out + imap->out_used, octets, n);
		imap->out_used += n;
		octets += n;
		size -= n;
		if (imap->out_used == OUT_SIZE && flush(imap, ret) < 0)
			return -1;
	}
	return 0;
}

/* Begins a command: its tag and these words; the caller adds the rest and flushes. */
static int begin(struct imap *imap, struct upload_answer *ret, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int begin(struct imap *imap, struct upload_answer *ret, const char *format, ...)
{
	char line[FOLDER_WIRE_MAX + 2 * UPLOAD_TEXT_MAX];
	va_list ap;
	int n, m;

	snprintf(imap->tag, sizeof(imap->tag), "V%u", ++imap->command);
	n = snprintf(line, sizeof(line), "%s ", imap->tag);
	va_start(ap, format);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n, format, ap);
	va_end(ap);
	return put(imap, line, (size_t)(n + m), ret);
}

/* The next line; its text is good until the next call. */
static int next(struct imap *imap, struct reply *reply, struct upload_answer *ret)
{
	pop3_span in, line;
	enum reply_take took;

	for (;;) {
		size_t n = 0;
		CURLcode code;

		in = (pop3_span){imap->in + imap->in_at, imap->in_end - imap->in_at};
		took = reply_take(&imap->reader, &in, &line);
		imap->in_at = imap->in_end - in.size;
		if (took == REPLY_LINE)
			break;
		if (took == REPLY_BAD) {
			hang_up(imap);
			answer_set(ret, UPLOAD_BROKEN, EX_PROTOCOL,
				   span_of("a line of the server is too long, or none"));
			return -1;
		}
		code = curl_easy_recv(imap->curl, imap->in, sizeof(imap->in), &n);
		if (code == CURLE_AGAIN) {
			if (wait_for(imap, POLLIN, ret) < 0)
				return -1;
		} else if (code != CURLE_OK || n == 0) {
			return lost(imap, ret, "the server closed the connection");
		}
		imap->in_at = 0;
		imap->in_end = n;
	}
	reply_parse(line, imap->tag, reply);
	return 0;
}

static void note_capabilities(struct imap *imap, pop3_span words)
{
	pop3_span value = {0};
	uint64_t limit;

	imap->ahead = reply_has_word(words, "LITERAL+", NULL);
	imap->ahead_small = reply_has_word(words, "LITERAL-", NULL);
	if (reply_has_word(words, "APPENDLIMIT", &value) &&
	    span_number(value, UINT64_MAX, &limit) == 0)
		imap->limit = limit;
}

/*
 * Sends what was begun and reads to its end, or to the go-ahead. data: gets the text of the first
 * untagged reply that begins with that word; NULL: none is wanted.
 */
static int finish(struct imap *imap, struct reply *reply, const char *word, char *data,
		  size_t data_size, struct upload_answer *ret)
{
	char bye[UPLOAD_WORDS_MAX] = "";

	if (flush(imap, ret) < 0)
		return -1;
	for (unsigned lines = 0; lines < LINES_MAX; lines++) {
		if (next(imap, reply, ret) < 0) {
			if (bye[0])
				answer_set(ret, UPLOAD_BROKEN, EX_TEMPFAIL, span_of(bye));
			return -1;
		}
		if (reply->kind == REPLY_TAGGED || reply->kind == REPLY_CONTINUE)
			return 0;
		if (reply->kind == REPLY_NONSENSE)
			break;
		if (reply->status == REPLY_BYE)
			text_escape(bye, sizeof(bye) - 1, reply->text);
		if (word && reply->text.size >= strlen(word) &&
		    span_equal_nocase((pop3_span){reply->text.data, strlen(word)}, span_of(word)) &&
		    reply->text.size < data_size)
			snprintf(data, data_size, "%.*s", (int)reply->text.size, reply->text.data);
	}
	hang_up(imap);
	answer_set(ret, UPLOAD_BROKEN, EX_PROTOCOL, span_of("the server is no IMAP server"));
	return -1;
}

/* A command of one line without a go-ahead. */
static int simple(struct imap *imap, struct reply *reply, struct upload_answer *ret,
		  const char *line)
{
	if (begin(imap, ret, "%s\r\n", line) < 0 || finish(imap, reply, NULL, NULL, 0, ret) < 0)
		return -1;
	return reply->kind == REPLY_TAGGED ? 0 : lost(imap, ret, "a go-ahead out of place");
}

static int connect_to(struct imap *imap, struct upload_answer *ret)
{
	char words[REPLY_LINE_MAX] = "";
	struct reply reply;
	CURLcode code;

	if (imap->curl)
		return 0;
	imap->curl = curl_easy_init();
	imap->last[0] = imap->curl_words[0] = '\0';
	if (!imap->curl) {
		answer_set(ret, UPLOAD_BROKEN, EX_OSERR, span_of("no memory"));
		return -1;
	}
	set_login(imap);
	if (carrier_prepare(imap->curl, imap->setup, imap->setup->host, imap->setup->port,
			    &imap->addresses, ret) < 0) {
		hang_up(imap);
		return -1;
	}
	code = curl_easy_perform(imap->curl);
	curl_easy_setopt(imap->curl, CURLOPT_VERBOSE, 0L);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(imap->curl, CURLINFO_ACTIVESOCKET, &imap->socket);
	if (code != CURLE_OK) {
		login_failed(imap, code, ret);
		hang_up(imap);
		return -1;
	}
	if (begin(imap, ret, "CAPABILITY\r\n") < 0 ||
	    finish(imap, &reply, "CAPABILITY", words, sizeof(words), ret) < 0)
		return -1;
	note_capabilities(imap, span_of(words));
	return 0;
}

/* RFC 9051 has no NUL in a literal. */
static bool holds_nul(int fd)
{
	char buf[32768];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		if (memchr(buf, '\0', (size_t)n))
			return true;
		at += n;
	}
	return false;
}

static int put_file(struct imap *imap, const struct letter *letter, struct upload_answer *ret)
{
	char buf[16384];
	uint64_t at = 0;

	if (put(imap, letter->first, strlen(letter->first), ret) < 0)
		return -1;
	while (at < letter->size) {
		ssize_t n = pread(letter->fd, buf, sizeof(buf), (off_t)at);

		if (n <= 0)
			return lost(imap, ret, "the message cannot be read back");
		if (put(imap, buf, (size_t)n, ret) < 0)
			return -1;
		at += (uint64_t)n;
	}
	return put(imap, "\r\n", 2, ret);
}

/* One APPEND. 0: reply is the tagged one. */
static int append(struct imap *imap, const struct letter *letter, struct reply *reply,
		  struct upload_answer *ret)
{
	uint64_t size = letter->size + strlen(letter->first);
	bool ahead =
		(imap->ahead && size <= AHEAD_MAX) || (imap->ahead_small && size <= AHEAD_MINUS);
	int64_t date = head_date(carrier_head(letter->fd, imap->head), time(NULL));
	char when[48] = "", text[40];

	if (date) {
		head_imap_date(date, text);
		snprintf(when, sizeof(when), "\"%s\" ", text);
	}
	if (begin(imap, ret, "APPEND %s (%s) %s{%" PRIu64 "%s}\r\n", imap->folder,
		  imap->setup->flags, when, size, ahead ? "+" : "") < 0)
		return -1;
	if (!ahead) {
		if (finish(imap, reply, NULL, NULL, 0, ret) < 0)
			return -1;
		if (reply->kind == REPLY_TAGGED)
			return 0;
	}
	if (put_file(imap, letter, ret) < 0 || finish(imap, reply, NULL, NULL, 0, ret) < 0)
		return -1;
	return reply->kind == REPLY_TAGGED ? 0 : lost(imap, ret, "a go-ahead out of place");
}

static enum upload_result judge(const struct reply *reply, struct upload_answer *ret)
{
	static const struct {
		const char *code;
		enum upload_result result;
		int exit_code;
	} codes[] = {{"TOOBIG", UPLOAD_REFUSED, 0},
		     {"CANNOT", UPLOAD_REFUSED, 0},
		     {"OVERQUOTA", UPLOAD_LATER, EX_TEMPFAIL},
		     {"UNAVAILABLE", UPLOAD_LATER, EX_TEMPFAIL},
		     {"INUSE", UPLOAD_LATER, EX_TEMPFAIL},
		     {"LIMIT", UPLOAD_LATER, EX_TEMPFAIL},
		     {"SERVERBUG", UPLOAD_LATER, EX_TEMPFAIL},
		     {"NOPERM", UPLOAD_BROKEN, EX_NOPERM},
		     {"TRYCREATE", UPLOAD_BROKEN, EX_CANTCREAT},
		     {"NONEXISTENT", UPLOAD_BROKEN, EX_CANTCREAT}};

	if (reply->status == REPLY_OK)
		return answer_set(ret, UPLOAD_DONE, 0, reply->text);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (reply_code_is(reply, codes[i].code))
			return answer_set(ret, codes[i].result, codes[i].exit_code, reply->text);
	return answer_set(ret,
			  reply->status == REPLY_NOT_UNDERSTOOD ? UPLOAD_REFUSED : UPLOAD_FAILED, 0,
			  reply->text);
}

/* The folder is not there: it is made, once; then the message is sent again. */
static enum upload_result deliver(struct imap *imap, const struct letter *letter,
				  struct upload_answer *ret)
{
	char line[FOLDER_WIRE_MAX + 16];
	struct reply reply;

	if (append(imap, letter, &reply, ret) < 0)
		return ret->result;
	if (reply.status != REPLY_NO || !reply_code_is(&reply, "TRYCREATE"))
		return judge(&reply, ret);
	snprintf(line, sizeof(line), "CREATE %s", imap->folder);
	if (simple(imap, &reply, ret, line) < 0)
		return ret->result;
	if (reply.status != REPLY_OK)
		return answer_set(ret, UPLOAD_BROKEN, EX_CANTCREAT, reply.text);
	snprintf(line, sizeof(line), "SUBSCRIBE %s", imap->folder);
	if (simple(imap, &reply, ret, line) < 0 || append(imap, letter, &reply, ret) < 0)
		return ret->result;
	return judge(&reply, ret);
}

/* "SEARCH 12" or, without any, "SEARCH". */
static enum upload_result search(struct imap *imap, const char *id, struct upload_answer *ret)
{
	char line[FOLDER_WIRE_MAX + 16], found[200] = "";
	struct reply reply, ignored;

	snprintf(line, sizeof(line), "EXAMINE %s", imap->folder);
	if (simple(imap, &reply, ret, line) < 0)
		return ret->result;
	if (reply.status == REPLY_NO &&
	    (reply_code_is(&reply, "NONEXISTENT") || reply_code_is(&reply, "TRYCREATE")))
		return answer_set(ret, UPLOAD_ABSENT, 0, reply.text);
	if (reply.status != REPLY_OK)
		return answer_set(ret, UPLOAD_UNKNOWN, 0, reply.text);
	if (begin(imap, ret, "UID SEARCH HEADER X-Valija-Delivery-Id %s\r\n", id) < 0 ||
	    finish(imap, &reply, "SEARCH", found, sizeof(found), ret) < 0)
		return ret->result;
	if (reply.kind != REPLY_TAGGED || reply.status != REPLY_OK || !found[0])
		answer_set(ret, UPLOAD_UNKNOWN, 0, reply.text);
	else
		answer_set(ret, strpbrk(found, "0123456789") ? UPLOAD_DONE : UPLOAD_ABSENT, 0,
			   span_of(found));
	simple(imap, &ignored, &(struct upload_answer){0},
	       "CLOSE"); /* read-only: removes nothing */
	return ret->result;
}

static void imap_ask(struct carrier *carrier, const char *id, int fd, struct upload_answer *ret)
{
	struct imap *imap = (struct imap *)carrier;

	(void)fd;
	if (connect_to(imap, ret) == 0)
		search(imap, id, ret);
}

/* A connection that was lost while the message went, after an idle time perhaps, is made anew, and
 * the server is asked whether it has the message before it goes a second time. */
static void send_letter(struct imap *imap, const struct letter *letter, struct upload_answer *ret)
{
	bool fresh = imap->curl == NULL;

	if (connect_to(imap, ret) < 0)
		return;
	if (imap->limit && letter->size + strlen(letter->first) > imap->limit) {
		answer_set(ret, UPLOAD_REFUSED, 0,
			   span_of("larger than the server's limit (APPENDLIMIT)"));
		return;
	}
	deliver(imap, letter, ret);
	if (imap->curl || fresh || ret->result != UPLOAD_BROKEN || ret->code != EX_TEMPFAIL)
		return;
	if (connect_to(imap, ret) < 0 || search(imap, letter->id, ret) != UPLOAD_ABSENT)
		return;
	deliver(imap, letter, ret);
}

static void imap_send(struct carrier *carrier, const char *id, int fd, struct upload_answer *ret)
{
	struct imap *imap = (struct imap *)carrier;
	struct letter letter = {.fd = fd, .id = id};
	struct stat status;

	if (fstat(fd, &status) < 0) {
		answer_set(ret, UPLOAD_BROKEN, EX_IOERR, span_of("the message cannot be read"));
		return;
	}
	letter.size = (uint64_t)status.st_size;
	snprintf(letter.first, sizeof(letter.first), "X-Valija-Delivery-Id: %s\r\n", id);
	if (holds_nul(fd))
		answer_set(ret, UPLOAD_REFUSED, 0,
			   span_of("the message holds NUL octets, which IMAP cannot carry"));
	else
		send_letter(imap, &letter, ret);
	if (ret->result ==
	    UPLOAD_UNKNOWN) { /* in send_letter: sent once, and not to be found out */
		ret->result = UPLOAD_BROKEN;
		ret->code = EX_TEMPFAIL;
	}
}

static void imap_renewed(struct carrier *carrier)
{
	hang_up((struct imap *)carrier);
}

static void imap_destroy(struct carrier *carrier)
{
	struct imap *imap = (struct imap *)carrier;
	struct upload_answer ignored;

	if (imap->curl && begin(imap, &ignored, "LOGOUT\r\n") == 0)
		flush(imap, &ignored);
	hang_up(imap);
	curl_slist_free_all(imap->addresses);
	free(imap);
}

struct carrier *imap_create(const struct upload_setup *setup)
{
	struct imap *imap = calloc(1, sizeof(*imap));

	if (!imap)
		return NULL;
	imap->carrier = (struct carrier){imap_send, imap_ask, imap_renewed, imap_destroy};
	imap->setup = setup;
	if (folder_wire(span_of(setup->folder), imap->folder) < 0) {
		free(imap);
		return NULL;
	}
	return &imap->carrier;
}
