/* See writer.h. Everything that comes from the dialer is hostile. */
#include "cli/migrate/writer.h"

#include "base/hash_map.h"
#include "base/table.h"
#include "base/text.h"
#include "cli/migrate/link.h"
#include "maildrop/index/format.h"
#include "maildrop/maildir/migrate/migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	CUT_MS = 1000, /* the dialer has for its end */
	FLUSH_MESSAGES = 100,
	LISTING_MAX = 1000000,
	BEYOND = 1 << 20, /* octets of a message more than twice what the listing says */
};

struct writer {
	const struct writer_job *job;
	struct writer_report *report;
	struct migration *migration; /* NULL: there is nothing here yet, of a dry run */
	bool may_switch;
	pop3_span *ids;   /* in the order of the other server */
	uint64_t *limits; /* octets that each may have: sizes are guesses */
	char *texts;      /* of ids */
	uint32_t count;
	uint64_t began, received; /* for the rate */
	struct link_packet packet;
};

static int fail(struct writer *writer, enum writer_outcome outcome, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct writer *writer, enum writer_outcome outcome, const char *format, ...)
{
	va_list arguments;

	writer->report->outcome = outcome;
	va_start(arguments, format);
	vsnprintf(writer->report->why, sizeof(writer->report->why), format, arguments);
	va_end(arguments);
	return -1;
}

static int fail_here(struct writer *writer, const struct err *err)
{
	return fail(writer, WRITER_FAILED, "%s", err->text);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the dialer ---- */

/* The starter has ended: nobody would hear of a failure. */
static bool is_alone(const struct writer *writer)
{
	char octet;

	return recv(writer->job->control, &octet, 1, MSG_DONTWAIT) == 0;
}

static bool has_to_end(const struct writer *writer)
{
	return (writer->migration && migration_wanted(writer->migration)) || is_alone(writer);
}

/* The session there ends before the maildrop is free here. */
static int yield(struct writer *writer)
{
	if (is_alone(writer))
		return fail(writer, WRITER_CUT, "the process that started this one has ended");
	return fail(writer, WRITER_YIELDED, "a client wants the maildrop");
}

/* The answer is in writer->packet; returns its octets. -1: the report says why. */
static ssize_t ask(struct writer *writer, enum link_kind kind, uint32_t number, uint64_t value,
		   size_t octets, bool yields)
{
	struct link_packet *packet = &writer->packet;
	int fd = writer->job->channel;
	ssize_t n;

	packet->kind = kind;
	packet->number = number;
	packet->value = value;
	packet->status = 0;
	packet->last = 0;
	if (send(fd, packet, LINK_HEAD + octets, MSG_NOSIGNAL) < 0)
		return fail(writer, WRITER_CUT, "the process that dials has ended");
	while ((n = recv(fd, packet, sizeof(*packet), 0)) < 0 &&
	       (errno == EAGAIN || errno == EINTR))
		if (yields && has_to_end(writer))
			return yield(writer);
	if (n < (ssize_t)LINK_HEAD)
		return fail(writer, WRITER_CUT, "the process that dials has ended");
	return n - (ssize_t)LINK_HEAD;
}

/* Words of a refusal, fit for a terminal. */
static void show_words(const struct writer *writer, ssize_t size, char *buf, size_t room)
{
	text_escape(buf, room - 1, (pop3_span){writer->packet.octets, (size_t)size});
	if (!buf[0])
		snprintf(buf, room, "no reason");
}

/* The session could not be opened. */
static int not_opened(struct writer *writer, ssize_t size)
{
	enum writer_outcome outcome = WRITER_FAILED;
	char words[400];

	show_words(writer, size, words, sizeof(words));
	if (writer->packet.status == MAILDROP_IN_USE || writer->packet.status == MAILDROP_TOO_SOON)
		outcome = WRITER_BUSY;
	else if (writer->packet.status == MAILDROP_TEMP)
		outcome = WRITER_CUT;
	writer->report->denied = outcome == WRITER_FAILED;
	return fail(writer, outcome, "%s", words);
}

static int bad_answer(struct writer *writer)
{
	return fail(writer, WRITER_FAILED, "the process that dials breaks the protocol");
}

/* ---- the listing ---- */

/* Entries of a page. *at: octets of texts that are used. */
static int take_page(struct writer *writer, size_t size, uint32_t *next, size_t *at)
{
	const struct link_packet *packet = &writer->packet;
	size_t used = 0;

	for (uint64_t i = 0; i < packet->value; i++) {
		pop3_span id;
		uint64_t octets;

		if (size - used < 9 || size - used - 9 < (unsigned char)packet->octets[used + 8] ||
		    *next >= writer->count)
			return bad_answer(writer);
		memcpy(&octets, packet->octets + used, 8);
		id = (pop3_span){packet->octets + used + 9,
				 (unsigned char)packet->octets[used + 8]};
		used += 9 + id.size;
		if (!index_id_valid(id))
			return bad_answer(writer);
		memcpy(writer->texts + *at, id.data, id.size);
		writer->ids[(*next)++] = (pop3_span){writer->texts + *at, id.size};
		*at += id.size;
		writer->limits[*next - 1] =
			octets > (UINT64_MAX - BEYOND) / 2 ? UINT64_MAX : 2 * octets + BEYOND;
		writer->report->octets += octets;
	}
	return used == size && packet->value ? 0 : bad_answer(writer);
}

/* Which message is which could not be told at the next call. */
static int check_once(struct writer *writer)
{
	struct hash_map seen;
	int rc = 0;

	hash_map_init(&seen, (size_t)writer->count + 1);
	for (uint32_t i = 0; i < writer->count && rc == 0; i++) {
		uint64_t *at =
			hash_map_put(&seen, hash_octets(writer->ids[i].data, writer->ids[i].size));

		if (!at)
			rc = fail(writer, WRITER_FAILED, "out of memory");
		else if (*at)
			rc = fail(writer, WRITER_FAILED,
				  "the other server gives messages %" PRIu64 " and %" PRIu32
				  " one unique id (%.*s): which is which cannot be told; delete "
				  "one of them there",
				  *at, i + 1, (int)writer->ids[i].size, writer->ids[i].data);
		else
			*at = i + 1;
	}
	hash_map_finish(&seen);
	return rc;
}

static int list(struct writer *writer)
{
	uint32_t next = 0;
	size_t at = 0;

	writer->ids = calloc((size_t)writer->count + 1, sizeof(*writer->ids));
	writer->limits = calloc((size_t)writer->count + 1, sizeof(*writer->limits));
	writer->texts = malloc((size_t)writer->count * POP3_UNIQUE_ID_MAX + 1);
	if (!writer->ids || !writer->limits || !writer->texts)
		return fail(writer, WRITER_FAILED, "out of memory");
	while (next < writer->count) {
		ssize_t size = ask(writer, LINK_LIST, next + 1, 0, 0, true);

		if (size < 0)
			return -1;
		if (writer->packet.kind != LINK_PAGE)
			return bad_answer(writer);
		if (take_page(writer, (size_t)size, &next, &at) < 0)
			return -1;
	}
	writer->report->messages = writer->count;
	return check_once(writer);
}

static int open_there(struct writer *writer)
{
	ssize_t size = ask(writer, LINK_OPEN, 0, 0, 0, true);

	if (size < 0)
		return -1;
	if (writer->packet.kind == LINK_NO)
		return not_opened(writer, size);
	if (writer->packet.kind != LINK_OPENED || writer->packet.value > LISTING_MAX)
		return bad_answer(writer);
	writer->count = (uint32_t)writer->packet.value;
	writer->report->again = writer->packet.number;
	return list(writer);
}

/* ---- messages ---- */

/* Waits until so many octets are due; -1: a client waits meanwhile. */
static int throttle(struct writer *writer)
{
	const struct timespec pause = {.tv_nsec = WRITER_LOOK_MS * 1000000L / 2};

	while (!has_to_end(writer)) {
		uint64_t passed = now_ms() - writer->began;

		if (!writer->job->rate || writer->received / writer->job->rate < passed / 1000 + 1)
			return 0;
		nanosleep(&pause, NULL);
	}
	return yield(writer);
}

/* 1: the octets of a message are here; 0: the other server refuses it; -1: the report says why. */
static int pull(struct writer *writer, uint32_t number)
{
	ssize_t size = ask(writer, LINK_FETCH, number, 0, 0, true);
	struct err err = {0};
	uint64_t at = 0;

	while (size >= 0 && (writer->packet.kind == LINK_BODY ||
			     (writer->packet.kind == LINK_OCTETS && !writer->packet.last))) {
		if (throttle(writer) < 0)
			return -1;
		size = ask(writer, LINK_SLICE, number, at, 0, true);
		if (size < 0 || writer->packet.kind != LINK_OCTETS)
			break;
		if (size > 0 && migration_add(writer->migration,
					      (pop3_span){writer->packet.octets, (size_t)size},
					      &err) != MAILDROP_OK)
			return fail_here(writer, &err);
		at += (uint64_t)size;
		writer->received += (uint64_t)size;
		if (at > writer->limits[number - 1])
			return bad_answer(writer); /* the dialer bounds what that server sends */
	}
	if (size < 0)
		return -1;
	if (writer->packet.kind == LINK_OCTETS)
		return 1;
	if (writer->packet.kind != LINK_NO)
		return bad_answer(writer);
	if (!writer->packet.last && at == 0) {
		char words[300];

		show_words(writer, size, words, sizeof(words));
		if (writer->report->refused++ == 0)
			snprintf(writer->report->why, sizeof(writer->report->why),
				 "message %" PRIu32 " (%.*s): %s", number,
				 (int)writer->ids[number - 1].size, writer->ids[number - 1].data,
				 words);
		return 0;
	}
	return not_opened(writer, size);
}

static int copy_one(struct writer *writer, uint32_t number)
{
	struct err err = {0};
	int rc;

	if (migration_begin(writer->migration, writer->ids[number - 1], &err) != MAILDROP_OK)
		return fail_here(writer, &err);
	rc = pull(writer, number);
	if (rc <= 0)
		return rc;
	if (migration_end(writer->migration, &err) != MAILDROP_OK ||
	    (++writer->report->copied % FLUSH_MESSAGES == 0 &&
	     migration_flush(writer->migration, &err) != MAILDROP_OK))
		return fail_here(writer, &err);
	return 0;
}

static bool is_wanted(const struct writer *writer, pop3_span id)
{
	return !writer->migration || migration_wants(writer->migration, id);
}

/* What was copied whole stays, also where this fails. */
static int copy_all(struct writer *writer)
{
	struct err err = {0};
	int rc = 0;

	writer->began = now_ms();
	for (uint32_t i = 1; i <= writer->count && rc == 0; i++) {
		if (!is_wanted(writer, writer->ids[i - 1]))
			writer->report->before++;
		else if (writer->job->dry_run)
			writer->report->copied++;
		else
			rc = copy_one(writer, i);
	}
	if (writer->job->dry_run)
		return rc;
	if (migration_flush(writer->migration, &err) != MAILDROP_OK)
		return fail_here(writer, &err);
	return rc;
}

/* ---- the end ---- */

/* Messages that are on the disk here, or were until their owner deleted them here. */
static int delete_there(struct writer *writer)
{
	uint32_t n = 0;

	for (uint32_t number = 1; number <= writer->count; number++) {
		if (migration_has(writer->migration, writer->ids[number - 1])) {
			memcpy(writer->packet.octets + (size_t)4 * n++, &number, 4);
			writer->report->deleted++;
		}
		if (!n || (n < LINK_DELETES_MAX && number < writer->count))
			continue;
		if (ask(writer, LINK_DELETE, 0, 0, (size_t)4 * n, false) < 0)
			return -1;
		if (writer->packet.kind != LINK_DONE)
			return bad_answer(writer);
		n = 0;
	}
	return 0;
}

static int quit(struct writer *writer, bool deletes)
{
	ssize_t size;

	if (deletes && delete_there(writer) < 0)
		return -1;
	size = ask(writer, LINK_QUIT, 0, 0, 0, false);
	if (size < 0)
		return -1;
	if (writer->packet.kind == LINK_DONE)
		return 0;
	/* nothing is lost: what it has still is not copied again */
	show_words(writer, size, writer->report->why, sizeof(writer->report->why));
	return -1;
}

/* 0: the mail is here; 1: it is not, and stays there; -1: the report says why. */
static int settle(struct writer *writer)
{
	struct writer_report *report = writer->report;
	struct migration_totals totals;
	enum maildrop_status status;
	struct err err = {0};

	migration_totals(writer->migration, &totals);
	report->outcome = report->refused ? WRITER_REFUSED : WRITER_SWITCHED;
	if (!totals.has_switched && (report->refused || !writer->may_switch)) {
		report->outcome = report->refused ? WRITER_REFUSED : WRITER_COPIED;
		return 1;
	}
	status = totals.has_switched ? migration_publish(writer->migration, &err)
				     : migration_switch(writer->migration, writer->ids,
							writer->count, writer->job->accept, &err);
	if (status != MAILDROP_OK)
		return fail_here(writer, &err);
	report->now = !totals.has_switched;
	return 0;
}

/* What stands here stands, whatever becomes of the session there. */
static void leave_there(struct writer *writer, bool deletes)
{
	enum writer_outcome outcome = writer->report->outcome;

	if (quit(writer, deletes) < 0)
		writer->report->deleted = 0;
	writer->report->outcome = outcome;
}

/* A session that ends otherwise is cut, and deletes nothing there. The dialer's end is waited for:
 * a client that waits is served from there. */
static void hang_up(const struct writer *writer)
{
	uint64_t until = now_ms() + CUT_MS;
	char octet[LINK_HEAD];
	ssize_t n;

	shutdown(writer->job->channel, SHUT_WR);
	do
		n = recv(writer->job->channel, octet, sizeof(octet), 0);
	while ((n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) && now_ms() < until);
}

static int begin(struct writer *writer)
{
	const struct writer_job *job = writer->job;
	enum maildrop_status status;
	struct err err = {0};
	char answer;

	if (job->folder >= 0) {
		status = migration_open(job->settings, job->folder, job->home, job->source,
					job->dry_run, &writer->migration, &err);
		if (status != MAILDROP_OK)
			return fail(writer, status == MAILDROP_IN_USE ? WRITER_BUSY : WRITER_FAILED,
				    "%s", err.text);
	}
	if (write(job->control, "L", 1) != 1 || read(job->control, &answer, 1) != 1)
		return fail(writer, WRITER_FAILED, "the process that started this one has ended");
	writer->may_switch = answer == 'S';
	return 0;
}

void writer_run(const struct writer_job *job, struct writer_report *report)
{
	struct writer *writer = calloc(1, sizeof(*writer));

	*report = (struct writer_report){.outcome = WRITER_DIED};
	if (!writer)
		return;
	writer->job = job;
	writer->report = report;
	if (begin(writer) == 0 && open_there(writer) == 0 && copy_all(writer) == 0) {
		int rest = job->dry_run ? 1 : settle(writer);

		if (job->dry_run)
			report->outcome = WRITER_LOOKED;
		if (rest >= 0)
			leave_there(writer, rest == 0 && job->delete_there);
	}
	hang_up(writer);
	migration_close(writer->migration);
	free(writer->ids);
	free(writer->limits);
	free(writer->texts);
	free(writer);
}

enum maildrop_status writer_undo(const struct maildrop_settings *settings, int folder,
				 const char *home, const char *source, bool dry_run,
				 uint64_t *ret_copies, struct err *err)
{
	struct migration *migration;
	struct migration_totals totals;
	enum maildrop_status status =
		migration_open(settings, folder, home, source, dry_run, &migration, err);

	if (status != MAILDROP_OK)
		return status;
	migration_totals(migration, &totals);
	*ret_copies = totals.copied;
	if (!dry_run)
		status = migration_undo(migration, err);
	migration_close(migration);
	return status;
}
