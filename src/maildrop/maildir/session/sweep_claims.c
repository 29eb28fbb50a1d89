/* See sweep_claims.h: counting what was only claimed. The reading is done without the log, so that
 * deliveries go on. */
#include "maildrop/maildir/session/sweep_claims.h"

#include "maildrop/maildir/files/measure.h"

#include <stdlib.h>
#include <unistd.h>

/* Of one slice, which others wait for if all threads of their filesystem are busy. */
#define COUNT_MAX 1000
#define OCTETS_MAX ((uint64_t)32 << 20)

struct counted {
	uint32_t ordinal;
	uint64_t inode;
	struct maildir_measured r;
};

static int count_one(struct maildir *m, uint32_t ordinal, const struct index_message *message,
		     struct counted *ret)
{
	struct stat st;
	int fd = maildir_open_message(&m->place, index_directory_of(message->flags), message->name,
				      &st);
	int result;

	if (fd < 0)
		return -1;
	ret->ordinal = ordinal;
	ret->inode = st.st_ino;
	result = maildir_measure_fd(&m->place, fd, &ret->r);
	close(fd);
	return result;
}

/* Counts on from where the last slice ended; returns how many, and the first ordinal that is not
 * known yet: it stops at a message that cannot be read, which may be served later. */
static size_t count_portion(struct maildir *m, struct counted *counted, uint32_t *ret_end)
{
	struct index *index = &m->index.index;
	uint32_t ordinal = m->counted;
	uint64_t octets = 0;
	size_t n = 0;

	for (; ordinal < index->delta.unverified_end; ordinal++) {
		struct index_message message;

		if (n == COUNT_MAX || octets > OCTETS_MAX || maildir_hurried(m))
			break;
		if (index_delta_removed(&index->delta, ordinal))
			continue;
		if (index_read(index, ordinal, &message, NULL) < 0)
			break;
		if (!index_unverified(index, ordinal, &message))
			continue;
		if (count_one(m, ordinal, &message, &counted[n]) < 0)
			break;
		octets += counted[n].r.stored;
		n++;
	}
	*ret_end = ordinal;
	return n;
}

static bool record_portion(struct maildir *m, const struct counted *counted, size_t n, uint32_t end)
{
	struct index_batch batch = {0};
	struct maildir_log log;
	struct index *now = &log.index.index;
	bool recorded;

	if (maildir_log_begin(&m->place, true, &log) < 0)
		return false;
	for (size_t i = 0; i < n && log.index.open; i++) {
		const struct counted *c = &counted[i];
		struct index_message message;

		if (index_delta_removed(&now->delta, c->ordinal) ||
		    index_read(now, c->ordinal, &message, NULL) < 0)
			continue;
		/* a correct claim needs no record, unless the message turns out to be in wire form
		 */
		if (c->r.octets != message.octets || c->r.stored != message.stored ||
		    c->inode != message.inode || c->r.wire_form)
			index_batch_add(&batch,
					&(struct index_change){
						.kind = CHANGE_SIZE,
						.ordinal = c->ordinal,
						.flags = c->r.wire_form ? INDEX_WIRE_FORM : 0,
						.octets = c->r.octets,
						.stored = c->r.stored,
						.inode = c->inode,
						.old_octets = message.octets,
						.old_stored = message.stored});
	}
	index_batch_add(&batch, &(struct index_change){.kind = CHANGE_VERIFIED, .ordinal = end});
	recorded = log.index.open && now->header.id == m->index.index.header.id &&
		   maildir_log_append(&log, &batch) == 0;
	index_batch_finish(&batch);
	maildir_log_end(&log);
	return recorded;
}

bool maildir_sweep_claims(struct maildir *m)
{
	const struct index_delta *delta = &m->index.index.delta;
	struct counted *counted;
	bool recorded = false;
	uint32_t end;
	size_t n;

	if (m->counted < delta->verified)
		m->counted = delta->verified;
	if (m->counted >= delta->unverified_end)
		return false;
	counted = malloc(COUNT_MAX * sizeof(*counted));
	if (!counted)
		return false;
	n = count_portion(m, counted, &end);
	if (end > m->counted)
		recorded = record_portion(m, counted, n, end);
	m->counted = end;
	free(counted);
	return recorded && end < delta->unverified_end;
}
