/*
 * Counters: each process of valijad has a page of 64-bit slots and histograms in a memory file of
 * its own, which the monitor makes, hands on and keeps (monitor/pages.h). Counting is one relaxed
 * atomic addition in that page: no packet and no system call, from any thread. COUNTERS is the one
 * table of what is counted; its hash stands in each page.
 *
 * The page is the one variable besides the logger that all files of a process share: a counter is
 * like a line of the log. Without a page (a test, a process beyond the pages that there are) the
 * same additions go into memory that nobody reads.
 *
 * The reader is status: it takes names and labels from the table, only the slots from the page, and
 * believes none of them (server/totals.h).
 */
#ifndef SERVER_COUNTERS_H
#define SERVER_COUNTERS_H

#include "config/config.h"
#include "ipc/messages.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Values that a label may have: each set is bounded, and none has names of users or addresses. */
enum counter_command {
	COUNTER_RETR,
	COUNTER_TOP,
	COUNTER_DELE,
	COUNTER_LIST,
	COUNTER_UIDL,
	COUNTER_QUIT,
	COMMANDS_COUNT
};
enum counter_step {
	STEP_CREDENTIALS, /* greeting to the first credentials: the client's time */
	STEP_VERDICT,     /* auth */
	STEP_MAILDROP,    /* the keeper opens it */
	STEP_ANSWER,      /* credentials to the reply, as the front sees it */
	STEPS_COUNT
};
enum counter_result { RESULT_OK, RESULT_FAILED, RESULTS_COUNT };

/* Widths of the sets of labels. */
enum {
	LABELS_NONE = 1,
	LABELS_PROCESS = 1, /* the role of the page's process */
	LABELS_SERVICE = 7, /* enum config_service, but that of status itself */
	LABELS_MECHANISM = 13,
	LABELS_TLS = TLS_PROTOCOLS,
	LABELS_RESULT = RESULTS_COUNT,
	LABELS_REASON = REASON_COUNT,
	LABELS_COMMAND = COMMANDS_COUNT,
	LABELS_STEP = STEPS_COUNT,
	LABELS_DATABASE = CONFIG_DATABASES_MAX,       /* its place in the configuration */
	LABELS_CERTIFICATE = CONFIG_CERTIFICATES_MAX, /* the same */
};

enum {
	HISTOGRAM_BUCKETS = 32,            /* the n-th: values up to 2^n; the last: all others */
	HISTOGRAM_SUM = HISTOGRAM_BUCKETS, /* the slot behind them */
	HISTOGRAM_SLOTS = HISTOGRAM_SUM + 1,
};

/* Kinds, and the slots that each takes. */
enum counter_kind {
	COUNTER, /* only rises */
	GAUGE,   /* the sum over all processes */
	PEAK,    /* a gauge: the most of all processes */
	MICROS,  /* a histogram of microseconds */
	MILLIS,  /* of milliseconds */
};
enum {
	SLOTS_COUNTER = 1,
	SLOTS_GAUGE = 1,
	SLOTS_PEAK = 1,
	SLOTS_MICROS = HISTOGRAM_SLOTS,
	SLOTS_MILLIS = HISTOGRAM_SLOTS,
};

/* X(name here, name outside, kind, four sets of labels, processes that count it, help) */
#define COUNTERS(X)                                                                                \
	X(CONNECTIONS, "connections", COUNTER, SERVICE, NONE, NONE, NONE, IPC_F | IPC_L | IPC_T,   \
	  "Connections that were taken.")                                                          \
	X(CONNECTIONS_NOW, "connections_open", GAUGE, SERVICE, NONE, NONE, NONE,                   \
	  IPC_F | IPC_L | IPC_T, "Connections that are open.")                                     \
	X(CONNECTIONS_REFUSED, "connections_refused", COUNTER, REASON, NONE, NONE, NONE, IPC_F,    \
	  "Connections that got a refusal instead of a greeting.")                                 \
	X(CONNECTIONS_BANNED, "connections_banned", COUNTER, SERVICE, NONE, NONE, NONE,            \
	  IPC_F | IPC_T, "Connections, and logins at an MTA, of banned addresses.")                \
	X(HANDSHAKES, "tls_handshakes", COUNTER, SERVICE, TLS, NONE, NONE, IPC_F,                  \
	  "TLS handshakes that succeeded.")                                                        \
	X(HANDSHAKES_FAILED, "tls_handshake_failures", COUNTER, SERVICE, NONE, NONE, NONE, IPC_F,  \
	  "TLS handshakes that did not.")                                                          \
	X(PROXY_HEADERS, "proxy_headers", COUNTER, RESULT, NONE, NONE, NONE, IPC_F,                \
	  "Connections through a proxy: with their PROXY header, and refused for want of it.")     \
	X(LOGINS, "logins", COUNTER, SERVICE, MECHANISM, TLS, RESULT, IPC_F | IPC_T,               \
	  "Logins that got their answer.")                                                         \
	X(LOGIN_FAILURES, "login_failures", COUNTER, SERVICE, REASON, NONE, NONE, IPC_F | IPC_T,   \
	  "Logins that failed.")                                                                   \
	X(LOGIN_STEPS, "login_step_seconds", MICROS, STEP, NONE, NONE, NONE,                       \
	  IPC_F | IPC_A | IPC_KEEPS,                                                               \
	  "Steps of logins: the client's way to its first credentials; of logins that succeeded, " \
	  "the verdict, the opening of the maildrop, and the whole answer as the front sees it.")  \
	X(SESSIONS_NOW, "sessions", GAUGE, SERVICE, NONE, NONE, NONE, IPC_F,                       \
	  "Sessions that are logged in.")                                                          \
	X(SESSION_SECONDS, "session_seconds", MILLIS, SERVICE, NONE, NONE, NONE, IPC_F,            \
	  "Sessions that had logged in, from connection to end.")                                  \
	X(COMMANDS, "commands", COUNTER, COMMAND, NONE, NONE, NONE, IPC_F,                         \
	  "Commands of sessions that are logged in.")                                              \
	X(RETR_OCTETS, "retr_octets", COUNTER, NONE, NONE, NONE, NONE, IPC_F,                      \
	  "Octets of messages that went out to RETR.")                                             \
	X(TOP_OCTETS, "top_octets", COUNTER, NONE, NONE, NONE, NONE, IPC_F,                        \
	  "Octets of messages that went out to TOP.")                                              \
	X(DELETED, "messages_deleted", COUNTER, NONE, NONE, NONE, NONE, IPC_F,                     \
	  "Messages that QUIT deleted.")                                                           \
	X(DELETED_OCTETS, "deleted_octets", COUNTER, NONE, NONE, NONE, NONE, IPC_F,                \
	  "Octets of those messages.")                                                             \
	X(HASHES, "password_hashes", COUNTER, NONE, NONE, NONE, NONE, IPC_A,                       \
	  "Steps of logins that a worker thread computed.")                                        \
	X(AUTH_QUEUE, "auth_queue", GAUGE, NONE, NONE, NONE, NONE, IPC_A,                          \
	  "Logins that wait for a worker thread.")                                                 \
	X(USERS, "users", GAUGE, NONE, NONE, NONE, NONE, IPC_A, "Users with a session.")           \
	X(REMEMBERED, "users_remembered", GAUGE, NONE, NONE, NONE, NONE, IPC_A,                    \
	  "Pairs of user and network whose logins come first.")                                    \
	X(DATABASE_UP, "database_up", PEAK, DATABASE, NONE, NONE, NONE, IPC_A,                     \
	  "Whether a database of users answers.")                                                  \
	X(DATABASE_QUEUE, "database_queue", GAUGE, DATABASE, NONE, NONE, NONE, IPC_A,              \
	  "Questions that wait for a database of users.")                                          \
	X(OPENS, "maildrop_opens", COUNTER, REASON, NONE, NONE, NONE, IPC_KEEPS,                   \
	  "Maildrops that logins opened, or could not.")                                           \
	X(COMMITS, "commits", COUNTER, RESULT, NONE, NONE, NONE, IPC_KEEPS,                        \
	  "Deletions of sessions that were to be made durable.")                                   \
	X(COMMIT_SECONDS, "commit_seconds", MICROS, NONE, NONE, NONE, NONE, IPC_KEEPS,             \
	  "The time until they were.")                                                             \
	X(DELIVERIES, "deliveries", COUNTER, REASON, NONE, NONE, NONE, IPC_KEEPS,                  \
	  "Deliveries to recipients.")                                                             \
	X(DELIVERED_OCTETS, "delivered_octets", COUNTER, NONE, NONE, NONE, NONE, IPC_KEEPS,        \
	  "Octets of messages that were stored, as received.")                                     \
	X(DELIVERY_SECONDS, "delivery_seconds", MICROS, NONE, NONE, NONE, NONE, IPC_KEEPS,         \
	  "Deliveries, from the message to its place on the disk.")                                \
	X(FLUSH_SECONDS, "flush_seconds", MICROS, NONE, NONE, NONE, NONE, IPC_K,                   \
	  "Flushes of files and folders to the disk.")                                             \
	X(KEEPER_JOBS, "keeper_jobs", GAUGE, NONE, NONE, NONE, NONE, IPC_KEEPS,                    \
	  "Jobs of keepers that wait for a thread or run.")                                        \
	X(SIGNATURES, "signatures", COUNTER, RESULT, NONE, NONE, NONE, IPC_S,                      \
	  "Signatures of handshakes.")                                                             \
	X(CERTIFICATE_END, "certificate_end_seconds", PEAK, CERTIFICATE, NONE, NONE, NONE, IPC_F,  \
	  "When a certificate expires, in seconds since 1970.")                                    \
	X(PROCESSES, "processes", GAUGE, PROCESS, NONE, NONE, NONE, IPC_CHILDREN,                  \
	  "Processes that are ready.")                                                             \
	X(STARTS, "process_starts", COUNTER, PROCESS, NONE, NONE, NONE, IPC_CHILDREN,              \
	  "Processes that were started.")                                                          \
	X(FAILURES, "process_failures", COUNTER, PROCESS, NONE, NONE, NONE, IPC_CHILDREN,          \
	  "Processes that ended by a signal or with an error.")                                    \
	X(DESCRIPTORS, "process_descriptors", PEAK, PROCESS, NONE, NONE, NONE, IPC_CHILDREN,       \
	  "Open descriptors of the process that has most (0: this kernel does not say).")          \
	X(DESCRIPTORS_MAX, "process_descriptors_limit", PEAK, NONE, NONE, NONE, NONE, IPC_M,       \
	  "Descriptors that a process may have.")                                                  \
	X(START_TIME, "start_time_seconds", PEAK, NONE, NONE, NONE, NONE, IPC_M,                   \
	  "When valijad was started, in seconds since 1970.")                                      \
	X(GENERATION, "generation", PEAK, NONE, NONE, NONE, NONE, IPC_M,                           \
	  "The configuration in use: 1 at the start, one more with each reload.")                  \
	X(DRAINED, "drained", PEAK, NONE, NONE, NONE, NONE, IPC_M,                                 \
	  "Whether an operator has it take no new sessions.")                                      \
	X(RELOADS, "reloads", COUNTER, RESULT, NONE, NONE, NONE, IPC_M,                            \
	  "Reloads of the configuration.")                                                         \
	X(UPGRADES, "upgrades", COUNTER, RESULT, NONE, NONE, NONE, IPC_M,                          \
	  "Upgrades to another program without a stop.")                                           \
	X(SCRAPES, "scrapes", COUNTER, NONE, NONE, NONE, NONE, IPC_P, "Requests for /metrics.")

/* The first slot of each row. */
enum counter_slot {
#define X(here_, outside_, kind_, a_, b_, c_, d_, roles_, help_) \
	COUNTER_##here_,                                         \
		COUNTER_##here_##_LAST =                         \
			COUNTER_##here_ +                        \
			SLOTS_##kind_ * LABELS_##a_ * LABELS_##b_ * LABELS_##c_ * LABELS_##d_ - 1,
	COUNTERS(X)
#undef X
		COUNTER_SLOTS
};

/* The page; version and hash tell a reader of another build that it cannot read it. */
struct counters_page {
	char magic[8]; /* COUNTERS_MAGIC */
	uint32_t version, role, index, generation;
	uint64_t hash;
	_Atomic uint64_t slots[COUNTER_SLOTS];
};
#define COUNTERS_MAGIC "valcount"
#define COUNTERS_SAMPLES_SIZE 65536 /* octets of memory for the samples of status */
#define COUNTERS_VERSION 1

extern _Atomic uint64_t *counters_slots; /* of the page of this process */

/* The functions below take a slot: COUNTER_x plus, of several labels, the place of their values:
 * the last label's run fastest. */
static inline void counters_add(size_t slot, uint64_t n)
{
	atomic_fetch_add_explicit(&counters_slots[slot], n, memory_order_relaxed);
}

static inline void counters_set(size_t slot, uint64_t value)
{
	atomic_store_explicit(&counters_slots[slot], value, memory_order_relaxed);
}

/* A gauge. */
static inline void counters_less(size_t slot)
{
	counters_add(slot, UINT64_MAX);
}

uint64_t counters_clock(void); /* microseconds that never go back; no system call */
/* Enters value into the histogram that begins at slot. */
void counters_enter(size_t slot, uint64_t value);
/* The same for the microseconds from since, of counters_clock, until now, which it returns. */
uint64_t counters_took(size_t slot, uint64_t since);
size_t counters_bucket(uint64_t value);
/* The slot of a login; service: enum config_service, mechanism: counters_mechanism. */
size_t counters_login(unsigned service, unsigned mechanism, enum tls_protocol tls,
		      enum counter_result result);
/* The place of a SASL mechanism, USER or APOP among the labels; the last one: any other name. */
unsigned counters_mechanism(pop3_span name);

/* ---- the page ---- */

/* Makes a page in a memory file whose size is sealed, and maps it. -1: errno. */
int counters_page_make(enum ipc_role role, struct counters_page **ret);
/* Maps the page of fd; NULL: it is none. */
struct counters_page *counters_page_open(int fd, bool may_write);
/* From now on this process counts there. NULL: nowhere. */
void counters_use(struct counters_page *page);
uint64_t counters_hash(void); /* of the table: names, labels, places */

/* ---- the table, for readers ---- */

enum counter_labels { /* the sets of labels */
		      SET_NONE,
		      SET_PROCESS,
		      SET_SERVICE,
		      SET_MECHANISM,
		      SET_TLS,
		      SET_RESULT,
		      SET_REASON,
		      SET_COMMAND,
		      SET_STEP,
		      SET_DATABASE,
		      SET_CERTIFICATE,
		      COUNTER_SETS
};

enum { COUNTER_LABELS_MAX = 4 };

struct counter_row {
	const char *name, *help;
	enum counter_kind kind;
	enum counter_labels labels[COUNTER_LABELS_MAX];
	uint32_t slot, slots; /* of all its label values together */
	uint32_t roles;       /* a set: 1 << enum ipc_role */
};

size_t counters_row_count(void);
const struct counter_row *counters_row(size_t index);
const char *counters_label_name(enum counter_labels set); /* "mechanism" */
unsigned counters_label_width(enum counter_labels set);
/* The value of a row's label number label in the row's n-th value: the last label runs fastest. */
unsigned counters_label_at(const struct counter_row *row, unsigned label, unsigned n);
/* "SCRAM-SHA-256"; NULL: that set's values have no names but their numbers. */
const char *counters_label_value(enum counter_labels set, unsigned value);

#endif
