/* See counters.h. In every process of valijad; status reads what the others wrote. */
#include "server/counters.h"

#include "base/text.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t nowhere[COUNTER_SLOTS];
_Atomic uint64_t *counters_slots = nowhere;

/* ---- the table ---- */

static const struct counter_row rows[] = {
#define X(here_, outside_, kind_, a_, b_, c_, d_, roles_, help_) \
	{.name = "valija_" outside_,                             \
	 .help = (help_),                                        \
	 .kind = (kind_),                                        \
	 .labels = {SET_##a_, SET_##b_, SET_##c_, SET_##d_},     \
	 .slot = COUNTER_##here_,                                \
	 .slots = COUNTER_##here_##_LAST - COUNTER_##here_ + 1,  \
	 .roles = (roles_)},
	COUNTERS(X)
#undef X
};

static const char *const services[] = {"pop3",      "pop3s",  "lmtp",   "sasl",
				       "socketmap", "policy", "control"};
static const char *const mechanisms[] = {"USER",
					 "APOP",
					 "PLAIN",
					 "LOGIN",
					 "CRAM-MD5",
					 "SCRAM-SHA-1",
					 "SCRAM-SHA-1-PLUS",
					 "SCRAM-SHA-256",
					 "SCRAM-SHA-256-PLUS",
					 "OAUTHBEARER",
					 "XOAUTH2",
					 "EXTERNAL",
					 "other"};
static const char *const protocols[] = {"none", "TLSv1.2", "TLSv1.3", "older"};
static const char *const results[] = {"ok", "failed"};
static const char *const commands[] = {"RETR", "TOP", "DELE", "LIST", "UIDL", "QUIT"};
static const char *const steps[] = {"credentials", "verdict", "maildrop", "answer"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
_Static_assert(COUNT(services) == LABELS_SERVICE && (int)LABELS_SERVICE == (int)SERVICE_STATUS,
	       "a name for each service");
_Static_assert(COUNT(mechanisms) == LABELS_MECHANISM, "a name for each mechanism");
_Static_assert(COUNT(protocols) == LABELS_TLS, "a name for each version of TLS");
_Static_assert(COUNT(results) == LABELS_RESULT, "a name for each result");
_Static_assert(COUNT(commands) == LABELS_COMMAND, "a name for each command");
_Static_assert(COUNT(steps) == LABELS_STEP, "a name for each step");

/* values NULL: their names are found elsewhere, or are numbers. */
static const struct set {
	const char *name;
	unsigned width;
	const char *const *values;
} sets[COUNTER_SETS] = {
	[SET_NONE] = {"", LABELS_NONE, NULL},
	[SET_PROCESS] = {"process", LABELS_PROCESS, NULL},
	[SET_SERVICE] = {"service", LABELS_SERVICE, services},
	[SET_MECHANISM] = {"mechanism", LABELS_MECHANISM, mechanisms},
	[SET_TLS] = {"tls", LABELS_TLS, protocols},
	[SET_RESULT] = {"result", LABELS_RESULT, results},
	[SET_REASON] = {"reason", LABELS_REASON, NULL},
	[SET_COMMAND] = {"command", LABELS_COMMAND, commands},
	[SET_STEP] = {"step", LABELS_STEP, steps},
	[SET_DATABASE] = {"database", LABELS_DATABASE, NULL},
	[SET_CERTIFICATE] = {"certificate", LABELS_CERTIFICATE, NULL},
};

size_t counters_row_count(void)
{
	return COUNT(rows);
}

const struct counter_row *counters_row(size_t index)
{
	return &rows[index];
}

const char *counters_label_name(enum counter_labels set)
{
	return sets[set].name;
}

unsigned counters_label_width(enum counter_labels set)
{
	return sets[set].width;
}

unsigned counters_label_at(const struct counter_row *row, unsigned label, unsigned n)
{
	for (unsigned i = COUNTER_LABELS_MAX - 1; i > label; i--)
		n /= counters_label_width(row->labels[i]);
	return n % counters_label_width(row->labels[label]);
}

const char *counters_label_value(enum counter_labels set, unsigned value)
{
	if (set == SET_REASON)
		return reason_row(value)->log;
	return sets[set].values ? sets[set].values[value] : NULL;
}

/* FNV-1a: it tells builds apart, no attacker. */
static uint64_t mix(uint64_t hash, const char *text, uint64_t number)
{
	for (const char *c = text; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
	for (int i = 0; i < 64; i += 8)
		hash = (hash ^ (number >> i & 255)) * 0x100000001b3u;
	return hash;
}

uint64_t counters_hash(void)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < COUNT(rows); i++) {
		hash = mix(hash, rows[i].name, rows[i].slot);
		hash = mix(hash, rows[i].help, (uint64_t)rows[i].kind << 32 | rows[i].slots);
		for (size_t l = 0; l < COUNTER_LABELS_MAX; l++)
			hash = mix(hash, sets[rows[i].labels[l]].name, rows[i].labels[l]);
	}
	for (unsigned s = 0; s < COUNTER_SETS; s++)
		for (unsigned v = 0; v < sets[s].width; v++) {
			const char *name = counters_label_value((enum counter_labels)s, v);

			hash = mix(hash, name ? name : "", v);
		}
	return hash;
}

/* ---- counting ---- */

uint64_t counters_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

size_t counters_bucket(uint64_t value)
{
	size_t bucket = value <= 1 ? 0 : 64u - (size_t)__builtin_clzll(value - 1);

	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

void counters_enter(size_t slot, uint64_t value)
{
	counters_add(slot + counters_bucket(value), 1);
	counters_add(slot + HISTOGRAM_SUM, value);
}

uint64_t counters_took(size_t slot, uint64_t since)
{
	uint64_t now = counters_clock();
	uint64_t took = now > since ? now - since : 0;

	counters_enter(slot, took);
	return took;
}

size_t counters_login(unsigned service, unsigned mechanism, enum tls_protocol tls,
		      enum counter_result result)
{
	return COUNTER_LOGINS +
	       ((service * LABELS_MECHANISM + mechanism) * LABELS_TLS + tls) * LABELS_RESULT +
	       result;
}

unsigned counters_mechanism(pop3_span name)
{
	unsigned i = 0;

	while (i < LABELS_MECHANISM - 1 && !span_equal_nocase(name, span_of(mechanisms[i])))
		i++;
	return i;
}

/* ---- the page ---- */

static struct counters_page *map(int fd, int protection)
{
	void *page = mmap(NULL, sizeof(struct counters_page), protection, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? NULL : page;
}

int counters_page_make(enum ipc_role role, struct counters_page **ret)
{
	int fd = memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct counters_page *page;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, sizeof(struct counters_page)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ||
	    !(page = map(fd, PROT_READ | PROT_WRITE))) {
		close(fd);
		return -1;
	}
	memcpy(page->magic, COUNTERS_MAGIC, sizeof(page->magic));
	page->version = COUNTERS_VERSION;
	page->role = role;
	page->hash = counters_hash();
	*ret = page;
	return fd;
}

struct counters_page *counters_page_open(int fd, bool may_write)
{
	int seals = fcntl(fd, F_GET_SEALS);

	/* beyond the end of a file that was cut, reading a mapping raises SIGBUS; a front may not
	 * make fstat() */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) ||
	    lseek(fd, 0, SEEK_END) != (off_t)sizeof(struct counters_page))
		return NULL;
	return map(fd, may_write ? PROT_READ | PROT_WRITE : PROT_READ);
}

void counters_use(struct counters_page *page)
{
	counters_slots = page ? page->slots : nowhere;
}
