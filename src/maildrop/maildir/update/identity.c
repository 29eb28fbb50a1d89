/*
 * See identity.h. Numbers of messages alone prove nothing: an inbox is emptied by webmail, and mail
 * comes afterwards. What proves something is identity: of the directories, by inode; of a message
 * under another name, by its octets and its inode or its age. In a keeper's worker or `valija
 * deliver`, with the rights of the mail's owner.
 */
#include "maildrop/maildir/update/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define AT_ONCE 2 /* messages with other ids: one alone was moved out and in again */

#define TO_DO                                                                                  \
	": restore the mail, or mount its filesystem; if it shall be so: valija guard accept " \
	"USER, "                                                                               \
	"and clients load what they do not know"

void maildir_identity_begin(struct maildir_comparison *c, const struct index_delta *delta)
{
	struct stat st;

	for (int d = 0; d < INDEX_DIRECTORIES; d++) {
		struct index_stamp now;

		c->before[d] = delta->stamps[d];
		c->replaced[d] = delta->stamps[d].inode != 0 &&
				 maildir_stamp(c->place, d, &now) == 0 &&
				 now.inode != delta->stamps[d].inode;
	}
	/* Each look sets both times of the lock file to one moment. A copy of all of the Maildir
	 * keeps the one and not the other: the index came along, and is of this mail. */
	c->copied = c->replaced[INDEX_NEW] && c->replaced[INDEX_CUR] &&
		    (c->place->lock < 0 || c->place->sys->fstat(c->place->lock, &st) < 0 ||
		     st.st_mtim.tv_sec != st.st_ctim.tv_sec ||
		     st.st_mtim.tv_nsec != st.st_ctim.tv_nsec);
}

/* ---- messages that clients know ---- */

/* A message of new/ was in no session yet, or that session's sweep was cut short: whether it is
 * there tells nothing. It may have been delivered behind the change. */
static bool is_kept(const struct model_message *m)
{
	return m->marks & MODEL_KNOWN && !(m->marks & MODEL_DEAD) && !(m->old_flags & INDEX_IN_NEW);
}

static bool is_gone(const struct model_message *m)
{
	return m->marks & MODEL_KNOWN && m->marks & MODEL_DEAD;
}

static bool is_found(const struct model_message *m)
{
	return m->marks & MODEL_FRESH && !(m->marks & MODEL_DEAD);
}

/* How many of those in the index are gone; 0, too, if one that clients know is kept. */
static uint32_t all_gone(const struct maildir_model *model)
{
	uint32_t gone = 0;

	for (uint32_t at = 0; at < model->indexed; at++) {
		if (is_kept(&model->messages[at]))
			return 0;
		gone += is_gone(&model->messages[at]);
	}
	return gone;
}

/* ---- the same messages under other names ---- */

/* A gone message; sorted. */
struct body {
	uint64_t stored, inode;
	uint32_t count, matched; /* of the first one of a size: how many have it, are found again */
};

static int compare_bodies(const void *a, const void *b)
{
	const struct body *x = a, *y = b;

	if (x->stored != y->stored)
		return x->stored < y->stored ? -1 : 1;
	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static void sort_gone(const struct maildir_model *model, struct body *bodies, uint32_t count)
{
	uint32_t n = 0, first = 0;

	for (uint32_t at = 0; at < model->indexed; at++) {
		const struct model_message *m = &model->messages[at];

		if (is_gone(m))
			bodies[n++] = (struct body){.stored = m->old_stored, .inode = m->inode};
	}
	qsort(bodies, count, sizeof(*bodies), compare_bodies);
	for (uint32_t i = 0; i < count; i++) {
		first = bodies[i].stored == bodies[first].stored ? first : i;
		bodies[first].count++;
	}
}

/* The first one of that size; NULL: none has it. */
static struct body *find_size(struct body *bodies, uint32_t count, uint64_t stored)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (bodies[middle].stored < stored)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && bodies[low].stored == stored ? &bodies[low] : NULL;
}

/* Was the file there before the last look, though it was not here then? One that is delivered is
 * younger. */
static bool is_older(const struct maildir_comparison *c, uint32_t at)
{
	const struct model_message *m = &c->model.messages[at];
	enum index_directory d = index_directory_of(m->flags);
	pop3_span name = maildir_model_name(&c->model, at);
	int fd = maildir_directory(c->place, d);
	char path[INDEX_NAME_MAX + 1];
	struct stat st;

	memcpy(path, name.data, name.size);
	path[name.size] = '\0';
	return fd >= 0 && c->place->sys->fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_mtim.tv_sec < c->before[d].scanned;
}

/* Found messages that are gone ones under other names. */
struct again {
	uint32_t messages;
	uint32_t sizes; /* different ones among them */
	uint32_t files; /* with the same inode, too */
};

static void match(const struct maildir_comparison *c, struct body *gone, uint32_t count,
		  struct again *ret)
{
	for (uint32_t at = c->model.indexed; at < c->model.count; at++) {
		const struct model_message *m = &c->model.messages[at];
		struct body body = {.stored = m->stored, .inode = m->inode}, *size;
		bool same_file;

		size = is_found(m) ? find_size(gone, count, m->stored) : NULL;
		if (!size || size->matched == size->count)
			continue;
		same_file = bsearch(&body, gone, count, sizeof(body), compare_bodies) != NULL;
		if (!same_file && !is_older(c, at))
			continue;
		ret->sizes += size->matched++ == 0;
		ret->messages++;
		ret->files += same_file;
	}
}

/* -1 with errno. */
static int find_again(const struct maildir_comparison *c, uint32_t gone, struct again *ret)
{
	struct body *bodies = malloc(gone * sizeof(*bodies));

	if (!bodies)
		return -1;
	sort_gone(&c->model, bodies, gone);
	match(c, bodies, gone, ret);
	free(bodies);
	return 0;
}

/* Octets alone may be equal by chance, as in reports that come each day: one size is no proof. */
static bool proves(const struct again *again, uint32_t gone)
{
	return (again->files >= AT_ONCE || again->sizes >= AT_ONCE) &&
	       2 * (uint64_t)again->messages >= gone;
}

/* ---- the judgement ---- */

static const char *other_folder(const struct maildir_comparison *c)
{
	if (c->replaced[INDEX_NEW] && c->replaced[INDEX_CUR])
		return c->copied ? NULL : "new and cur are other folders than they were";
	if (c->replaced[INDEX_CUR])
		return "cur is another folder than it was";
	return c->replaced[INDEX_NEW] ? "new is another folder than it was" : NULL;
}

enum maildrop_status maildir_identity_judge(struct maildir_comparison *c, struct err *err)
{
	const char *folder = other_folder(c);
	struct again again = {0};
	uint32_t gone;

	if (c->place->settings->guard_accepts || c->new_only || !c->settled)
		return MAILDROP_OK;
	gone = all_gone(&c->model);
	if (gone && folder) {
		err_set(err, EX_TEMPFAIL,
			"maildrop %s: none of its %u messages is there any more, and %s" TO_DO,
			c->place->home, gone, folder);
		return MAILDROP_GUARDED;
	}
	if (gone < AT_ONCE)
		return MAILDROP_OK;
	if (find_again(c, gone, &again) < 0)
		return maildir_failed(c->place, errno, NULL, "cannot be indexed", err);
	if (!proves(&again, gone))
		return MAILDROP_OK;
	err_set(err, EX_TEMPFAIL,
		"maildrop %s: all unique ids changed at once: %u of its %u messages are there as "
		"files of other names" TO_DO,
		c->place->home, again.messages, gone);
	return MAILDROP_GUARDED;
}
