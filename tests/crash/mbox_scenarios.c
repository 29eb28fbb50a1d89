/*
 * See scenarios.h: an mbox. All messages to begin with have the same headers and bodies of the same
 * size, so that nothing but their order tells them apart: what is mistaken for another one is lost
 * or there twice.
 */
#include "scenarios.h"

#include "maildrop/index/view.h"
#include "maildrop/mbox/mbox.h"
#include "tests/listed.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FROM "From a@example.org Sat Jan  1 12:34:56 2022\n"

const struct maildrop_driver *const scenario_driver = &mbox_driver;

static const struct maildrop_syscalls *calls_of(struct run *run)
{
	return run->settings.syscalls;
}

/* ---- what is there before ---- */

static void put_mbox(struct run *run, const char *text)
{
	int fd = openat(run->root, HOME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(1, HOME);
	close(fd);
}

/* Status headers, which are not shown, of different sizes; the second one is long, so that it is
 * moved by more than its own size. */
static void base_text(unsigned i, char text[700])
{
	snprintf(text, 700, FROM "Subject: x\n%sX-Filler: %0400d\n\nmessage %u\n\n",
		 i % 2 ? "Status: RO\nX-Status: A\n" : "", 0, i);
}

static void make_mbox(struct run *run)
{
	char text[700 * BASE_MESSAGES] = "";

	for (unsigned i = 0; i < BASE_MESSAGES; i++)
		base_text(i, text + strlen(text));
	put_mbox(run, text);
}

static struct maildrop *open_session(struct run *run)
{
	struct maildrop *m = NULL;
	struct err e = {0};

	/* the process that left a lock file is dead; nobody waits for it here */
	run->settings.lock_ms = 1;
	return maildrop_open(&run->settings, run->root, HOME, &m, &e) == MAILDROP_OK ? m : NULL;
}

static void close_at_rest(struct maildrop *m)
{
	maildrop_sweep(m);
	maildrop_close(m);
}

static void make_index(struct run *run)
{
	const struct maildrop_syscalls *calls = calls_of(run);
	struct maildrop *m;

	make_mbox(run);
	run->settings.syscalls = NULL;
	m = open_session(run);
	if (!m)
		errx(1, "the mailbox to begin with cannot be opened");
	close_at_rest(m);
	run->settings.syscalls = calls;
}

/* A session that deleted, and did not sweep. */
static void make_pending(struct run *run)
{
	const struct maildrop_syscalls *calls = calls_of(run);
	struct maildrop *m;

	make_index(run);
	run->settings.syscalls = NULL;
	m = open_session(run);
	if (!m)
		errx(1, "the mailbox to begin with cannot be opened");
	run_commit(run, m);
	maildrop_close(m);
	run->settings.syscalls = calls;
}

/* ---- work ---- */

static void work_open(struct run *run)
{
	struct maildrop *m = open_session(run);

	if (m)
		close_at_rest(m);
}

static void work_quit(struct run *run)
{
	struct maildrop *m = open_session(run);

	if (!m)
		return;
	run_commit(run, m);
	close_at_rest(m);
}

/* The next process goes on with what the one that died has left. */
static void work_quit_twice(struct run *run)
{
	run_dying(run, work_quit);
	work_open(run);
}

const struct scenario scenarios[] = {
	{.name = "first login", .prepare = make_mbox, .work = work_open, .base = BASE_MESSAGES},
	{.name = "QUIT with deletions",
	 .prepare = make_index,
	 .work = work_quit,
	 .base = BASE_MESSAGES},
	{.name = "QUIT at the first login",
	 .prepare = make_mbox,
	 .work = work_quit,
	 .base = BASE_MESSAGES},
	{.name = "sweep of another session",
	 .prepare = make_pending,
	 .work = work_open,
	 .base = BASE_MESSAGES,
	 .deleted = true},
	{.name = "QUIT, died before",
	 .prepare = make_index,
	 .work = work_quit_twice,
	 .base = BASE_MESSAGES,
	 .twice = true},
};
const int scenario_count = sizeof(scenarios) / sizeof(*scenarios);

/* ---- what has to be true afterwards ---- */

struct found {
	unsigned base;
	char ids[BASE_MESSAGES][POP3_UNIQUE_ID_MAX + 1];
};

static const char *look_at(struct maildrop *m, uint32_t number, const struct listed *e,
			   struct found *found)
{
	char stored[700], expected[700];
	struct maildrop_body body;
	unsigned which;
	ssize_t n;

	if (maildrop_body(m, number, &body, NULL) != MAILDROP_OK)
		return "a message is listed but cannot be read";
	n = pread(body.fd, stored, sizeof(stored) - 1, (off_t)body.offset);
	close(body.fd);
	if (n != (ssize_t)body.stored)
		return "a message is not as long as it was announced";
	stored[n] = '\0';
	if (sscanf(strstr(stored, "message") ? strstr(stored, "message") : "", "message %u",
		   &which) != 1 ||
	    which >= BASE_MESSAGES)
		return "a message that nobody wrote is there";
	snprintf(expected, sizeof(expected), "Subject: x\nX-Filler: %0400d\n\nmessage %u\n", 0,
		 which);
	if (strcmp(stored, expected) != 0 || e->octets != strlen(expected) + 4)
		return "a message has changed";
	if (found->base >> which & 1)
		return "a message is there twice";
	found->base |= 1u << which;
	memcpy(found->ids[which], e->unique_id, e->unique_id_size);
	return NULL;
}

/* A lock file is of before the machine's start, then. */
static void age_lock(struct run *run)
{
	static const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	if (run->restarted)
		(void)utimensat(run->root, HOME ".lock", long_ago, 0);
}

static const char *look(struct run *run, struct found *found)
{
	struct maildrop_snapshot snapshot;
	struct maildrop *m = (age_lock(run), open_session(run));
	struct index_view *view = NULL;
	struct listed entries[64];
	const char *bad = NULL;
	int n = -1;

	memset(found, 0, sizeof(*found));
	if (!m)
		return "the mailbox cannot be opened";
	maildrop_snapshot(m, &snapshot);
	if (index_view_create(snapshot.base_fd, snapshot.delta_fd, snapshot.delta_size,
			      snapshot.count, snapshot.octets, &view, NULL) == 0)
		n = listed_read(view, 1, entries, 64, NULL);
	index_view_destroy(view);
	if (n < 0 || (uint32_t)n != snapshot.count)
		bad = "the index cannot be listed";
	for (int i = 0; i < n && !bad; i++)
		bad = look_at(m, (uint32_t)i + 1, &entries[i], found);
	close_at_rest(m);
	return bad;
}

/* The file is what the messages say, octet for octet: also what is never shown. */
static const char *look_at_file(struct run *run, unsigned base)
{
	char text[700 * BASE_MESSAGES + 1], expected[700 * BASE_MESSAGES] = "";
	int fd = openat(run->root, HOME, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	for (unsigned i = 0; i < BASE_MESSAGES; i++)
		if (base >> i & 1)
			base_text(i, expected + strlen(expected));
	return strcmp(text, expected) == 0 ? NULL : "the file is not what its messages are";
}

const char *check_maildrop(struct run *run, const struct scenario *scenario)
{
	const struct progress *p = run->progress;
	const unsigned all = (1u << BASE_MESSAGES) - 1;
	struct found first, second;
	const char *bad = look(run, &first);

	if (bad)
		return bad;
	if ((first.base | DELETED) != all)
		return "a message that nobody deleted is lost";
	if ((p->committed || scenario->deleted) && first.base & DELETED)
		return "a message whose deletion was answered OK is there again";
	if (!p->committing && !scenario->deleted && (first.base & DELETED) != DELETED)
		return "a message was deleted without a QUIT";
	if ((first.base & DELETED) != 0 && (first.base & DELETED) != DELETED)
		return "a QUIT was carried out by half";
	bad = look(run, &second);
	if (bad)
		return bad;
	if (memcmp(&first, &second, sizeof(first)) != 0)
		return "two sessions after the crash differ";
	if (faccessat(run->root, HOME ".lock", F_OK, 0) == 0)
		return "a lock file was left";
	return look_at_file(run, first.base);
}
