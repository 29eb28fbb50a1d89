/* See records.h. */
#include "cli/import/cyrus/records.h"

#include "base/text.h"
#include "maildrop/index/format.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define EXPUNGED (1u << 31)
#define NEW_UIDL 1u /* of the options: ids have the uidvalidity in them */
#define NANOSECONDS 1000000000

enum {
	VERSION_FIRST = 6,
	VERSION_FLAGS = 12, /* expunged messages stay in the index, with a flag */
	VERSION_SHOW_AFTER = 13,
	VERSION_MOVED = 19, /* fields of the header changed places */
	VERSION_WIDE = 20,  /* fields of records and header became wider */
	HEADER_MIN = 76,
};

/* Where fields are. */
struct layout {
	unsigned uidvalidity, options, show_after; /* of the header; show_after 0: there is none */
	unsigned date, size, flags;                /* of a record */
	unsigned record;                           /* octets of a record, at least */
	bool wide;                                 /* dates in nanoseconds, sizes of 64 bits */
};

static struct layout layout_of(uint32_t version)
{
	struct layout layout = {.uidvalidity = 44,
				.options = version < VERSION_MOVED ? 60 : 64,
				.show_after = version < VERSION_SHOW_AFTER ? 0 : 112,
				.date = 4,
				.size = 12,
				.flags = 32,
				.record = 60};

	if (version >= VERSION_WIDE) {
		layout.uidvalidity = 92;
		layout.date = 8;
		layout.size = 24;
		layout.flags = 36;
		layout.record = 144;
		layout.wide = true;
	}
	return layout;
}

static uint64_t number_at(const char *p, unsigned octets)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < octets; i++)
		number = number << 8 | (unsigned char)p[i];
	return number;
}

static uint32_t u32(const char *p)
{
	return (uint32_t)number_at(p, 4);
}

static int64_t date_at(const char *p, const struct layout *layout)
{
	return layout->wide ? (int64_t)number_at(p, 8) / NANOSECONDS : (int64_t)u32(p);
}

struct header {
	uint32_t version, start, record_size, records;
	int64_t show_after; /* messages that came until then are not shown; 0: all are */
	struct layout layout;
};

static int take_header(pop3_span file, struct header *ret, struct cyrus_index *index,
		       struct err *err)
{
	const char *p = file.data;

	if (file.size < HEADER_MIN)
		return err_set(err, EX_DATAERR, "it is shorter than an index of Cyrus");
	ret->version = index->version = u32(p + 8);
	if (ret->version < VERSION_FIRST || ret->version > VERSION_WIDE)
		return err_set(err, EX_DATAERR,
			       "its version is %u, and those from %d to %d are known here",
			       ret->version, VERSION_FIRST, VERSION_WIDE);
	ret->layout = layout_of(ret->version);
	ret->start = u32(p + 12);
	ret->record_size = u32(p + 16);
	ret->records = u32(p + 20);
	if (ret->start < HEADER_MIN || ret->start > file.size ||
	    ret->layout.uidvalidity + 4 > ret->start || ret->layout.show_after + 8 > ret->start ||
	    ret->record_size < ret->layout.record ||
	    ret->records > (file.size - ret->start) / ret->record_size)
		return err_set(err, EX_DATAERR,
			       "it is cut off, or damaged: let Cyrus's reconstruct mend it");
	if (ret->records > INDEX_COUNT_MAX)
		return err_set(err, EX_DATAERR, "it has more than %u messages", INDEX_COUNT_MAX);
	index->uidvalidity = u32(p + ret->layout.uidvalidity);
	index->only_uids = !(u32(p + ret->layout.options) & NEW_UIDL);
	ret->show_after =
		ret->layout.show_after ? date_at(p + ret->layout.show_after, &ret->layout) : 0;
	return 0;
}

static struct cyrus_message take_record(const char *p, const struct layout *layout)
{
	return (struct cyrus_message){
		.uid = u32(p),
		.flags = u32(p + layout->flags),
		.seconds = date_at(p + layout->date, layout),
		.size = number_at(p + layout->size, layout->wide ? 8 : 4),
	};
}

static bool is_shown(const struct header *header, const struct cyrus_message *m, bool skip_deleted)
{
	if (header->version >= VERSION_FLAGS && m->flags & EXPUNGED)
		return false;
	if (skip_deleted && m->flags & CYRUS_DELETED)
		return false;
	return !header->show_after || m->seconds > header->show_after;
}

int cyrus_index_parse(pop3_span file, bool skip_deleted, struct cyrus_index *ret, struct err *err)
{
	struct cyrus_index index = {0};
	struct header header = {0};
	uint32_t last = 0;

	if (take_header(file, &header, &index, err) < 0)
		return -1;
	index.messages = calloc((size_t)header.records + 1, sizeof(*index.messages));
	if (!index.messages)
		return err_set(err, EX_OSERR, "out of memory");
	for (uint32_t i = 0; i < header.records; i++) {
		struct cyrus_message m = take_record(
			file.data + header.start + (size_t)i * header.record_size, &header.layout);

		if (m.uid <= last) {
			cyrus_index_finish(&index);
			return err_set(err, EX_DATAERR,
				       "the numbers of its messages do not ascend: let Cyrus's "
				       "reconstruct mend it");
		}
		last = m.uid;
		if (is_shown(&header, &m, skip_deleted))
			index.messages[index.count++] = m;
	}
	*ret = index;
	return 0;
}

void cyrus_index_finish(struct cyrus_index *index)
{
	free(index->messages);
	*index = (struct cyrus_index){0};
}

/* "%(T e N user.anna I 1nc7… Q user.anna A %(…))" behind the three lines that begin each header;
 * headers of older versions have no name. */
pop3_span cyrus_header_name(pop3_span file)
{
	pop3_span line;

	for (int i = 0; i < 3; i++)
		(void)span_take_until(&file, '\n');
	line = span_take_until(&file, '\n');
	if (!span_take_prefix(&line, SPAN_LITERAL("%(")))
		return (pop3_span){0};
	while (line.size) {
		pop3_span key = span_take_until(&line, ' '), value = span_take_until(&line, ' ');

		if (key.size == 1 && key.data[0] == 'N') {
			if (value.size >= 2 && value.data[0] == '"')
				value = (pop3_span){value.data + 1, value.size - 2};
			return value;
		}
		if (key.size != 1 || key.data[0] == 'A' || key.data[0] == 'U')
			break; /* a list: nothing that is needed stands behind it */
	}
	return (pop3_span){0};
}
