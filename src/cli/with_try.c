/* See with_try.h. */
#include "cli/with_try.h"

#include "base/random.h"
#include "base/text.h"
#include "cli/password.h"
#include "cli/with_collect.h"
#include "users/edit.h"
#include "users/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define NOTHING_SENT "no message was sent"

enum {
	ADDRESS_SIZE = 2 * CONFIG_NAME_MAX,
	WAIT_MS = 30 * 1000,
	PAUSE_MS = 200, /* between two logins, and longer from one to the next, up to: */
	PAUSE_MAX_MS = 2000,
	RELOAD_MS = 2000, /* until all processes of an MTA have noticed */
};

struct with_try {
	const struct with *with;
	const char *mta;
	char address[ADDRESS_SIZE], login[ADDRESS_SIZE];
	char token[33];
	struct secret password;
	struct collector *collector;
};

/* ---- the user ---- */

static bool is_address(const char *text)
{
	const char *at = strrchr(text, '@');

	if (*text == '-' || *text == '@' || (at && !at[1]))
		return false;
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f || strchr("<>()[]\\,;:\"", *text))
			return false;
	return true;
}

static int make_address(struct with_try *try, struct err *err)
{
	const struct config *config = &try->with->config;
	const char *name = try->with->tried;
	const char *domains = config->domains[0] ? config->domains : config->realm;
	int n;

	if (!*name || !is_address(name))
		return err_set(err, EX_USAGE, "--try %s: this is no user's name or address", name);
	if (!strchr(name, '@') && !domains[0])
		return err_set(err, EX_USAGE, "--try %s: %s names no domain: write --try %s@DOMAIN",
			       name, config->file, name);
	if (strchr(name, '@'))
		n = snprintf(try->address, sizeof(try->address), "%s", name);
	else
		n = snprintf(try->address, sizeof(try->address), "%s@%.*s", name,
			     (int)strcspn(domains, " "), domains);
	if ((size_t)n >= sizeof(try->address))
		return err_set(err, EX_USAGE, "--try: the address is too long");
	return 0;
}

struct spellings {
	pop3_span whole, local;
	bool has_whole, has_local;
};

static void note(void *context, pop3_span name)
{
	struct spellings *spellings = context;

	spellings->has_whole |= user_name_same(name, spellings->whole);
	spellings->has_local |= user_name_same(name, spellings->local);
}

/* The name as it was typed; but where the users file has the part before the "@" alone, that. */
static void make_login(struct with_try *try)
{
	const char *name = try->with->tried;
	struct spellings spellings = {.whole = span_of(name), .local = {name, strcspn(name, "@")}};

	if (edit_list(try->with->config.users, note, &spellings, NULL) == 0 &&
	    !spellings.has_whole && spellings.has_local)
		snprintf(try->login, sizeof(try->login), "%.*s", (int)spellings.local.size, name);
	else
		snprintf(try->login, sizeof(try->login), "%s", name);
}

int with_try_open(const struct with *with, const char *mta, struct with_try **ret, struct err *err)
{
	struct with_try *try = calloc(1, sizeof(*try));
	unsigned char raw[16];

	if (!try)
		return err_set(err, EX_OSERR, "out of memory");
	try->with = with;
	try->mta = mta;
	secret_init(&try->password);
	if (random_octets(raw, sizeof(raw)) < 0) {
		err_set(err, EX_OSERR, "the kernel has no random octets");
		goto fail;
	}
	hex_encode(raw, sizeof(raw), try->token);
	if (make_address(try, err) < 0)
		goto fail;
	make_login(try);
	if (password_ask(&try->password, err) < 0 ||
	    collector_open(&with->config, try->login, &try->password, &try->collector, err) < 0)
		goto fail;
	*ret = try;
	return 0;
fail:
	with_try_close(try);
	return -1;
}

void with_try_close(struct with_try *try)
{
	collector_close(try->collector);
	secret_finish(&try->password);
	free(try);
}

/* ---- steps ---- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static double seconds_since(int64_t start)
{
	return (double)(now_ms() - start) / 1000;
}

static void pause_ms(int64_t ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000};

	if (!collector_interrupted())
		nanosleep(&time, NULL);
}

static int begin(struct with_try *try, struct err *err)
{
	int64_t start = now_ms();

	if (collector_begin(try->collector, err) == 0) {
		printf("Logged in as %s: %s (%.1f s).\n", try->login, collector_way(try->collector),
		       seconds_since(start));
		return 0;
	}
	if (collector_interrupted())
		return err_prefix(err, NOTHING_SENT);
	if (err->code == EX_NOPERM)
		return err_set(err, EX_NOPERM,
			       "the login as %s failed; " NOTHING_SENT ". Look at: valija user "
			       "test %s%s",
			       try->login, try->login,
			       collector_has_tls(try->collector)
				       ? "; if it was the key: systemctl reload valijad"
				       : "");
	return err_set(err, err->code,
		       "valijad did not let us in: %s; " NOTHING_SENT
		       ". Look at: systemctl status valijad, journalctl -u valijad",
		       collector_way(try->collector));
}

/* An argument more where Postfix has another folder. */
static size_t sendmail(const struct with_try *try, const char **argv)
{
	size_t n = 0;

	argv[n++] = "sendmail";
	if (try->with->folder) {
		argv[n++] = "-C";
		argv[n++] = try->with->folder;
	}
	return n;
}

static int give(const struct with_try *try, struct err *err)
{
	const char *argv[10] = {0};
	size_t n = sendmail(try, argv);
	char text[3 * ADDRESS_SIZE + 1024], date[64];
	time_t now = time(NULL);
	struct tm tm;
	int64_t start = now_ms();

	argv[n++] = "-i";
	argv[n++] = "-f";
	argv[n++] = try->address;
	argv[n] = try->address;
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	snprintf(text, sizeof(text),
		 "From: <%s>\nTo: <%s>\nSubject: Valija test %s\nMessage-ID: <%s%s>\nDate: %s\n"
		 "MIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n\n"
		 "A test by \"valija init --try\": this message was to go through %s and to be\n"
		 "collected by POP3. It can be deleted.\n",
		 try->address, try->address, try->token, try->token, strrchr(try->address, '@'),
		 date, try->mta);
	if (with_give(argv, try->mta, text, err) < 0)
		return err_prefix(err, "%s did not take the message: look at its log", try->mta);
	printf("%s took the message for %s (%.1f s).\n", try->mta, try->address,
	       seconds_since(start));
	return 0;
}

/* The message has not come: its place is the queue, as a rule. */
static int explain_absence(const struct with_try *try, struct err *err)
{
	const char *argv[10] = {0};
	size_t n = sendmail(try, argv);
	struct err ignored;

	argv[n] = "-bp";
	printf("The queue of %s (mailq):\n", try->mta);
	(void)with_give(argv, try->mta, "", &ignored);
	return err_set(err, EX_TEMPFAIL,
		       "the message did not arrive within %d s. If it is in the queue above, %s "
		       "could not hand it over, and the reason stands there. Look at: the log of "
		       "%s, journalctl -u valijad. It may still arrive: \"Valija test %s\"",
		       WAIT_MS / 1000, try->mta, try->mta, try->token);
}

/* Somebody else may have the maildrop open for a moment: that is no failure yet. */
static int look(const struct with_try *try, enum collected *ret, struct err *err)
{
	*ret = COLLECTED_NONE;
	if (collector_look(try->collector, try->token, ret, err) == 0 ||
	    (err->code == EX_TEMPFAIL && !collector_interrupted()))
		return 0;
	if (collector_interrupted())
		return err_prefix(err, "the message \"Valija test %s\" may still arrive",
				  try->token);
	return err_prefix(err,
			  "collecting by POP3 failed, the message may be in the maildrop. Look at: "
			  "journalctl -u valijad");
}

static int wait_for_it(const struct with_try *try, struct err *err)
{
	int64_t start = now_ms(), wait = PAUSE_MS;
	enum collected collected;

	printf("Waiting for it, %d s at most ...\n", WAIT_MS / 1000);
	do {
		if (look(try, &collected, err) < 0)
			return -1;
		if (collected == COLLECTED_RETURNED)
			return err_set(err, EX_UNAVAILABLE,
				       "%s sent the message back: its report is in the maildrop of "
				       "%s, and says why. Look at: the log of %s",
				       try->mta, try->login, try->mta);
		if (collected == COLLECTED_MESSAGE) {
			printf("It arrived after %.1f s.\nCollected by POP3: \"Valija test %s\", "
			       "%zu octets.\n",
			       seconds_since(start), try->token, collector_size(try->collector));
			return 0;
		}
		pause_ms(wait);
		wait = wait * 2 < PAUSE_MAX_MS ? wait * 2 : PAUSE_MAX_MS;
	} while (now_ms() - start < WAIT_MS);
	return explain_absence(try, err);
}

int with_try_run(struct with_try *try, struct err *err)
{
	puts("");
	if (begin(try, err) < 0)
		return -1;
	if (try->with->mode == WITH_APPLY)
		pause_ms(RELOAD_MS);
	if (collector_interrupted())
		return err_set(err, EX_TEMPFAIL, "interrupted; " NOTHING_SENT);
	if (give(try, err) < 0 || wait_for_it(try, err) < 0)
		return -1;
	if (collector_delete(try->collector, err) < 0)
		return err_prefix(err, "the message went through, but is still in the maildrop");
	puts("Deleted it there again; no other message was touched.");
	return 0;
}
