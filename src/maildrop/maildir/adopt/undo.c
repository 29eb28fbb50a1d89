/* See undo.h. In `valija import`, with the rights of the mail's owner. */
#include "maildrop/maildir/adopt/undo.h"

#include "base/text.h"
#include "maildrop/maildir/adopt/give_back.h"
#include "maildrop/maildir/adopt/whose.h"
#include "maildrop/maildir/update/uidl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FILE_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* What the first line of valija-uidl says. */
enum source {
	SOURCE_FAILED = -1, /* errno */
	SOURCE_NO_FILE,
	SOURCE_NONE,    /* ids were not brought */
	SOURCE_UNKNOWN, /* from a server that only a later version knows */
	SOURCE_KNOWN,
};

/* " origin 7 dovecot duplicates=allow …" */
static enum source parse_source(pop3_span text, struct mail_origin *ret)
{
	const size_t size = sizeof(UIDL_ORIGIN) - 1;

	if (text.size < size || memcmp(text.data, UIDL_ORIGIN, size) != 0)
		return SOURCE_NONE;
	text = (pop3_span){text.data + size, text.size - size};
	text = span_take_until(&text, '\n');
	(void)span_take_until(&text, ' ');
	return mail_origin_parse(text, ret) == 0 ? SOURCE_KNOWN : SOURCE_UNKNOWN;
}

static enum source find_source(const struct maildir_place *place, struct mail_origin *ret)
{
	char text[UIDL_ORIGIN_MAX];
	int fd = place->sys->openat(place->dir, UIDL_NAME, O_RDONLY | FILE_FLAGS, 0), saved;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? SOURCE_NO_FILE : SOURCE_FAILED;
	n = maildrop_pread(place->sys, fd, text, sizeof(text), 0);
	saved = errno;
	close(fd);
	errno = saved;
	return n < 0 ? SOURCE_FAILED : parse_source((pop3_span){text, (size_t)n}, ret);
}

/* Was the maildrop used here? -1 with errno. */
static int is_used(const struct maildir_place *place)
{
	static const char *const names[] = {LOCK_NAME, BASE_NAME, DELTA_NAME};
	int used = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && used == 0; i++)
		used = maildir_has(place, place->dir, names[i]);
	return used;
}

/* Only what was adopted before its first session begins with the line of an origin, and nothing
 * else was written behind it without a session. */
static enum maildrop_status remove_brought(const struct maildir_place *place, struct err *err)
{
	if (place->sys->unlinkat(place->dir, UIDL_NAME, 0) < 0 || place->sys->fsync(place->dir) < 0)
		return maildir_failed(place, errno, UIDL_NAME, "cannot be removed", err);
	return MAILDROP_OK;
}

enum maildrop_status maildir_adopt_undo(struct maildir_place *place, int control,
					enum origin_server server, bool dry_run,
					struct undo_report *ret, struct err *err)
{
	struct mail_origin origin;
	enum maildrop_status status;
	enum source source = find_source(place, &origin);
	bool brought = source == SOURCE_KNOWN || source == SOURCE_UNKNOWN;
	int used = is_used(place);

	*ret = (struct undo_report){.is = UNDO_NOTHING};
	if (source == SOURCE_FAILED || used < 0)
		return maildir_failed(place, errno, UIDL_NAME, "cannot be read", err);
	if (brought && !used) {
		ret->is = UNDO_DONE;
		return dry_run ? MAILDROP_OK : remove_brought(place, err);
	}
	if (!used && source == SOURCE_NO_FILE)
		return MAILDROP_OK;
	if (server != ORIGIN_DOVECOT || source == SOURCE_UNKNOWN ||
	    (brought && origin.server != server)) {
		ret->is = brought ? UNDO_USED : UNDO_NOTHING;
		return MAILDROP_OK;
	}
	status = maildir_give_back(place, control, brought ? &origin : NULL, dry_run, ret, err);
	if (status == MAILDROP_OK)
		ret->is = UNDO_DONE;
	return status;
}
