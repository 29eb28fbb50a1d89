/* The root struct of the monitor; made and filled in by monitor.c. */
#ifndef SERVER_MONITOR_ROOT_H
#define SERVER_MONITOR_ROOT_H

#include "server/monitor/bans.h"
#include "server/monitor/commands.h"
#include "server/monitor/generation.h"
#include "server/monitor/handover.h"
#include "server/monitor/log_sink.h"
#include "server/monitor/mail_folder.h"
#include "server/monitor/status_line.h"
#include "server/monitor/upgrade.h"

enum {
	GENERATIONS_MAX = HANDOVER_GENERATIONS_MAX - 1, /* that drain at a time */
};

struct monitor {
	struct generation_owner owner;
	const char *file;
	struct generation *current;                     /* serving */
	struct generation *coming;                      /* starting */
	struct generation *old[GENERATIONS_MAX];        /* draining */
	struct config next;                             /* of the generation that is to come */
	struct mail_opening openings[CONFIG_ROOTS_MAX]; /* of its mail folders, one after another */
	struct mail_folder folders[CONFIG_ROOTS_MAX];   /* that are open */
	uint32_t folder_count;
	struct log_sink log;    /* of the coming generation; standard error else */
	struct log_sink events; /* the same; none else */
	struct loop_signal signals[6];
	struct loop_timer tickets, watchdog;
	struct loop_timer listeners; /* the next look at them */
	bool looking, look_again;    /* the timer runs; a look is due when it fires */
	struct loop_timer again;     /* a reload that was requested during another one */
	struct loop_timer yielding;  /* the end of the wait for the generation before */
	struct generation *yields;   /* that one; NULL: nobody waits */
	struct activation_socket given[ACTIVATION_MAX]; /* until the first generation */
	unsigned given_count;
	uint32_t numbers;
	uint64_t watchdog_ms;
	struct loop_timer status; /* the next look at what the service manager shows */
	struct status_line status_line;
	char doing[512], shown[768]; /* its beginning; all of it, as it was sent last */
	uint64_t tickets_due;        /* when the next ticket key is due, of loop_now */
	int exit_code;
	bool stopping, reload_wanted;
	bool drained; /* no new session is taken, by command, until a reload */
	struct commands commands;
	time_t since;  /* this program has been the monitor */
	bool upgraded; /* it was another program, whose generation serves still */
	struct upgrade upgrade;
};

#endif
