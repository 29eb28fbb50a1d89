/* See section.h. */
#include "maildrop/remote/section.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"

#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	ADDRESSES_MS = 60 * 1000,      /* addresses of a name are used for so long */
	ABILITIES_MS = 60 * 60 * 1000, /* and what CAPA said */
	VERIFIED_MS = 60 * 60 * 1000,  /* a certificate is looked at again after so long */
	FAILURES = 3,                  /* in a row: then the breaker opens */
	PAUSE_FIRST = 1000,
	PAUSE_MOST = 30 * 1000,
	GIVE_BACK_AFTER = 500, /* sessions opened */
};

struct section_lookup {
	struct job job;
	struct section *section; /* NULL: it is gone */
	char host[256], port[8];
	struct section_address addresses[SECTION_ADDRESSES];
	unsigned count;
	int code; /* of getaddrinfo */
};

static unsigned look_up(const char *host, const char *port, bool literal,
			struct section_address ret[SECTION_ADDRESSES], int *ret_code)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = literal ? AI_NUMERICHOST : AI_ADDRCONFIG},
			*list = NULL;
	unsigned count = 0;
	int code = getaddrinfo(host, port, &hints, &list);

	if (code == EAI_NONAME && !literal) { /* loopback only: no address configured */
		hints.ai_flags = 0;
		code = getaddrinfo(host, port, &hints, &list);
	}
	for (const struct addrinfo *one = code ? NULL : list; one && count < SECTION_ADDRESSES;
	     one = one->ai_next) {
		memcpy(&ret[count].address, one->ai_addr, one->ai_addrlen);
		ret[count++].size = one->ai_addrlen;
	}
	if (code == 0)
		freeaddrinfo(list);
	*ret_code = code;
	return count;
}

static void port_text(const struct section *section, char buf[8])
{
	snprintf(buf, 8, "%u", (unsigned)section->server->port);
}

static int make_trust(struct section *section, struct err *err)
{
	const struct remote_server *server = section->server;

	if (server->tls == REMOTE_CLEAR)
		return 0;
	if (server->pin && tls_client_pin(server->pin, section->pin) < 0)
		return err_set(err, EX_CONFIG, "%s is no pin", server->pin);
	return tls_trust_create(server->pin ? NULL : server->ca_file, server->pin != NULL,
				&section->trust, err);
}

int section_init(struct section *section, struct loop *loop, struct workers **workers,
		 const struct remote_server *server,
		 void (*silent)(struct loop_deadlines *, struct loop_deadline *), struct err *err)
{
	char port[8];
	int code;

	*section = (struct section){.server = server, .loop = loop, .workers = workers};
	section->queue_end = &section->queue;
	loop_deadlines_init(&section->silence, loop, server->timeout_ms, silent, section);
	section->literal = text_is_address(server->host);
	port_text(section, port);
	if (section->literal)
		section->count = look_up(server->host, port, true, section->addresses, &code);
	if (make_trust(section, err) < 0)
		return err_prefix(err, "remote \"%s\"", server->name);
	return 0;
}

static void drop_tickets(struct section *section)
{
	while (section->ticket_count)
		tls_kept_destroy(section->tickets[--section->ticket_count]);
}

void section_finish(struct section *section)
{
	if (section->lookup)
		section->lookup->section = NULL;
	drop_tickets(section);
	tls_trust_destroy(section->trust);
	loop_deadlines_finish(&section->silence);
}

/* ---- turns ---- */

static void put(struct section_wait **at, struct section_wait *wait)
{
	wait->next = *at;
	wait->at = at;
	if (wait->next)
		wait->next->at = &wait->next;
	*at = wait;
}

void section_wait_cancel(struct section *section, struct section_wait *wait)
{
	if (!wait->at)
		return;
	*wait->at = wait->next;
	if (wait->next)
		wait->next->at = wait->at;
	else if (section->queue_end == &wait->next)
		section->queue_end = wait->at;
	wait->at = NULL;
}

bool section_enter(struct section *section, struct section_wait *wait)
{
	unsigned most = section->server->for_mail ? SECTION_MAIL_MAX : SECTION_OPENING_MAX;

	if (section->opening < most) {
		section->opening++;
		return true;
	}
	put(section->queue_end, wait);
	section->queue_end = &wait->next;
	return false;
}

/* Handshakes leave holes among what sessions keep: whole pages of them go back. */
static void give_back(struct section *section)
{
	if (section->opened < GIVE_BACK_AFTER)
		return;
	section->opened = 0;
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

void section_leave(struct section *section)
{
	struct section_wait *wait = section->queue;

	section->opened++;
	if (!wait) {
		if (--section->opening == 0)
			give_back(section);
		return;
	}
	section_wait_cancel(section, wait);
	wait->turn(wait); /* the place is its own now */
}

/* ---- the breaker ---- */

static const char *kind_of(const struct section *section)
{
	return section->server->for_mail ? "lmtp of remote " : "remote ";
}

bool section_may_try(struct section *section, struct err *err)
{
	uint64_t now = loop_now(section->loop);

	if (now >= section->abilities_until)
		section->abilities.known = false;
	if (section->failures >= FAILURES && (section->trying || now < section->closed_until)) {
		err_set(err, EX_TEMPFAIL, "that server is down: %.300s", section->why.text);
		return false;
	}
	section->trying = section->failures >= FAILURES;
	return true;
}

void section_failed(struct section *section, const struct err *why)
{
	section->trying = false;
	section->why = *why;
	section->addresses_until = 0;
	section->abilities.known = false;
	if (++section->failures < FAILURES)
		return;
	if (section->failures == FAILURES)
		log_error("%s%s is down: %s; %s until it is back", kind_of(section),
			  section->server->name, why->text,
			  section->server->for_mail ? "mail for its users is put off (451)"
						    : "its users get [SYS/TEMP]");
	section->pause = section->pause ? section->pause * 2 : PAUSE_FIRST;
	if (section->pause > PAUSE_MOST)
		section->pause = PAUSE_MOST;
	section->closed_until = loop_now(section->loop) + section->pause;
}

void section_worked(struct section *section)
{
	section->trying = false;
	if (section->failures >= FAILURES)
		log_info("%s%s is back", kind_of(section), section->server->name);
	section->failures = 0;
	section->pause = 0;
	if (section->abilities.known && section->abilities_until <= loop_now(section->loop))
		section->abilities_until = loop_now(section->loop) + ABILITIES_MS;
}

void section_gave_up(struct section *section)
{
	section->trying = false;
}

/* ---- addresses ---- */

static void lookup_run(struct job *job)
{
	struct section_lookup *lookup = (struct section_lookup *)job;

	lookup->count =
		look_up(lookup->host, lookup->port, false, lookup->addresses, &lookup->code);
}

static void wake_all(struct section *section)
{
	struct section_wait *wait;

	while ((wait = section->waiting)) {
		section_wait_cancel(section, wait);
		wait->resolved(wait);
	}
}

static void lookup_done(struct job *job)
{
	struct section_lookup *lookup = (struct section_lookup *)job;
	struct section *section = lookup->section;

	if (section) {
		section->lookup = NULL;
		section->count = lookup->count;
		memcpy(section->addresses, lookup->addresses, sizeof(section->addresses));
		section->addresses_until =
			lookup->count ? loop_now(section->loop) + ADDRESSES_MS : 0;
		if (!lookup->count)
			err_set(&section->why, EX_NOHOST, "cannot find %s: %s", lookup->host,
				lookup->code ? gai_strerror(lookup->code) : "no address");
		wake_all(section);
	}
	free(lookup);
}

bool section_resolve(struct section *section, struct section_wait *wait)
{
	struct section_lookup *lookup;

	if (section->literal || loop_now(section->loop) < section->addresses_until)
		return true;
	put(&section->waiting, wait);
	if (section->lookup)
		return false;
	lookup = calloc(1, sizeof(*lookup));
	if (!lookup)
		abort();
	lookup->job.run = lookup_run;
	lookup->job.done = lookup_done;
	lookup->section = section;
	snprintf(lookup->host, sizeof(lookup->host), "%s", section->server->host);
	port_text(section, lookup->port);
	section->lookup = lookup;
	if (workers_add(*section->workers, &lookup->job, false) < 0)
		abort(); /* the queue has room for one of each section */
	return false;
}

/* ---- TLS ---- */

/*
 * A ticket is for one use, as long as there are others (tls_client.c); many sessions at once would
 * make whole handshakes then, and each hold a certificate of its own. Our address shows what the
 * last one of them shows. A server that does not take a ticket twice makes a whole handshake.
 */
int section_tls(struct section *section, int fd, struct tls_client **ret, struct err *err)
{
	const struct remote_server *server = section->server;
	struct tls_kept *spent = NULL;
	struct tls_client_settings settings = {
		.host = server->host,
		.ca_file = server->pin ? NULL : server->ca_file,
		.alpn = server->tls == REMOTE_TLS && !server->for_mail ? "pop3" : NULL,
		.pin_count = server->pin ? 1 : 0,
		.trust = section->trust};
	int rc;

	memcpy(settings.pins[0], section->pin, sizeof(section->pin));
	if (loop_now(section->loop) >= section->verified + VERIFIED_MS)
		drop_tickets(section);
	if (section->ticket_count)
		settings.kept = section->tickets[section->ticket_count - 1];
	if (section->ticket_count > 1) /* the last one is for all until there is another */
		spent = section->tickets[--section->ticket_count];
	rc = tls_client_create(&settings, fd, ret, err);
	tls_kept_destroy(spent);
	return rc;
}

static void keep_ticket(struct section *section, struct tls_client *tls)
{
	struct tls_kept *kept;

	if (!tls_client_resumed(tls) && !section->ticket_count)
		section->verified = loop_now(section->loop);
	if (section->ticket_count == SECTION_TICKETS)
		return;
	kept = tls_client_keep(tls);
	if (kept)
		section->tickets[section->ticket_count++] = kept;
}

void section_keep_tls(struct section *section, struct tls_client *tls)
{
	keep_ticket(section, tls);
	tls_client_settle(tls);
}
