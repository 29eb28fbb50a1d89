/* See log.h. Ids are random, and slots are found by their first octets: whoever could choose ids
 * could write the log as well. */
#include "maildrop/rados/log/log.h"

#include "base/array.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	SLOTS_FIRST = 64,
	RESERVE_MIN = 65536, /* octets */
};

void drop_log_init(struct drop_log *log)
{
	*log = (struct drop_log){0};
}

void drop_log_finish(struct drop_log *log)
{
	free(log->messages);
	free(log->slots);
	free(log->texts);
	free(log->deletions);
	drop_log_init(log);
}

/* ---- finding ---- */

static size_t first_slot(const struct drop_log *log, const unsigned char id[DROP_ID])
{
	uint64_t hash;

	memcpy(&hash, id, sizeof(hash));
	return (size_t)(hash * 0x9e3779b97f4a7c15u >> 20) & log->slot_mask;
}

static uint32_t tag_of(const unsigned char id[DROP_ID])
{
	uint32_t tag;

	memcpy(&tag, id + 8, sizeof(tag));
	return tag;
}

/* The slot of that id, or the free one where it would be. */
static struct drop_slot *slot_of(const struct drop_log *log, const unsigned char id[DROP_ID])
{
	size_t at = first_slot(log, id);
	uint32_t tag = tag_of(id);

	for (;; at = (at + 1) & log->slot_mask) {
		struct drop_slot *slot = &log->slots[at];

		if (!slot->number || (slot->tag == tag &&
				      memcmp(log->messages[slot->number - 1].id, id, DROP_ID) == 0))
			return slot;
	}
}

static void take_slot(struct drop_slot *slot, const unsigned char id[DROP_ID], size_t place)
{
	*slot = (struct drop_slot){.number = (uint32_t)place + 1, .tag = tag_of(id)};
}

struct drop_message *drop_log_find(const struct drop_log *log, const unsigned char id[DROP_ID])
{
	uint32_t found = log->slots ? slot_of(log, id)->number : 0;

	return found ? &log->messages[found - 1] : NULL;
}

/* Slots for that many messages and as many again. */
static int make_slots(struct drop_log *log, size_t messages)
{
	size_t count = log->slots ? log->slot_mask + 1 : SLOTS_FIRST;
	struct drop_slot *slots;

	while (count <= 2 * messages)
		count *= 2;
	slots = calloc(count, sizeof(*slots));
	if (!slots)
		return -1;
	free(log->slots);
	log->slots = slots;
	log->slot_mask = count - 1;
	for (size_t i = 0; i < log->count; i++)
		take_slot(slot_of(log, log->messages[i].id), log->messages[i].id, i);
	return 0;
}

/* Room for about as many messages as so many octets tell of: a long log is read without moving what
 * was read. */
static int reserve(struct drop_log *log, size_t octets)
{
	size_t room = log->count + octets / DROP_FRAME_ADD + 1;
	struct drop_message *grown;

	if (octets < RESERVE_MIN || room <= log->room || room > DROP_MESSAGES_MAX)
		return 0;
	grown = realloc(log->messages, room * sizeof(*grown));
	if (!grown)
		return -1;
	log->messages = grown;
	log->room = room;
	return make_slots(log, room);
}

/* ---- reading ---- */

/* The message of that id, a new one if there was none. NULL: no memory. */
static struct drop_message *message_of(struct drop_log *log, const unsigned char id[DROP_ID])
{
	struct drop_message *message = drop_log_find(log, id), *grown;

	if (message)
		return message;
	if (log->count >= DROP_MESSAGES_MAX ||
	    (2 * (log->count + 1) > log->slot_mask && make_slots(log, log->count + 1) < 0))
		return NULL;
	grown = array_grow(log->messages, log->count, &log->room, sizeof(*grown));
	if (!grown)
		return NULL;
	log->messages = grown;
	message = &grown[log->count];
	memset(message, 0, sizeof(*message));
	memcpy(message->id, id, DROP_ID);
	take_slot(slot_of(log, id), id, log->count++);
	return message;
}

static int take_text(struct drop_log *log, struct drop_message *message, pop3_span text)
{
	if (!text.size)
		return 0;
	if (log->text_room - log->text_size < text.size) {
		size_t room = 2 * log->text_room + 4096;
		char *texts = room < UINT32_MAX ? realloc(log->texts, room) : NULL;

		if (!texts)
			return -1;
		log->texts = texts;
		log->text_room = room;
	}
	memcpy(log->texts + log->text_size, text.data, text.size);
	message->text = (uint32_t)log->text_size;
	message->id_size = (uint8_t)text.size;
	log->text_size += text.size;
	return 0;
}

static void count(struct drop_log *log, const struct drop_message *message, bool more)
{
	uint64_t sign = more ? 1 : UINT64_MAX; /* modulo 2^64: minus one */

	log->live += sign;
	log->octets += sign * message->octets;
	log->stored += sign * message->stored;
	log->live_size += sign * (DROP_FRAME_ADD + message->id_size);
}

static int take_add(struct drop_log *log, const struct drop_frame *frame)
{
	struct drop_message *message = message_of(log, frame->id);

	if (!message)
		return -1;
	if (message->added)
		return 0;
	if (take_text(log, message, frame->unique_id) < 0)
		return -1;
	message->added = true;
	message->octets = frame->octets;
	message->stored = frame->stored;
	message->arrived = frame->arrived;
	message->flags = frame->flags;
	message->body_crc = frame->body_crc;
	if (!message->deleted)
		count(log, message, true);
	return 0;
}

static int note_deletion(struct drop_log *log, const struct drop_message *message)
{
	uint32_t *grown = array_grow(log->deletions, log->deletion_count, &log->deletion_room,
				     sizeof(*grown));

	if (!grown)
		return -1;
	log->deletions = grown;
	grown[log->deletion_count++] = (uint32_t)(message - log->messages);
	return 0;
}

static int take_del(struct drop_log *log, const struct drop_frame *frame)
{
	struct drop_message *message = message_of(log, frame->id);

	if (!message)
		return -1;
	if (message->added && !message->deleted) {
		if (note_deletion(log, message) < 0)
			return -1;
		count(log, message, false);
	}
	message->deleted = true;
	return 0;
}

static int take(struct drop_log *log, const struct drop_frame *frame)
{
	if (frame->kind == DROP_ADD)
		return take_add(log, frame);
	if (frame->kind == DROP_DEL)
		return take_del(log, frame);
	log->unknown++;
	return 0;
}

int drop_log_feed(struct drop_log *log, pop3_span octets, struct err *err)
{
	struct drop_frame frame;
	size_t at = 0, size;

	if (reserve(log, octets.size) < 0)
		return err_set(err, EX_OSERR, "out of memory");
	for (; at < octets.size; at += size, log->size += size) {
		size = drop_frame_decode((pop3_span){octets.data + at, octets.size - at}, &frame);
		if (!size)
			return err_set(err, EX_DATAERR, "its log is damaged at octet %llu",
				       (unsigned long long)log->size);
		if (take(log, &frame) < 0)
			return err_set(err, EX_OSERR, "out of memory");
	}
	return 0;
}

pop3_span drop_log_unique_id(const struct drop_log *log, const struct drop_message *message,
			     char buf[DROP_ID_TEXT])
{
	if (message->id_size)
		return (pop3_span){log->texts + message->text, message->id_size};
	drop_id_text(message->id, buf);
	return (pop3_span){buf, DROP_ID_TEXT - 1};
}

/* ---- writing ---- */

static size_t put_message(const struct drop_log *log, const struct drop_message *message,
			  unsigned char *out)
{
	struct drop_frame frame = {.kind = DROP_ADD,
				   .octets = message->octets,
				   .stored = message->stored,
				   .arrived = message->arrived,
				   .flags = message->flags,
				   .body_crc = message->body_crc,
				   .unique_id = {log->texts + message->text, message->id_size}};
	size_t size = 0;

	memcpy(frame.id, message->id, DROP_ID);
	if (message->added)
		size = drop_frame_encode(&frame, out);
	frame.kind = DROP_DEL;
	if (message->deleted)
		size += drop_frame_encode(&frame, out + size);
	return size;
}

static bool stays(const struct drop_message *message)
{
	return !message->deleted || !message->gone;
}

int drop_log_compact(const struct drop_log *log, unsigned char **ret, size_t *ret_size)
{
	size_t room = 1, size = 0;
	unsigned char *out;

	if (log->unknown)
		return -1;
	for (size_t i = 0; i < log->count; i++)
		if (stays(&log->messages[i]))
			room += DROP_FRAME_ADD + log->messages[i].id_size + DROP_FRAME_HEAD;
	out = malloc(room);
	if (!out)
		return -1;
	for (size_t i = 0; i < log->count; i++)
		if (stays(&log->messages[i]))
			size += put_message(log, &log->messages[i], out + size);
	*ret = out;
	*ret_size = size;
	return 0;
}

/* ---- ids ---- */

void drop_id_text(const unsigned char id[DROP_ID], char ret[DROP_ID_TEXT])
{
	hex_encode(id, DROP_ID, ret);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int drop_id_of(pop3_span text, unsigned char ret[DROP_ID])
{
	unsigned char id[DROP_ID];

	if (text.size != 2 * DROP_ID)
		return -1;
	for (size_t i = 0; i < DROP_ID; i++) {
		int high = digit(text.data[2 * i]), low = digit(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		id[i] = (unsigned char)(high << 4 | low);
	}
	memcpy(ret, id, DROP_ID);
	return 0;
}
