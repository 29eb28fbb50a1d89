/*
 * The bans of a running server: the list, its file in the state folder, and the table that POP3
 * fronts and mta get. The monitor is the one that changes it, at the command of a person (BAN of
 * the process control), so that it outlives children, generations and the start. A change holds at
 * once; it is answered when the file is on the disk, which a worker thread writes. A file that is
 * damaged is reported with its line; what is sound in it holds, and nothing is changed or
 * overwritten until a person has mended or removed it. On the monitor's loop.
 */
#ifndef SERVER_MONITOR_BANS_H
#define SERVER_MONITOR_BANS_H

#include "maildrop/mail_root.h"
#include "server/monitor/ban_list.h"
#include "sys/workers.h"

enum { BANS_WAITERS = 64 }; /* changes that wait for the disk */

struct bans_waiter {
	uint64_t instance, number; /* of the process control, of its question */
	uint64_t change;
};

struct bans {
	struct ban_list list;
	char path[MAIL_ROOT_MEMORY_MAX]; /* "": there is no state folder */
	struct err damage;               /* code 0: the file was sound */
	int table_fd;                    /* -1: nobody is banned */
	uint32_t table_count;
	uint64_t changes, written; /* how many; how many of them are on the disk */
	struct bans_waiter waiters[BANS_WAITERS];
	unsigned waiter_count;
	struct workers *workers;
	struct loop_timer over; /* the next ban that ends */
	/* The table is another one: it goes to all processes that look into it. */
	void (*changed)(void *context);
	/* A change that a person made, for the other machines of the site. */
	void (*made)(void *context, const struct ipc_ban *change);
	/* An answer to the process control of that instance; rows: its tail. */
	void (*answer)(void *context, uint64_t instance, struct ipc_ban_page *page, pop3_span rows);
	void *context;
	/* the job's */
	struct job job;
	bool working, ending, loop_set;
	uint64_t writing;
	char *text;
	size_t text_size;
	char job_path[MAIL_ROOT_MEMORY_MAX];
	struct err err;
	int rc;
};

/* workers, changed, made, answer and context are filled in by the caller. */
void bans_init(struct bans *bans, struct loop *loop);
/* Before workers_destroy: what has not begun is written when it is due, not by a worker. */
void bans_end(struct bans *bans);
/* After workers_destroy. */
void bans_finish(struct bans *bans);
/* Before a generation starts: reads the file beside what remembers that mail root, unless it was
 * read and was sound. */
void bans_open(struct bans *bans, const struct mail_root *root);
/* Nothing is on its way to the disk, and nobody waits for it. */
bool bans_are_settled(const struct bans *bans);
/* Some hold that are not written down, so that the next program has none of them. */
bool bans_would_be_lost(const struct bans *bans);
/* The question of a person; may: that person's commands are obeyed. Answered by bans->answer, now
 * or later. */
void bans_ask(struct bans *bans, uint64_t instance, const struct ipc_ban *ask, bool may);
/* ADD or REMOVE of a person at another machine, which has judged that person. Nobody is answered.
 */
void bans_told(struct bans *bans, const struct ipc_ban *change);

#endif
