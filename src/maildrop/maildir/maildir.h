/*
 * A session's Maildir: what the parts of the driver (open, body, commit, sweep, deliver) share. For
 * the files of this folder only.
 */
#ifndef MAILDROP_MAILDIR_MAILDIR_H
#define MAILDROP_MAILDIR_MAILDIR_H

#include "maildrop/maildir/update/log.h"
#include "maildrop/maildir/update/model.h"
#include "maildrop/maildir/files/place.h"
#include "maildrop/driver.h"

#include <stdatomic.h>

/* Where files are now, when the names that the index knows led nowhere: looked up by unique part
 * and inode. */
struct maildir_names {
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

/* Reads both directories. -1 with errno; EAGAIN: they never stood still meanwhile. */
int maildir_names_load(struct maildir_names *names, struct maildir_place *place);
/* In what was read last. */
bool maildir_names_search(const struct maildir_names *names, struct maildir_place *place,
			  pop3_span unique, uint64_t inode, struct maildir_found *ret);
/* Reads the directories where it has to. -1 with errno; ENOENT: there is no such file; EAGAIN:
 * cannot be told, for they change all the time. */
int maildir_names_find(struct maildir_names *names, struct maildir_place *place, pop3_span unique,
		       uint64_t inode, struct maildir_found *ret);
void maildir_names_finish(struct maildir_names *names);
bool maildir_same_file(struct maildir_place *place, enum index_directory directory,
		       const char *name, uint64_t inode);

struct maildir {
	struct maildrop head;
	struct maildir_place place;
	struct maildir_index index; /* the session's: base and the log as long as it was at login */
	struct maildir_names names;
	const atomic_bool *hurry; /* NULL, or true: a login waits for the end of this sweep */
	bool committed;           /* this session deleted something: there is something to sweep */
	bool damaged;             /* the index has to be built again */
};

static inline bool maildir_hurried(const struct maildir *m)
{
	return m->hurry && atomic_load_explicit(m->hurry, memory_order_relaxed);
}

/* The index made current and opened for reading; the log must not be held. */
enum maildrop_status maildir_refresh(struct maildir_place *place, bool session,
				     struct maildir_index *ret, struct err *err);

enum maildrop_status maildir_open(const struct maildrop_settings *settings, int root_fd,
				  const char *home, struct maildrop **ret, struct err *err);
enum maildrop_status maildir_open_now(const struct maildrop_settings *settings, int root_fd,
				      const char *home, struct maildrop **ret);
void maildir_close(struct maildrop *maildrop);
enum maildrop_status maildir_body(struct maildrop *maildrop, uint32_t number,
				  struct maildrop_body *ret, struct err *err);
enum maildrop_status maildir_body_now(struct maildrop *maildrop, uint32_t number,
				      struct maildrop_body *ret);
void maildir_body_wrong(struct maildrop *maildrop, uint32_t number);
enum maildrop_status maildir_commit(struct maildrop *maildrop, const uint32_t *numbers,
				    uint32_t count, struct err *err);
void maildir_sweep(struct maildrop *maildrop, const atomic_bool *hurry);
bool maildir_at_rest(const struct maildrop *maildrop);
void maildir_index_wrong(struct maildrop *maildrop);
enum maildrop_status maildir_usage(const struct maildrop_settings *settings, int root_fd,
				   const char *home, struct maildrop_usage *ret, struct err *err);
enum maildrop_status maildir_deliver(const struct maildrop_settings *settings, int root_fd,
				     const char *home, const struct maildrop_delivery *delivery,
				     struct err *err);

#endif
