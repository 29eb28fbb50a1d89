/*
 * Counts the octets of messages by reading them: how the exact size on the wire is known. Many at
 * once are shared out to threads. For the files of this folder.
 */
#ifndef MAILDROP_MAILDIR_FILES_MEASURE_H
#define MAILDROP_MAILDIR_FILES_MEASURE_H

#include "maildrop/maildir/files/place.h"

struct maildir_measured {
	uint64_t octets, stored, inode;
	bool wire_form;
	int errnum; /* 0; ENOENT: not there; EMLINK, ENOTSUP: must not be served (a link of somebody
		       else's, no regular file); else it could not be read */
};

/* Opens a message: a regular file itself, not a link of somebody else's. -1 with errno as above. */
int maildir_open_message(struct maildir_place *place, enum index_directory which, const char *name,
			 struct stat *ret);
/* Reads an open message to its end. 0, -1 with errno. */
int maildir_measure_fd(const struct maildir_place *place, int fd, struct maildir_measured *ret);

struct maildir_measure_job {
	enum index_directory directory;
	const char *name; /* the caller's, until the measuring is done */
	struct maildir_measured result;
};
/* -1 with errno if nothing could be done at all (a directory cannot be opened, no memory). */
int maildir_measure(struct maildir_place *place, struct maildir_measure_job *jobs, size_t n);

#endif
