/* See uidl.h. In a keeper's worker or `valija deliver`, with the rights of the mail's owner. */
#include "maildrop/maildir/update/uidl.h"

#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX ((off_t)1 << 30)
#define LINE_MAX_OCTETS UIDL_LINE_MAX(POP3_UNIQUE_ID_MAX, INDEX_NAME_MAX)
#define FILE_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20; /* people write capitals, too */
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes \xHH in text. Returns the size of unique in octets; 0 if text is empty, malformed or too
 * long. */
static size_t unescape(pop3_span text, char unique[INDEX_NAME_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < text.size; i++) {
		int high, low;

		if (n == INDEX_NAME_MAX)
			return 0;
		if (text.data[i] != '\\') {
			unique[n++] = text.data[i];
			continue;
		}
		if (text.size - i < 4 || text.data[i + 1] != 'x')
			return 0;
		high = hex_digit(text.data[i + 2]);
		low = hex_digit(text.data[i + 3]);
		if (high < 0 || low < 0)
			return 0;
		unique[n++] = (char)(high << 4 | low);
		i += 3;
	}
	return n;
}

static int add_id(struct maildir_model *ids, pop3_span id)
{
	uint32_t at = maildir_model_add(ids, (pop3_span){0}, id, (uint8_t)id.size);

	return at == MODEL_NONE ? -1 : maildir_model_link(ids, at, maildir_model_hash(ids, id));
}

static int add_pair(struct maildir_uidl *uidl, pop3_span id, pop3_span unique)
{
	uint32_t at = maildir_model_add(&uidl->parts, id, unique, (uint8_t)unique.size);

	if (at == MODEL_NONE ||
	    maildir_model_link(&uidl->parts, at, maildir_model_hash(&uidl->parts, unique)) < 0)
		return -1;
	uidl->any = true;
	return add_id(&uidl->reserved, id);
}

/* " origin COUNT …": the next COUNT lines are of messages in this order. */
static void take_origin(struct maildir_uidl *uidl, pop3_span line)
{
	size_t word = strlen(UIDL_ORIGIN), digits = 0;
	uint64_t count;

	while (word + digits < line.size && line.data[word + digits] != ' ')
		digits++;
	if (span_number((pop3_span){line.data + word, digits}, UINT32_MAX, &count) < 0)
		return;
	uidl->ordered_first = uidl->parts.count;
	uidl->ordered_count = (uint32_t)count;
	word += digits + (word + digits < line.size);
	if (span_copy((pop3_span){line.data + word, line.size - word}, uidl->origin,
		      sizeof(uidl->origin)) < 0)
		uidl->origin[0] = '\0';
}

/* " hidden UNIQUE" */
static int take_hidden(struct maildir_uidl *uidl, pop3_span text)
{
	char buf[INDEX_NAME_MAX];
	pop3_span unique = {buf, unescape(text, buf)};
	uint32_t at;

	if (!index_name_valid(unique))
		return 0;
	if (!uidl->any_hidden && maildir_model_init(&uidl->hidden) < 0)
		return -1;
	uidl->any_hidden = true;
	at = maildir_model_add(&uidl->hidden, (pop3_span){0}, unique, (uint8_t)unique.size);
	return at == MODEL_NONE ? -1
				: maildir_model_link(&uidl->hidden, at,
						     maildir_model_hash(&uidl->hidden, unique));
}

static bool begins(pop3_span line, const char *word)
{
	return line.size > strlen(word) && memcmp(line.data, word, strlen(word)) == 0;
}

/* Other kinds are of a later version. */
static int take_kind(struct maildir_uidl *uidl, pop3_span line)
{
	size_t hidden = strlen(UIDL_HIDDEN " ");

	if (begins(line, UIDL_ORIGIN))
		take_origin(uidl, line);
	else if (begins(line, UIDL_HIDDEN " "))
		return take_hidden(uidl, (pop3_span){line.data + hidden, line.size - hidden});
	return 0;
}

static int take_line(struct maildir_uidl *uidl, pop3_span line)
{
	const char *space = memchr(line.data, ' ', line.size);
	char unique[INDEX_NAME_MAX];
	pop3_span id, rest;
	size_t n;

	if (line.size && line.data[line.size - 1] == '\r')
		line.size--;
	if (!space)
		return 0;
	if (space == line.data)
		return take_kind(uidl, line);
	id = (pop3_span){line.data, (size_t)(space - line.data)};
	rest = (pop3_span){space + 1, line.size - id.size - 1};
	n = unescape(rest, unique);
	if (!index_id_valid(id) || !index_name_valid((pop3_span){unique, n}))
		return 0;
	return add_pair(uidl, id, (pop3_span){unique, n});
}

/* Lines from a buffer; returns what is left of the last one, -1 if memory is short. */
static ssize_t take_lines(struct maildir_uidl *uidl, char *buf, size_t size, bool *skipping)
{
	size_t at = 0;
	char *end;

	while ((end = memchr(buf + at, '\n', size - at)) != NULL) {
		pop3_span line = {buf + at, (size_t)(end - buf) - at};

		if (!*skipping && take_line(uidl, line) < 0)
			return -1;
		*skipping = false;
		at += line.size + 1;
	}
	if (size - at > LINE_MAX_OCTETS) {
		*skipping = true;
		at = size;
	}
	memmove(buf, buf + at, size - at);
	return (ssize_t)(size - at);
}

static int read_lines(struct maildir_uidl *uidl, const struct maildir_place *place, int fd)
{
	char buf[16384];
	ssize_t kept = 0, n;
	bool skipping = false;

	for (off_t at = 0; at < FILE_MAX; at += n) {
		n = place->sys->pread(fd, buf + kept, sizeof(buf) - (size_t)kept, at);
		if (n < 0 && errno == EINTR) {
			n = 0;
			continue;
		}
		if (n <= 0)
			return (int)n;
		kept = take_lines(uidl, buf, (size_t)(kept + n), &skipping);
		if (kept < 0)
			return -1;
	}
	errno = EFBIG;
	return -1;
}

int maildir_uidl_load(struct maildir_uidl *uidl, const struct maildir_place *place)
{
	int fd, result, saved;

	memset(uidl, 0, sizeof(*uidl));
	if (maildir_model_init(&uidl->parts) < 0 || maildir_model_init(&uidl->reserved) < 0 ||
	    maildir_model_init(&uidl->used) < 0) {
		maildir_uidl_finish(uidl);
		return -1;
	}
	fd = place->sys->openat(place->dir, UIDL_NAME, O_RDONLY | FILE_FLAGS, 0);
	if (fd < 0 && errno == ENOENT)
		return 0;
	result = fd < 0 ? -1 : read_lines(uidl, place, fd);
	saved = errno;
	if (fd >= 0)
		close(fd);
	if (result < 0)
		maildir_uidl_finish(uidl);
	errno = saved;
	return result;
}

void maildir_uidl_finish(struct maildir_uidl *uidl)
{
	maildir_model_finish(&uidl->parts);
	maildir_model_finish(&uidl->reserved);
	maildir_model_finish(&uidl->used);
	maildir_model_finish(&uidl->hidden);
	free(uidl->lines);
	memset(uidl, 0, sizeof(*uidl));
}

static uint32_t find(const struct maildir_model *model, pop3_span text)
{
	return maildir_model_find(model, text, maildir_model_hash(model, text), MODEL_NONE);
}

/* The last line of that unique part. */
static uint32_t find_last(const struct maildir_model *parts, pop3_span unique)
{
	uint32_t hash = maildir_model_hash(parts, unique), at = MODEL_NONE, last = MODEL_NONE;

	while ((at = maildir_model_find(parts, unique, hash, at)) != MODEL_NONE)
		last = last == MODEL_NONE || at > last ? at : last;
	return last;
}

pop3_span maildir_uidl_find(struct maildir_uidl *uidl, pop3_span unique)
{
	uint32_t at = uidl->any ? find_last(&uidl->parts, unique) : MODEL_NONE;

	uidl->relied = uidl->relied || at != MODEL_NONE;
	return at == MODEL_NONE ? (pop3_span){0} : maildir_model_id(&uidl->parts, at);
}

uint32_t maildir_uidl_rank(const struct maildir_uidl *uidl, pop3_span unique)
{
	uint32_t hash = maildir_model_hash(&uidl->parts, unique), at = MODEL_NONE;

	while ((at = maildir_model_find(&uidl->parts, unique, hash, at)) != MODEL_NONE)
		if (at >= uidl->ordered_first && at - uidl->ordered_first < uidl->ordered_count)
			return at - uidl->ordered_first;
	return MODEL_NONE;
}

bool maildir_uidl_reserved(const struct maildir_uidl *uidl, pop3_span id)
{
	return uidl->any && find(&uidl->reserved, id) != MODEL_NONE;
}

bool maildir_uidl_hidden(const struct maildir_uidl *uidl, pop3_span unique)
{
	return uidl->any_hidden && find(&uidl->hidden, unique) != MODEL_NONE;
}

bool maildir_uidl_used(const struct maildir_uidl *uidl, pop3_span id)
{
	return find(&uidl->used, id) != MODEL_NONE;
}

int maildir_uidl_use(struct maildir_uidl *uidl, pop3_span id)
{
	return add_id(&uidl->used, id);
}

size_t maildir_uidl_line(char *buf, pop3_span id, pop3_span unique)
{
	static const char digits[] = "0123456789abcdef";
	char *p = buf;

	memcpy(p, id.data, id.size);
	p += id.size;
	*p++ = ' ';
	for (size_t i = 0; i < unique.size; i++) {
		unsigned char c = (unsigned char)unique.data[i];

		if (c >= 0x21 && c <= 0x7e && c != '\\') {
			*p++ = (char)c;
			continue;
		}
		*p++ = '\\';
		*p++ = 'x';
		*p++ = digits[c >> 4];
		*p++ = digits[c & 15];
	}
	*p++ = '\n';
	return (size_t)(p - buf);
}

int maildir_uidl_note(struct maildir_uidl *uidl, pop3_span id, pop3_span unique)
{
	char *more = realloc(uidl->lines, uidl->lines_size + LINE_MAX_OCTETS);

	if (!more)
		return -1;
	uidl->lines = more;
	uidl->lines_size += maildir_uidl_line(more + uidl->lines_size, id, unique);
	return 0;
}

/* 0, or -1; *ret_size is what the file had before. */
static int append_lines(const struct maildir_uidl *uidl, const struct maildrop_syscalls *sys,
			int fd, off_t *ret_size)
{
	struct stat st;
	char last = '\n';
	off_t at;

	if (sys->fstat(fd, &st) < 0)
		return -1;
	at = *ret_size = st.st_size;
	/* a last line without its end was cut by a crash: it is completed into one that is skipped
	 */
	if (at > 0 && maildrop_pread(sys, fd, &last, 1, at - 1) != 1)
		return -1;
	if (last != '\n' && maildrop_pwrite(sys, fd, "\n", 1, at++) < 0)
		return -1;
	return maildrop_pwrite(sys, fd, uidl->lines, uidl->lines_size, at);
}

int maildir_uidl_save(struct maildir_uidl *uidl, const struct maildir_place *place)
{
	const struct maildrop_syscalls *sys = place->sys;
	int flags = uidl->lines_size ? O_RDWR | O_CREAT : O_RDONLY;
	off_t before = -1;
	int fd, result = 0, saved;

	if (uidl->lines_size == 0 && !uidl->relied)
		return 0;
	fd = sys->openat(place->dir, UIDL_NAME, flags | FILE_FLAGS, 0600);
	if (fd < 0)
		return -1;
	if (uidl->lines_size)
		result = append_lines(uidl, sys, fd, &before);
	if (result == 0)
		result = sys->fsync(fd);
	if (result == 0)
		result = sys->fsync(place->dir);
	saved = errno;
	/* what could not be flushed may read well and not be on the disk: it is written once more
	 * the next time */
	if (result < 0 && before >= 0)
		(void)sys->ftruncate(fd, before);
	uidl->lines_size = result == 0 ? 0 : uidl->lines_size;
	close(fd);
	errno = saved;
	return result;
}
