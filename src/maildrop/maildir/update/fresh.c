/* See fresh.h. In a keeper's worker or `valija deliver`, with the rights of the mail's owner. */
#include "maildrop/maildir/update/fresh.h"

#include "maildrop/maildir/files/measure.h"
#include "maildrop/maildir/files/prove.h"
#include "maildrop/maildir/update/uidl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum maildrop_status maildir_fresh_hide(struct maildir_comparison *c, struct err *err)
{
	for (uint32_t i = c->model.indexed; i < c->model.count; i++) {
		struct model_message *m = &c->model.messages[i];

		if ((m->marks & (MODEL_FRESH | MODEL_DEAD)) != MODEL_FRESH)
			continue;
		if (!c->has_uidl && maildir_uidl_load(&c->uidl, c->place) < 0)
			return maildir_failed(c->place, errno, UIDL_NAME, "cannot be read", err);
		c->has_uidl = true;
		if (!c->uidl.any_hidden)
			return MAILDROP_OK;
		if (maildir_uidl_hidden(&c->uidl, maildir_model_unique(&c->model, i)))
			m->marks |= MODEL_DEAD;
	}
	return MAILDROP_OK;
}

/* Sizes that names claim are counted at once when that is quickly done; else they are noted as
 * claims, and no such message is served before it was counted. */
#define CLAIMS_MAX 2000
#define CLAIMS_OCTETS_MAX ((uint64_t)64 << 20)

static bool to_measure(const struct maildir_comparison *c, uint32_t at)
{
	const struct model_message *m = &c->model.messages[at];

	return (m->marks & (MODEL_MEASURE | MODEL_DEAD)) == MODEL_MEASURE;
}

/* The true octets of a few messages with claims; a claim that is not true at all is dropped. */
static uint64_t true_octets(struct maildir_comparison *c)
{
	uint64_t octets = 0;

	for (uint32_t i = 0; i < c->model.count; i++) {
		struct model_message *m = &c->model.messages[i];
		pop3_span name = maildir_model_name(&c->model, i);
		char path[INDEX_NAME_MAX + 1];
		struct stat st;
		int fd;

		if (!to_measure(c, i) || !(m->marks & MODEL_CLAIMED))
			continue;
		fd = maildir_directory(c->place, index_directory_of(m->flags));
		memcpy(path, name.data, name.size);
		path[name.size] = '\0';
		if (c->place->sys->fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    (uint64_t)st.st_size != m->stored)
			m->marks &= (uint16_t)~MODEL_CLAIMED;
		else
			octets += m->stored;
	}
	return octets;
}

/* Believes claims for now if there are too many to count. Returns how many are left to count. */
static size_t believe_claims(struct maildir_comparison *c)
{
	size_t count = 0, all = 0;

	for (uint32_t i = 0; i < c->model.count; i++) {
		if (!to_measure(c, i))
			continue;
		all++;
		count += c->model.messages[i].marks & MODEL_CLAIMED ? 1 : 0;
	}
	if (count == 0 || (count <= CLAIMS_MAX && true_octets(c) <= CLAIMS_OCTETS_MAX))
		return all;
	for (uint32_t i = 0; i < c->model.count; i++) {
		struct model_message *m = &c->model.messages[i];

		if (!to_measure(c, i) || !(m->marks & MODEL_CLAIMED))
			continue;
		m->flags |= INDEX_UNVERIFIED;
		m->marks &= (uint16_t)~MODEL_MEASURE;
		all--;
	}
	return all;
}

static void take_measure(struct model_message *m, const struct maildir_measured *r)
{
	m->marks &= (uint16_t)~MODEL_MEASURE;
	if (!(m->marks & MODEL_FRESH) &&
	    (m->octets != r->octets || m->stored != r->stored || m->flags & INDEX_UNVERIFIED))
		m->marks |= MODEL_RESIZED;
	m->octets = r->octets;
	m->stored = r->stored;
	m->inode = r->inode;
	m->flags &= (uint16_t) ~(INDEX_UNVERIFIED | INDEX_WIRE_FORM);
	m->flags |= r->wire_form ? INDEX_WIRE_FORM : 0;
}

/* Of our own shortage, not of this message's. */
static bool our_fault(int errnum)
{
	return errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM || errnum == ENOBUFS;
}

/* Is there a message to be shown besides those that could not be read? */
static bool any_left(const struct maildir_comparison *c)
{
	bool any = c->not_loaded > 0;

	for (uint32_t i = 0; i < c->model.count && !any; i++)
		any = !(c->model.messages[i].marks & (MODEL_DEAD | MODEL_DELETED));
	return any;
}

static enum maildrop_status take_results(struct maildir_comparison *c,
					 const struct maildir_measure_job *jobs,
					 const uint32_t *which, size_t n, struct err *err)
{
	int errnum = 0;

	for (size_t i = 0; i < n; i++) {
		struct model_message *m = &c->model.messages[which[i]];
		int e = jobs[i].result.errnum;

		if (!e) {
			take_measure(m, &jobs[i].result);
			continue;
		}
		m->marks |= MODEL_DEAD;
		if (e == ENOENT) {
			c->moved = c->left_out = true;
			continue;
		}
		if (!our_fault(e))
			maildir_note_left_out(
				c->place, maildir_directory(c->place, jobs[i].directory),
				maildir_directory_names[jobs[i].directory], jobs[i].name, e);
		if (e == ENOTSUP)
			continue;
		errnum = our_fault(errnum) ? errnum : e;
		c->left_out = true;
	}
	/* one bad message must not hide the others; but a maildrop of which nothing can be read is
	 * an error, never an empty list */
	if (our_fault(errnum) || (errnum && !any_left(c)))
		return maildir_failed(c->place, errnum, NULL, "its messages cannot be read", err);
	return MAILDROP_OK;
}

enum maildrop_status maildir_fresh_measure(struct maildir_comparison *c, struct err *err)
{
	size_t n = believe_claims(c), used = 0, names_size = 0;
	enum maildrop_status status = MAILDROP_TEMP;
	struct maildir_measure_job *jobs;
	uint32_t *which;
	char *names, *p;

	if (n == 0)
		return MAILDROP_OK;
	for (uint32_t i = 0; i < c->model.count; i++)
		names_size += to_measure(c, i) ? c->model.messages[i].name_size + 1u : 0;
	jobs = malloc(n * sizeof(*jobs));
	which = malloc(n * sizeof(*which));
	p = names = malloc(names_size);
	if (!jobs || !which || !names) {
		err_sys(err, EX_TEMPFAIL, ENOMEM, "maildrop %s", c->place->home);
		goto out;
	}
	for (uint32_t i = 0; i < c->model.count; i++) {
		pop3_span name = maildir_model_name(&c->model, i);

		if (!to_measure(c, i))
			continue;
		memcpy(p, name.data, name.size);
		p[name.size] = '\0';
		which[used] = i;
		jobs[used++] = (struct maildir_measure_job){
			.directory = index_directory_of(c->model.messages[i].flags),
			.name = p,
		};
		p += name.size + 1;
	}
	if (maildir_measure(c->place, jobs, n) < 0)
		status = maildir_failed(c->place, errno, NULL, "its messages cannot be read", err);
	else
		status = take_results(c, jobs, which, n, err);
out:
	free(jobs);
	free(which);
	free(names);
	return status;
}

/* A message that has this id because it is the unique part of its name, or MODEL_NONE. */
static uint32_t id_of_name(const struct maildir_comparison *c, pop3_span id, uint32_t but)
{
	uint32_t at = MODEL_NONE, hash = maildir_model_hash(&c->model, id);

	while ((at = maildir_model_find(&c->model, id, hash, at)) != MODEL_NONE) {
		const struct model_message *m = &c->model.messages[at];

		if (at == but || m->marks & MODEL_DEAD || m->flags & INDEX_OWN_ID)
			continue;
		if (!(m->marks & MODEL_FRESH) || m->marks & MODEL_NAMED)
			return at;
	}
	return MODEL_NONE;
}

/* Ids that came from elsewhere (given) win, then the rule, then digests until one is free. */
static pop3_span choose_id(const struct maildir_comparison *c, struct maildir_uidl *uidl,
			   uint32_t at, char buf[POP3_UNIQUE_ID_MAX], bool *resolved,
			   uint32_t *other)
{
	pop3_span unique = maildir_model_unique(&c->model, at);
	pop3_span id = maildir_uidl_find(uidl, unique);

	*resolved = false;
	*other = MODEL_NONE;
	if (id.size) {
		*other = id_of_name(c, id, at);
		if (*other == MODEL_NONE && !maildir_uidl_used(uidl, id))
			return id;
		*resolved = true;
	}
	for (unsigned variant = 0;; variant++) {
		uint32_t holder;

		id = (pop3_span){buf, (size_t)maildir_unique_id(unique, variant, buf)};
		holder = id_of_name(c, id, at);
		if (holder == MODEL_NONE && !maildir_uidl_used(uidl, id) &&
		    !maildir_uidl_reserved(uidl, id))
			return id;
		*other = holder != MODEL_NONE ? holder : *other;
		*resolved = true;
	}
}

static int give_id(struct maildir_comparison *c, struct maildir_uidl *uidl, uint32_t at)
{
	pop3_span unique = maildir_model_unique(&c->model, at), id;
	char buf[POP3_UNIQUE_ID_MAX];
	uint32_t other;
	bool resolved;

	c->model.messages[at].marks |= MODEL_NAMED;
	id = choose_id(c, uidl, at, buf, &resolved, &other);
	/* how it was resolved must stay so, in whatever order an index is built again */
	if (resolved && maildir_uidl_note(uidl, id, unique) < 0)
		return -1;
	if (other != MODEL_NONE && maildir_uidl_note(uidl, maildir_model_id(&c->model, other),
						     maildir_model_unique(&c->model, other)) < 0)
		return -1;
	if (id.size == unique.size && memcmp(id.data, unique.data, id.size) == 0)
		return 0;
	if (maildir_model_set_id(&c->model, at, id) < 0)
		return -1;
	return maildir_uidl_use(uidl, maildir_model_id(&c->model, at));
}

/* The ranked ones, then those that are left in the order. Returns how many there are. */
static uint32_t merge(uint32_t *order, const uint32_t *ranked, uint32_t count,
		      const struct maildir_comparison *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++)
		if (ranked[i] != MODEL_NONE)
			order[n++] = ranked[i];
	for (uint32_t i = 0; i < c->order_count; i++)
		if (c->order[i] != MODEL_NONE)
			order[n++] = c->order[i];
	return n;
}

/* Messages that were brought in an order come first, in that order; the others stay as they are.
 * -1: no memory. */
static int order_brought(struct maildir_comparison *c, const struct maildir_uidl *uidl)
{
	uint32_t *order, *ranked, count = 0;

	if (uidl->ordered_count == 0 || uidl->parts.count <= uidl->ordered_first)
		return 0;
	count = uidl->parts.count - uidl->ordered_first;
	count = count < uidl->ordered_count ? count : uidl->ordered_count;
	order = malloc(((size_t)c->order_count + count) * sizeof(*order));
	if (!order)
		return -1;
	ranked = order + c->order_count;
	memset(ranked, 0xff, count * sizeof(*ranked));
	for (uint32_t i = 0; i < c->order_count; i++) {
		uint32_t rank =
			maildir_uidl_rank(uidl, maildir_model_unique(&c->model, c->order[i]));

		/* a second message of that name is none that was brought */
		if (rank < count && ranked[rank] == MODEL_NONE) {
			ranked[rank] = c->order[i];
			c->order[i] = MODEL_NONE;
		}
	}
	count = merge(order, ranked, count, c);
	memcpy(c->order, order, count * sizeof(*order));
	free(order);
	return 0;
}

enum maildrop_status maildir_fresh_name_ids(struct maildir_comparison *c, bool save,
					    struct err *err)
{
	struct maildir_uidl *uidl = &c->uidl;
	bool odd = false;
	int result = 0;

	if (c->order_count == 0)
		return MAILDROP_OK;
	for (uint32_t i = 0; i < c->model.count && !odd; i++) {
		const struct model_message *m = &c->model.messages[i];

		odd = !(m->marks & MODEL_DEAD) && (m->marks & MODEL_ODD || m->flags & INDEX_OWN_ID);
	}
	if (uidl->any || (uidl->origin[0] && strcmp(uidl->origin, "none") != 0))
		result = maildir_note_ids(c->place, uidl->origin[0] ? uidl->origin : NULL);
	if (result == 0)
		result = order_brought(c, uidl);
	for (uint32_t i = 0; i < c->model.indexed && result == 0; i++) {
		const struct model_message *m = &c->model.messages[i];

		if (!(m->marks & MODEL_DEAD) && m->flags & INDEX_OWN_ID)
			result = maildir_uidl_use(uidl, maildir_model_id(&c->model, i));
	}
	/* fast path, nearly always: every unique part is distinct and is itself the unique id */
	for (uint32_t i = 0; i < c->order_count && result == 0 && (odd || uidl->any); i++)
		result = give_id(c, uidl, c->order[i]);
	if (result == 0 && save)
		result = maildir_uidl_save(uidl, c->place);
	if (result < 0)
		return maildir_failed(c->place, errno, UIDL_NAME, "cannot be written", err);
	return MAILDROP_OK;
}
