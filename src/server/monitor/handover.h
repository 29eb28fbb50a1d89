/*
 * The state that a monitor hands to the program which it becomes at an upgrade (upgrade.h): a
 * sealed memory file of records, which name the descriptors that the process keeps. Its version is
 * that of these structs: a change of one of them, or of their order, is a new version, which an
 * older or newer program does not understand; then there is no upgrade. All of it is judged before
 * any of it is used, by the new program: in a trial, while the old one still serves, and again when
 * it has become the monitor. Runs in the monitor, as root when that is root, and in the trial.
 *
 * The order: MONITOR; ASKERs; LISTENERs, each with its SOCKETs; PAGEs; GENERATIONs, oldest first,
 * each with its WANTEDs, ROOTs, LOOKUPs, then SLOTs and WAITINGs.
 */
#ifndef SERVER_MONITOR_HANDOVER_H
#define SERVER_MONITOR_HANDOVER_H

#include "config/config.h"
#include "ipc/messages.h"
#include "maildrop/mail_root.h"

#include <stddef.h>
#include <stdint.h>

enum {
	HANDOVER_VERSION = 1,         /* at most 9: it is one digit */
	HANDOVER_SIZE_MAX = 16 << 20, /* octets */
	HANDOVER_TEXT_MAX = 512,      /* behind a record */
	HANDOVER_PROGRAM_MAX = 1024,
	HANDOVER_VERSION_NAME_MAX = 64, /* of valijad, as people call it */
	HANDOVER_ASKERS_MAX = 16,
	HANDOVER_GENERATIONS_MAX = 33, /* one that serves, others that drain */
	HANDOVER_SOCKETS_MAX = 1024,   /* of a listener */
	HANDOVER_FRONTS_MAX = 1024,
};

/* The beginning of the file; its last octet is the version. It is read from memory: a test makes a
 * program of another version by changing a copy of this one. */
extern const char handover_magic[8];

/* Of the monitor, for which a person's question may wait: commands.h */
enum commands_wanted { WANTS_RELOAD, WANTS_UPGRADE, COMMANDS_WANTED };

enum handover_kind {
	HANDOVER_END, /* there is no other record */
	HANDOVER_MONITOR,
	HANDOVER_ASKER,
	HANDOVER_LISTENER,
	HANDOVER_SOCKET,
	HANDOVER_PAGE,
	HANDOVER_GENERATION,
	HANDOVER_WANTED, /* a listener of its configuration */
	HANDOVER_ROOT,
	HANDOVER_LOOKUP,
	HANDOVER_SLOT,    /* text: home, of a keeper on demand */
	HANDOVER_WAITING, /* a request for a keeper; text: home */
	HANDOVER_KINDS
};

/* Descriptors are -1 where there is none. Texts end with NUL. Times are milliseconds: since an
 * event, or to one. */
struct handover_monitor {
	uint64_t instances; /* the last one given */
	uint64_t counters;  /* counters_hash of the pages */
	uint32_t pid;
	uint32_t root;    /* it runs as root */
	uint32_t numbers; /* generations that were made */
	uint32_t tickets; /* to the next ticket key */
	int32_t no_network_fd, samples_fd;
	int32_t penalties_fd; /* what auth sent last, of addresses */
	uint32_t penalties;   /* how many */
	uint32_t drained;     /* no new session is taken until a reload */
	uint32_t log_level;   /* that a command has set, and 1; 0: none has */
	uint64_t upgrade_age; /* since this upgrade began */
	uint32_t upgrades;    /* that are over */
	uint32_t again;       /* another one is asked for */
	uint8_t ticket_keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
	char program[HANDOVER_PROGRAM_MAX];
	char version[HANDOVER_VERSION_NAME_MAX]; /* of the program that hands over */
};
/* A person's question that is answered when the upgrade is over. */
struct handover_asker {
	uint64_t control, number; /* the instance of the process control; the question's */
	uint32_t wanted, later;   /* enum commands_wanted; this upgrade is not the one */
};
struct handover_wanted { /* as in struct config_listener */
	uint32_t service, port, only_six, unused;
	char address[CONFIG_PATH_MAX];
};
struct handover_listener {
	struct handover_wanted wanted;
	uint32_t sockets, port; /* port: the real one */
	int32_t folder_fd;      /* of a path */
	uint32_t given;         /* a service manager has it, too */
	uint64_t device, inode; /* of the socket there */
};
struct handover_socket {
	int32_t fd; /* -1: it died */
	uint32_t unused;
};
struct handover_page {
	uint32_t role, taken;
	int32_t fd, read_fd;
	int32_t ring_fd, ring_read_fd; /* of the recorder */
	uint32_t ring, unused;         /* its number */
	uint64_t writers[IPC_WRITERS];
};
struct handover_generation {
	uint32_t number;
	uint32_t draining, killed;
	uint32_t counts;                 /* its processes count as that program does */
	int32_t remotes_fd;              /* and 1, so that 0 is none: older programs say so */
	uint32_t wanted, roots, lookups; /* the records of each that follow */
	uint64_t deadline;               /* to the end of the drain */
	uint64_t since;                  /* seconds of 1970 */
	/* the program of its processes, and the files that they get */
	int32_t program_fd, config_fd, users_fd, aliases_fd, spool_fd, certificates_fd, keys_fd,
		logins_fd;
	uint64_t certificates_size, keys_size;
	uint32_t net_uid, net_gid, auth_uid, auth_gid, keys_uid, keys_gid, logins_uid, logins_gid,
		mail_uid, mail_gid;
	uint32_t uids[IPC_UIDS_MAX], uid_count; /* PEER_UIDS */
	uint32_t control_uids[IPC_UIDS_MAX], control_uid_count, control_has_group, control_gid;
	/* what the monitor itself needs of the configuration */
	uint32_t fronts, answer_seconds, drain_seconds, owner_keepers, log_level;
	int32_t keeper_fd; /* the program of its keepers, if it is another; and 1, as remotes_fd */
	char file[CONFIG_PATH_MAX], directory[CONFIG_PATH_MAX], log_to[CONFIG_PATH_MAX],
		log_events[CONFIG_PATH_MAX];
};
struct handover_root {
	int32_t fd;
	uint32_t state, away;
	uint32_t store; /* enum config_store */
	char path[CONFIG_PATH_MAX], memory[MAIL_ROOT_MEMORY_MAX];
	char mark[40];
};
struct handover_lookup {
	int32_t program_fd, secrets_fd;
	uint64_t secrets_size;
	uint32_t uid, gid;
};
struct handover_slot {
	uint32_t role, index, uid, gid, group_size, home_root;
	int32_t pid; /* 0: no process */
	int32_t channel_fd, log_fd;
	int32_t page_fd; /* that of its page */
	uint64_t instance;
	uint64_t age, idle; /* since its start; since it worked */
	uint64_t killed;    /* since SIGKILL, and 1; 0: none was sent */
	uint32_t ready, ever_ready, on_demand, leaving, wanted, unused;
};
struct handover_waiting {
	uint64_t age;
	uint32_t uid, root;
};

/* ---- to write ---- */

struct handover {
	char *data;
	size_t size, room;
	int *fds; /* that the process keeps */
	size_t fd_count, fd_room;
	const char *why; /* it cannot be written; NULL: it can */
};

/* Without memory, and when it becomes too large, what follows does nothing, and handover_seal
 * fails. */
void handover_begin(struct handover *handover);
void handover_put(struct handover *handover, enum handover_kind kind, const void *record,
		  pop3_span text);
/* Notes a descriptor of a record, -1 too, and returns it. */
int32_t handover_fd(struct handover *handover, int fd);
/* Returns a sealed memory file, close-on-exec, or -1 with err. */
int handover_seal(const struct handover *handover, struct err *err);
/* Wipes and frees. */
void handover_finish(struct handover *handover);

/* ---- to read ---- */

struct handover_reader {
	const char *data;
	size_t size, at;
};

/* Maps and judges it; fd stays the caller's. Returns 0, or -1 with the reason why it is not used.
 */
int handover_open(int fd, struct handover_reader *ret, struct err *err);
void handover_close(struct handover_reader *reader);
/* To the first record. */
void handover_rewind(struct handover_reader *reader);
/* The kind of the record that follows. */
enum handover_kind handover_kind(const struct handover_reader *reader);
/* Takes that record; *ret_text (which may be NULL) lives as long as the reader. */
const void *handover_next(struct handover_reader *reader, pop3_span *ret_text);
/* Takes a descriptor of a record: it is close-on-exec from now on. -1: it is none, or was taken
 * already. */
int handover_take_fd(int32_t fd);

#endif
