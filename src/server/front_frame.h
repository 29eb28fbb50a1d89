/*
 * The frame of a front, POP3 or LMTP: its listening sockets, the table of its clients, and the end
 * when it is drained. A front fills in struct front_service, embeds struct front_frame at the
 * beginning of its root struct, and struct client in each session. Runs in fronts, unprivileged.
 */
#ifndef SERVER_FRONT_FRAME_H
#define SERVER_FRONT_FRAME_H

#include "base/table.h"
#include "server/accept.h"
#include "server/arrivals.h"
#include "server/ban_table.h"
#include "server/child.h"
#include "server/strangers.h"
#include "sys/conn.h"
#include "sys/loop_deadlines.h"

/* A client's connection; embedded in the front's session. */
struct client {
	struct table_node node; /* key: the session's number */
	struct conn conn;
	struct loop_deadline deadline; /* for what the client does next */
	struct stranger stranger;      /* until it has logged in */
	uint64_t since;                /* when it came, or last did something (frame_active) */
	uint8_t service;               /* enum config_service */
	bool leaving;                  /* it gave way: its end is under way */
};

struct front_frame;

struct front_service {
	/* A new connection. Takes *fd (sets it to -1), else it is closed. */
	void (*connected)(struct front_frame *frame, int *fd, const struct accepted *from);
	/* The front is drained: ends the session of client if it waits for a command. */
	void (*end_idle)(struct front_frame *frame, struct client *client);
	/* Whether client, which has not logged in, may be ended for another one. */
	bool (*may_give_way)(const struct client *client);
	/* Ends it: its connection is over at the end of this turn. */
	void (*give_way)(struct client *client);
	enum sandbox_role sandbox;
};

struct front_frame {
	struct child *child;
	const struct front_service *service;
	struct table clients;
	uint64_t last_number;
	size_t clients_max; /* no connection is accepted while there are so many */
	size_t leaving;     /* of clients */
	struct strangers strangers;
	uint64_t gave_way;                    /* how many */
	uint64_t gave_way_said, waiting_said; /* when the log said so; 0: never */
	struct ban_table bans;                /* empty in a front that is sent none */
	struct acceptor acceptor;
	struct arrivals *arrivals; /* NULL: nothing came through a proxy yet */
	size_t arrivals_max;
	struct loop_timer drain_over;
	uint64_t file_max; /* octets of a file that it may write (struct sandbox.max_files) */
};

/* The root struct of the front that child is: size octets, zeroed, with the frame in front. It is
 * made at the first call; it lives as long as the process. */
void *frame_root(struct child *child, size_t size, const struct front_service *service);
/* LISTENER of the monitor: takes *fd. */
void frame_listen(struct front_frame *frame, const struct ipc_listener *message, int *fd);
/* Enters the sandbox, then accepts connections, up to clients_max at a time: the last step of a
 * front's start. Returns -1 with err, and accepts none, if the sandbox cannot be entered. */
int frame_start(struct front_frame *frame, size_t clients_max, struct err *err);
/* STOP_ACCEPTING: takes no connection more; sessions go on. */
void frame_stop_accepting(struct front_frame *frame);
/* child_role.drain: accepts nothing more, ends idle sessions; after ms the others are cut. */
void frame_drain(struct front_frame *frame, uint64_t ms);

/* Takes a new table of bans, BANS of the monitor. fd: -1 where there are none. */
void frame_take_bans(struct front_frame *frame, const struct ipc_bans *message, int fd);
/*
 * Whether a client of that address is to be turned away: then it was counted and logged, and the
 * caller closes the connection without a greeting. It is called for each connection with the
 * address of its socket; where that is a proxy's, with the address that the proxy names.
 */
bool frame_is_banned(const struct front_frame *frame, const uint8_t address[16],
		     enum config_service service);

/* Puts the client of a new session into the table of clients, under the next session number. The
 * front then starts the client's deadline (loop_deadline_renew) and connection (conn_init). */
void frame_add(struct front_frame *frame, struct client *client, const struct accepted *from);
/* The client has logged in: it gives way to nobody any more. */
void frame_known(struct front_frame *frame, struct client *client);
/* For fronts without logins: the client did something, others are idle for longer. */
void frame_active(struct front_frame *frame, struct client *client);
/* Ends a client that has not logged in, for another one: the oldest of a crowded network, else the
 * oldest. False: there is none that is old enough. */
bool frame_make_room(struct front_frame *frame);
/* The connection is over: the last session of a drained front ends the process. */
void frame_remove(struct front_frame *frame, struct client *client);
/* NULL: that session has ended. */
struct client *frame_find(const struct front_frame *frame, uint64_t number);
/* For struct loop_deadlines: the client was too slow or idle too long; it is cut off without a
 * reply (RFC 1939 section 3). */
void frame_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline);

#endif
