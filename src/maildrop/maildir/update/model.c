/* See model.h. Pure: no file is touched. */
#include "maildrop/maildir/update/model.h"

#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define FIRST_BUCKETS 64u

int maildir_model_init(struct maildir_model *model)
{
	memset(model, 0, sizeof(*model));
	if (random_octets(&model->seed, sizeof(model->seed)) < 0)
		return -1;
	model->buckets = malloc(FIRST_BUCKETS * sizeof(*model->buckets));
	if (!model->buckets)
		return -1;
	memset(model->buckets, 0xff, FIRST_BUCKETS * sizeof(*model->buckets));
	model->mask = FIRST_BUCKETS - 1;
	return 0;
}

void maildir_model_finish(struct maildir_model *model)
{
	free(model->messages);
	free(model->text);
	free(model->buckets);
	memset(model, 0, sizeof(*model));
}

/* Eight octets a step; the seed is not known outside, so nobody can choose names that all meet in
 * one chain without seeing how long we take. */
uint32_t maildir_model_hash(const struct maildir_model *model, pop3_span text)
{
	uint64_t h = model->seed ^ text.size, word;
	size_t i;

	for (i = 0; i + 8 <= text.size; i += 8) {
		memcpy(&word, text.data + i, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	word = 0;
	memcpy(&word, text.data + i, text.size - i);
	h = (h ^ word) * 0x9e3779b97f4a7c15u;
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9u;
	return (uint32_t)(h >> 32);
}

static int text_room(struct maildir_model *model, size_t n)
{
	size_t room = model->text_room ? model->text_room : 4096;
	char *more;

	if (model->text_room - model->text_size >= n)
		return 0;
	while (room - model->text_size < n)
		room *= 2;
	if (room > UINT32_MAX) {
		errno = EFBIG;
		return -1;
	}
	more = realloc(model->text, room);
	if (!more)
		return -1;
	model->text = more;
	model->text_room = room;
	return 0;
}

uint32_t maildir_model_add(struct maildir_model *model, pop3_span id, pop3_span name,
			   uint8_t unique_size)
{
	struct model_message *m;

	if (model->count >= 2 * INDEX_COUNT_MAX) {
		errno = EFBIG;
		return MODEL_NONE;
	}
	if (model->count == model->room) {
		uint32_t room = model->room ? model->room * 2 : 64;
		struct model_message *more = realloc(model->messages, room * sizeof(*more));

		if (!more)
			return MODEL_NONE;
		model->messages = more;
		model->room = room;
	}
	if (text_room(model, id.size + name.size) < 0)
		return MODEL_NONE;
	m = &model->messages[model->count];
	memset(m, 0, sizeof(*m));
	m->text = (uint32_t)model->text_size;
	m->id_size = (uint8_t)(id.size ? id.size : unique_size);
	m->flags = id.size ? INDEX_OWN_ID : 0;
	m->name_size = (uint8_t)name.size;
	m->unique_size = unique_size;
	m->next = MODEL_NONE;
	if (id.size)
		memcpy(model->text + model->text_size, id.data, id.size);
	memcpy(model->text + model->text_size + id.size, name.data, name.size);
	model->text_size += id.size + name.size;
	return model->count++;
}

static int more_buckets(struct maildir_model *model)
{
	uint32_t size = (model->mask + 1) * 4;
	uint32_t *more = malloc(size * sizeof(*more)), old = model->mask + 1;

	if (!more)
		return -1;
	memset(more, 0xff, size * sizeof(*more));
	for (uint32_t i = 0; i < old; i++) {
		uint32_t at = model->buckets[i], next;

		for (; at != MODEL_NONE; at = next) {
			uint32_t *head = &more[model->messages[at].hash & (size - 1)];

			next = model->messages[at].next;
			model->messages[at].next = *head;
			*head = at;
		}
	}
	free(model->buckets);
	model->buckets = more;
	model->mask = size - 1;
	return 0;
}

int maildir_model_link(struct maildir_model *model, uint32_t at, uint32_t hash)
{
	uint32_t *head;

	if (model->count > model->mask && more_buckets(model) < 0)
		return -1;
	model->messages[at].hash = hash;
	head = &model->buckets[hash & model->mask];
	model->messages[at].next = *head;
	*head = at;
	return 0;
}

static size_t name_offset(const struct model_message *m)
{
	return m->text + (m->flags & INDEX_OWN_ID ? m->id_size : 0);
}

uint32_t maildir_model_find(const struct maildir_model *model, pop3_span unique, uint32_t hash,
			    uint32_t after)
{
	uint32_t at = after == MODEL_NONE ? model->buckets[hash & model->mask]
					  : model->messages[after].next;

	while (at != MODEL_NONE) {
		const struct model_message *m = &model->messages[at];

		if (m->hash == hash && m->unique_size == unique.size &&
		    memcmp(model->text + name_offset(m), unique.data, unique.size) == 0)
			return at;
		at = m->next;
	}
	return MODEL_NONE;
}

pop3_span maildir_model_name(const struct maildir_model *model, uint32_t at)
{
	const struct model_message *m = &model->messages[at];

	return (pop3_span){model->text + name_offset(m), m->name_size};
}

pop3_span maildir_model_unique(const struct maildir_model *model, uint32_t at)
{
	const struct model_message *m = &model->messages[at];

	return (pop3_span){model->text + name_offset(m), m->unique_size};
}

pop3_span maildir_model_id(const struct maildir_model *model, uint32_t at)
{
	const struct model_message *m = &model->messages[at];

	return (pop3_span){model->text + m->text, m->id_size};
}

int maildir_model_rename(struct maildir_model *model, uint32_t at, pop3_span name)
{
	struct model_message *m = &model->messages[at];
	size_t id_size = m->flags & INDEX_OWN_ID ? m->id_size : 0;

	if (text_room(model, id_size + name.size) < 0)
		return -1;
	memmove(model->text + model->text_size, model->text + m->text, id_size);
	m->text = (uint32_t)model->text_size;
	memcpy(model->text + m->text + id_size, name.data, name.size);
	m->name_size = (uint8_t)name.size;
	model->text_size += id_size + name.size;
	return 0;
}

int maildir_model_set_id(struct maildir_model *model, uint32_t at, pop3_span id)
{
	struct model_message *m = &model->messages[at];
	size_t name = name_offset(m);

	if (text_room(model, id.size + m->name_size) < 0)
		return -1;
	memcpy(model->text + model->text_size, id.data, id.size);
	memcpy(model->text + model->text_size + id.size, model->text + name, m->name_size);
	m->text = (uint32_t)model->text_size;
	m->id_size = (uint8_t)id.size;
	m->flags |= INDEX_OWN_ID;
	model->text_size += id.size + m->name_size;
	return 0;
}

static int load_one(struct maildir_model *model, const struct index *index, uint32_t ordinal,
		    const struct index_message *message)
{
	pop3_span name = {message->name, message->name_size};
	pop3_span id = {message->id, message->flags & INDEX_OWN_ID ? message->id_size : 0};
	struct maildir_name parsed;
	struct model_message *m;
	uint32_t at;

	maildir_name_parse(name, &parsed);
	at = maildir_model_add(model, id, name, parsed.unique_size);
	if (at == MODEL_NONE)
		return -1;
	m = &model->messages[at];
	m->octets = m->old_octets = message->octets;
	m->stored = m->old_stored = message->stored;
	m->inode = message->inode;
	m->flags = m->old_flags = message->flags;
	m->id_size = message->id_size;
	m->marks = MODEL_KNOWN;
	if (!index_unverified(index, ordinal, message))
		m->flags &= (uint16_t)~INDEX_UNVERIFIED;
	return maildir_model_link(model, at,
				  maildir_model_hash(model, maildir_model_unique(model, at)));
}

/* Keeps the place of an ordinal that is no message. */
static int load_dead(struct maildir_model *model)
{
	uint32_t at = maildir_model_add(model, (pop3_span){"-", 1}, (pop3_span){"-", 1}, 1);

	if (at == MODEL_NONE)
		return -1;
	model->messages[at].marks = MODEL_DEAD;
	return 0;
}

int maildir_model_load(struct maildir_model *model, struct index *index, uint32_t first,
		       bool salvage, struct err *err)
{
	uint32_t end = index->header.count + index->delta.added;
	size_t removed = 0;

	while (removed < index->delta.removed_count && index->delta.removed[removed] < first)
		removed++;
	for (uint32_t ordinal = first; ordinal < end; ordinal++) {
		struct index_message message;
		bool dead = removed < index->delta.removed_count &&
			    index->delta.removed[removed] == ordinal;
		int result;

		removed += dead;
		if (!dead && index_read(index, ordinal, &message, err) < 0) {
			if (!salvage)
				return -1;
			dead = true;
		}
		result = dead ? load_dead(model) : load_one(model, index, ordinal, &message);
		if (result < 0)
			return err_sys(err, EX_TEMPFAIL, errno, "index");
	}
	model->first = first;
	model->indexed = end - first;
	return 0;
}

int maildir_model_load_deleted(struct maildir_model *model, const struct index_delta *delta,
			       const struct maildrop_syscalls *sys, int delta_fd, struct err *err)
{
	for (size_t i = 0; i < delta->pending_count; i++) {
		unsigned char buf[INDEX_CHANGE_MAX];
		struct index_change change;
		uint32_t at;

		if (index_delta_read(sys, delta_fd, delta->pending[i], buf, &change, err) < 0)
			return -1;
		if (change.kind != CHANGE_DEL)
			return err_set(err, EX_TEMPFAIL, "the index's log is damaged");
		at = maildir_model_add(model, (pop3_span){0}, change.name,
				       (uint8_t)change.name.size);
		if (at == MODEL_NONE ||
		    maildir_model_link(model, at, maildir_model_hash(model, change.name)) < 0)
			return err_sys(err, EX_TEMPFAIL, errno, "index");
		model->messages[at].inode = change.inode;
		model->messages[at].marks = MODEL_DELETED | MODEL_DEAD;
	}
	return 0;
}

void maildir_model_message(const struct maildir_model *model, uint32_t at,
			   struct index_message *ret)
{
	const struct model_message *m = &model->messages[at];
	pop3_span id = maildir_model_id(model, at), name = maildir_model_name(model, at);

	ret->octets = m->octets;
	ret->stored = m->stored;
	ret->inode = m->inode;
	ret->flags = m->flags;
	ret->id_size = m->id_size;
	ret->name_size = m->name_size;
	memcpy(ret->id, id.data, id.size);
	memcpy(ret->name, name.data, name.size);
	ret->name[name.size] = '\0';
}
