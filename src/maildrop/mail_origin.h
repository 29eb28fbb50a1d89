/*
 * The origin of the unique ids of a mail root: another server's rule, written down once by `valija
 * import` in .valija-origin of the root. By it a Maildir, or an mbox, that another server filled
 * gets the ids that its clients know. Read by keepers and `valija deliver`, written by the command.
 * Format: docs/maildrop-format.md.
 */
#ifndef MAILDROP_MAIL_ORIGIN_H
#define MAILDROP_MAIL_ORIGIN_H

#include "base/err.h"
#include "maildrop/syscalls.h"

#include <pop3/span.h>

#include <stdbool.h>

#define ORIGIN_FILE ".valija-origin"
#define ORIGIN_LISTS_FILE ".valija-origin-lists"
#define ORIGIN_LISTS_MAX 320  /* octets of that folder's name, with its NUL */
#define ORIGIN_FORMAT_MAX 200 /* octets of a format */
#define ORIGIN_KEYWORD_MAX 64 /* octets of a keyword of IMAP */
#define ORIGIN_TEXT_MAX (ORIGIN_FORMAT_MAX + ORIGIN_KEYWORD_MAX + 64) /* of all of it as text */
#define ORIGIN_DOVECOT_FORMAT "%08Xu%08Xv" /* of Dovecot 2.3 where its configuration has none */

enum origin_server {
	ORIGIN_NONE,    /* no ids are brought: messages get ids of our own */
	ORIGIN_DOVECOT, /* dovecot-uidlist and pop3_uidl_format */
	ORIGIN_COURIER, /* courierpop3dsizelist, which has the ids themselves */
	ORIGIN_CYRUS,   /* cyrus.index and uidl_format; its messages are copied */
	ORIGIN_QMAIL,   /* qmail-pop3d: the files' names are the ids */
	/* of mboxes; the servers before are of Maildirs */
	ORIGIN_MBOX_DOVECOT,   /* X-IMAPbase, X-UID and pop3_uidl_format */
	ORIGIN_MBOX_MAILUTILS, /* X-UIDL */
	ORIGIN_MBOX_POPA3D,    /* a digest of some headers */
	ORIGIN_MBOX_QPOPPER,   /* X-UIDL */
	ORIGIN_SERVERS,
};

static inline bool mail_origin_is_of_mboxes(enum origin_server server)
{
	return server >= ORIGIN_MBOX_DOVECOT;
}
/* Has it no list, and ids of the files' names? */
static inline bool mail_origin_is_of_names(enum origin_server server)
{
	return server == ORIGIN_QMAIL;
}
/* Of Cyrus the format is one of its four words. */
#define ORIGIN_CYRUS_FORMATS                             \
	{                                                \
		"uidonly", "cyrus", "dovecot", "courier" \
	}
/* Is pop3_uidl_format its rule? */
static inline bool mail_origin_has_format(enum origin_server server)
{
	return server == ORIGIN_DOVECOT || server == ORIGIN_MBOX_DOVECOT;
}

struct origin_names {
	const char *server; /* for people: "Dovecot" */
	const char *word;   /* of the command and of records: "dovecot"; of mboxes: of records */
	const char *list;   /* file of a Maildir in which that server keeps ids; NULL: none */
};

extern const struct origin_names mail_origin_names[ORIGIN_SERVERS];

/* Servers whose lists a Maildir has, as a set. */
#define ORIGIN_HAS(server) (1u << (server))

struct mail_origin {
	enum origin_server server;
	bool rename_duplicates; /* pop3_uidl_duplicates = rename */
	bool reuse_xuidl;       /* pop3_reuse_xuidl = yes */
	/* pop3_deleted_flag: messages with that keyword stay hidden; "": none */
	char hidden[ORIGIN_KEYWORD_MAX + 1];
	char format[ORIGIN_FORMAT_MAX + 1];
};

/* Words for a Maildir that nobody imported: which servers filled it (lists: a set, not empty), and
 * which command brings its ids. */
#define ORIGIN_DEMAND_MAX 160
void mail_origin_demand(unsigned lists, char ret[ORIGIN_DEMAND_MAX]);

/* Words for mail of which nothing says whether another server gave it ids. */
#define MAIL_ORIGIN_UNOPENED_MAILDIR                                                              \
	"has mail and was never opened here: if qmail-pop3d or a relative served it, run valija " \
	"import maildir --ids qmail before its first login, or clients load all again"
#define MAIL_ORIGIN_UNOPENED_MBOX                                                                  \
	"has mail and was never opened here: if Dovecot, Mailutils, popa3d or Qpopper served it, " \
	"run valija import mbox --ids dovecot|mailutils|popa3d|qpopper before its first login, "   \
	"or clients load all again"

/* As text, without a line feed: "dovecot duplicates=allow xuidl=no format=%08Xu%08Xv", the same
 * with " hidden=$POP3Deleted" before the format, "courier", "cyrus format=dovecot",
 * "maildir-qmail", "mbox-mailutils". */
void mail_origin_print(const struct mail_origin *origin, char ret[ORIGIN_TEXT_MAX]);
/* 0; -1: it is none, or one of a later version. */
int mail_origin_parse(pop3_span text, struct mail_origin *ret);

/* Can ids be made by its format? -1 with err. */
int mail_origin_check(const struct mail_origin *origin, struct err *err);

/* The record of a root. 1: *ret is set; 0: there is none; -1 with err: it cannot be read, or does
 * not count: it is no regular file of root or of the root's owner. */
int mail_origin_read(const struct maildrop_syscalls *sys, int root_fd, struct mail_origin *ret,
		     struct err *err);
/* Writes the record; on the disk when 0 is returned. -1 with err. */
int mail_origin_write(int root_fd, const struct mail_origin *origin, struct err *err);
/* The folder of the lists of the root's Maildirs, as `valija import --from` named it; ret is ""
 * where none was named, or the record cannot be read. */
void mail_origin_lists(int root_fd, char ret[ORIGIN_LISTS_MAX]);
/* Remembers it; NULL: none. -1 with err. */
int mail_origin_remember_lists(int root_fd, const char *folder, struct err *err);
/* Removes it; one that is not there is no error. -1 with err. */
int mail_origin_remove(int root_fd, struct err *err);

#endif
