/*
 * The list in which another server keeps the unique ids of a Maildir's messages, whichever server
 * it is: its file is read, and its entries are looked at in one way. With the rights of the mail's
 * owner; may block on the disk.
 */
#ifndef MAILDROP_MAILDIR_ADOPT_ID_LIST_H
#define MAILDROP_MAILDIR_ADOPT_ID_LIST_H

#include "maildrop/maildir/adopt/sizelist.h"
#include "maildrop/maildir/adopt/uidlist.h"
#include "maildrop/maildir/files/place.h"
#include "maildrop/mail_origin.h"

struct id_list {
	enum origin_server server;
	char *text; /* of the file, which the entries point into */
	uint32_t count, bad;
	struct uidlist uidlist;   /* ORIGIN_DOVECOT */
	struct sizelist sizelist; /* ORIGIN_COURIER */
};

/* control: the folder of the list. server: one that keeps such a list. -1 with err: the file cannot
 * be read, is no regular file, is larger than 1 GiB or makes no sense. id_list_finish must be
 * called then, too. */
int id_list_read(struct id_list *list, const struct maildir_place *place, int control,
		 enum origin_server server, struct err *err);
/* The text of a list, taken from the heap, also where -1 is returned. -1 with err, as above. */
int id_list_text(const struct maildir_place *place, int control, const char *name, char **ret,
		 size_t *ret_size, struct err *err);
void id_list_finish(struct id_list *list);

/* Of an entry, from 0: the file's name up to its flags. */
pop3_span id_list_file(const struct id_list *list, uint32_t entry);
/* Its place among the messages of a session; UINT32_MAX: behind those that have one, in the order
 * of entries. */
uint32_t id_list_order(const struct id_list *list, uint32_t entry);

#endif
