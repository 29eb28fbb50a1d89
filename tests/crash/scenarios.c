/* See scenarios.h. */
#include "scenarios.h"

#include "maildrop/index/index.h"
#include "maildrop/index/write.h"
#include "maildrop/kept.h"
#include "maildrop/undelete.h"
#include "maildrop/maildir/maildir.h"
#include "tests/listed.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void put_file(struct run *run, const char *where, const char *text)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), HOME "/%s", where);
	fd = openat(run->root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(1, "%s", path);
	close(fd);
}

static void base_name(unsigned i, char name[64])
{
	/* one name that is no unique id */
	snprintf(name, 64, i == 3 ? "%u odd" : "%u.m", 1000 + i);
}

static void make_maildir(struct run *run)
{
	static const char *const names[] = {HOME, HOME "/new", HOME "/cur", HOME "/tmp"};
	char name[64], where[100], text[64];

	for (int i = 0; i < 4; i++)
		if (mkdirat(run->root, names[i], 0700) < 0)
			err(1, "%s", names[i]);
	for (unsigned i = 0; i < BASE_MESSAGES; i++) {
		base_name(i, name);
		snprintf(where, sizeof(where), "%s/%s%s", i < 4 ? "cur" : "new", name,
			 i < 4 ? ":2," : "");
		snprintf(text, sizeof(text), "message %u\n", i);
		put_file(run, where, text);
	}
	/* an id that was brought along and that the rule gives to another message */
	put_file(run, "valija-uidl", "brought-along 1000.m\n1000.m 1002.m\n");
}

static struct maildrop *open_session(struct run *run)
{
	struct maildrop *m = NULL;
	struct err e = {0};

	enum maildrop_status status = maildrop_open(&run->settings, run->root, HOME, &m, &e);

	if (status == MAILDROP_ABSENT)
		status = maildrop_open_empty(&run->settings, HOME, &m, &e);
	return status == MAILDROP_OK ? m : NULL;
}

static void make_index(struct run *run)
{
	struct maildrop *m;

	make_maildir(run);
	m = open_session(run);
	if (!m)
		errx(1, "the maildrop to begin with cannot be opened");
	maildrop_sweep(m);
	maildrop_close(m);
	/* one message in new/ again, as somebody else delivers it */
	if (renameat(run->root, HOME "/cur/1005.m:2,", run->root, HOME "/new/1005.m") < 0)
		err(1, "new");
	m = open_session(run);
	if (!m)
		errx(1, "the maildrop to begin with cannot be opened");
	maildrop_close(m);
}

/* A log that a sweep replaces, full of words that change nothing. */
static void make_long_index(struct run *run)
{
	struct index_batch batch = {0};
	struct index index;
	int base, delta;

	make_index(run);
	base = openat(run->root, HOME "/valija-base", O_RDONLY);
	delta = openat(run->root, HOME "/valija-delta", O_RDWR);
	if (index_open(&index, &maildrop_kernel, base, delta, UINT64_MAX, NULL) < 0)
		errx(1, "the index to begin with cannot be read");
	for (int i = 0; i < 5000; i++)
		index_batch_add(&batch, &(struct index_change){.kind = CHANGE_VERIFIED});
	if (index_batch_write(&batch, &maildrop_kernel, delta, index.header.id, index.delta.size) <
	    0)
		err(1, "valija-delta");
	index_batch_finish(&batch);
	index_close(&index);
	close(base);
	close(delta);
}

static void delivered_text(unsigned k, char text[2000])
{
	int n = snprintf(text, 2000, "N: %u\r\n\r\n", k);

	/* more than one line, so that a part of it is not the whole */
	for (unsigned i = 0; i < 20 * (k + 1); i++)
		n += snprintf(text + n, 2000 - (size_t)n, "line %u of %u\r\n", i, k);
}

static void deliver(struct run *run, unsigned k)
{
	struct maildrop_delivery delivery = {.headers = {"D: a\r\n", 6}};
	char text[2000];
	enum maildrop_status status;
	struct err e;

	delivered_text(k, text);
	delivery.message_size = strlen(text);
	delivery.message_fd = memfd_create("message", MFD_CLOEXEC);
	if (pwrite(delivery.message_fd, text, strlen(text), 0) != (ssize_t)strlen(text))
		err(1, "memfd");
	run->progress->started |= 1u << k;
	run_note(run);
	status = maildrop_deliver(&run->settings, run->root, HOME, &delivery, &e);
	if (status == MAILDROP_ABSENT) {
		status = maildrop_make(&run->settings, run->root, HOME, &e);
		if (status == MAILDROP_OK)
			status = maildrop_deliver(&run->settings, run->root, HOME, &delivery, &e);
	}
	if (status == MAILDROP_OK) {
		run->progress->delivered |= 1u << k;
		run_note(run);
	}
	close(delivery.message_fd);
}

static ssize_t d_no_room(int fd, const void *buf, size_t n, off_t offset)
{
	(void)fd, (void)buf, (void)n, (void)offset;
	errno = ENOSPC;
	return -1;
}

/* ---- scenarios ---- */

static void work_delivery(struct run *run)
{
	deliver(run, 0);
	deliver(run, 1);
}

static void work_quit(struct run *run)
{
	struct maildrop *m = open_session(run);

	if (!m)
		return;
	run_commit(run, m);
	maildrop_sweep(m);
	maildrop_close(m);
}

static void work_rebuild(struct run *run)
{
	struct maildrop *m = open_session(run);

	if (!m)
		return;
	maildrop_sweep(m);
	maildrop_close(m);
}

/* A session that deleted, then a base that is lost: the new log has to carry the deletions. */
static void make_pending(struct run *run)
{
	struct maildrop *m;

	make_index(run);
	m = open_session(run);
	if (!m)
		errx(1, "the maildrop to begin with cannot be opened");
	run_commit(run, m);
	maildrop_close(m);
	if (unlinkat(run->root, HOME "/valija-base", 0) < 0)
		err(1, "valija-base");
}

static void deliveries_and_a_session(struct run *run)
{
	struct maildrop *m;

	deliver(run, 0);
	m = open_session(run);
	if (!m)
		return;
	deliver(run, 1);
	run_commit(run, m);
	deliver(run, 2);
	maildrop_sweep(m);
	maildrop_close(m);
	deliver(run, 3);
	work_rebuild(run);
}

static int still_clock(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	*ret = (struct timespec){.tv_sec = 1};
	return 0;
}

static int hasty_clock(clockid_t clock, struct timespec *ret)
{
	static time_t now;

	(void)clock;
	*ret = (struct timespec){.tv_sec = ++now};
	return 0;
}

/* A delivery that is quickly done tells the next login that it need not look at new/. */
static void work_day(struct run *run)
{
	struct maildrop_syscalls calls = *run->settings.syscalls;

	calls.clock_gettime = still_clock;
	run_with_calls(run, &calls, deliveries_and_a_session);
}

static void work_slow_day(struct run *run)
{
	struct maildrop_syscalls calls = *run->settings.syscalls;

	calls.clock_gettime = hasty_clock;
	run_with_calls(run, &calls, deliveries_and_a_session);
}

/* The log has no room for deletions: the files are unlinked at once. */
static void work_quit_full(struct run *run)
{
	struct maildrop_syscalls calls = *run->settings.syscalls;

	calls.pwrite = d_no_room;
	run_with_calls(run, &calls, work_quit);
}

/* A log that a sweep calls flushed, then deletions in it. */
static void work_sweep_and_quit(struct run *run)
{
	work_rebuild(run);
	work_quit(run);
}

/* The next process finds what the one that died has left in memory, and goes on. */
static void work_quit_twice(struct run *run)
{
	run_dying(run, work_quit);
	work_rebuild(run);
}

static void work_delivery_twice(struct run *run)
{
	run_dying(run, work_delivery);
	work_rebuild(run);
}

/* A client is given the ids. */
static void work_ids(struct run *run)
{
	struct maildrop_snapshot snapshot;
	struct index_view *view = NULL;
	struct maildrop *m = open_session(run);
	struct listed entry;

	if (!m)
		return;
	maildrop_snapshot(m, &snapshot);
	if (index_view_create(snapshot.base_fd, snapshot.delta_fd, snapshot.delta_size,
			      snapshot.count, snapshot.octets, &view, NULL) == 0 &&
	    listed_read(view, 2, &entry, 1, NULL) == 1) {
		memcpy(run->progress->id, entry.unique_id, entry.unique_id_size);
		run->progress->id[entry.unique_id_size] = '\0';
		run_note(run);
	}
	index_view_destroy(view);
	maildrop_sweep(m);
	maildrop_close(m);
}

static void work_ids_twice(struct run *run)
{
	run_dying(run, work_ids);
	work_ids(run);
}

/* ---- kept messages ---- */

static void work_undelete(struct run *run)
{
	struct undelete_item items[] = {{.id = "1001.m"}, {.id = "1005.m"}};
	struct undelete undelete = {.items = items, .count = 2};
	struct maildrop *m = open_session(run);
	struct err e = {0};

	if (!m)
		return;
	if (maildrop_undelete(m, &undelete, &e) == MAILDROP_OK &&
	    items[0].outcome != UNDELETE_NOT_KEPT && items[1].outcome != UNDELETE_NOT_KEPT) {
		run->progress->restored = true;
		run_note(run);
	}
	maildrop_close(m);
}

static void work_undelete_twice(struct run *run)
{
	run_dying(run, work_undelete);
	work_undelete(run);
}

/* A session that deleted, and, with its sweep, moved the messages to the kept ones. */
static void make_deleted(struct run *run, bool sweeps)
{
	struct maildrop *m;

	make_index(run);
	m = open_session(run);
	if (!m)
		errx(1, "the maildrop to begin with cannot be opened");
	run_commit(run, m);
	if (sweeps)
		maildrop_sweep(m);
	maildrop_close(m);
	run->progress->committing = run->progress->committed = false;
}

static void make_kept(struct run *run)
{
	make_deleted(run, true);
}

static void make_kept_later(struct run *run)
{
	make_deleted(run, false);
}

/* All of it in cur/: the sweep moves nothing. */
static void make_read(struct run *run)
{
	make_maildir(run);
	if (renameat(run->root, HOME "/new/1004.m", run->root, HOME "/cur/1004.m:2,") < 0 ||
	    renameat(run->root, HOME "/new/1005.m", run->root, HOME "/cur/1005.m:2,") < 0)
		err(1, "new");
}

/* Message 5 brought along the id that the rule gives to message 2. */
static void make_conflict(struct run *run)
{
	make_maildir(run);
	put_file(run, "valija-uidl", "brought-along 1000.m\n1000.m 1002.m\n1001.m 1004.m\n");
}

const struct maildrop_driver *const scenario_driver = &maildir_driver;
const struct scenario scenarios[] = {
	{.name = "delivery", .prepare = make_index, .work = work_delivery, .base = BASE_MESSAGES},
	{.name = "first delivery", .work = work_delivery},
	{.name = "QUIT with deletions",
	 .prepare = make_index,
	 .work = work_quit,
	 .base = BASE_MESSAGES},
	{.name = "index rebuild",
	 .prepare = make_maildir,
	 .work = work_rebuild,
	 .base = BASE_MESSAGES},
	{.name = "rebuild with deletions",
	 .prepare = make_pending,
	 .work = work_rebuild,
	 .base = BASE_MESSAGES,
	 .deleted = true},
	{.name = "QUIT and compaction",
	 .prepare = make_long_index,
	 .work = work_quit,
	 .base = BASE_MESSAGES},
	{.name = "deliveries and a session",
	 .prepare = make_index,
	 .work = work_day,
	 .base = BASE_MESSAGES},
	{.name = "slow deliveries and a session",
	 .prepare = make_index,
	 .work = work_slow_day,
	 .base = BASE_MESSAGES},
	{.name = "QUIT on a full disk",
	 .prepare = make_index,
	 .work = work_quit_full,
	 .base = BASE_MESSAGES,
	 .piecewise = true},
	{.name = "sweep, then QUIT",
	 .prepare = make_read,
	 .work = work_sweep_and_quit,
	 .base = BASE_MESSAGES},
	{.name = "ids made up",
	 .prepare = make_conflict,
	 .work = work_ids,
	 .base = BASE_MESSAGES,
	 .conflict = true},
	{.name = "ids, died before",
	 .prepare = make_conflict,
	 .work = work_ids_twice,
	 .base = BASE_MESSAGES,
	 .conflict = true,
	 .twice = true},
	{.name = "QUIT, kept",
	 .prepare = make_index,
	 .work = work_quit,
	 .base = BASE_MESSAGES,
	 .keeps = true},
	{.name = "QUIT, kept, died before",
	 .prepare = make_index,
	 .work = work_quit_twice,
	 .base = BASE_MESSAGES,
	 .keeps = true,
	 .twice = true},
	{.name = "undelete",
	 .prepare = make_kept,
	 .work = work_undelete,
	 .base = BASE_MESSAGES,
	 .keeps = true,
	 .restores = true},
	{.name = "undelete before the sweep",
	 .prepare = make_kept_later,
	 .work = work_undelete,
	 .base = BASE_MESSAGES,
	 .keeps = true,
	 .restores = true},
	{.name = "undelete, died before",
	 .prepare = make_kept,
	 .work = work_undelete_twice,
	 .base = BASE_MESSAGES,
	 .keeps = true,
	 .restores = true,
	 .twice = true},
	{.name = "QUIT, died before",
	 .prepare = make_index,
	 .work = work_quit_twice,
	 .base = BASE_MESSAGES,
	 .twice = true},
	{.name = "delivery, died before",
	 .prepare = make_index,
	 .work = work_delivery_twice,
	 .base = BASE_MESSAGES,
	 .twice = true},
};
const int scenario_count = sizeof(scenarios) / sizeof(*scenarios);

struct found {
	unsigned base, delivered;
	char ids[BASE_MESSAGES + DELIVERIES][POP3_UNIQUE_ID_MAX + 1];
	uint64_t octets[BASE_MESSAGES + DELIVERIES];
};

/* Stored LF → wire, for comparing. */
static bool same_text(const char *stored, const char *wire)
{
	while (*wire) {
		if (wire[0] == '\r' && wire[1] == '\n')
			wire++;
		if (*stored++ != *wire++)
			return false;
	}
	return *stored == '\0';
}

static const char *look_at(struct maildrop *m, uint32_t number, const struct listed *e,
			   struct found *found)
{
	char stored[4096], text[2000], expected[2100];
	struct maildrop_body body;
	unsigned which, slot;
	ssize_t n;

	if (maildrop_body(m, number, &body, NULL) != MAILDROP_OK)
		return "a message is listed but cannot be read";
	n = pread(body.fd, stored, sizeof(stored) - 1, (off_t)body.offset);
	close(body.fd);
	if (n != (ssize_t)body.stored)
		return "a message is not as long as it was announced";
	stored[n] = '\0';
	if (sscanf(stored, "message %u\n", &which) == 1 && which < BASE_MESSAGES) {
		snprintf(expected, sizeof(expected), "message %u\n", which);
		if (strcmp(stored, expected) != 0 || e->octets != strlen(expected) + 1)
			return "a message has changed";
		if (found->base >> which & 1)
			return "a message is there twice";
		found->base |= 1u << which;
		slot = which;
	} else {
		if (sscanf(stored, "D: a\nN: %u\n", &which) != 1 || which >= DELIVERIES)
			return "a message is half written";
		delivered_text(which, text);
		snprintf(expected, sizeof(expected), "D: a\r\n%s", text);
		if (!same_text(stored, expected) || e->octets != strlen(expected))
			return "a delivered message is not whole";
		if (found->delivered >> which & 1)
			return "a delivered message is there twice";
		found->delivered |= 1u << which;
		slot = BASE_MESSAGES + which;
	}
	memcpy(found->ids[slot], e->unique_id, e->unique_id_size);
	found->octets[slot] = e->octets;
	return NULL;
}

static const char *look(struct run *run, struct found *found)
{
	struct maildrop_snapshot snapshot;
	struct maildrop *m = open_session(run);
	struct index_view *view = NULL;
	struct listed entries[64];
	const char *bad = NULL;
	int n;

	memset(found, 0, sizeof(*found));
	if (!m)
		return "the maildrop cannot be opened";
	maildrop_snapshot(m, &snapshot);
	if (index_view_create(snapshot.base_fd, snapshot.delta_fd, snapshot.delta_size,
			      snapshot.count, snapshot.octets, &view, NULL) < 0) {
		maildrop_close(m);
		return "the index cannot be read";
	}
	n = listed_read(view, 1, entries, 64, NULL);
	index_view_destroy(view);
	if (n < 0 || (uint32_t)n != snapshot.count)
		bad = "the index cannot be listed";
	for (int i = 0; i < n && !bad; i++)
		bad = look_at(m, (uint32_t)i + 1, &entries[i], found);
	maildrop_sweep(m);
	maildrop_close(m);
	return bad;
}

/* Ids that never change: the rule's, the ones brought along. */
static const char *check_ids(const struct found *found, const struct scenario *scenario,
			     const struct progress *p)
{
	for (unsigned i = 0; i < BASE_MESSAGES; i++) {
		char name[64];

		base_name(i, name);
		if (!(found->base >> i & 1) || i == 3)
			continue;
		if (scenario->conflict && i == 1) {
			if (strlen(found->ids[i]) != 32 ||
			    (p->id[0] && strcmp(found->ids[i], p->id) != 0))
				return "an id that was made up has changed";
			continue;
		}
		if (scenario->conflict && i == 4)
			snprintf(name, sizeof(name), "1001.m");
		if (strcmp(found->ids[i], i == 0 ? "brought-along" : i == 2 ? "1000.m" : name) != 0)
			return "a unique id has changed";
	}
	if (found->base >> 3 & 1 && strlen(found->ids[3]) != 32)
		return "a unique id has changed";
	return NULL;
}

static int note_kept(void *context, const struct kept *kept)
{
	unsigned which;

	if (sscanf(kept->name.data, "%u.m", &which) == 1 && which - 1000 < BASE_MESSAGES)
		*(unsigned *)context |= 1u << (which - 1000);
	return 0;
}

/* What was deleted is kept, and comes back as what it was. */
static const char *check_kept(struct run *run, const struct scenario *scenario,
			      const struct found *now)
{
	unsigned all = (1u << scenario->base) - 1, kept = 0;
	int dir = openat(run->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct found after;
	const char *bad;

	if (!scenario->keeps)
		return NULL;
	if (dir < 0 || kept_each(&maildrop_kernel, dir, note_kept, &kept) < 0)
		err(1, "the kept messages cannot be listed");
	close(dir);
	if ((now->base | kept) != all)
		return "a deleted message is not kept";
	if (run->progress->restored && now->base != all)
		return "a message that was brought back is not there";
	work_undelete(run);
	bad = look(run, &after);
	if (!bad && after.base != all)
		bad = "a message cannot be brought back";
	return bad ? bad : check_ids(&after, scenario, run->progress);
}

const char *check_maildrop(struct run *run, const struct scenario *scenario)
{
	const struct progress *p = run->progress;
	struct found first, second;
	const char *bad = look(run, &first);
	unsigned all = (1u << scenario->base) - 1;

	if (bad)
		return bad;
	if ((first.delivered & p->delivered) != p->delivered)
		return "a message that was answered OK is lost";
	if (first.delivered & ~p->started)
		return "a message that nobody sent is there";
	if ((first.base | DELETED) != (all | DELETED) || first.base & ~all)
		return "a message that nobody deleted is lost";
	if ((p->committed || scenario->deleted) && first.base & DELETED)
		return "a message whose deletion was answered OK is there again";
	if (!p->committing && !scenario->deleted && !scenario->restores && scenario->base &&
	    (first.base & DELETED) != DELETED)
		return "a message was deleted without a QUIT";
	if (!scenario->piecewise && p->committing && (first.base & DELETED) != 0 &&
	    (first.base & DELETED) != DELETED)
		return "a QUIT was carried out by half";
	bad = check_ids(&first, scenario, p);
	if (!bad)
		bad = look(run, &second);
	if (bad)
		return bad;
	/* one whose delivery was cut off, in the same tick of the clock as the one before it, may
	 * be found later than by the first session: it was not answered */
	for (unsigned i = 0; i < DELIVERIES; i++) {
		unsigned at = BASE_MESSAGES + i;

		if (!(second.delivered & ~first.delivered & ~p->delivered & 1u << i))
			continue;
		first.delivered |= 1u << i;
		memcpy(first.ids[at], second.ids[at], sizeof(first.ids[at]));
		first.octets[at] = second.octets[at];
	}
	if (memcmp(&first, &second, sizeof(first)) != 0)
		return "two sessions after the crash differ";
	return check_kept(run, scenario, &second);
}
