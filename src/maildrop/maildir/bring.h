/*
 * `valija import`: the unique ids of another server's Maildirs are brought into ours, or taken
 * back. With the rights of the mail's owner; may block on the disk.
 */
#ifndef MAILDROP_MAILDIR_BRING_H
#define MAILDROP_MAILDIR_BRING_H

#include "maildrop/adopt_report.h"
#include "maildrop/mail_origin.h"
#include "maildrop/maildrop.h"

#include <pop3/client.h>

/*
 * Brings the ids of the maildrop in folder. control: the folder of the other server's list; usually
 * folder. Both stay the caller's. home names it. dry_run: nothing is written. A maildrop that is
 * not ADOPT_FOREIGN is left alone; one that has another server's list only is MAILDROP_PERM. *ret
 * is filled in either case.
 */
enum maildrop_status maildir_bring(int folder, int control, const char *home,
				   const struct mail_origin *origin, bool dry_run,
				   struct adopt_report *ret, struct err *err);
/* What the maildrop in folder, which stays the caller's, is. Its messages are not counted. */
struct maildir_looked {
	enum adopt_is is;
	unsigned lists; /* ADOPT_FOREIGN: servers that filled it, a set of ORIGIN_HAS */
	bool has_mail;
};
/* -1: it cannot be found out. */
int maildir_look(int folder, const char *home, struct maildir_looked *ret);
/* Takes back what was brought from server. Where a session or a delivery of ours was since, Dovecot
 * is given our ids, and it is UNDO_USED for other servers; files of messages that were deleted here
 * go first, or, keep_deleted, are kept. folder, control, home and dry_run: as above. */
enum maildrop_status maildir_take_back(int folder, int control, const char *home,
				       enum origin_server server, bool keep_deleted, bool dry_run,
				       struct undo_report *ret, struct err *err);

/* A message of a server that had it in another form than a Maildir. */
struct maildir_incoming_message {
	char id[POP3_UNIQUE_ID_MAX + 1];
	char unique[64]; /* of the file's name, up to its first comma: the same at each call */
	char flags[8];   /* of the file's name */
	int64_t seconds; /* when it came */
};

struct maildir_incoming {
	const struct maildir_incoming_message
		*messages; /* in the order of that server's sessions */
	uint32_t count;
	/* The file of a message, which is closed by the caller. -1 with err; errnum ENOENT: that
	 * server could not show it either. */
	int (*open)(void *context, uint32_t number, struct err *err);
	void *context;
};

/* Copies the messages into the maildrop in folder (-1: it is not there, dry_run only), with their
 * ids, unless that was done before: ADOPT_OURS. home and the rest: as above. */
enum maildrop_status maildir_receive(int folder, const char *home, const struct mail_origin *origin,
				     const struct maildir_incoming *incoming, bool dry_run,
				     struct adopt_report *ret, struct err *err);
/* Takes that back, where no session was since. */
enum maildrop_status maildir_unreceive(int folder, const char *home, enum origin_server server,
				       bool dry_run, struct undo_report *ret, struct err *err);

#endif
