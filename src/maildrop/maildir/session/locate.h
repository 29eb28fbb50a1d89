/*
 * Finds the file of a message whose name has changed: by unique part and inode, in both folders,
 * which are read once and again when they changed. In a keeper's worker, for one session.
 */
#ifndef MAILDROP_MAILDIR_SESSION_LOCATE_H
#define MAILDROP_MAILDIR_SESSION_LOCATE_H

#include "maildrop/maildir/files/place.h"
#include "maildrop/maildir/update/model.h"

/* The present places of files whose locator in the index led nowhere: looked up by unique part and
 * inode. */
struct maildir_locator {
	struct maildir_model model;
	struct index_stamp stamps[INDEX_DIRECTORIES];
	bool loaded;
	unsigned loads;
	time_t loaded_at;
};

struct maildir_found {
	enum index_directory directory;
	char name[INDEX_NAME_MAX + 1];
};

/* Reads both directories; makes *locator if it is NULL. -1 with errno; EAGAIN: they never stood
 * still meanwhile. */
int maildir_locator_load(struct maildir_locator **locator, struct maildir_place *place);
/* In what was read last; NULL: nothing. */
bool maildir_locator_search(const struct maildir_locator *locator, struct maildir_place *place,
			    pop3_span unique, uint64_t inode, struct maildir_found *ret);
/* Reads the directories where it has to. -1 with errno; ENOENT: there is no such file; EAGAIN:
 * cannot be told, for they change all the time. */
int maildir_locator_find(struct maildir_locator **locator, struct maildir_place *place,
			 pop3_span unique, uint64_t inode, struct maildir_found *ret);
void maildir_locator_destroy(struct maildir_locator *locator);
bool maildir_same_file(struct maildir_place *place, enum index_directory directory,
		       const char *name, uint64_t inode);

#endif
