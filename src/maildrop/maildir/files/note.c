/* See place.h: lines for the log about files that are worked around. In a keeper's worker or
 * `valija deliver`, with the rights of the mail's owner. */
#include "maildrop/maildir/files/place.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOTE_MAX (2 * INDEX_NAME_MAX + 512)

static void note(const struct maildir_place *place, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A line that begins with the maildrop, if anybody wants one. */
static void note(const struct maildir_place *place, const char *format, ...)
{
	char text[NOTE_MAX];
	va_list arguments;
	int n;

	if (!place->settings->note)
		return;
	n = snprintf(text, sizeof(text), "maildrop %s: ", place->home);
	va_start(arguments, format);
	if (n > 0 && (size_t)n < sizeof(text))
		vsnprintf(text + n, sizeof(text) - (size_t)n, format, arguments);
	va_end(arguments);
	place->settings->note(place->settings->note_context, text);
}

static const char *kind_of(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a folder";
	if (S_ISLNK(mode))
		return "a symbolic link";
	if (S_ISFIFO(mode))
		return "a FIFO";
	if (S_ISSOCK(mode))
		return "a socket";
	return "a device";
}

/* The cause, and what to do about it. */
static void explain(char *buf, size_t size, const struct stat *st, int errnum)
{
	unsigned long owner = (unsigned long)st->st_uid, own = (unsigned long)geteuid();

	if (!S_ISREG(st->st_mode))
		snprintf(buf, size, "it is %s, no message: move it away", kind_of(st->st_mode));
	else if (errnum == EMLINK)
		snprintf(buf, size,
			 "it has other names and belongs to uid %lu, not to uid %lu of this "
			 "process: copy it in its place",
			 owner, own);
	else if ((errnum == EACCES || errnum == EPERM) && owner != own)
		snprintf(buf, size,
			 "it belongs to uid %lu and has mode %04o, this process runs as uid %lu: "
			 "chown it",
			 owner, (unsigned)st->st_mode & 07777, own);
	else if (errnum == EACCES || errnum == EPERM)
		snprintf(buf, size, "its mode is %04o, so its owner cannot read it: chmod u+r it",
			 (unsigned)st->st_mode & 07777);
	else
		snprintf(buf, size, "%s: look at its filesystem", strerror(errnum));
}

void maildir_note_left_out(const struct maildir_place *place, int fd, const char *folder,
			   const char *name, int errnum)
{
	char why[256];
	struct stat st;

	if (!place->settings->note || place->sys->fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (errnum == ENOTSUP && S_ISREG(st.st_mode)))
		return;
	explain(why, sizeof(why), &st, errnum);
	note(place, "%s/%s is left out, the other messages are served: %s", folder, name, why);
}

void maildir_note_not_unlinked(const struct maildir_place *place, enum index_directory which,
			       const char *name, int errnum)
{
	note(place,
	     "%s/%s was deleted by its user, but cannot be unlinked: %s; it is not shown again, "
	     "and each later session tries again (this process runs as uid %lu)",
	     maildir_directory_names[which], name, strerror(errnum), (unsigned long)geteuid());
}

void maildir_note_no_journal(const struct maildir_place *place, int errnum)
{
	note(place,
	     "the deletions of a session are done, but cannot be written to valija-deleted, which "
	     "`valija deleted` shows: %s (it must be a regular file of uid %lu with one name)",
	     strerror(errnum), (unsigned long)geteuid());
}

void maildir_note_not_kept(const struct maildir_place *place, enum index_directory which,
			   const char *name, int errnum, bool lost)
{
	note(place, "%s/%s was deleted by its user, but cannot be moved to valija-kept: %s; %s",
	     maildir_directory_names[which], name, strerror(errnum),
	     lost ? "it is removed for good"
		  : "it is not shown again, and each later session tries again (valija-kept must "
		    "be a folder of the maildrop's owner)");
}

void maildir_note_no_upkeep(const struct maildir_place *place, int errnum)
{
	note(place,
	     "messages in valija-kept that are due cannot be removed: %s (it must be a folder of "
	     "uid %lu)",
	     strerror(errnum), (unsigned long)geteuid());
}
