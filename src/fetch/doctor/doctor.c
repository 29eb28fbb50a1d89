/* See doctor.h. For fetch.c, as the user, confined before it connects. Findings are printed as they
 * are made: on standard output, as lines for a person or as events. */
#include "fetch/doctor/doctor.h"

#include "fetch/account/password.h"
#include "fetch/confine.h"
#include "fetch/doctor/look.h"
#include "fetch/journal/state.h"
#include "fetch/oauth/oauth.h"
#include "fetch/report/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { EXPIRY_DAYS = 14 };

struct doctor {
	const struct fetch_account *account;
	const struct fetch_options *options;
	struct report report;
	char server[FETCH_TEXT_MAX + 16];
	unsigned faults;
};

enum level { FINE, NOTE, FAULT };

static void find(struct doctor *d, enum level level, const char *check, const char *setting,
		 const char *format, ...) __attribute__((format(printf, 5, 6)));

static void find(struct doctor *d, enum level level, const char *check, const char *setting,
		 const char *format, ...)
{
	static const char *const words[] = {"ok", "note", "fault"};
	char text[500], safe[1000];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	d->faults += level == FAULT;
	if (d->options->json) {
		report_json_finding(&d->report, words[level], check, text, setting);
		return;
	}
	printf("%-5s  %-12s  %s\n", words[level], check, report_harmless(text, safe, sizeof(safe)));
	if (setting)
		printf("%21s-> %s\n", "", setting);
}

static void step(struct doctor *d, const char *name, int64_t ms)
{
	if (d->options->json)
		report_json_step(&d->report, name, ms);
	else
		printf("       %-12s  %" PRId64 " ms\n", name, ms);
}

static void judge_certificate(struct doctor *d, const struct tls_client_peer *peer)
{
	char setting[120];

	if (!peer->version[0]) {
		find(d, NOTE, "tls", "server = \"pop3s://...\", or tls = \"starttls\"",
		     "the connection is not protected: passwords and mail can be read on the way");
		return;
	}
	snprintf(setting, sizeof(setting), "pin = {\"sha256//%s\"}", peer->pin);
	if (peer->days_left < EXPIRY_DAYS)
		find(d, NOTE, "certificate", setting,
		     "it expires in %d days (its owner has to renew it; a pinned key outlives "
		     "that)",
		     peer->days_left);
	find(d, FINE, "certificate", setting,
	     "%s: subject %s, issuer %s, %u in the chain, %d days left", peer->version,
	     peer->subject, peer->issuer, peer->chain, peer->days_left);
}

static void judge_outside(struct doctor *d, const struct look *look)
{
	const struct look_capabilities *c = &look->before;

	step(d, "connect", look->connect_ms);
	step(d, "greeting", look->greeting_ms);
	judge_certificate(d, &look->peer);
	if (!c->answered) {
		find(d, NOTE, "capabilities", NULL,
		     "the server does not know CAPA: USER and PASS only");
		return;
	}
	if (c->implementation[0])
		find(d, FINE, "software", NULL, "%s", c->implementation);
	if (!c->sasl && !c->user)
		find(d, NOTE, "login", NULL,
		     "the server announces no way to log in (USER and PASS are tried)");
	if (c->stls && look->peer.version[0])
		find(d, NOTE, "capabilities", NULL, "STLS is announced under TLS");
}

static void judge_capabilities(struct doctor *d, const struct look *look)
{
	const struct look_capabilities *c = &look->after;
	bool uidl = look->before.uidl || c->uidl, top = look->before.top || c->top;

	if (!look->uidl_ok && look->list_count)
		find(d, FAULT, "unique-ids", "policy = \"delete\"",
		     "UIDL is refused%s: collected messages cannot be recognized",
		     uidl ? " though it is announced" : "");
	else if (look->uidl_ok && c->answered && !uidl)
		find(d, NOTE, "capabilities", NULL, "UIDL works and is not announced (it is used)");
	if (look->top_asked && !look->top_ok)
		find(d, top ? FAULT : NOTE, "top", "without max-size",
		     "TOP is refused%s: no headers alone, no comparison of renewed ids",
		     top ? " though it is announced" : "");
	if (look->top_lines)
		find(d, NOTE, "top", NULL,
		     "TOP sends %" PRIu64 " lines of the body, though none was asked for",
		     look->top_lines);
	if (c->login_delay)
		find(d, NOTE, "login-delay", "OnUnitActiveSec= of valija-fetch.timer",
		     "the server wants %" PRIu64 " seconds between two logins", c->login_delay);
	if (c->expires_at_once)
		find(d, NOTE, "expire", "policy = \"delete\"",
		     "the server deletes a message when it was collected (EXPIRE 0)");
}

static int compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The ids in order; the caller frees. count: without those that are none. */
static uint64_t *sorted_ids(const struct look *look, uint32_t *ret_count)
{
	uint64_t *ids = calloc(look->count + 1u, sizeof(*ids));
	uint32_t n = 0;

	for (uint32_t i = 0; ids && i < look->count; i++)
		if (look->messages[i].id)
			ids[n++] = look->messages[i].id;
	if (ids)
		qsort(ids, n, sizeof(*ids), compare_ids);
	*ret_count = n;
	return ids;
}

static void judge_ids(struct doctor *d, const struct look *look)
{
	uint32_t count, repeated = 0;
	uint64_t *ids = sorted_ids(look, &count);

	for (uint32_t i = 1; ids && i < count; i++)
		repeated += ids[i] == ids[i - 1];
	free(ids);
	if (repeated)
		find(d, FAULT, "unique-ids", "policy = \"delete\"",
		     "%u unique ids are given twice: such messages are read again in each run",
		     repeated);
	if (look->useless_ids)
		find(d, FAULT, "unique-ids", "policy = \"delete\"",
		     "%u lines of UIDL give no usable id: such messages are read again in each run",
		     look->useless_ids);
	if (look->long_ids)
		find(d, NOTE, "unique-ids", NULL,
		     "%u ids are longer than 70 octets (they are taken)", look->long_ids);
	if (look->odd_ids)
		find(d, NOTE, "unique-ids", NULL,
		     "%u ids hold blanks or octets beyond ASCII (they are taken)", look->odd_ids);
	if (look->uidl_ok && !repeated && !look->useless_ids)
		find(d, FINE, "unique-ids", NULL, "%u, each its own", count);
}

static void judge_listing(struct doctor *d, const struct look *look)
{
	step(d, "login", look->login_ms);
	step(d, "listing", look->listing_ms);
	find(d, FINE, "login", NULL, "by %s", look->profile.login);
	if (look->profile.two_lines)
		find(d, NOTE, "login", "initial-response = \"no\"",
		     "AUTH in one line is refused, in two it is taken");
	if (!look->list_ok && look->stat_count)
		find(d, FAULT, "listing", NULL, "LIST is refused: nothing can be collected");
	if (!look->stat_ok)
		find(d, NOTE, "listing", NULL, "STAT is refused, or cannot be read");
	else if (look->stat_count != look->list_count)
		find(d, FAULT, "listing", NULL, "STAT counts %u messages, LIST has %u",
		     look->stat_count, look->list_count);
	if (look->uidl_ok && look->uidl_count != look->list_count)
		find(d, FAULT, "listing", NULL, "UIDL has %u messages, LIST has %u",
		     look->uidl_count, look->list_count);
	if (look->bad_lines || look->bad_sizes)
		find(d, NOTE, "sizes", "without max-size and max-octets",
		     "%u lines of LIST have no readable size", look->bad_lines + look->bad_sizes);
	if (look->stat_ok && !look->bad_sizes && look->stat_octets != look->list_octets)
		find(d, NOTE, "sizes", NULL,
		     "STAT gives %" PRIu64 " octets, the sizes of LIST are %" PRIu64 " together",
		     look->stat_octets, look->list_octets);
	if (look->wrong_sizes)
		find(d, FAULT, "sizes", "max-size with room to spare",
		     "the sizes of %u of %u messages are guesses", look->wrong_sizes, look->bodies);
	else if (look->bodies)
		find(d, FINE, "sizes", NULL, "those of %u messages are right", look->bodies);
	judge_capabilities(d, look);
	judge_ids(d, look);
}

/* The same messages in two sessions, one behind the other. */
static void judge_change(struct doctor *d, const struct look *one, const struct look *two)
{
	uint32_t count, others, kept = 0, hidden = 0;
	uint64_t *ids = sorted_ids(one, &count), *later = sorted_ids(two, &others);

	for (uint32_t i = 0; ids && later && i < count; i++)
		kept += bsearch(&ids[i], later, others, sizeof(*later), compare_ids) != NULL;
	for (uint32_t i = 0; later && i < one->bodies; i++)
		hidden += one->read_ids[i] &&
			  !bsearch(&one->read_ids[i], later, others, sizeof(*later), compare_ids);
	free(ids);
	free(later);
	if (hidden && one->uidl_ok && two->uidl_ok)
		find(d, NOTE, "hidden", "policy = \"keep\"",
		     "what was read is not shown again (as Gmail does): each message comes once");
	else if (one->uidl_ok && two->uidl_ok && count && kept * 2 < count)
		find(d, FAULT, "unique-ids", "policy = \"delete\"",
		     "of %u unique ids %u are the same in the next session", count, kept);
	else if (one->uidl_ok && two->uidl_ok && count)
		find(d, FINE, "unique-ids", NULL, "the same in two sessions");
}

/* Its three listings count the same; mail may come and go between two sessions. */
static bool agrees(const struct look *look)
{
	return look->list_ok && (!look->stat_ok || look->stat_count == look->list_count) &&
	       (!look->uidl_ok || look->uidl_count == look->list_count);
}

/* A second session: are the ids the same, and does pipelining work? */
static void second_session(struct doctor *d, const struct look *one, const struct secret *password)
{
	bool announced = one->before.pipelining || one->after.pipelining;
	struct look two = {0};
	struct err err = {0};

	if (look_inside(&two, d->account, password, announced, false, &err) == 0) {
		judge_change(d, one, &two);
		if (announced && agrees(one) && !agrees(&two))
			find(d, FAULT, "pipelining", "pipelining = false",
			     "commands sent together are answered otherwise than one by one");
		else
			find(d, FINE, "pipelining", NULL, announced ? "works" : "is not announced");
	} else if (announced && err.code != EX_NOPERM && one->after.login_delay == 0) {
		find(d, FAULT, "pipelining", "pipelining = false",
		     "it is announced, but a session with commands sent together broke: %s",
		     err.text);
	} else {
		find(d, NOTE, "session", NULL, "a second session was not possible: %s", err.text);
	}
	look_finish(&two);
}

static int fail(struct doctor *d, const char *check, const struct err *err)
{
	find(d, FAULT, check, NULL, "%s", err->text);
	return err->code ? err->code : EX_SOFTWARE;
}

static int examine(struct doctor *d, const struct secret *password)
{
	struct look outside = {0}, inside = {0};
	struct err err = {0};
	int code = EX_OK;

	if (look_outside(&outside, d->account, &err) < 0)
		return fail(d, "connection", &err);
	judge_outside(d, &outside);
	if (!password)
		return d->faults ? EX_DATAERR : EX_OK;
	inside.before = outside.before;
	if (look_inside(&inside, d->account, password, false, d->options->bodies, &err) < 0) {
		code = fail(d, "session", &err);
	} else {
		judge_listing(d, &inside);
		second_session(d, &inside, password);
		code = d->faults ? EX_DATAERR : EX_OK;
	}
	look_finish(&inside);
	return code;
}

/* An account with tokens has them in the state folder, which is open while they are read. */
static int take_secret(const struct doctor *d, struct secret *secret, struct err *err)
{
	int dir, rc;

	if (!fetch_account_token(d->account))
		return fetch_password(d->account, NULL, secret, err);
	dir = state_open(&fetch_files_real, d->options->state, err);
	if (dir < 0)
		return -1;
	rc = oauth_token(&fetch_files_real, dir, d->account, NULL, secret, err);
	close(dir);
	return rc;
}

int doctor_run(const struct fetch_account *account, const struct fetch_options *options, bool login)
{
	struct doctor d = {.account = account, .options = options};
	struct secret secret;
	struct err err = {0};
	int nothing, code;

	snprintf(d.server, sizeof(d.server), "%s:%u", account->host, account->port);
	d.report = (struct report){
		.account = account->name, .server = d.server, .json = options->json};
	secret_init(&secret);
	/* no folder is written to: what the sandbox leaves of the files is nothing */
	nothing = open("/dev/null", O_PATH | O_CLOEXEC);
	if ((login && take_secret(&d, &secret, &err) < 0) ||
	    fetch_confine(account, nothing, NULL, &err) < 0)
		code = fail(&d, "account", &err);
	else
		code = examine(&d, login ? &secret : NULL);
	secret_finish(&secret);
	close(nothing);
	return code;
}
