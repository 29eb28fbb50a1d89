/* See tell.h. */
#include "cli/migrate/tell.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void tell_user(const struct user *user, const char *format, ...)
{
	char shown[4 * USER_NAME_MAX + 1];
	va_list arguments;

	text_show(shown, sizeof(shown) - 1, span_of(user->name));
	printf("%s: ", shown);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

void tell_failed(struct migrate_totals *totals, const struct user *user, const char *why)
{
	totals->failed++;
	tell_user(user, "%s", why);
}

void tell_left(struct migrate_totals *totals, const struct user *user, const char *why)
{
	totals->users++;
	totals->left++;
	tell_user(user, "%s", why);
}

static void count(struct migrate_totals *totals, const struct writer_report *report,
		  const struct user *user, uint64_t copied)
{
	totals->users++;
	totals->messages += report->messages;
	totals->copied += copied;
	totals->again += report->again;
	totals->troubled += report->again > 0;
	if (report->again)
		tell_user(user,
			  "%" PRIu64 " of %" PRIu64 " messages are loaded again by clients that "
			  "asked that server itself: RFC 1939 "
			  "forbids their unique ids",
			  report->again, report->messages);
}

void tell_moved(struct migrate_totals *totals, const struct writer_report *report,
		const struct user *user, uint64_t copied)
{
	switch (report->outcome) {
	case WRITER_SWITCHED:
		count(totals, report, user, copied);
		totals->switched += report->now;
		if (report->now)
			tell_user(user, "%" PRIu64 " messages: the mail is here", report->messages);
		else if (copied)
			tell_user(user, "%" PRIu64 " messages came late", copied);
		if (report->deleted)
			tell_user(user, "%" PRIu64 " messages were deleted there", report->deleted);
		else if (report->why[0])
			tell_user(user, "it is not known what was deleted there: %s", report->why);
		return;
	case WRITER_LOOKED:
		count(totals, report, user, copied);
		return;
	case WRITER_COPIED:
		count(totals, report, user, copied);
		totals->left++;
		tell_user(user,
			  "%" PRIu64 " messages are copied; a session is open: the switch comes "
			  "with a later call",
			  report->messages);
		return;
	case WRITER_REFUSED:
		count(totals, report, user, copied);
		totals->failed++;
		tell_user(user,
			  "%" PRIu64 " of %" PRIu64
			  " messages cannot be had, so the mail stays there: %s",
			  report->refused, report->messages, report->why);
		return;
	case WRITER_YIELDED:
	case WRITER_BUSY:
		count(totals, report, user, copied);
		totals->left++;
		tell_user(user, "%s: call this again later", report->why);
		return;
	case WRITER_CUT:
	case WRITER_FAILED:
		totals->copied += copied;
		tell_failed(totals, user, report->why);
		return;
	case WRITER_DIED:
		totals->copied += copied;
		tell_failed(totals, user, "the process that writes died");
		return;
	}
}

void tell_totals(const struct migrate_totals *totals, bool dry_run)
{
	if (dry_run)
		printf("%" PRIu64 " users, %" PRIu64 " messages, %" PRIu64
		       " of them to be copied, %" PRIu64 " would be loaded again (by %" PRIu64
		       " users); nothing was written\n",
		       totals->users, totals->messages, totals->copied, totals->again,
		       totals->troubled);
	else
		printf("%" PRIu64 " users, %" PRIu64 " messages, %" PRIu64
		       " of them copied now; the mail of %" PRIu64 " users is here since now\n",
		       totals->users, totals->messages, totals->copied, totals->switched);
	if (totals->left)
		printf("%" PRIu64 " users wait for a later call\n", totals->left);
	if (totals->failed)
		printf("%" PRIu64 " users failed\n", totals->failed);
}
