/*
 * messages.import of the Gmail API: the message as it is beside a line of JSON, in one multipart
 * upload; nothing is decoded or encoded. Labels are named by people and numbered by Gmail: those of
 * the system are their own ids, so that a token that may only insert is enough for them; for others
 * the list is asked for once, and what is missing is made if the token allows it.
 */
#include "fetch/upload/carrier.h"

#include "base/random.h"
#include "base/text.h"
#include "fetch/upload/head.h"
#include "fetch/upload/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	LABELS_MAX = 20,
	LABEL_NAME_MAX = 226, /* 225 is Gmail's limit */
	BOUNDARY_SIZE = 33,
	IDLE_SECONDS = 60, /* an older connection may be closed by now */
	URL_MAX_HERE = 1024 + 3 * HEAD_FIELD_MAX,
};

struct gmail {
	struct carrier carrier;
	const struct upload_setup *setup;
	CURL *curl; /* kept: its connection is used again */
	struct curl_slist *addresses;
	char host[UPLOAD_TEXT_MAX];
	uint16_t port;
	char words[CURL_ERROR_SIZE];
	char labels[LABELS_MAX][LABEL_NAME_MAX]; /* by name */
	char ids[LABELS_MAX][LABEL_ID_MAX];
	unsigned label_count;
	bool labels_known, answered; /* answered: a request before */
	char head[HEAD_READ_MAX];
	char *body; /* VERDICT_BODY_MAX */
	size_t body_used;
	bool too_long;
};

/* The body of an upload: text, the file, text. */
struct parts {
	char first[4096], last[BOUNDARY_SIZE + 16];
	size_t first_size, last_size;
	uint64_t at, file_size;
	int fd;
};

static size_t take(char *data, size_t unit, size_t count, void *context)
{
	struct gmail *g = context;
	size_t size = unit * count;

	if (size > VERDICT_BODY_MAX - g->body_used) {
		g->too_long = true;
		return 0; /* ends the transfer */
	}
	memcpy(g->body + g->body_used, data, size);
	g->body_used += size;
	return size;
}

static size_t copy_part(const char *part, size_t part_size, uint64_t at, char *to, size_t room)
{
	size_t n = part_size - (size_t)at;

	n = n < room ? n : room;
	memcpy(to, part + at, n);
	return n;
}

static size_t give(char *to, size_t unit, size_t count, void *context)
{
	struct parts *p = context;
	size_t room = unit * count;
	uint64_t at = p->at;
	ssize_t n;

	if (at < p->first_size) {
		n = (ssize_t)copy_part(p->first, p->first_size, at, to, room);
	} else if (at - p->first_size < p->file_size) {
		at -= p->first_size;
		room = room < p->file_size - at ? room : (size_t)(p->file_size - at);
		n = pread(p->fd, to, room, (off_t)at);
		if (n <= 0)
			return CURL_READFUNC_ABORT;
	} else {
		n = (ssize_t)copy_part(p->last, p->last_size, at - p->first_size - p->file_size, to,
				       room);
	}
	p->at += (uint64_t)n;
	return (size_t)n;
}

/* https://HOST[:PORT] */
static int read_api(struct gmail *g)
{
	const char *rest = g->setup->api, *colon;
	uint64_t port = 443;
	size_t n;

	if (strncmp(rest, "https://", 8) != 0)
		return -1;
	rest += 8;
	n = strcspn(rest, ":/");
	colon = rest + n;
	if (n == 0 || n >= sizeof(g->host))
		return -1;
	memcpy(g->host, rest, n);
	g->host[n] = '\0';
	if (*colon == ':' && span_number(span_of(colon + 1), 65535, &port) < 0)
		return -1;
	g->port = (uint16_t)port;
	return *colon == '/' ? -1 : 0;
}

/* The handle for one more request, with the connection of the one before. -1: ret says why. */
static int renew(struct gmail *g, const char *url, struct curl_slist *headers,
		 struct upload_answer *ret)
{
	if (!g->curl)
		g->curl = curl_easy_init();
	if (!g->curl) {
		answer_words(ret, UPLOAD_BROKEN, EX_OSERR, "no memory");
		return -1;
	}
	curl_easy_reset(g->curl);
	if (carrier_prepare(g->curl, g->setup, g->host, g->port, &g->addresses, ret) < 0)
		return -1;
	g->body_used = 0;
	g->too_long = false;
	g->words[0] = '\0';
	curl_easy_setopt(g->curl, CURLOPT_URL, url);
	curl_easy_setopt(g->curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(g->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(g->curl, CURLOPT_MAXAGE_CONN, (long)IDLE_SECONDS);
	curl_easy_setopt(g->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
	curl_easy_setopt(g->curl, CURLOPT_XOAUTH2_BEARER, g->setup->secret.bytes);
	curl_easy_setopt(g->curl, CURLOPT_USERAGENT, "valija-fetch");
	curl_easy_setopt(g->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(g->curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(g->curl, CURLOPT_WRITEDATA, g);
	curl_easy_setopt(g->curl, CURLOPT_ERRORBUFFER, g->words);
	return 0;
}

/* -1: there is no answer, ret says why. */
static int perform(struct gmail *g, long *ret_status, uint32_t *ret_wait, pop3_span *ret_body,
		   struct upload_answer *ret)
{
	CURLcode code = curl_easy_perform(g->curl);
	curl_off_t wait = 0;

	if (code != CURLE_OK) {
		if (g->too_long)
			answer_words(ret, UPLOAD_BROKEN, EX_PROTOCOL, "the answer is too long");
		else
			carrier_failed(g->curl, code, g->words, ret);
		return -1;
	}
	g->answered = true;
	curl_easy_getinfo(g->curl, CURLINFO_RESPONSE_CODE, ret_status);
	curl_easy_getinfo(g->curl, CURLINFO_RETRY_AFTER, &wait);
	*ret_wait = wait > 0 && wait < 7 * 86400 ? (uint32_t)wait : 0;
	*ret_body = (pop3_span){g->body, g->body_used};
	return 0;
}

/* GET, or POST of JSON. path: behind the API's address. */
static int request(struct gmail *g, const char *path, const char *json, long *ret_status,
		   uint32_t *ret_wait, pop3_span *ret_body, struct upload_answer *ret)
{
	struct curl_slist *headers =
		curl_slist_append(NULL, json ? "Content-Type: application/json" : "Accept: */*");
	char url[URL_MAX_HERE];
	int rc;

	snprintf(url, sizeof(url), "%s%s", g->setup->api, path);
	rc = renew(g, url, headers, ret);
	if (rc == 0 && json)
		curl_easy_setopt(g->curl, CURLOPT_POSTFIELDS, json);
	if (rc == 0)
		rc = perform(g, ret_status, ret_wait, ret_body, ret);
	if (g->curl)
		curl_easy_setopt(g->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	return rc;
}

/* Appends a string of JSON; names of labels were checked for control characters. */
static size_t put_json(char *buf, size_t size, const char *text)
{
	size_t used = 0;

	for (const char *at = text; *at && used + 4 < size; at++) {
		if (*at == '"' || *at == '\\')
			buf[used++] = '\\';
		buf[used++] = *at;
	}
	buf[used] = '\0';
	return used;
}

static bool is_of_the_system(const char *name)
{
	static const char *const names[] = {"INBOX",
					    "UNREAD",
					    "STARRED",
					    "IMPORTANT",
					    "SPAM",
					    "TRASH",
					    "SENT",
					    "CATEGORY_PERSONAL",
					    "CATEGORY_SOCIAL",
					    "CATEGORY_PROMOTIONS",
					    "CATEGORY_UPDATES",
					    "CATEGORY_FORUMS"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static int make_label(struct gmail *g, unsigned at, struct upload_answer *ret)
{
	char json[2 * LABEL_NAME_MAX + 40], name[2 * LABEL_NAME_MAX];
	char words[UPLOAD_WORDS_MAX];
	pop3_span body;
	uint32_t wait;
	long status;

	put_json(name, sizeof(name), g->labels[at]);
	snprintf(json, sizeof(json), "{\"name\":\"%s\"}", name);
	if (request(g, "/gmail/v1/users/me/labels", json, &status, &wait, &body, ret) < 0)
		return -1;
	if (status / 100 == 2 && verdict_label_made(body, g->ids[at]) == 0)
		return 0;
	verdict_import(status, body, wait, ret);
	if (ret->result == UPLOAD_LOGIN || ret->result == UPLOAD_LATER)
		return -1;
	snprintf(words, sizeof(words),
		 "there is no label \"%.60s\", and the token may not make one (%.100s): make it in "
		 "Gmail",
		 g->labels[at], ret->words);
	answer_words(ret, UPLOAD_BROKEN, EX_CANTCREAT, words);
	return -1;
}

static int look_up(struct gmail *g, pop3_span list, bool missing[LABELS_MAX],
		   struct upload_answer *ret)
{
	for (unsigned i = 0; i < g->label_count; i++) {
		int rc = 0;

		if (is_of_the_system(g->labels[i]))
			rc = span_copy(span_of(g->labels[i]), g->ids[i], LABEL_ID_MAX);
		else
			rc = verdict_label(list, g->labels[i], g->ids[i]);
		missing[i] = rc == 1;
		if (rc < 0) {
			answer_words(ret, UPLOAD_BROKEN, EX_PROTOCOL,
				     "the list of labels cannot be understood");
			return -1;
		}
	}
	return 0;
}

static int list_refused(long status, pop3_span body, uint32_t wait, struct upload_answer *ret)
{
	char words[UPLOAD_WORDS_MAX];

	verdict_import(status, body, wait, ret);
	if (ret->result == UPLOAD_LOGIN || ret->result == UPLOAD_LATER)
		return -1;
	snprintf(
		words, sizeof(words),
		"the token may not list labels (%.80s): log in with the scope gmail.labels too, or "
		"use INBOX, which needs none",
		ret->words);
	answer_words(ret, UPLOAD_BROKEN, EX_NOPERM, words);
	return -1;
}

/* Once a run. */
static int know_labels(struct gmail *g, struct upload_answer *ret)
{
	bool missing[LABELS_MAX] = {false}, wanted = false;
	pop3_span body = {0};
	uint32_t wait = 0;
	long status = 0;

	if (g->labels_known)
		return 0;
	for (unsigned i = 0; i < g->label_count; i++)
		wanted |= !is_of_the_system(g->labels[i]);
	if (wanted && request(g, "/gmail/v1/users/me/labels", NULL, &status, &wait, &body, ret) < 0)
		return -1;
	if (wanted && status / 100 != 2)
		return list_refused(status, body, wait, ret);
	if (look_up(g, body, missing, ret) < 0)
		return -1;
	for (unsigned i = 0; i < g->label_count; i++)
		if (missing[i] && make_label(g, i, ret) < 0)
			return -1;
	g->labels_known = true;
	return 0;
}

static int boundary(char ret[BOUNDARY_SIZE])
{
	unsigned char octets[(BOUNDARY_SIZE - 1) / 2];

	if (random_octets(octets, sizeof(octets)) < 0)
		return -1;
	hex_encode(octets, sizeof(octets), ret);
	return 0;
}

static void set_parts(struct gmail *g, struct parts *p, const char *mark)
{
	size_t used = (size_t)snprintf(p->first, sizeof(p->first),
				       "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n"
				       "\r\n{\"labelIds\":[",
				       mark);

	for (unsigned i = 0; i < g->label_count; i++) {
		used += (size_t)snprintf(p->first + used, sizeof(p->first) - used, "%s\"",
					 i ? "," : "");
		used += put_json(p->first + used, sizeof(p->first) - used, g->ids[i]);
		used += (size_t)snprintf(p->first + used, sizeof(p->first) - used, "\"");
	}
	used += (size_t)snprintf(p->first + used, sizeof(p->first) - used,
				 "]}\r\n--%s\r\nContent-Type: message/rfc822\r\n\r\n", mark);
	p->first_size = used;
	p->last_size = (size_t)snprintf(p->last, sizeof(p->last), "\r\n--%s--\r\n", mark);
}

static void import(struct gmail *g, struct parts *p, const char *mark, struct upload_answer *ret)
{
	struct curl_slist *headers = NULL;
	char type[BOUNDARY_SIZE + 64], url[URL_MAX_HERE];
	pop3_span body;
	uint32_t wait;
	long status;

	snprintf(type, sizeof(type), "Content-Type: multipart/related; boundary=%s", mark);
	headers = curl_slist_append(headers, type);
	headers = curl_slist_append(headers, "Expect:"); /* no turn for a go-ahead */
	snprintf(url, sizeof(url),
		 "%s/upload/gmail/v1/users/me/messages/import?uploadType=multipart"
		 "&internalDateSource=dateHeader&neverMarkSpam=%s",
		 g->setup->api, g->setup->never_spam ? "true" : "false");
	if (renew(g, url, headers, ret) == 0) {
		curl_easy_setopt(g->curl, CURLOPT_POST, 1L);
		curl_easy_setopt(g->curl, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)(p->first_size + p->file_size + p->last_size));
		curl_easy_setopt(g->curl, CURLOPT_READFUNCTION, give);
		curl_easy_setopt(g->curl, CURLOPT_READDATA, p);
		if (perform(g, &status, &wait, &body, ret) == 0)
			verdict_import(status, body, wait, ret);
	}
	if (g->curl)
		curl_easy_setopt(g->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
}

static void gmail_ask(struct carrier *carrier, const char *id, int fd, struct upload_answer *ret)
{
	struct gmail *g = (struct gmail *)carrier;
	char message_id[HEAD_FIELD_MAX + 1], path[URL_MAX_HERE - UPLOAD_TEXT_MAX], *escaped;
	pop3_span body;
	uint32_t wait;
	long status;

	(void)id;
	if (!head_message_id(carrier_head(fd, g->head), message_id)) {
		answer_words(ret, UPLOAD_UNKNOWN, 0, "the message has no Message-ID");
		return;
	}
	escaped = curl_easy_escape(NULL, message_id, 0);
	snprintf(path, sizeof(path),
		 "/gmail/v1/users/me/messages?maxResults=1&includeSpamTrash=true&q=rfc822msgid:%s",
		 escaped ? escaped : "");
	curl_free(escaped);
	if (request(g, path, NULL, &status, &wait, &body, ret) == 0)
		verdict_list(status, body, wait, ret);
}

/*
 * libcurl cannot rewind the upload, and so never sends a message twice by itself. A connection that
 * was lost under it, after an idle time perhaps, leaves a doubt: Gmail is asked before the message
 * goes once more.
 */
static void import_once(struct gmail *g, struct parts *p, struct upload_answer *ret)
{
	struct upload_answer asked = {0};
	char mark[BOUNDARY_SIZE];

	for (int i = 0; i < 2; i++) {
		bool before = g->answered;

		if (boundary(mark) < 0) {
			answer_words(ret, UPLOAD_BROKEN, EX_OSERR, "no random octets");
			return;
		}
		p->at = 0;
		set_parts(g, p, mark);
		import(g, p, mark, ret);
		if (ret->result != UPLOAD_BROKEN || ret->code != EX_TEMPFAIL || !before || i)
			return;
		gmail_ask(&g->carrier, "", p->fd, &asked);
		if (asked.result == UPLOAD_DONE)
			answer_words(ret, UPLOAD_DONE, 0, "");
		if (asked.result != UPLOAD_ABSENT)
			return;
	}
}

static void gmail_send(struct carrier *carrier, const char *id, int fd, struct upload_answer *ret)
{
	struct gmail *g = (struct gmail *)carrier;
	struct parts *p = calloc(1, sizeof(*p));
	struct stat status;

	(void)id;
	if (!p || fstat(fd, &status) < 0) {
		answer_words(ret, UPLOAD_BROKEN, EX_OSERR, "the message cannot be sent");
	} else if (know_labels(g, ret) == 0) {
		p->fd = fd;
		p->file_size = (uint64_t)status.st_size;
		import_once(g, p, ret);
	}
	free(p);
}

static void gmail_renewed(struct carrier *carrier)
{
	(void)carrier; /* each request takes the token from the setup */
}

static void gmail_destroy(struct carrier *carrier)
{
	struct gmail *g = (struct gmail *)carrier;

	if (g->curl)
		curl_easy_cleanup(g->curl);
	curl_slist_free_all(g->addresses);
	free(g->body);
	free(g);
}

/* "INBOX,anna@isp": UNREAD comes along unless the flags say that mail is seen. */
static int read_labels(struct gmail *g)
{
	const char *at = g->setup->labels;

	while (*at) {
		size_t n = strcspn(at, ",");

		if (n >= LABEL_NAME_MAX || g->label_count + 2 > LABELS_MAX - 1)
			return -1;
		if (n)
			snprintf(g->labels[g->label_count++], LABEL_NAME_MAX, "%.*s", (int)n, at);
		at += n + (at[n] == ',');
	}
	if (!strcasestr(g->setup->flags, "\\Seen"))
		snprintf(g->labels[g->label_count++], LABEL_NAME_MAX, "UNREAD");
	if (strcasestr(g->setup->flags, "\\Flagged"))
		snprintf(g->labels[g->label_count++], LABEL_NAME_MAX, "STARRED");
	return 0;
}

struct carrier *gmail_create(const struct upload_setup *setup)
{
	struct gmail *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->carrier = (struct carrier){gmail_send, gmail_ask, gmail_renewed, gmail_destroy};
	g->setup = setup;
	g->body = malloc(VERDICT_BODY_MAX);
	if (!g->body || read_api(g) < 0 || read_labels(g) < 0) {
		gmail_destroy(&g->carrier);
		return NULL;
	}
	return &g->carrier;
}
