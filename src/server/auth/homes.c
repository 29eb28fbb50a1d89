/* See homes.h. */
#include "server/auth/homes.h"

#include "base/log.h"
#include "base/table.h"
#include "base/text.h"
#include "sys/workers.h"
#include "users/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	THREADS = 16, /* one is taken by each home that hangs */
	QUEUE_MAX = 4096,
	KEPT_MAX = 65536,
	KEPT_MS = 2000,          /* a folder may be given to another owner */
	OLD_MS = 60 * 60 * 1000, /* for so long an old answer serves while others hang */
	MISSING_MS = 20,         /* it may come back; long enough for those that wait */
	ANSWER_MS = 5000,        /* then the home is down */
	SAID_MS = 10000,         /* then the log says so */
	TICK_MS = 1000,          /* between two looks at what is asked, while anything is */
};

struct home {
	struct table_node node; /* key: of its path */
	struct job job;
	struct homes *homes;
	struct home *next;         /* of those that are asked */
	uint64_t asked_at;         /* milliseconds; 0: not asked */
	uint64_t good_until;       /* uid is kept until then */
	uint32_t root;             /* that path is below */
	uint32_t uid, found;       /* found: the worker's */
	bool known, down, missing; /* missing: the root's owner stands in, for this time */
	char path[];
};

struct homes {
	struct loop *loop;
	struct workers *workers;
	const int *mail_fds;
	bool mboxes[CONFIG_ROOTS_MAX];
	struct table table;
	struct home *asked;
	unsigned hung;          /* of those, the ones that are down */
	struct loop_timer tick; /* set while anything is asked */
	bool said;
	void (*settled)(void *context, uint64_t key);
	void *context;
};

static uint64_t key_of(uint32_t root, const char *path)
{
	return (hash_octets(path, strlen(path)) + root) | HOMES_KEY_FIRST;
}

/* ---- in a worker thread ---- */

/* The nearest folder above one that is not there, below the root, as a person's home is for the
 * Maildir that the first delivery makes. Nobody becomes root by it. */
static bool owned_above(int root, const char *path, uint32_t *ret_uid)
{
	char above[USER_HOME_MAX + 1];
	struct stat st;
	char *slash;

	if (span_copy(span_of(path), above, sizeof(above)) < 0)
		return false;
	while ((slash = strrchr(above, '/'))) {
		*slash = '\0';
		if (fstatat(root, above, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		*ret_uid = st.st_uid;
		return S_ISDIR(st.st_mode) && st.st_uid != 0;
	}
	return false;
}

/* A mailbox in a folder of group mail, which is root's, is made by another program, or by root. */
static void look_for_mbox(struct home *home, int root)
{
	struct stat st;
	bool there = fstatat(root, home->path, &st, AT_SYMLINK_NOFOLLOW) == 0;

	home->missing = !there || !S_ISREG(st.st_mode);
	if (there)
		home->found = st.st_uid;
	else if (!owned_above(root, home->path, &home->found))
		home->found = fstat(root, &st) == 0 && st.st_uid ? st.st_uid : HOMES_HIDDEN;
}

static void look(struct job *job)
{
	struct home *home = CONTAINER(job, struct home, job);
	int root = home->homes->mail_fds[home->root];
	struct stat st;
	bool there = fstatat(root, home->path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	bool hidden = !there && errno == EACCES;

	if (home->homes->mboxes[home->root]) {
		look_for_mbox(home, root);
		return;
	}
	home->missing = !there || !S_ISDIR(st.st_mode);
	if (!there && !hidden && owned_above(root, home->path, &home->found))
		return;
	if (!home->missing || fstat(root, &st) == 0)
		home->found = st.st_uid;
	if (hidden && home->found == 0) { /* the root is that of homes, or of nobody's mail */
		home->missing = false;
		home->found = HOMES_HIDDEN;
	}
}

/* ---- on the loop ---- */

static void forget(struct homes *homes, struct home *home)
{
	table_remove(&homes->table, &home->node);
	free(home);
}

static void not_asked(struct homes *homes, const struct home *home)
{
	struct home **at = &homes->asked;

	while (*at != home)
		at = &(*at)->next;
	*at = home->next;
	if (homes->asked)
		return;
	loop_timer_cancel(&homes->tick);
	if (homes->said)
		log_info("the mail folder answers again");
	homes->said = false;
}

static void looked(struct job *job)
{
	struct home *home = CONTAINER(job, struct home, job);
	struct homes *homes = home->homes;
	bool waits = !home->down;

	not_asked(homes, home);
	homes->hung -= home->down;
	home->known = !home->missing;
	home->uid = home->found;
	home->good_until = loop_now(homes->loop) + (home->missing ? MISSING_MS : KEPT_MS);
	home->asked_at = 0;
	home->down = false;
	if (waits)
		homes->settled(homes->context, home->node.key);
}

/* Gives up what is asked for too long, and says so in the log once. */
static void tick(struct loop_timer *timer)
{
	struct homes *homes = timer->context;
	uint64_t now = loop_now(homes->loop);

	for (struct home *home = homes->asked; home; home = home->next) {
		if (!homes->said && now - home->asked_at >= SAID_MS) {
			homes->said = true;
			log_warning("the owner of the mail in %s is not known: its filesystem has "
				    "not answered for %d s; logins and mail for it are put off",
				    home->path, SAID_MS / 1000);
		}
		if (home->down || now - home->asked_at < ANSWER_MS)
			continue;
		home->down = true;
		homes->hung++;
		homes->settled(homes->context, home->node.key);
	}
	loop_timer_set(timer, TICK_MS);
}

static struct home *find(const struct homes *homes, uint32_t root, const char *path, uint64_t key)
{
	struct table_node *node = table_find(&homes->table, key);

	for (; node; node = table_next(node)) {
		struct home *home = CONTAINER(node, struct home, node);

		if (home->root == root && strcmp(home->path, path) == 0)
			return home;
	}
	return NULL;
}

static void forget_old(struct table_node *node, void *context)
{
	struct home *home = CONTAINER(node, struct home, node);
	const uint64_t *now = context;

	if (!home->asked_at && home->good_until <= *now) /* an old answer gives way */
		forget(home->homes, home);
}

static struct home *add(struct homes *homes, uint32_t root, const char *path, uint64_t key)
{
	size_t size = strlen(path) + 1;
	uint64_t now = loop_now(homes->loop);
	struct home *home;

	if (homes->table.count >= KEPT_MAX)
		table_each(&homes->table, forget_old, &now);
	if (homes->table.count >= KEPT_MAX)
		return NULL;
	home = calloc(1, sizeof(*home) + size);
	if (!home)
		return NULL;
	home->homes = homes;
	home->root = root;
	memcpy(home->path, path, size);
	home->job = (struct job){.run = look, .done = looked};
	table_add(&homes->table, &home->node, key);
	return home;
}

static enum homes_answer ask(struct homes *homes, struct home *home)
{
	home->found = 0; /* root's keeper, which serves mail of root alone */
	if (workers_add(homes->workers, &home->job, false) < 0) {
		forget(homes, home);
		return HOMES_DOWN;
	}
	home->asked_at = loop_now(homes->loop);
	if (!homes->asked)
		loop_timer_set(&homes->tick, TICK_MS);
	home->next = homes->asked;
	homes->asked = home;
	return HOMES_ASKED;
}

/* While a filesystem hangs, what was known not long ago is good enough: a keeper that finds another
 * owner refuses. */
static bool serves_old(const struct homes *homes, const struct home *home, uint64_t now)
{
	return homes->hung && home->known && home->good_until + OLD_MS > now;
}

enum homes_answer homes_owner(struct homes *homes, uint32_t root, const char *path,
			      uint32_t *ret_uid, uint64_t *ret_key)
{
	uint64_t key = key_of(root, path), now = loop_now(homes->loop);
	struct home *home = find(homes, root, path, key);

	*ret_key = key;
	if (home && home->asked_at)
		return home->down ? HOMES_DOWN : HOMES_ASKED;
	if (home && (home->good_until > now || serves_old(homes, home, now))) {
		*ret_uid = home->uid;
		return HOMES_KNOWN;
	}
	if (homes->hung >= THREADS)
		return HOMES_DOWN; /* no thread is left to look */
	if (!home)
		home = add(homes, root, path, key);
	return home ? ask(homes, home) : HOMES_DOWN;
}

static void forget_one(struct table_node *node, void *context)
{
	struct home *home = CONTAINER(node, struct home, node);
	const uint32_t *uid = context;

	if (!home->asked_at && home->uid == *uid)
		forget(home->homes, home);
}

void homes_have_mboxes(struct homes *homes, uint32_t root)
{
	homes->mboxes[root] = true;
}

void homes_forget(struct homes *homes, uint32_t uid)
{
	table_each(&homes->table, forget_one, &uid);
}

struct homes *homes_create(struct loop *loop, const int *mail_fds,
			   void (*settled)(void *context, uint64_t key), void *context,
			   struct err *err)
{
	struct homes *homes = calloc(1, sizeof(*homes));

	if (!homes) {
		err_set(err, 0, "out of memory");
		return NULL;
	}
	homes->loop = loop;
	homes->mail_fds = mail_fds;
	homes->settled = settled;
	homes->context = context;
	table_init(&homes->table);
	loop_timer_init(&homes->tick, loop, tick, homes);
	homes->workers = workers_create(loop, THREADS, 0, QUEUE_MAX, err);
	if (homes->workers)
		return homes;
	free(homes);
	return NULL;
}
