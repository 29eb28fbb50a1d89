/* src/ipc: a message of every row is refused in every way that it can be wrong: direction, size,
 * descriptors, texts, fields. */
#include "ipc/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

struct row {
	const char *name;
	uint32_t type;
	size_t size;
	uint32_t from, to, tail_max;
	unsigned fds_min, fds_max, texts;
};

static const struct row rows[] = {
#define X(name, number, type, from, to, min, max, tail, texts, ...) \
	{#name, (number), sizeof(struct type), (from), (to), (tail), (min), (max), (texts)},
	IPC_MESSAGES(X)
#undef X
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* A message that its row allows, in storage of its exact size. */
union any {
	struct ipc_head head;
	struct ipc_config config;
	struct ipc_peer peer;
	struct ipc_connected connected;
	struct ipc_denied denied;
	struct ipc_resolved resolved;
	struct ipc_opened opened;
	struct ipc_open_failed open_failed;
	struct ipc_bodies bodies;
	struct ipc_body_lent body_lent;
	struct ipc_body_failed body_failed;
	struct ipc_slice slice;
	struct ipc_body_wrong body_wrong;
	struct ipc_recipient_answer recipient_answer;
	struct ipc_fetch fetch;
	struct ipc_delete delete;
	struct ipc_deliver deliver;
	struct ipc_sign sign;
	struct ipc_find find;
	struct ipc_verify verify;
	struct ipc_gone gone;
	struct ipc_flushed flushed;
	struct ipc_who who;
	struct ipc_who_page who_page;
	struct ipc_ask ask;
	struct ipc_lines lines;
	struct ipc_log_level log_level;
	struct ipc_traffic traffic;
	struct ipc_ban ban;
	struct ipc_ban_page ban_page;
	struct ipc_penalty_page penalty_page;
	struct ipc_body_stream body_stream;
	struct ipc_stream stream;
	struct ipc_open_remote open_remote;
	struct ipc_verdict verdict;
	char octets[CHAN_PACKET_MAX];
};

static union any sound; /* what sound_message makes */

static struct ipc_body *sound_bodies(void)
{
	return (struct ipc_body *)(void *)(sound.octets + sizeof(struct ipc_bodies));
}

/* Returns the size of a message of the row with the longest tail its fields allow. */
static size_t sound_message(const struct row *row)
{
	memset(&sound, 0, sizeof(sound));
	sound.head.type = row->type;
	sound.head.tail = row->tail_max;
	for (unsigned i = 0; i < row->texts; i++)
		sound.head.texts[i] = (uint16_t)(row->tail_max / row->texts);
	if (row->texts)
		sound.head.texts[0] = (uint16_t)(sound.head.texts[0] + row->tail_max % row->texts);
	switch ((enum ipc_type)row->type) {
	case IPC_CONFIG:
	case IPC_PEER:
		/* both have the role behind the instance */
		sound.peer.role = ROLE_KEEPER;
		break;
	case IPC_OPEN:
	case IPC_OPEN_MIGRATES:
		sound.head.texts[0] = sound.head.texts[1] = IPC_TEXT_MAX;
		sound.head.texts[2] = IPC_LABEL_MAX;
		break;
	case IPC_OPEN_REMOTE:
		sound.head.texts[0] = sound.head.texts[2] = IPC_TEXT_MAX;
		sound.head.texts[1] = IPC_LABEL_MAX;
		sound.head.texts[3] = IPC_REMOTE_SECRET_MAX;
		break;
	case IPC_BODY_STREAM:
		sound.body_stream.number = 1;
		break;
	case IPC_READ_STREAM:
		sound.stream.number = 1;
		break;
	case IPC_STREAM:
		sound.stream.number = 1;
		sound.stream.slot = IPC_NO_SLOT;
		sound.stream.size = IPC_BATCH_MAX;
		break;
	case IPC_DENIED:
		sound.denied.reason = REASON_WRONG;
		break;
	case IPC_RESOLVED:
		sound.resolved.parts = IPC_PARTS_MAX;
		break;
	case IPC_RCPT_REFUSED:
		sound.recipient_answer.reason = REASON_NO_SUCH_USER;
		break;
	case IPC_OPEN_FAILED:
		sound.open_failed.reason = REASON_IN_USE;
		break;
	case IPC_BODIES:
		sound.bodies.count = IPC_BODIES_MAX;
		for (uint32_t i = 0; i < IPC_BODIES_MAX; i++)
			sound_bodies()[i] =
				(struct ipc_body){i, i + 1, IPC_BATCH_MAX / IPC_BODIES_MAX};
		break;
	case IPC_BODY_LENT:
	case IPC_BODY_SLICED:
		sound.body_lent.number = 1;
		break;
	case IPC_BODY_FAILED:
		sound.body_failed.number = 1;
		sound.body_failed.reason = REASON_MESSAGE_GONE;
		break;
	case IPC_SLICE_READY:
	case IPC_READ_SLICE:
		sound.slice.number = 1;
		sound.slice.size = IPC_WINDOW_MAX;
		break;
	case IPC_SLICE:
		sound.slice.number = sound.slice.by_value = 1;
		sound.slice.size = IPC_BATCH_MAX;
		break;
	case IPC_BODY_WRONG:
		sound.body_wrong.number = 1;
		break;
	case IPC_FETCH:
		sound.fetch.number = sound.fetch.count = 1;
		break;
	case IPC_DELETE:
		sound.delete.count = IPC_NUMBERS_MAX;
		break;
	case IPC_SIGN:
		sound.sign.scheme = 0x0403;
		break;
	case IPC_DELIVER:
		sound.deliver.count = IPC_RECIPIENTS_MAX;
		break;
	case IPC_FIND:
		sound.find.count = IPC_LOOKUP_NAMES_MAX;
		memset(sound.octets + sizeof(struct ipc_find), 'a', row->tail_max);
		for (size_t i = 1; i <= IPC_LOOKUP_NAMES_MAX; i++)
			sound.octets[sizeof(struct ipc_find) + i * 256 - 1] = '\0';
		break;
	case IPC_TRAFFIC:
	case IPC_TRAFFIC_ANSWER:
		sound.traffic.count = IPC_TRAFFIC_MAX;
		break;
	case IPC_LINES:
		memset(sound.octets + sizeof(struct ipc_lines), '\n', IPC_BATCH_MAX);
		sound.lines.count = IPC_BATCH_MAX;
		break;
	case IPC_WHO_PAGE:
		sound.who_page.count = IPC_BATCH_MAX / sizeof(struct ipc_who_row);
		/* the last one has a name, which fills the tail up */
		((struct ipc_who_row *)(void *)(sound.octets +
						sizeof(struct ipc_who_page)))[sound.who_page.count -
									      1]
			.name_size = IPC_BATCH_MAX % sizeof(struct ipc_who_row);
		break;
	case IPC_PENALTY_PAGE:
		sound.penalty_page.count = IPC_PENALTY_ROWS_MAX;
		break;
	case IPC_BAN_PAGE:
		sound.ban_page.count = row->tail_max / sizeof(struct ipc_ban_row);
		break;
	case IPC_LOGGED_IN:
		sound.head.texts[0] = IPC_TEXT_MAX;
		sound.head.texts[1] = IPC_LABEL_MAX;
		break;
	case IPC_LEARNED:
		sound.head.texts[0] = IPC_SECTION_MAX;
		sound.head.texts[1] = IPC_TEXT_MAX;
		sound.head.texts[2] = IPC_SEALED;
		break;
	case IPC_VERIFY:
		sound.verify.kind = LOOKUP_PASSWORD;
		sound.head.texts[0] = 255;
		sound.head.texts[1] = IPC_LOOKUP_SECRET_MAX;
		break;
	case IPC_NODES_BAN:
		sound.ban.act = BAN_REMOVE;
		break;
	case IPC_FLUSHED:
		sound.flushed.status = WHO_END;
		break;
	case IPC_GONE:
		sound.gone.reason = REASON_TAKEN_OVER;
		break;
	default:
		break;
	}
	return row->size + row->tail_max;
}

/* Checks the first size octets of sound, copied so that a look beyond them is seen. */
static enum ipc_type check_as(size_t size, unsigned fds, int from, int to)
{
	void *copy = malloc(size ? size : 1);
	const char *why = NULL;
	enum ipc_type got;

	assert_non_null(copy);
	memcpy(copy, &sound, size);
	got = ipc_check(copy, size, fds, (enum ipc_role)from, (enum ipc_role)to, &why);
	if (got == IPC_NONE)
		assert_non_null(why);
	free(copy);
	return got;
}

static int first_of(uint32_t set)
{
	return __builtin_ctz(set);
}

/* The same between two roles that the row allows, with its descriptors. */
static enum ipc_type check(const struct row *row, size_t size)
{
	return check_as(size, row->fds_min, first_of(row->from), first_of(row->to));
}

static const struct row *row_of(uint32_t type)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].type == type)
			return &rows[i];
	fail_msg("no row has the number %u", type);
	return NULL;
}

static void test_every_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		size_t whole = sound_message(row);

		assert_string_equal(ipc_name(row->type), row->name);
		for (int from = 0; from < ROLE_COUNT; from++)
			for (int to = 0; to < ROLE_COUNT; to++) {
				bool may = (row->from >> from & 1) && (row->to >> to & 1);

				assert_int_equal(check_as(whole, row->fds_min, from, to),
						 may ? row->type : IPC_NONE);
				assert_int_equal(check_as(whole, row->fds_max, from, to),
						 may ? row->type : IPC_NONE);
			}
		assert_int_equal(
			check_as(whole, row->fds_max + 1, first_of(row->from), first_of(row->to)),
			IPC_NONE);
		if (row->fds_min)
			assert_int_equal(check_as(whole, row->fds_min - 1, first_of(row->from),
						  first_of(row->to)),
					 IPC_NONE);
	}
}

static void test_sizes_of_every_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		size_t whole = sound_message(row);

		assert_int_equal(check(row, whole - 1), IPC_NONE);
		assert_int_equal(check(row, whole + 1), IPC_NONE);
		assert_int_equal(check(row, row->size - 1), IPC_NONE);
		sound.head.tail++;
		assert_int_equal(check(row, whole), IPC_NONE);
		assert_int_equal(check(row, whole + 1), IPC_NONE); /* longer than the longest */
		sound.head.tail = UINT32_MAX;
		assert_int_equal(check(row, row->size), IPC_NONE);
	}
}

/* Texts that are longer or shorter than the tail, one text too many. */
static void test_texts_of_every_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		size_t whole = sound_message(row);

		for (unsigned n = 0; n < IPC_TEXTS_MAX; n++) {
			sound_message(row);
			sound.head.texts[n]++;
			assert_int_equal(check(row, whole), IPC_NONE);
			sound_message(row);
			sound.head.texts[n] = UINT16_MAX;
			assert_int_equal(check(row, whole), IPC_NONE);
		}
		sound_message(row);
		if (!row->texts)
			continue;
		sound.head.texts[0]--;
		assert_int_equal(check(row, whole), IPC_NONE);
	}
}

static void test_no_such_message(void **state)
{
	static const uint32_t none[] = {IPC_NONE, IPC_END, IPC_END + 1, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		sound_message(row_of(IPC_CLOSE));
		sound.head.type = none[i];
		assert_int_equal(check_as(sizeof(struct ipc_session), 0, ROLE_FRONT, ROLE_KEEPER),
				 IPC_NONE);
		assert_string_equal(ipc_name(none[i]), "unknown message");
	}
}

/* Fields, by where they stand: one value beyond each end of the range is refused. */
static void test_threat_61_ranges(void **state)
{
#define FIELD(type, row, member, bad)                                                              \
	{                                                                                          \
		IPC_##type, offsetof(struct row, member), sizeof(((struct row *)0)->member), (bad) \
	}
#define ROW_FIELD(member, bad) /* of the first row of a page */                                   \
	{                                                                                         \
		IPC_WHO_PAGE, sizeof(struct ipc_who_page) + offsetof(struct ipc_who_row, member), \
			sizeof(((struct ipc_who_row *)0)->member), (bad)                          \
	}
#define BAN_FIELD(member, bad)                                                                    \
	{                                                                                         \
		IPC_BAN_PAGE, sizeof(struct ipc_ban_page) + offsetof(struct ipc_ban_row, member), \
			sizeof(((struct ipc_ban_row *)0)->member), (bad)                          \
	}
	static const struct {
		uint32_t type;
		size_t offset, size;
		uint64_t bad;
	} fields[] = {
		FIELD(CONFIG, ipc_config, role, ROLE_COUNT),
		FIELD(CONFIG, ipc_config, role, ROLE_MONITOR),
		FIELD(CONFIG, ipc_config, change_ids, 2),
		FIELD(DIRECTORY, ipc_directory, kind, DIRECTORY_COUNT),
		FIELD(DIRECTORY, ipc_directory, state, IPC_ROOT_STATES),
		FIELD(DIRECTORY, ipc_directory, root, IPC_ROOTS_MAX),
		FIELD(LISTENER, ipc_listener, service, IPC_SERVICES),
		FIELD(LISTENER, ipc_listener, service, UINT32_MAX),
		FIELD(LISTENER, ipc_listener, place, IPC_LISTENERS_MAX),
		FIELD(LISTENER, ipc_listener, place, UINT32_MAX),
		FIELD(CONNECT, ipc_connect, listener, IPC_LISTENERS_MAX),
		FIELD(JUDGED, ipc_judged, good, 2),
		FIELD(PEER, ipc_peer, role, ROLE_COUNT),
		FIELD(PEER, ipc_peer, role, UINT32_MAX),
		FIELD(DRAIN, ipc_drain, stop, 2),
		FIELD(FAILED, ipc_failed, code, 256),
		FIELD(CONNECT, ipc_connect, loopback, 2),
		FIELD(CONNECT, ipc_connect, resumed, 255),
		FIELD(BINDINGS, ipc_bindings, exporter_size, 65),
		FIELD(PEER_UIDS, ipc_uids, count, IPC_UIDS_MAX + 1),
		FIELD(PEER_UIDS, ipc_uids, count, UINT32_MAX),
		FIELD(CONTROL_PEERS, ipc_control_peers, count, IPC_UIDS_MAX + 1),
		FIELD(CONTROL_PEERS, ipc_control_peers, has_group, 2),
		FIELD(WHO, ipc_who, act, WHO_ACTS),
		FIELD(NODES, ipc_nodes, what, NODES_WHATS),
		FIELD(NODES_BAN, ipc_ban, act, BAN_LIST),
		FIELD(NODES_BAN, ipc_ban, act, BAN_ACTS),
		FIELD(NODES_BAN, ipc_ban, bits, 129),
		FIELD(ASK, ipc_ask, topic, TOPICS),
		FIELD(LINES, ipc_lines, status, LINES_STATUSES),
		FIELD(LINES, ipc_lines, status, LINES_FAILED), /* a reason has no end of a line */
		FIELD(LINES, ipc_lines, count, 1),             /* there are more */
		{IPC_LINES, sizeof(struct ipc_lines) + 5, 1, 0x1b},
		{IPC_LINES, sizeof(struct ipc_lines) + 5, 1, 0x7f},
		{IPC_LINES, sizeof(struct ipc_lines) + IPC_BATCH_MAX - 1, 1, 'x'}, /* no end */
		FIELD(LOG_LEVEL, ipc_log_level, level, IPC_LOG_LEVEL_MAX + 1),
		FIELD(WHO_PAGE, ipc_who_page, status, WHO_STATUSES),
		FIELD(WHO_PAGE, ipc_who_page, count, 1), /* others follow */
		ROW_FIELD(name_size, IPC_TEXT_MAX + 1),
		ROW_FIELD(name_size, UINT32_MAX),
		ROW_FIELD(name_size, 5), /* what follows is no whole row any more */
		ROW_FIELD(tls, TLS_PROTOCOLS),
		ROW_FIELD(state, WHO_STATES),
		ROW_FIELD(counted, 2),
		FIELD(TRAFFIC, ipc_traffic, count, IPC_TRAFFIC_MAX - 1),
		FIELD(TRAFFIC, ipc_traffic, count, UINT32_MAX),
		FIELD(TRAFFIC_ANSWER, ipc_traffic, count, IPC_TRAFFIC_MAX + 1),
		FIELD(TRAFFIC_ANSWER, ipc_traffic, count, 0),
		FIELD(BAN, ipc_ban, act, BAN_ACTS),
		FIELD(BAN, ipc_ban, act, BAN_ADD), /* for no time */
		FIELD(BAN, ipc_ban, bits, 129),
		FIELD(BAN, ipc_ban, seconds, IPC_BAN_SECONDS_MAX + 1),
		FIELD(BAN, ipc_ban, flags, BAN_FLAGS_ALL + 1),
		FIELD(BAN_PAGE, ipc_ban_page, status, BAN_STATUSES),
		FIELD(BAN_PAGE, ipc_ban_page, count, 1), /* others follow */
		BAN_FIELD(bits, 129),
		BAN_FIELD(why_size, IPC_BAN_WHY_MAX + 1),
		BAN_FIELD(why_size, UINT32_MAX),
		FIELD(BANS, ipc_bans, count, IPC_BANS_MAX + 1),
		FIELD(PENALTIES, ipc_penalties, count, IPC_PENALTIES_MAX + 1),
		FIELD(PENALTY_PAGE, ipc_penalty_page, status, WHO_STATUSES),
		FIELD(PENALTY_PAGE, ipc_penalty_page, count, IPC_PENALTY_ROWS_MAX - 1),
		FIELD(WHOSE_ANSWER, ipc_whose_answer, reason, REASON_COUNT),
		FIELD(LIST, ipc_list, deadline, IPC_LOOKUP_DEADLINE_MAX + 1),
		FIELD(LOGGED_IN, ipc_logged_in, mta, 2),
		FIELD(LOGGED_IN, ipc_logged_in, mta, UINT32_MAX),
		FIELD(USAGE_ANSWER, ipc_usage_answer, reason, REASON_COUNT),
		FIELD(SIGN, ipc_sign, key, IPC_KEY_SETS * IPC_KEYS_MAX),
		FIELD(OPENED, ipc_opened, remote, 2),
		FIELD(FETCH, ipc_fetch, top, 2),
		FIELD(OPEN_REMOTE, ipc_open_remote, remote, IPC_REMOTES_MAX),
		FIELD(OPEN_REMOTE, ipc_open_remote, no_delete, 2),
		FIELD(OPEN_REMOTE, ipc_open_remote, judge, 3),
		FIELD(OPEN_REMOTE, ipc_open_remote, part, PART_HERE),
		FIELD(NOT_HERE, ipc_verdict, part, PART_COUNT),
		FIELD(OPENED, ipc_opened, part, PART_THERE), /* and not remote */
		FIELD(OPENED, ipc_opened, part, PART_COUNT),
		FIELD(OPEN_REMOTE, ipc_open_remote, patient, 2),
		FIELD(HURRY, ipc_hurry, root, IPC_ROOTS_MAX),
		FIELD(HERE, ipc_verdict, reason, REASON_COUNT),
		FIELD(OPEN_REMOTE, ipc_open_remote, login_delay, IPC_LOGIN_DELAY_MAX + 1),
		FIELD(VERDICT, ipc_verdict, reason, REASON_COUNT),
		FIELD(GO, ipc_verdict, login_delay, IPC_LOGIN_DELAY_MAX + 1),
		FIELD(BODY_STREAM, ipc_body_stream, number, 0),
		FIELD(READ_STREAM, ipc_stream, number, 0),
		FIELD(READ_STREAM, ipc_stream, last, 1),
		FIELD(READ_STREAM, ipc_stream, offset, UINT64_MAX),
		FIELD(READ_STREAM, ipc_stream, size, 1),
		FIELD(READ_STREAM, ipc_stream, slot, ARENA_SLOTS),
		FIELD(STREAM, ipc_stream, number, 0),
		FIELD(STREAM, ipc_stream, size, IPC_BATCH_MAX - 1), /* more octets come */
		FIELD(STREAM, ipc_stream, size, IPC_BATCH_MAX + 1),
		FIELD(STREAM, ipc_stream, slot, 0), /* octets come beside those in the slot */
		FIELD(STREAM, ipc_stream, slot, ARENA_SLOTS),
		FIELD(STREAM, ipc_stream, last, 2),
		FIELD(SIGN, ipc_sign, key, UINT32_MAX),
		FIELD(SIGN, ipc_sign, scheme, 0),
		FIELD(SIGN, ipc_sign, scheme, 0x0201), /* RSA with SHA-1 */
		FIELD(SIGN, ipc_sign, scheme, 0x0303), /* ECDSA with SHA-224 */
		FIELD(SIGN, ipc_sign, scheme, 0x10403),
		FIELD(PASS, ipc_credentials, has_secret, 2),
		FIELD(SASL_START, ipc_credentials, tls, TLS_PROTOCOLS),
		FIELD(PASS, ipc_credentials, tls, UINT32_MAX),
		FIELD(OFFER, ipc_offer, apop, 2),
		FIELD(CONNECTED, ipc_connected, reason, REASON_COUNT),
		FIELD(DENIED, ipc_denied, reason, REASON_OK),
		FIELD(DENIED, ipc_denied, reason, REASON_COUNT),
		FIELD(DENIED, ipc_denied, delay, IPC_DELAY_MAX + 1),
		FIELD(DENIED, ipc_denied, close, 2),
		FIELD(RESOLVED, ipc_resolved, parts, 0),
		FIELD(RESOLVED, ipc_resolved, parts, IPC_PARTS_MAX + 1),
		FIELD(OPEN, ipc_open, no_delete, 2),
		FIELD(OPEN, ipc_open, no_delete, UINT32_MAX),
		FIELD(OPEN, ipc_open, login_delay, IPC_LOGIN_DELAY_MAX + 1),
		FIELD(OPENED, ipc_opened, login_delay, IPC_LOGIN_DELAY_MAX + 1),
		FIELD(OPEN, ipc_open, root, IPC_ROOTS_MAX),
		FIELD(OPEN, ipc_open, placed, 2),
		FIELD(RCPT_OPEN, ipc_recipient_open, root, IPC_ROOTS_MAX),
		FIELD(RCPT_OPEN, ipc_recipient_open, placed, 2),
		FIELD(KEEPER_WANTED, ipc_owner, root, IPC_ROOTS_MAX),
		FIELD(OWNER, ipc_owner, root, UINT32_MAX),
		FIELD(ROOT_AWAY, ipc_root, root, IPC_ROOTS_MAX),
		FIELD(STATE_FOLDER, ipc_root_fd, root, IPC_ROOTS_MAX),
		FIELD(LOCKER, ipc_root_fd, root, IPC_ROOTS_MAX),
		FIELD(LOCK, ipc_lock, what, LOCK_WHATS),
		FIELD(OPENED, ipc_opened, count, UINT32_MAX),
		FIELD(OPENED, ipc_opened, delta_size, UINT64_MAX),
		FIELD(OPENED, ipc_opened, octets, 1ull << 63),
		FIELD(OPEN_FAILED, ipc_open_failed, reason, REASON_OK),
		FIELD(OPEN_FAILED, ipc_open_failed, reason, 66035774), /* a way into memory, once */
		FIELD(GONE, ipc_gone, reason, REASON_OK),
		FIELD(GONE, ipc_gone, reason, REASON_COUNT),
		FIELD(HOLDER, ipc_holder, busy, 2),
		FIELD(TAKE, ipc_take, take, 2),
		FIELD(TAKEN, ipc_taken, taken, 2),
		FIELD(BODIES, ipc_bodies, count, 0),
		FIELD(BODIES, ipc_bodies, count, IPC_BODIES_MAX + 1),
		FIELD(BODIES, ipc_bodies, count, UINT32_MAX),
		FIELD(BODIES, ipc_bodies, in_slot, 2),
		FIELD(BODIES, ipc_bodies, in_slot, 1), /* the octets are here */
		FIELD(BODY_LENT, ipc_body_lent, number, 0),
		FIELD(BODY_LENT, ipc_body_lent, wire_form, 2),
		FIELD(BODY_LENT, ipc_body_lent, offset, 1ull << 62),
		FIELD(BODY_LENT, ipc_body_lent, window, 1), /* more than is stored */
		FIELD(BODY_LENT, ipc_body_lent, in_memory, 2),
		FIELD(BODY_SLICED, ipc_body_lent, number, 0),
		FIELD(BODY_SLICED, ipc_body_lent, window, 1), /* nothing is lent */
		FIELD(BODY_FAILED, ipc_body_failed, number, 0),
		FIELD(BODY_FAILED, ipc_body_failed, reason, REASON_OK),
		FIELD(BODY_FAILED, ipc_body_failed, reason, REASON_COUNT),
		FIELD(SLICE_READY, ipc_slice, size, 0),
		FIELD(SLICE_READY, ipc_slice, size, IPC_WINDOW_MAX + 1),
		FIELD(READ_SLICE, ipc_slice, number, 0),
		FIELD(READ_SLICE, ipc_slice, offset, 1ull << 63),
		FIELD(READ_SLICE, ipc_slice, size, 0),
		FIELD(READ_SLICE, ipc_slice, by_value, 1), /* that much fits no packet */
		FIELD(READ_SLICE, ipc_slice, by_value, 2),
		FIELD(SLICE, ipc_slice, number, 0),
		FIELD(SLICE, ipc_slice, by_value, 0),
		FIELD(SLICE, ipc_slice, size, IPC_BATCH_MAX - 1), /* more octets come */
		FIELD(SLICE, ipc_slice, size, IPC_BATCH_MAX + 1),
		FIELD(SLICE, ipc_slice, offset, 1ull << 63),
		FIELD(BODY_WRONG, ipc_body_wrong, number, 0),
		FIELD(COMMITTED, ipc_committed, reason, REASON_COUNT),
		FIELD(COMMITTED, ipc_committed, reason, 66035774),
		FIELD(RCPT_READY, ipc_recipient_answer, reason, REASON_STORE_DOWN),
		FIELD(RCPT_READY, ipc_recipient_answer, on_demand, 2),
		FIELD(RCPT_REFUSED, ipc_recipient_answer, reason, REASON_OK),
		FIELD(RCPT_REFUSED, ipc_recipient_answer, on_demand, 1),
		FIELD(DELIVERED, ipc_recipient_answer, reason, REASON_WRONG), /* not LMTP's */
		FIELD(DELIVERED, ipc_recipient_answer, reason, UINT32_MAX),
		FIELD(DELIVERED, ipc_recipient_answer, on_demand, 1),
		FIELD(FETCH, ipc_fetch, number, 0),
		FIELD(FETCH, ipc_fetch, count, 0),
		FIELD(FETCH, ipc_fetch, slot, ARENA_SLOTS),
		FIELD(FETCH, ipc_fetch, utf8, IPC_UTF8_MAX + 1),
		FIELD(DELETE, ipc_delete, count, 0),
		FIELD(DELETE, ipc_delete, count, IPC_NUMBERS_MAX + 1),
		FIELD(DELETE, ipc_delete, count, IPC_NUMBERS_MAX - 1), /* the tail has more */
		FIELD(FIND, ipc_find, purpose, LOOKUP_PURPOSES),
		FIELD(FIND, ipc_find, deadline, IPC_LOOKUP_DEADLINE_MAX + 1),
		FIELD(FIND, ipc_find, count, 0),
		FIELD(FIND, ipc_find, count, IPC_LOOKUP_NAMES_MAX - 1), /* the tail has more */
		FIELD(FIND, ipc_find, count, IPC_LOOKUP_NAMES_MAX + 1),
		FIELD(VERIFY, ipc_verify, kind, LOOKUP_FIND),
		FIELD(VERIFY, ipc_verify, kind, LOOKUP_KINDS),
		FIELD(VERIFY, ipc_verify, tls, 2),
		FIELD(ANSWER, ipc_answer, status, LOOKUP_STATUSES),
		FIELD(ANSWER, ipc_answer, status, LOOKUP_UNKNOWN), /* fields of nobody */
		FIELD(ANSWER, ipc_answer, matched, IPC_LOOKUP_NAMES_MAX),
		FIELD(DATABASE, ipc_database, index, IPC_DATABASES_MAX),
		FIELD(DELIVER, ipc_deliver, count, 0),
		FIELD(DELIVER, ipc_deliver, count, IPC_RECIPIENTS_MAX + 1),
		FIELD(DELIVER, ipc_deliver, count, IPC_RECIPIENTS_MAX - 1), /* headers too long */
		FIELD(DELIVER, ipc_deliver, size, UINT64_MAX),
		FIELD(LOCATION, ipc_location, ask, LOCATION_ASKS),
		FIELD(LOCATION, ipc_location, root, IPC_ROOTS_MAX),
		FIELD(GUARD, ipc_guard, ask, GUARD_ASKS),
		FIELD(GUARD, ipc_guard, root, IPC_ROOTS_MAX),
		FIELD(GUARD, ipc_guard, has, IPC_GUARD_HAS + 1),
		FIELD(GUARD, ipc_guard, head.texts[0], IPC_TEXT_MAX + 1),
		FIELD(USAGE, ipc_usage, root, IPC_ROOTS_MAX),
		FIELD(LOCATION_ANSWER, ipc_location_answer, allowed, 2),
		FIELD(ROOT_AWAY, ipc_root, away, 2),
	};
#undef FIELD
#undef ROW_FIELD

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct row *row = row_of(fields[i].type);
		size_t whole = sound_message(row);

		assert_int_equal(check(row, whole), row->type);
		memcpy(sound.octets + fields[i].offset, &fields[i].bad, fields[i].size);
		if (check(row, whole) != IPC_NONE)
			fail_msg("%s: the field at %zu may be %llu", row->name, fields[i].offset,
				 (unsigned long long)fields[i].bad);
	}
}

/* A text of RCPT_OPEN has its own bound: the tail has room for three of them. */
static void test_threat_61_longest_texts(void **state)
{
	const struct row *row = row_of(IPC_RCPT_OPEN);
	size_t whole = sound_message(row);

	(void)state;
	assert_int_equal(check(row, whole), row->type);
	for (unsigned n = 0; n < 3; n++) {
		sound_message(row);
		sound.head.texts[n] = IPC_TEXT_MAX + 1;
		sound.head.texts[(n + 1) % 3] = IPC_TEXT_MAX - 1;
		assert_int_equal(check(row, whole), IPC_NONE);
	}
}

/* So have those of OPEN; that of a label is shorter. */
static void test_threat_61_texts_of_open(void **state)
{
	static const uint16_t most[] = {IPC_TEXT_MAX, IPC_TEXT_MAX, IPC_LABEL_MAX};
	const struct row *row = row_of(IPC_OPEN);
	size_t whole = sound_message(row);

	(void)state;
	assert_int_equal(check(row, whole), row->type);
	for (unsigned n = 0; n < 3; n++) {
		sound_message(row);
		sound.head.tail = most[n] + 1u;
		memset(sound.head.texts, 0, sizeof(sound.head.texts));
		sound.head.texts[n] = most[n];
		sound.head.texts[(n + 1) % 3] = 1;
		whole = sizeof(struct ipc_open) + sound.head.tail;
		assert_int_equal(check(row, whole), row->type);
		sound.head.texts[n]++;
		sound.head.texts[(n + 1) % 3]--;
		assert_int_equal(check(row, whole), IPC_NONE);
	}
}

/* The table of bodies: numbers that do not ascend, octets that do not add up. */
static void test_threat_61_bodies(void **state)
{
	const struct row *row = row_of(IPC_BODIES);
	size_t whole;

	(void)state;
	whole = sound_message(row);
	sound_bodies()[0].number = 0;
	assert_int_equal(check(row, whole), IPC_NONE);
	sound_message(row);
	sound_bodies()[5].number = sound_bodies()[4].number;
	assert_int_equal(check(row, whole), IPC_NONE);
	sound_message(row);
	sound_bodies()[63].stored++;
	assert_int_equal(check(row, whole), IPC_NONE);
	sound_message(row);
	sound_bodies()[63].octets = UINT64_MAX;
	assert_int_equal(check(row, whole), IPC_NONE);
	sound_message(row);
	sound.head.tail = 8; /* not even one entry */
	sound.bodies.count = 1;
	assert_int_equal(check(row, sizeof(struct ipc_bodies) + 8), IPC_NONE);
}

/* Octets of a STREAM are in a slot or in the packet. */
static void test_threat_61_stream(void **state)
{
	const struct row *row = row_of(IPC_STREAM);
	size_t size = sizeof(struct ipc_stream);

	(void)state;
	for (uint32_t slot = 0; slot < ARENA_SLOTS; slot += ARENA_SLOTS - 1) {
		sound_message(row);
		sound.stream.slot = slot;
		sound.head.tail = 0;
		assert_int_equal(check(row, size), IPC_STREAM);
		sound.stream.size++;
		assert_int_equal(check(row, size), IPC_NONE);
	}
	sound.stream.slot = IPC_NO_SLOT;
	sound.stream.size = 0;
	assert_int_equal(check(row, size), IPC_NONE);
	sound.stream.last = 1;
	assert_int_equal(check(row, size), IPC_STREAM);
	sound.stream.slot = 0;
	assert_int_equal(check(row, size), IPC_STREAM);
}

static void test_what_answers_what(void **state)
{
	static const uint32_t quiet[] = {IPC_NONE,   IPC_CLOSE,      IPC_DELETE,
					 IPC_FORGET, IPC_DISCONNECT, IPC_SASL_CANCEL,
					 IPC_ARENA,  IPC_BODY_WRONG};

	(void)state;
	assert_true(ipc_answers(IPC_BODIES, IPC_FETCH));
	assert_true(ipc_answers(IPC_BODY_FAILED, IPC_READ_SLICE));
	assert_true(ipc_answers(IPC_SLICE, IPC_READ_SLICE));
	assert_true(ipc_answers(IPC_GONE, IPC_FETCH));
	assert_true(ipc_answers(IPC_GONE, IPC_COMMIT));
	assert_false(ipc_answers(IPC_GONE, IPC_PASS));
	assert_true(ipc_answers(IPC_OPEN_IN_USE, IPC_PASS));
	assert_false(ipc_answers(IPC_OPEN_IN_USE, IPC_COMMIT));
	assert_true(ipc_answers(IPC_BODY_SLICED, IPC_FETCH));
	assert_false(ipc_answers(IPC_SLICE, IPC_FETCH));
	assert_false(ipc_answers(IPC_BODY_SLICED, IPC_READ_SLICE));
	assert_true(ipc_answers(IPC_CHALLENGE, IPC_SASL_START));
	assert_false(ipc_answers(IPC_CHALLENGE, IPC_PASS));
	assert_true(ipc_answers(IPC_SLOW, IPC_PASS));
	assert_true(ipc_answers(IPC_SLOW, IPC_SASL_RESPONSE));
	assert_false(ipc_answers(IPC_SLOW, IPC_NONE));
	assert_false(ipc_answers(IPC_SLOW, IPC_CONNECT));
	assert_false(ipc_answers(IPC_SLOW, IPC_FETCH));
	assert_false(ipc_answers(IPC_COMMITTED, IPC_FETCH));
	assert_false(ipc_answers(IPC_BODIES, IPC_COMMIT));
	assert_false(ipc_answers(IPC_BODY_LENT, IPC_READ_SLICE));
	assert_false(ipc_answers(IPC_DELIVERED, IPC_RCPT));
	for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++)
		for (uint32_t answer = 0; answer < IPC_END; answer++)
			assert_false(ipc_answers((enum ipc_type)answer, (enum ipc_type)quiet[i]));
}

static void test_texts_and_reasons(void **state)
{
	(void)state;
	sound_message(row_of(IPC_RCPT_OPEN));
	sound.head.tail = 6;
	sound.head.texts[0] = 1;
	sound.head.texts[1] = 2;
	sound.head.texts[2] = 3;
	memcpy(sound.octets + sizeof(struct ipc_recipient_open), "abbccc", 6);
	assert_int_equal(ipc_text(&sound, 1).size, 2);
	assert_memory_equal(ipc_text(&sound, 1).data, "bb", 2);
	assert_memory_equal(ipc_text(&sound, 2).data, "ccc", 3);
	for (uint32_t reason = 0; reason < REASON_COUNT; reason++) {
		const struct reason_row *row = reason_row(reason);

		assert_true(row->words[0] && row->log[0]);
		assert_true(row->reply == 0 || (row->reply >= 250 && row->enhanced[0]));
		for (const char *p = row->words; *p; p++)
			assert_in_range(*p, 0x20, 0x7e);
	}
	assert_ptr_equal(reason_row(REASON_COUNT), reason_row(REASON_MAILDROP_TEMP));
	assert_ptr_equal(reason_row(UINT32_MAX), reason_row(REASON_MAILDROP_TEMP));
}

static void test_secrets_are_wiped(void **state)
{
	static const char none[64];

	(void)state;
	sound_message(row_of(IPC_PASS));
	memcpy(sound.octets + sizeof(struct ipc_credentials), "secret", 6);
	ipc_wipe(&sound);
	assert_memory_equal(sound.octets + sizeof(struct ipc_credentials), none, 6);
	sound_message(row_of(IPC_CHALLENGE));
	memcpy(sound.octets + sizeof(struct ipc_challenge), "public", 6);
	ipc_wipe(&sound);
	assert_memory_equal(sound.octets + sizeof(struct ipc_challenge), "public", 6);
}

/* A packet is cut into messages only where one surely ends. */
static void test_several_in_a_packet(void **state)
{
	union {
		struct ipc_head head;
		char octets[512];
	} packet = {.head = {.type = IPC_CONNECT}};
	struct ipc_head *second = (struct ipc_head *)(packet.octets + sizeof(struct ipc_connect));
	size_t one = sizeof(struct ipc_connect), two = one + sizeof(struct ipc_session);

	(void)state;
	second->type = IPC_DISCONNECT;
	assert_int_equal(ipc_first(&packet, two), one);
	assert_int_equal(ipc_first(second, two - one), two - one);
	assert_int_equal(ipc_first(&packet, one), one);
	assert_int_equal(ipc_first(&packet, one - 1), one - 1);
	assert_int_equal(ipc_first(&packet, 7), 7);    /* not even a head */
	packet.head.tail = sizeof(struct ipc_session); /* all of the rest is its tail */
	assert_int_equal(ipc_first(&packet, two), two);
	packet.head.tail = 15; /* the next one begins at a multiple of 8 octets */
	assert_int_equal(ipc_first(&packet, two), one + 16);
	assert_int_equal(ipc_size(&packet), one + 15);
	packet.head.tail = (uint32_t)one - 7; /* nothing but filling is left: that is no message */
	assert_int_equal(ipc_first(&packet, two), two);
	packet.head.tail = UINT32_MAX - 3;
	assert_int_equal(ipc_first(&packet, two), two);
	packet.head.tail = UINT32_MAX;
	assert_int_equal(ipc_first(&packet, two), two);
	packet.head = (struct ipc_head){.type = IPC_END};
	assert_int_equal(ipc_first(&packet, two), two);
}

/* Heads are filled in whole, whatever was in that memory: with texts and without. */
static void test_heads_are_filled_in_whole(void **state)
{
	struct ipc_session session;
	struct ipc_owner owner;
	union {
		struct ipc_head head;
		char octets[256];
	} packet;
	pop3_span text = {"anna", 4};
	struct chan chan = {.fd = -1};
	int ends[2];
	const char *why;
	ssize_t size;

	(void)state;
	assert_int_equal(chan_pair(ends, NULL), 0);
	chan.fd = ends[0];
	memset(&session, 0xff, sizeof(session));
	assert_int_equal(ipc_send(&chan, IPC_CLOSE, &session), 0);
	size = recv(ends[1], &packet, sizeof(packet), 0);
	assert_int_equal(ipc_check(&packet, (size_t)size, 0, ROLE_FRONT, ROLE_KEEPER, &why),
			 IPC_CLOSE);
	memset(&owner, 0xff, sizeof(owner));
	owner.root = 0;
	assert_int_equal(ipc_send_texts(&chan, IPC_KEEPER_WANTED, &owner, &text, 1), 0);
	size = recv(ends[1], &packet, sizeof(packet), 0);
	assert_int_equal(ipc_check(&packet, (size_t)size, 0, ROLE_AUTH, ROLE_MONITOR, &why),
			 IPC_KEEPER_WANTED);
	close(ends[0]);
	close(ends[1]);
}

/* Nothing but the monitor gives authority: what a front may send to a keeper is about sessions that
 * auth opened. */
static void test_threat_29_who_may_open(void **state)
{
	static const uint32_t types[] = {IPC_OPEN, IPC_RCPT_OPEN, IPC_USAGE};

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		for (int from = 0; from < ROLE_COUNT; from++) {
			size_t whole = sound_message(row_of(types[i]));

			assert_int_equal(check_as(whole, 0, from, ROLE_KEEPER),
					 from == ROLE_AUTH ? types[i] : IPC_NONE);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_sizes_of_every_row),
		cmocka_unit_test(test_texts_of_every_row),
		cmocka_unit_test(test_threat_61_ranges),
		cmocka_unit_test(test_threat_61_longest_texts),
		cmocka_unit_test(test_threat_61_texts_of_open),
		cmocka_unit_test(test_threat_61_bodies),
		cmocka_unit_test(test_threat_61_stream),
		cmocka_unit_test(test_what_answers_what),
		cmocka_unit_test(test_texts_and_reasons),
		cmocka_unit_test(test_secrets_are_wiped),
		cmocka_unit_test(test_no_such_message),
		cmocka_unit_test(test_several_in_a_packet),
		cmocka_unit_test(test_heads_are_filled_in_whole),
		cmocka_unit_test(test_threat_29_who_may_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
