/* A session's mailbox, and what its files share. For the files of this folder. */
#ifndef MAILDROP_MBOX_SESSION_H
#define MAILDROP_MBOX_SESSION_H

#include "maildrop/driver.h"
#include "maildrop/mbox/index.h"

struct mbox {
	struct maildrop head;
	struct mbox_place place;
	struct mbox_index index; /* changed only by this session */
	bool refused;            /* a QUIT failed: what it was to delete is not deleted */
	bool local;    /* maildrop_is_local: what is in memory can be read without waiting */
	int copies[2]; /* of base and delta, lent in their place; -1: none */
};

/* Entries of the driver (driver.h). */
enum maildrop_status mbox_open(const struct maildrop_settings *settings, int root_fd,
			       const char *home, struct maildrop **ret, struct err *err);
enum maildrop_status mbox_open_empty(const struct maildrop_settings *settings, const char *home,
				     struct maildrop **ret, struct err *err);
enum maildrop_status mbox_open_now(const struct maildrop_settings *settings, int root_fd,
				   const char *home, struct maildrop **ret);
enum maildrop_status mbox_make(const struct maildrop_settings *settings, int root_fd,
			       const char *home, struct err *err);
void mbox_close(struct maildrop *maildrop);
enum maildrop_status mbox_body(struct maildrop *maildrop, uint32_t number,
			       struct maildrop_body *ret, struct err *err);
enum maildrop_status mbox_body_now(struct maildrop *maildrop, uint32_t number,
				   struct maildrop_body *ret);
/* Words for a message that cannot be read, by errno; ESTALE, EBADMSG: it is another one, and the
 * next session looks at all of the mailbox. */
enum maildrop_status mbox_body_failed(struct mbox *m, uint32_t number, struct err *err);
bool mbox_body_wrong(struct maildrop *maildrop, uint32_t number, struct err *err);
bool mbox_at_rest(const struct maildrop *maildrop);
void mbox_index_wrong(struct maildrop *maildrop);

#endif
