/*
 * A mailbox and its index in order: the step before anything else is done under all locks. For the
 * files of this folder.
 */
#ifndef MAILDROP_MBOX_CURRENT_H
#define MAILDROP_MBOX_CURRENT_H

#include "maildrop/mbox/index.h"

/* Under the lock of sessions and those of mail programs: a journal is carried out
 * (*ret_carried_out), then the index is made current. */
enum maildrop_status mbox_bring_current(struct mbox_place *place, struct mbox_index *index,
					bool *ret_carried_out, struct err *err);
/* Words for an index that mbox_index_open found to be INDEX_NEWER. */
enum maildrop_status mbox_newer(const struct mbox_place *place, struct err *err);
/* The lock of sessions: MAILDROP_IN_USE if another one has it. */
enum maildrop_status mbox_take_session(struct mbox_place *place, struct err *err);

#endif
