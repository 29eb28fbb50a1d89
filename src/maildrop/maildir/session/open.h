/*
 * Opening and closing a session, and what a maildrop holds without one.
 */
#ifndef MAILDROP_MAILDIR_SESSION_OPEN_H
#define MAILDROP_MAILDIR_SESSION_OPEN_H

#include "maildrop/maildir/session/session.h"

/* The index made current and opened for reading; the log must not be held. */
enum maildrop_status maildir_refresh(struct maildir_place *place, bool session,
				     struct maildir_index *ret, struct err *err);

enum maildrop_status maildir_open(const struct maildrop_settings *settings, int root_fd,
				  const char *home, struct maildrop **ret, struct err *err);

/* moving.c; see maildrop_open_moving. */
enum maildrop_status maildir_open_moving(const struct maildrop_settings *settings, int root_fd,
					 const char *home, struct maildrop **ret, bool *ret_partly,
					 struct err *err);

/* In memory now, or MAILDROP_WAIT: on the keeper's loop. */
enum maildrop_status maildir_open_empty(const struct maildrop_settings *settings, const char *home,
					struct maildrop **ret, struct err *err);
enum maildrop_status maildir_make(const struct maildrop_settings *settings, int root_fd,
				  const char *home, struct err *err);
enum maildrop_status maildir_open_now(const struct maildrop_settings *settings, int root_fd,
				      const char *home, struct maildrop **ret);
void maildir_close(struct maildrop *maildrop);

/* The session's index was found damaged: it is built anew for the next one. */
void maildir_index_wrong(struct maildrop *maildrop);
enum maildrop_status maildir_usage(const struct maildrop_settings *settings, int root_fd,
				   const char *home, struct maildrop_usage *ret, struct err *err);

#endif
