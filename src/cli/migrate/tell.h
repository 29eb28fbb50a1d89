/* Lines of a call of the command about users, and its counts. For the files of this folder.
 */
#ifndef CLI_MIGRATE_TELL_H
#define CLI_MIGRATE_TELL_H

#include "cli/migrate/writer.h"
#include "users/users.h"

struct migrate_totals {
	uint64_t users, switched, messages, copied, again, troubled, failed, left;
};

/* A line about a user. */
void tell_user(const struct user *user, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void tell_failed(struct migrate_totals *totals, const struct user *user, const char *why);
/* Nothing can be done for the user until something happens. */
void tell_left(struct migrate_totals *totals, const struct user *user, const char *why);
/* The outcome for a user's mail; copied: messages, in all rounds. */
void tell_moved(struct migrate_totals *totals, const struct writer_report *report,
		const struct user *user, uint64_t copied);
void tell_totals(const struct migrate_totals *totals, bool dry_run);

#endif
