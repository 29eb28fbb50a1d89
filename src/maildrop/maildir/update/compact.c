/* See compact.h. */
#include "maildrop/maildir/update/compact.h"

#include "maildrop/maildir/files/name.h"

#include <string.h>

static int fill(void *context, struct index_writer *writer)
{
	struct index *index = context;
	uint32_t end = index->header.count + index->delta.added;

	for (uint32_t ordinal = 0; ordinal < end; ordinal++) {
		struct index_message message;
		struct maildir_name parsed;

		if (index_delta_removed(&index->delta, ordinal))
			continue;
		if (index_read(index, ordinal, &message, NULL) < 0)
			return -1;
		if (!index_unverified(index, ordinal, &message))
			message.flags &= (uint16_t)~INDEX_UNVERIFIED;
		maildir_name_parse((pop3_span){message.name, message.name_size}, &parsed);
		if (index_writer_add(writer, &message, parsed.unique_size) < 0)
			return -1;
	}
	return 0;
}

int maildir_compact(struct maildir_log *log)
{
	struct index *index = &log->index.index;
	struct index_batch pending = {0};
	int result = -1;
	struct maildir_contents contents = {.count = index->delta.count,
					    .fill = fill,
					    .context = index,
					    .carried = &pending,
					    .durable = true};

	memcpy(contents.stamps, index->delta.stamps, sizeof(contents.stamps));
	for (size_t i = 0; i < index->delta.pending_count; i++) {
		unsigned char buf[INDEX_CHANGE_MAX];
		struct index_change change;

		if (index_delta_read(index->sys, index->delta_fd, index->delta.pending[i], buf,
				     &change, NULL) < 0)
			goto out;
		change.ordinal = INDEX_NO_ORDINAL;
		index_batch_add(&pending, &change);
	}
	maildir_carry_unknown(log->place, &index->delta, index->delta_fd, &pending);
	result = maildir_log_replace(log, &contents);
out:
	index_batch_finish(&pending);
	return result;
}

void maildir_compact_if_long(struct maildir_log *log)
{
	if (log->index.open && maildir_log_long(log, 0))
		(void)maildir_compact(log);
}
