/* See messages.h. In every process of valijad. A packet may come from a process that an attacker
 * owns: nothing but its size is believed before it was checked. */
#include "ipc/messages.h"

#include "sys/chan_ask.h"
#include "sys/tls_scheme.h"

#include <assert.h>
#include <string.h>

/* ---- judges: the ranges of a message's fields; sizes and texts are checked already ---- */

static bool judge_any(const void *message)
{
	(void)message;
	return true;
}

static bool judge_config(const void *message)
{
	const struct ipc_config *m = message;

	return m->role > ROLE_MONITOR && m->role < ROLE_COUNT && m->change_ids <= 1;
}

static bool judge_directory(const void *message)
{
	const struct ipc_directory *m = message;

	return m->kind < DIRECTORY_COUNT && m->state < IPC_ROOT_STATES && m->root < IPC_ROOTS_MAX;
}

static bool judge_owner(const void *message)
{
	const struct ipc_owner *m = message;

	return m->root < IPC_ROOTS_MAX;
}

static bool judge_listener(const void *message)
{
	const struct ipc_listener *m = message;

	return m->service < IPC_SERVICES && m->place < IPC_LISTENERS_MAX;
}

static bool judge_peer(const void *message)
{
	const struct ipc_peer *m = message;

	return m->role > ROLE_MONITOR && m->role < ROLE_COUNT;
}

static bool judge_drain(const void *message)
{
	const struct ipc_drain *m = message;

	return m->stop <= 1;
}

static bool judge_failed(const void *message)
{
	const struct ipc_failed *m = message;

	return m->code <= 255; /* an exit status */
}

static bool judge_connect(const void *message)
{
	const struct ipc_connect *m = message;

	return m->loopback <= 1 && m->resumed <= 1 && m->listener < IPC_LISTENERS_MAX;
}

static bool judge_bindings(const void *message)
{
	const struct ipc_bindings *m = message;

	return m->exporter_size <= sizeof(m->exporter);
}

static bool judge_credentials(const void *message)
{
	const struct ipc_credentials *m = message;

	return m->has_secret <= 1 && m->tls < TLS_PROTOCOLS;
}

static bool judge_offer(const void *message)
{
	const struct ipc_offer *m = message;

	return m->apop <= 1;
}

static bool judge_connected(const void *message)
{
	const struct ipc_connected *m = message;

	return m->reason < REASON_COUNT;
}

/* A refusal that POP3 clients get. */
static bool refuses(uint32_t reason)
{
	return reason != REASON_OK && reason < REASON_COUNT;
}

static bool judge_denied(const void *message)
{
	const struct ipc_denied *m = message;

	return refuses(m->reason) && m->close <= 1 && m->delay <= IPC_DELAY_MAX;
}

static bool judge_resolved(const void *message)
{
	const struct ipc_resolved *m = message;

	return m->parts >= 1 && m->parts <= IPC_PARTS_MAX &&
	       m->head.tail == m->parts * sizeof(uint64_t);
}

static bool judge_open(const void *message)
{
	const struct ipc_open *m = message;

	return m->no_delete <= 1 && m->root < IPC_ROOTS_MAX && m->placed <= 1 &&
	       m->login_delay <= IPC_LOGIN_DELAY_MAX && m->head.texts[0] <= IPC_TEXT_MAX &&
	       m->head.texts[1] <= IPC_TEXT_MAX && m->head.texts[2] <= IPC_LABEL_MAX;
}

static bool judge_remotes(const void *message)
{
	return ((const struct ipc_remotes *)message)->size <= INT32_MAX;
}

static bool judge_open_remote(const void *message)
{
	const struct ipc_open_remote *m = message;

	return m->remote < IPC_REMOTES_MAX && m->no_delete <= 1 && m->judge <= 2 &&
	       (m->part == PART_WHOLE || m->part == PART_THERE) && m->patient <= 1 &&
	       m->login_delay <= IPC_LOGIN_DELAY_MAX && m->head.texts[0] <= IPC_TEXT_MAX &&
	       m->head.texts[1] <= IPC_LABEL_MAX && m->head.texts[2] <= IPC_TEXT_MAX &&
	       m->head.texts[3] <= IPC_REMOTE_SECRET_MAX;
}

static bool judge_verdict(const void *message)
{
	const struct ipc_verdict *m = message;

	return m->reason < REASON_COUNT && m->login_delay <= IPC_LOGIN_DELAY_MAX &&
	       m->part < PART_COUNT;
}

static bool judge_body_stream(const void *message)
{
	return ((const struct ipc_body_stream *)message)->number >= 1;
}

static bool is_slot(uint32_t slot)
{
	return slot < ARENA_SLOTS || slot == IPC_NO_SLOT;
}

static bool judge_read_stream(const void *message)
{
	const struct ipc_stream *m = message;

	return m->number >= 1 && m->last == 0 && m->size == 0 && m->offset <= INT64_MAX / 2 &&
	       is_slot(m->slot);
}

static bool judge_stream(const void *message)
{
	const struct ipc_stream *m = message;

	return m->number >= 1 && m->last <= 1 && m->offset <= INT64_MAX / 2 &&
	       (m->size > 0 || m->last) && m->size <= IPC_BATCH_MAX && is_slot(m->slot) &&
	       m->head.tail == (m->slot == IPC_NO_SLOT ? m->size : 0);
}

static bool judge_logged_in(const void *message)
{
	const struct ipc_logged_in *m = message;

	return m->mta <= 1 && m->head.texts[0] <= IPC_TEXT_MAX && m->head.texts[1] <= IPC_LABEL_MAX;
}

static bool judge_learned(const void *message)
{
	const struct ipc_learned *m = message;

	return m->head.texts[0] >= 1 && m->head.texts[0] <= IPC_SECTION_MAX &&
	       m->head.texts[1] <= IPC_TEXT_MAX && m->head.texts[2] == IPC_SEALED;
}

static bool judge_hurry(const void *message)
{
	const struct ipc_hurry *m = message;

	return m->root < IPC_ROOTS_MAX && m->head.texts[0] <= IPC_TEXT_MAX;
}

static bool judge_recipient_open(const void *message)
{
	const struct ipc_recipient_open *m = message;

	return m->root < IPC_ROOTS_MAX && m->placed <= 1 && m->head.texts[0] <= IPC_TEXT_MAX &&
	       m->head.texts[1] <= IPC_TEXT_MAX && m->head.texts[2] <= IPC_TEXT_MAX;
}

static bool judge_recipient_remote(const void *message)
{
	const struct ipc_recipient_remote *m = message;

	return m->remote < IPC_REMOTES_MAX && m->head.texts[0] <= IPC_TEXT_MAX &&
	       m->head.texts[1] >= 1 && m->head.texts[1] <= IPC_TEXT_MAX &&
	       m->head.texts[2] <= IPC_TEXT_MAX;
}

static bool judge_opened(const void *message)
{
	const struct ipc_opened *m = message;

	return m->count <= IPC_COUNT_MAX && m->delta_size <= INT64_MAX && m->octets <= INT64_MAX &&
	       m->login_delay <= IPC_LOGIN_DELAY_MAX && m->remote <= 1 && m->part < PART_COUNT &&
	       (m->part == PART_WHOLE || m->remote == (m->part == PART_THERE));
}

static bool judge_open_failed(const void *message)
{
	const struct ipc_open_failed *m = message;

	return refuses(m->reason);
}

static bool judge_bodies(const void *message)
{
	const struct ipc_bodies *m = message;
	const struct ipc_body *bodies = (const struct ipc_body *)(const void *)ipc_tail(message);
	uint64_t octets = 0, table;

	if (m->count < 1 || m->count > IPC_BODIES_MAX || m->in_slot > 1)
		return false;
	table = m->count * sizeof(*bodies);
	if (m->head.tail < table)
		return false;
	for (uint32_t i = 0; i < m->count; i++) {
		if (bodies[i].number == 0 || (i > 0 && bodies[i].number <= bodies[i - 1].number) ||
		    bodies[i].octets > INT64_MAX)
			return false;
		octets += bodies[i].stored;
	}
	return m->in_slot ? m->head.tail == table && octets <= ARENA_SLOT_SIZE
			  : m->head.tail == table + octets;
}

static bool judge_body_lent(const void *message)
{
	const struct ipc_body_lent *m = message;

	return m->number >= 1 && m->wire_form <= 1 && m->in_memory <= 1 &&
	       m->offset <= INT64_MAX / 2 && m->stored <= INT64_MAX / 2 && m->window <= m->stored &&
	       m->octets <= INT64_MAX;
}

static bool judge_body_sliced(const void *message)
{
	const struct ipc_body_lent *m = message;

	return judge_body_lent(message) && m->window == 0;
}

static bool judge_body_failed(const void *message)
{
	const struct ipc_body_failed *m = message;

	return m->number >= 1 && refuses(m->reason);
}

static bool judge_slice(const void *message)
{
	const struct ipc_slice *m = message;

	return m->number >= 1 && m->by_value <= 1 && m->size >= 1 &&
	       m->size <= (m->by_value ? IPC_BATCH_MAX : IPC_WINDOW_MAX) &&
	       m->offset <= INT64_MAX / 2;
}

static bool judge_slice_value(const void *message)
{
	const struct ipc_slice *m = message;

	return judge_slice(message) && m->by_value && m->head.tail == m->size;
}

static bool judge_body_wrong(const void *message)
{
	const struct ipc_body_wrong *m = message;

	return m->number >= 1;
}

static bool judge_committed(const void *message)
{
	const struct ipc_committed *m = message;

	return m->reason < REASON_COUNT;
}

/* A reason whose LMTP reply a recipient may get. */
static bool judge_delivered(const void *message)
{
	const struct ipc_recipient_answer *m = message;

	return m->reason < REASON_COUNT && reason_row(m->reason)->reply != 0 && !m->on_demand;
}

static bool judge_refused(const void *message)
{
	const struct ipc_recipient_answer *m = message;

	return judge_delivered(message) && m->reason != REASON_OK;
}

static bool judge_ready(const void *message)
{
	const struct ipc_recipient_answer *m = message;

	return m->reason == REASON_OK && m->on_demand <= 1;
}

static bool judge_fetch(const void *message)
{
	const struct ipc_fetch *m = message;

	return m->number >= 1 && m->count >= 1 && m->utf8 <= IPC_UTF8_MAX && m->top <= 1 &&
	       is_slot(m->slot);
}

static bool judge_delete(const void *message)
{
	const struct ipc_delete *m = message;

	return m->count >= 1 && m->count <= IPC_NUMBERS_MAX &&
	       m->head.tail == m->count * sizeof(uint32_t);
}

static bool judge_deliver(const void *message)
{
	const struct ipc_deliver *m = message;
	uint64_t indexes = m->count * (uint64_t)sizeof(uint32_t);

	return m->count >= 1 && m->count <= IPC_RECIPIENTS_MAX && m->size <= INT64_MAX &&
	       m->utf8 <= 1 && m->head.tail >= indexes && m->head.tail - indexes <= IPC_HEADERS_MAX;
}

static bool judge_location(const void *message)
{
	const struct ipc_location *m = message;

	return m->ask < LOCATION_ASKS && m->root < IPC_ROOTS_MAX;
}

static bool judge_guard(const void *message)
{
	const struct ipc_guard *m = message;

	return m->ask < GUARD_ASKS && m->root < IPC_ROOTS_MAX && m->has <= IPC_GUARD_HAS &&
	       m->head.texts[0] <= IPC_TEXT_MAX && m->head.texts[1] <= IPC_TEXT_MAX;
}

static bool judge_root(const void *message)
{
	const struct ipc_root *m = message;

	return m->away <= 1 && m->root < IPC_ROOTS_MAX;
}

static bool judge_root_fd(const void *message)
{
	const struct ipc_root_fd *m = message;

	return m->root < IPC_ROOTS_MAX;
}

static bool judge_lock(const void *message)
{
	const struct ipc_lock *m = message;

	return m->what < LOCK_WHATS;
}

static bool judge_location_answer(const void *message)
{
	const struct ipc_location_answer *m = message;

	return m->allowed <= 1;
}

static bool judge_judged(const void *message)
{
	const struct ipc_judged *m = message;

	return m->good <= 1;
}

static bool judge_sign(const void *message)
{
	const struct ipc_sign *m = message;

	return m->key < IPC_KEY_SETS * IPC_KEYS_MAX && tls_scheme(m->scheme) && m->head.tail >= 1;
}

static bool judge_database(const void *message)
{
	const struct ipc_database *m = message;

	return m->index < IPC_DATABASES_MAX && m->size <= INT32_MAX;
}

/* The number of texts in a tail in which each is ended by NUL and has at most so many octets; -1:
 * it is no such tail. */
static int count_strings(const void *message, size_t longest)
{
	const struct ipc_head *head = message;
	const char *at = ipc_tail(message), *end = at + head->tail;
	int count = 0;

	while (at < end) {
		const char *nul = memchr(at, 0, (size_t)(end - at));

		if (!nul || (size_t)(nul - at) > longest)
			return -1;
		count++;
		at = nul + 1;
	}
	return count;
}

static bool judge_list(const void *message)
{
	const struct ipc_list *m = message;

	return m->deadline <= IPC_LOOKUP_DEADLINE_MAX;
}

static bool judge_find(const void *message)
{
	const struct ipc_find *m = message;

	return m->purpose < LOOKUP_PURPOSES && m->deadline <= IPC_LOOKUP_DEADLINE_MAX &&
	       m->count >= 1 && m->count <= IPC_LOOKUP_NAMES_MAX &&
	       count_strings(message, 255) == (int)m->count;
}

static bool judge_verify(const void *message)
{
	const struct ipc_verify *m = message;

	return (m->kind == LOOKUP_PASSWORD || m->kind == LOOKUP_TOKEN ||
		m->kind == LOOKUP_ACCESS) &&
	       m->purpose < LOOKUP_PURPOSES && m->deadline <= IPC_LOOKUP_DEADLINE_MAX &&
	       m->tls <= 1 && m->head.texts[0] <= 255 && m->head.texts[1] <= IPC_LOOKUP_SECRET_MAX;
}

static bool judge_answer(const void *message)
{
	const struct ipc_answer *m = message;
	int strings = count_strings(message, IPC_ANSWER_MAX);

	return m->status < LOOKUP_STATUSES && m->matched < IPC_LOOKUP_NAMES_MAX && strings >= 0 &&
	       strings % 2 == 0 && (strings == 0 || m->status == LOOKUP_FOUND);
}

static bool judge_uids(const void *message)
{
	const struct ipc_uids *m = message;

	return m->count <= IPC_UIDS_MAX;
}

static bool judge_whose(const void *message)
{
	const struct ipc_whose_answer *m = message;

	return m->reason < REASON_COUNT;
}

static bool judge_page(const void *message)
{
	const struct ipc_page *m = message;

	return m->role < ROLE_COUNT;
}

static bool judge_gone(const void *message)
{
	const struct ipc_gone *m = message;

	return m->reason < REASON_COUNT && m->reason != REASON_OK;
}

static bool judge_holder(const void *message)
{
	const struct ipc_holder *m = message;

	return m->busy <= 1;
}

static bool judge_take(const void *message)
{
	const struct ipc_take *m = message;

	return m->take <= 1 && m->root < IPC_ROOTS_MAX && m->head.texts[0] >= 1;
}

static bool judge_taken(const void *message)
{
	const struct ipc_taken *m = message;

	return m->taken <= 1;
}

static bool judge_usage(const void *message)
{
	const struct ipc_usage *m = message;

	return m->root < IPC_ROOTS_MAX && m->head.texts[0] <= IPC_TEXT_MAX &&
	       m->head.texts[1] <= IPC_TEXT_MAX;
}

static bool judge_usage_answer(const void *message)
{
	const struct ipc_usage_answer *m = message;

	return m->reason < REASON_COUNT;
}

static bool judge_who(const void *message)
{
	const struct ipc_who *m = message;

	return m->act < WHO_ACTS && (m->act != WHO_KICK || m->head.texts[0] > 0);
}

static bool judge_who_page(const void *message)
{
	const struct ipc_who_page *m = message;
	const char *tail = ipc_tail(message);
	uint32_t at = 0, count = 0;

	while (at < m->head.tail) {
		const struct ipc_who_row *row =
			(const struct ipc_who_row *)(const void *)(tail + at);

		if (m->head.tail - at < sizeof(*row) || row->name_size > IPC_TEXT_MAX ||
		    m->head.tail - at - sizeof(*row) < ipc_who_name_room(row->name_size) ||
		    row->tls >= TLS_PROTOCOLS || row->state >= WHO_STATES || row->counted > 1 ||
		    !memchr(row->mechanism, 0, sizeof(row->mechanism)))
			return false;
		at += (uint32_t)sizeof(*row) + ipc_who_name_room(row->name_size);
		count++;
	}
	return m->status < WHO_STATUSES && m->count == count;
}
static bool judge_traffic(const void *message)
{
	const struct ipc_traffic *m = message;

	return m->count <= IPC_TRAFFIC_MAX && m->head.tail == m->count * sizeof(uint64_t);
}
static bool judge_traffic_answer(const void *message)
{
	const struct ipc_traffic *m = message;

	return m->count <= IPC_TRAFFIC_MAX &&
	       m->head.tail == m->count * sizeof(struct ipc_traffic_row);
}
static bool judge_ask(const void *message)
{
	const struct ipc_ask *m = message;

	return m->topic < TOPICS;
}
/* A reason is one line that has no end; all others have theirs. */
static bool judge_lines(const void *message)
{
	const struct ipc_lines *m = message;
	const char *tail = ipc_tail(message);
	uint32_t ends = 0;

	for (uint32_t i = 0; i < m->head.tail; i++) {
		unsigned char c = (unsigned char)tail[i];

		if ((c < ' ' && c != '\t' && c != '\n') || c >= 0x7f)
			return false;
		ends += c == '\n';
	}
	if (m->status == LINES_FAILED)
		return m->head.tail > 0 && !ends && !memchr(tail, '\t', m->head.tail);
	return m->status < LINES_STATUSES && m->count == ends &&
	       (!m->head.tail || tail[m->head.tail - 1] == '\n');
}
static bool judge_log_level(const void *message)
{
	const struct ipc_log_level *m = message;

	return m->level <= IPC_LOG_LEVEL_MAX;
}

static bool judge_flushed(const void *message)
{
	const struct ipc_flushed *m = message;

	return m->status == WHO_END || (m->status == WHO_REFUSED && m->count == 0);
}

static bool judge_nodes(const void *message)
{
	const struct ipc_nodes *m = message;

	return m->what < NODES_WHATS && (m->what != NODES_KICK || m->head.texts[0]);
}

static bool judge_control_peers(const void *message)
{
	const struct ipc_control_peers *m = message;

	return m->count <= IPC_UIDS_MAX && m->has_group <= 1;
}

static bool judge_trace(const void *message)
{
	return ((const struct ipc_trace *)message)->seconds <= IPC_TRACE_SECONDS_MAX;
}

static bool judge_traced(const void *message)
{
	return ((const struct ipc_traced *)message)->status < WHO_STATUSES;
}

static bool judge_trace_user(const void *message)
{
	return ((const struct ipc_trace_user *)message)->seconds <= IPC_TRACE_SECONDS_MAX;
}

static bool judge_ring(const void *message)
{
	const struct ipc_ring *m = message;

	return m->role < ROLE_COUNT;
}

static bool judge_ban(const void *message)
{
	const struct ipc_ban *m = message;

	return m->act < BAN_ACTS && m->bits <= 128 && m->flags <= BAN_FLAGS_ALL &&
	       m->seconds <= IPC_BAN_SECONDS_MAX && (m->act != BAN_ADD || m->seconds > 0);
}

static bool judge_nodes_ban(const void *message)
{
	return judge_ban(message) && ((const struct ipc_ban *)message)->act != BAN_LIST;
}

static bool judge_ban_page(const void *message)
{
	const struct ipc_ban_page *m = message;
	const char *tail = ipc_tail(message);
	uint32_t at = 0, count = 0;

	while (at < m->head.tail) {
		const struct ipc_ban_row *row =
			(const struct ipc_ban_row *)(const void *)(tail + at);

		if (m->head.tail - at < sizeof(*row) || row->why_size > IPC_BAN_WHY_MAX ||
		    m->head.tail - at - sizeof(*row) < ipc_who_name_room(row->why_size) ||
		    row->bits > 128)
			return false;
		at += (uint32_t)sizeof(*row) + ipc_who_name_room(row->why_size);
		count++;
	}
	return m->status < BAN_STATUSES && m->count == count &&
	       memchr(m->words, 0, sizeof(m->words));
}

static bool judge_bans(const void *message)
{
	return ((const struct ipc_bans *)message)->count <= IPC_BANS_MAX;
}

static bool judge_penalties(const void *message)
{
	return ((const struct ipc_penalties *)message)->count <= IPC_PENALTIES_MAX;
}

static bool judge_penalty_page(const void *message)
{
	const struct ipc_penalty_page *m = message;

	return m->status < WHO_STATUSES && m->count <= IPC_PENALTY_ROWS_MAX &&
	       m->head.tail == m->count * sizeof(struct ipc_penalty);
}

/* ---- the table ---- */

struct row {
	const char *name;
	bool (*judge)(const void *message);
	uint32_t size, tail_max;
	uint16_t from, to; /* sets of roles */
	uint8_t fds_min, fds_max, texts, secret;
};

static const struct row rows[IPC_END] = {
#define X(name_, number_, struct_, from_, to_, min_, max_, tail_, texts_, secret_, judge_) \
	[IPC_##name_] = {.name = #name_,                                                   \
			 .judge = (judge_),                                                \
			 .size = sizeof(struct struct_),                                   \
			 .tail_max = (tail_),                                              \
			 .from = (from_),                                                  \
			 .to = (to_),                                                      \
			 .fds_min = (min_),                                                \
			 .fds_max = (max_),                                                \
			 .texts = (texts_),                                                \
			 .secret = (secret_)},
	IPC_MESSAGES(X)
#undef X
};

#define X(name_, number_, struct_, from_, to_, min_, max_, tail_, texts_, secret_, judge_)   \
	_Static_assert(sizeof(struct struct_) % 8 == 0, #struct_ " has padding at its end"); \
	_Static_assert(sizeof(struct struct_) + (tail_) <= CHAN_PACKET_MAX,                  \
		       #name_ " fits no packet");                                            \
	_Static_assert((max_) <= CHAN_FDS_MAX, #name_ " has too many descriptors");          \
	_Static_assert((texts_) <= IPC_TEXTS_MAX, #name_ " has too many texts");
IPC_MESSAGES(X)
#undef X

static const struct row *row_of(uint32_t type)
{
	return type < IPC_END && rows[type].name ? &rows[type] : NULL;
}

const char *ipc_name(uint32_t type)
{
	const struct row *row = row_of(type);

	return row ? row->name : "unknown message";
}

const char *ipc_role_name(enum ipc_role role)
{
	static const char *const names[ROLE_COUNT] = {
		"monitor", "front",  "lmtp",    "auth",   "keeper", "keys",     "lookup",
		"mta",     "logins", "control", "status", "locker", "connector"};

	return (unsigned)role < ROLE_COUNT ? names[role] : "unknown role";
}

/* Returns whether the sizes of the texts add up to the tail, in a row that has texts, and are 0 in
 * all other rows. */
static bool texts_fit(const struct row *row, const struct ipc_head *head)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < IPC_TEXTS_MAX; i++) {
		if (i >= row->texts && head->texts[i])
			return false;
		sum += head->texts[i];
	}
	return !row->texts || sum == head->tail;
}

enum ipc_type ipc_check(const void *data, size_t size, unsigned fd_count, enum ipc_role from,
			enum ipc_role to, const char **ret_why)
{
	const struct ipc_head *head = data;
	const struct row *row = size < sizeof(*head) ? NULL : row_of(head->type);

	if (!row)
		*ret_why = "no such message";
	else if (!(row->from & 1u << from) || !(row->to & 1u << to))
		*ret_why = "a message that this process may not send";
	else if (size < row->size || size - row->size != head->tail || head->tail > row->tail_max)
		*ret_why = "a message of the wrong size";
	else if (fd_count < row->fds_min || fd_count > row->fds_max)
		*ret_why = "a message with the wrong number of descriptors";
	else if (!texts_fit(row, head))
		*ret_why = "texts whose sizes do not add up";
	else if (!row->judge(data))
		*ret_why = "a message with a field out of its range";
	else
		return (enum ipc_type)head->type;
	return IPC_NONE;
}

bool ipc_answers(enum ipc_type answer, enum ipc_type asked)
{
	static const struct {
		uint16_t asked, answer;
	} pairs[] = {
		{IPC_CONNECT, IPC_CONNECTED},
		{IPC_PASS, IPC_SLOW},
		{IPC_PASS, IPC_DENIED},
		{IPC_PASS, IPC_OPENED},
		{IPC_PASS, IPC_OPEN_FAILED},
		{IPC_APOP, IPC_SLOW},
		{IPC_APOP, IPC_DENIED},
		{IPC_APOP, IPC_OPENED},
		{IPC_APOP, IPC_OPEN_FAILED},
		{IPC_SASL_START, IPC_SLOW},
		{IPC_SASL_START, IPC_CHALLENGE},
		{IPC_SASL_START, IPC_DENIED},
		{IPC_SASL_START, IPC_OPENED},
		{IPC_SASL_START, IPC_OPEN_FAILED},
		{IPC_SASL_RESPONSE, IPC_SLOW},
		{IPC_SASL_RESPONSE, IPC_CHALLENGE},
		{IPC_SASL_RESPONSE, IPC_DENIED},
		{IPC_SASL_RESPONSE, IPC_OPENED},
		{IPC_SASL_RESPONSE, IPC_OPEN_FAILED},
		{IPC_SASL_START, IPC_GRANTED},
		{IPC_SASL_RESPONSE, IPC_GRANTED},
		{IPC_PASS, IPC_OPEN_IN_USE},
		{IPC_APOP, IPC_OPEN_IN_USE},
		{IPC_SASL_START, IPC_OPEN_IN_USE},
		{IPC_SASL_RESPONSE, IPC_OPEN_IN_USE},
		{IPC_FETCH, IPC_GONE},
		{IPC_READ_SLICE, IPC_GONE},
		{IPC_READ_STREAM, IPC_GONE},
		{IPC_FETCH, IPC_BODY_STREAM},
		{IPC_READ_STREAM, IPC_STREAM},
		{IPC_READ_STREAM, IPC_BODY_FAILED},
		{IPC_OPEN_REMOTE, IPC_VERDICT},
		{IPC_OPEN_MIGRATES, IPC_NOT_HERE},
		{IPC_OPEN_MIGRATES, IPC_HERE},
		{IPC_COMMIT, IPC_GONE},
		{IPC_HOLDER_ASK, IPC_HOLDER},
		{IPC_TAKE, IPC_TAKEN},
		{IPC_FETCH, IPC_BODIES},
		{IPC_FETCH, IPC_BODY_LENT},
		{IPC_FETCH, IPC_BODY_SLICED},
		{IPC_FETCH, IPC_BODY_FAILED},
		{IPC_READ_SLICE, IPC_SLICE_READY},
		{IPC_READ_SLICE, IPC_SLICE},
		{IPC_READ_SLICE, IPC_BODY_FAILED},
		{IPC_COMMIT, IPC_COMMITTED},
		{IPC_RCPT, IPC_RESOLVED},
		{IPC_WHOSE, IPC_WHOSE_ANSWER},
		{IPC_QUOTA, IPC_WHOSE_ANSWER},
		{IPC_USAGE, IPC_USAGE_ANSWER},
		{IPC_RCPT, IPC_RCPT_READY},
		{IPC_RCPT, IPC_RCPT_REFUSED},
		{IPC_DELIVER, IPC_DELIVERED},
		{IPC_LOCATION, IPC_LOCATION_ANSWER},
		{IPC_GUARD, IPC_LOCATION_ANSWER},
		{IPC_SIGN, IPC_SIGNED},
		{IPC_FIND, IPC_ANSWER},
		{IPC_VERIFY, IPC_ANSWER},
		{IPC_LIST, IPC_ANSWER},
		{IPC_WHO, IPC_WHO_PAGE},
		{IPC_TRACE, IPC_TRACED},
		{IPC_BAN, IPC_BAN_PAGE},
		{IPC_PENALTY_ASK, IPC_PENALTY_PAGE},
		{IPC_FLUSH, IPC_FLUSHED},
		{IPC_ASK, IPC_LINES},
		{IPC_TRAFFIC, IPC_TRAFFIC_ANSWER},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (pairs[i].asked == asked && pairs[i].answer == answer)
			return true;
	return false;
}

const char *ipc_next_string(const void *message, const char *string)
{
	const struct ipc_head *head = message;
	const char *next = string + strlen(string) + 1;

	return next < (const char *)ipc_tail(message) + head->tail ? next : NULL;
}

const char *ipc_strings(const void *message)
{
	const struct ipc_head *head = message;

	return head->tail ? ipc_tail(message) : NULL;
}

size_t ipc_first(const void *data, size_t size)
{
	const struct ipc_head *head = data;
	const struct row *row = size < sizeof(*head) ? NULL : row_of(head->type);
	uint64_t first;

	if (!row)
		return size;
	first = ((uint64_t)row->size + head->tail + 7) / 8 * 8;
	return first < size ? (size_t)first : size;
}

size_t ipc_size(const void *data)
{
	const struct ipc_head *head = data;

	return row_of(head->type)->size + (size_t)head->tail;
}

const char *ipc_tail(const void *message)
{
	const struct ipc_head *head = message;

	return (const char *)message + rows[head->type].size;
}

pop3_span ipc_text(const void *message, unsigned n)
{
	const struct ipc_head *head = message;
	const char *at = ipc_tail(message);

	assert(n < rows[head->type].texts);
	for (unsigned i = 0; i < n; i++)
		at += head->texts[i];
	return (pop3_span){at, head->texts[n]};
}

/* ---- sending ---- */

static void fill_head(struct ipc_head *head, enum ipc_type type, const pop3_span *parts,
		      unsigned count)
{
	const struct row *row = row_of(type);
	size_t size = 0;

	assert(row && (!row->texts || row->texts == count));
	memset(head, 0, sizeof(*head));
	for (unsigned i = 0; i < count; i++) {
		size += parts[i].size;
		if (row->texts)
			head->texts[i] = (uint16_t)parts[i].size;
	}
	assert(size <= row->tail_max && size <= UINT16_MAX + (row->texts ? 0u : CHAN_PACKET_MAX));
	head->type = type;
	head->tail = (uint32_t)size;
}

/* sendmsg only reads what its iovec points to, though the type is not const; and a message that is
 * wiped lies in the scratch of the loop, which is not const either. */
static void *octets_of(const char *data)
{
	union {
		const char *from;
		void *to;
	} same = {.from = data};

	return same.to;
}

void ipc_wipe(const void *message)
{
	const struct ipc_head *head = message;
	const struct row *row = &rows[head->type];

	if (row->secret)
		explicit_bzero(octets_of(message), row->size + head->tail);
}

/* Fills in the head, and points to all that is sent. */
static void gather(struct iovec pieces[1 + IPC_TEXTS_MAX], enum ipc_type type, void *message,
		   const pop3_span *parts, unsigned count)
{
	assert(count <= IPC_TEXTS_MAX);
	fill_head(message, type, parts, count);
	pieces[0] = (struct iovec){message, rows[type].size};
	for (unsigned i = 0; i < count; i++)
		pieces[i + 1] = (struct iovec){octets_of(parts[i].data), parts[i].size};
}

int ipc_send_all(struct chan *chan, enum ipc_type type, void *message, const pop3_span *parts,
		 unsigned part_count, const int *fds, unsigned fd_count)
{
	struct iovec pieces[1 + IPC_TEXTS_MAX];

	gather(pieces, type, message, parts, part_count);
	assert(fd_count >= rows[type].fds_min && fd_count <= rows[type].fds_max);
	return chan_send(chan, pieces, part_count + 1, fds, fd_count);
}

int ipc_send(struct chan *chan, enum ipc_type type, void *message)
{
	return ipc_send_all(chan, type, message, NULL, 0, NULL, 0);
}

int ipc_send_texts(struct chan *chan, enum ipc_type type, void *message, const pop3_span *texts,
		   unsigned count)
{
	return ipc_send_all(chan, type, message, texts, count, NULL, 0);
}

int ipc_send_fds(struct chan *chan, enum ipc_type type, void *message, const int *fds,
		 unsigned count)
{
	return ipc_send_all(chan, type, message, NULL, 0, fds, count);
}

int ipc_ask_texts(int fd, enum ipc_type type, void *message, const pop3_span *texts, unsigned count)
{
	struct iovec pieces[1 + IPC_TEXTS_MAX];

	assert(!rows[type].fds_min);
	gather(pieces, type, message, texts, count);
	return chan_ask_send(fd, pieces, count + 1);
}

int ipc_post(struct chan *chan, enum ipc_type type, void *message)
{
	return ipc_post_texts(chan, type, message, NULL, 0);
}

int ipc_post_texts(struct chan *chan, enum ipc_type type, void *message, const pop3_span *texts,
		   unsigned count)
{
	struct iovec pieces[1 + IPC_TEXTS_MAX];

	assert(!rows[type].fds_min);
	gather(pieces, type, message, texts, count);
	return chan_post(chan, pieces, count + 1);
}
