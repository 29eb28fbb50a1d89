/* See ids.h. In a keeper's worker or a command of a person, with the rights of the mail's owner. */
#include "maildrop/mbox/ids.h"

#include "base/table.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX ((off_t)1 << 30)
#define FILE_FLAGS (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define LINE_MIN MBOX_IDS_LINE(1)

/* Own ids that are wanted, by their first four hex digits. */
struct wanted {
	uint64_t bits[65536 / 64];
};

static unsigned bit_of(const char *digits)
{
	unsigned bit = 0;

	for (int i = 0; i < 4; i++) /* other octets than hex digits: any bit will do */
		bit = 16 * bit + ((unsigned char)digits[i] & 15u) + (digits[i] >= 'a' ? 9u : 0u);
	return bit & 0xffff;
}

static void want(struct wanted *wanted, const struct mbox_entry *entries, size_t count)
{
	char digits[2 * MBOX_ID + 1];

	for (size_t i = 0; i < count; i++) {
		hex_encode(entries[i].id, MBOX_ID, digits);
		wanted->bits[bit_of(digits) / 64] |= UINT64_C(1) << bit_of(digits) % 64;
	}
}

static int read_file(struct mbox_ids *ids, const struct mbox_place *place, int fd)
{
	struct stat st;
	ssize_t n;

	if (place->sys->fstat(fd, &st) < 0)
		return -1;
	errno = EFBIG;
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return -1;
	ids->text = malloc((size_t)st.st_size + 1);
	for (ids->size = 0; ids->text && ids->size < (size_t)st.st_size; ids->size += (size_t)n) {
		n = maildrop_pread(place->sys, fd, ids->text + ids->size,
				   (size_t)st.st_size - ids->size, (off_t)ids->size);
		if (n == 0)
			errno = EIO; /* it is written whole: what is missing would be new ids */
		if (n <= 0)
			return -1;
	}
	return ids->text ? 0 : -1;
}

/* The id that was brought, at the front of a line. Size 0: the line is of another kind, or makes no
 * sense. */
static pop3_span id_of(pop3_span line)
{
	pop3_span id = {line.data, 0};

	if (line.size > MBOX_UNIQUE + 1 && line.data[line.size - MBOX_UNIQUE - 1] == ' ')
		id.size = line.size - MBOX_UNIQUE - 1;
	return index_id_valid(id) ? id : (pop3_span){line.data, 0};
}

/* -1: no memory. */
static int take_line(struct mbox_ids *ids, pop3_span line)
{
	pop3_span id = id_of(line);
	uint64_t *place, *seen;

	if (id.size == 0)
		return 0;
	seen = hash_map_put(&ids->seen, hash_octets(id.data, id.size));
	place = hash_map_put(&ids->places, hash_octets(id.data + id.size + 1, MBOX_UNIQUE));
	if (!seen || !place)
		return -1;
	/* no two messages of a maildrop have one id */
	if (!*seen)
		*place = (uint64_t)(id.data - ids->text) << 8 | id.size;
	*seen = 1;
	return 0;
}

static bool is_wanted(const struct wanted *wanted, pop3_span line)
{
	unsigned bit;

	if (line.size < MBOX_UNIQUE)
		return false;
	bit = bit_of(line.data + line.size - MBOX_UNIQUE);
	return wanted->bits[bit / 64] >> bit % 64 & 1;
}

static int take_lines(struct mbox_ids *ids, const struct wanted *wanted)
{
	pop3_span text = {ids->text, ids->size};

	hash_map_init(&ids->places, ids->size / LINE_MIN + 1);
	hash_map_init(&ids->seen, ids->size / LINE_MIN + 1);
	while (text.size) {
		pop3_span line = span_take_until(&text, '\n');

		if (is_wanted(wanted, line) && take_line(ids, line) < 0) {
			errno = ENOMEM;
			return -1;
		}
	}
	return 0;
}

int mbox_ids_load(struct mbox_ids *ids, const struct mbox_place *place,
		  const struct mbox_entry *entries, size_t count)
{
	struct wanted wanted = {{0}};
	int fd, result, saved;

	memset(ids, 0, sizeof(*ids));
	if (place->state < 0)
		return 0;
	fd = place->sys->openat(place->state, place->names[MBOX_UIDL], O_RDONLY | FILE_FLAGS, 0);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	result = read_file(ids, place, fd);
	saved = errno;
	close(fd);
	errno = saved;
	if (result < 0)
		return -1;
	want(&wanted, entries, count);
	return take_lines(ids, &wanted);
}

void mbox_ids_finish(struct mbox_ids *ids)
{
	hash_map_finish(&ids->places);
	hash_map_finish(&ids->seen);
	free(ids->text);
	memset(ids, 0, sizeof(*ids));
}

void mbox_ids_encode(const struct mbox_ids *ids, const struct mbox_entry *entry,
		     struct index_message *ret)
{
	uint64_t *place;

	mbox_entry_encode(entry, ret);
	if (!ids->text)
		return;
	place = hash_map_find(&ids->places, hash_octets(ret->name, MBOX_UNIQUE));
	if (!place || !*place)
		return;
	ret->id_size = (uint8_t)(*place & 0xff);
	memcpy(ret->id, ids->text + (*place >> 8), ret->id_size);
	ret->flags |= INDEX_OWN_ID;
}

size_t mbox_ids_line(char *buf, pop3_span id, const unsigned char own[MBOX_ID])
{
	memcpy(buf, id.data, id.size);
	buf[id.size] = ' ';
	hex_encode(own, MBOX_ID, buf + id.size + 1);
	buf[MBOX_IDS_LINE(id.size) - 1] = '\n';
	return MBOX_IDS_LINE(id.size);
}

int mbox_ids_write(const struct mbox_place *place, const char *lines, size_t size)
{
	const struct maildrop_syscalls *sys = place->sys;
	char new[MBOX_NAME_SIZE + 8];
	int fd, result, saved;

	snprintf(new, sizeof(new), "%s" MBOX_NEW_SUFFIX, place->names[MBOX_UIDL]);
	fd = sys->openat(place->state, new, O_WRONLY | O_CREAT | O_TRUNC | FILE_FLAGS, 0600);
	if (fd < 0)
		return -1;
	result = maildrop_pwrite(sys, fd, lines, size, 0);
	if (result == 0)
		result = sys->fsync(fd);
	if (result == 0)
		result =
			sys->renameat2(place->state, new, place->state, place->names[MBOX_UIDL], 0);
	if (result == 0)
		result = sys->fsync(place->state);
	saved = errno;
	close(fd);
	if (result < 0)
		(void)sys->unlinkat(place->state, new, 0);
	errno = saved;
	return result;
}
