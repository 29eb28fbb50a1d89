/* See bans.h. In the monitor, as root when that is root. A question comes from the process control,
 * whose row was checked; the file is the state folder's. */
#include "server/monitor/bans.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/table.h"
#include "base/text.h"
#include "server/monitor/ban_file.h"
#include "server/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	WIDE_FOUR = 96 + 8, /* bits: wider networks need BAN_FORCE */
	WIDE_SIX = 16,
	OVER_MOST_MS = 60 * 60 * 1000,
};

/* ---- the table ---- */

static void new_table(struct bans *bans)
{
	uint32_t count = bans->list.count;
	struct ban_row *rows = count ? malloc(count * sizeof(*rows)) : NULL;
	int fd = -1;

	if (rows) {
		ban_list_rows(&bans->list, rows);
		fd = seal_octets("bans", rows, count * sizeof(*rows));
		free(rows);
	}
	if (count && fd < 0) {
		log_error("no memory for a new table of bans: the one before holds");
		return;
	}
	close_fd(&bans->table_fd);
	bans->table_fd = fd;
	bans->table_count = count;
	bans->changed(bans->context);
}

/* Set for the first ban that ends, so that `ban list` and the table have none that is over. */
static void set_over(struct bans *bans)
{
	int64_t now = (int64_t)time(NULL), first = INT64_MAX;

	loop_timer_cancel(&bans->over);
	for (uint32_t i = 0; i < bans->list.count; i++)
		if (bans->list.bans[i].until < first)
			first = bans->list.bans[i].until;
	if (bans->list.count)
		loop_timer_set(&bans->over,
			       first - now < OVER_MOST_MS / 1000
				       ? (uint64_t)(first > now ? first - now : 1) * 1000
				       : OVER_MOST_MS);
}

static void write_down(struct bans *bans);

/* Forgets the bans that are over, in the file as well. */
static void prune(struct bans *bans)
{
	if (!ban_list_prune(&bans->list, (int64_t)time(NULL)))
		return;
	new_table(bans);
	bans->changes++;
	write_down(bans);
}

static void is_over(struct loop_timer *timer)
{
	struct bans *bans = timer->context;

	prune(bans);
	set_over(bans);
}

/* ---- the file ---- */

static void say_damage(const struct bans *bans)
{
	log_error("bans: %s: what is sound in that file holds, and nothing is changed: mend or "
		  "remove the file, then reload",
		  bans->damage.text);
}

void bans_open(struct bans *bans, const struct mail_root *root)
{
	char path[MAIL_ROOT_MEMORY_MAX] = "";
	uint32_t before = bans->list.count;

	(void)mail_root_bans(root, path);
	if (strcmp(path, bans->path) == 0 && !bans->damage.code)
		return;
	if (bans->damage.code) /* nothing was changed since: the file has all that is to hold */
		ban_list_finish(&bans->list);
	snprintf(bans->path, sizeof(bans->path), "%s", path);
	bans->damage = (struct err){0};
	if (path[0] && ban_file_read(path, (int64_t)time(NULL), &bans->list, &bans->damage) < 0)
		say_damage(bans);
	if (bans->list.count != before || bans->list.count)
		new_table(bans);
	set_over(bans);
}

static void run(struct job *job)
{
	struct bans *bans = CONTAINER(job, struct bans, job);

	bans->rc = ban_file_write(bans->job_path, bans->text, bans->text_size, &bans->err);
}

static void answer(struct bans *bans, const struct bans_waiter *to, enum ipc_ban_status status,
		   const char *words)
{
	struct ipc_ban_page page = {.number = to->number, .status = status};

	snprintf(page.words, sizeof(page.words), "%s", words);
	bans->answer(bans->context, to->instance, &page, (pop3_span){"", 0});
}

/* Answers the changes up to that one. */
static void answer_waiters(struct bans *bans, uint64_t change, const char *wrong)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < bans->waiter_count; i++) {
		if (bans->waiters[i].change <= change)
			answer(bans, &bans->waiters[i], wrong ? BAN_FAILED : BAN_OK,
			       wrong ? wrong : "");
		else
			bans->waiters[kept++] = bans->waiters[i];
	}
	bans->waiter_count = kept;
}

static void not_written(struct bans *bans, const char *why)
{
	char words[256];

	snprintf(words, sizeof(words),
		 "it holds until valijad ends, but is not written down: %.180s", why);
	log_error("the bans hold until valijad ends, but are not written down: %s", why);
	answer_waiters(bans, bans->writing, words);
}

static void done(struct job *job)
{
	struct bans *bans = CONTAINER(job, struct bans, job);

	bans->working = false;
	free(bans->text);
	bans->text = NULL;
	if (bans->rc < 0) {
		not_written(bans, bans->err.text);
	} else {
		bans->written = bans->writing;
		answer_waiters(bans, bans->writing, NULL);
	}
	if (bans->changes > bans->writing)
		write_down(bans);
}

/* Writes the list, unless a job is writing: then again when that is done. */
static void write_down(struct bans *bans)
{
	if (bans->working || bans->damage.code)
		return;
	bans->writing = bans->changes;
	if (!bans->path[0]) {
		not_written(bans, "there is no state folder: set STATE_DIRECTORY");
		return;
	}
	bans->text = ban_list_print(&bans->list, &bans->text_size);
	snprintf(bans->job_path, sizeof(bans->job_path), "%s", bans->path);
	if (bans->text && bans->ending) {
		run(&bans->job);
		done(&bans->job);
		return;
	}
	bans->working = bans->text && workers_add(bans->workers, &bans->job, false) == 0;
	if (!bans->working) {
		free(bans->text);
		bans->text = NULL;
		not_written(bans, "there is no memory, or the disk does not answer");
	}
}

/* ---- questions ---- */

/* Loopback is where proxies, webmail and the person at the machine come from. */
static bool has_loopback(const struct network *network)
{
	static const uint8_t six[16] = {[15] = 1},
			     four[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
	const struct network all = {.bits = WIDE_FOUR, .address = {0}};
	struct network loopback = all;

	if (network_has(network, six))
		return true;
	if (network->bits < 96)
		return false;
	memcpy(loopback.address, four, sizeof(four));
	return network_has(&loopback, network->address) || network_has(network, loopback.address);
}

static bool is_wide(const struct network *network)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (network->bits >= 96 && memcmp(network->address, mapped, sizeof(mapped)) == 0)
		return network->bits < WIDE_FOUR;
	return network->bits < WIDE_SIX;
}

/* NULL: the change may be made. */
static const char *objection(const struct bans *bans, const struct ipc_ban *ask,
			     const struct network *network)
{
	if (bans->damage.code)
		return bans->damage.text;
	if (bans->waiter_count == BANS_WAITERS)
		return "too many changes wait for the disk: try again";
	if (ask->act != BAN_ADD || ask->flags & BAN_FORCE)
		return NULL;
	if (has_loopback(network))
		return "that network has addresses of this machine (loopback), where webmail and "
		       "proxies come from: --force bans it nevertheless";
	if (is_wide(network))
		return "that network is very wide: --force bans it nevertheless";
	return NULL;
}

static void log_change(const struct ipc_ban *ask, const struct network *network)
{
	struct record record;
	char name[BAN_NETWORK_MAX];

	record_begin(&record, ask->act == BAN_ADD ? RECORD_BANNED : RECORD_UNBANNED, NULL, 0, 0);
	record_words(&record, RECORD_KEY_NETWORK, ban_network(network, name));
	if (ask->act == BAN_ADD)
		record_number(&record, RECORD_KEY_SECONDS, ask->seconds);
	record_number(&record, RECORD_KEY_BY_UID, ask->uid);
	if (ipc_text(ask, 0).size)
		record_text(&record, RECORD_KEY_REASON, ipc_text(ask, 0));
	record_write(&record);
}

static int change_list(struct bans *bans, const struct ipc_ban *ask, const struct network *network)
{
	struct ban ban = {.network = *network,
			  .since = (int64_t)time(NULL),
			  .until = (int64_t)time(NULL) + ask->seconds,
			  .by_uid = ask->uid};
	pop3_span why = ipc_text(ask, 0);

	ban_list_prune(&bans->list, ban.since);
	if (ask->act == BAN_REMOVE)
		return ban_list_remove(&bans->list, network) ? 0 : -1;
	for (size_t i = 0; i < why.size; i++)
		ban.why[i] =
			(unsigned char)why.data[i] < ' ' || why.data[i] == 0x7f ? '?' : why.data[i];
	return ban_list_add(&bans->list, &ban);
}

static void change(struct bans *bans, const struct bans_waiter *from, const struct ipc_ban *ask)
{
	struct network network = {.bits = (uint8_t)ask->bits};
	const char *wrong;

	memcpy(network.address, ask->address, sizeof(network.address));
	network_trim(&network);
	wrong = objection(bans, ask, &network);
	if (wrong) {
		answer(bans, from, BAN_FAILED, wrong);
		return;
	}
	if (change_list(bans, ask, &network) < 0) {
		answer(bans, from, ask->act == BAN_ADD ? BAN_FAILED : BAN_NOT_THERE,
		       "the list of bans is full: remove some, or ban a network instead of its "
		       "addresses");
		return;
	}
	log_change(ask, &network);
	new_table(bans);
	set_over(bans);
	bans->made(bans->context, ask);
	bans->waiters[bans->waiter_count] = *from;
	bans->waiters[bans->waiter_count++].change = ++bans->changes;
	write_down(bans);
}

void bans_told(struct bans *bans, const struct ipc_ban *change)
{
	struct network network = {.bits = (uint8_t)change->bits};
	const char *wrong;
	char name[BAN_NETWORK_MAX];

	memcpy(network.address, change->address, sizeof(network.address));
	network_trim(&network);
	wrong = objection(bans, change, &network);
	if (!wrong && change_list(bans, change, &network) < 0) {
		if (change->act == BAN_REMOVE)
			return; /* it was not there */
		wrong = "the list of bans is full";
	}
	if (wrong) {
		log_warning("bans: the one of %s that another machine told of is not taken: %s",
			    ban_network(&network, name), wrong);
		return;
	}
	log_change(change, &network);
	new_table(bans);
	set_over(bans);
	bans->changes++;
	write_down(bans);
}

static uint32_t put_row(char *to, const struct ban *ban)
{
	uint32_t size = (uint32_t)strlen(ban->why), room = ipc_who_name_room(size);
	struct ipc_ban_row row = {.until = (uint64_t)ban->until,
				  .since = (uint64_t)ban->since,
				  .bits = ban->network.bits,
				  .by_uid = ban->by_uid,
				  .why_size = size};

	memcpy(row.address, ban->network.address, sizeof(row.address));
	memcpy(to, &row, sizeof(row));
	memset(to + sizeof(row), 0, room);
	memcpy(to + sizeof(row), ban->why, size);
	return (uint32_t)sizeof(row) + room;
}

static void list(struct bans *bans, const struct bans_waiter *from, const struct ipc_ban *ask)
{
	struct ipc_ban_page page = {.number = from->number};
	struct network last = {.bits = (uint8_t)ask->bits};
	const struct ban *ban;
	char *tail;
	uint32_t size = 0;

	if (bans->damage.code) {
		answer(bans, from, BAN_FAILED, bans->damage.text);
		return;
	}
	tail = malloc(IPC_BATCH_MAX);
	if (!tail) {
		answer(bans, from, BAN_FAILED, "the monitor has no memory for the answer");
		return;
	}
	prune(bans);
	memcpy(last.address, ask->address, sizeof(last.address));
	ban = ban_list_after(&bans->list, ask->flags & BAN_BEGINS ? NULL : &last);
	for (; ban && page.count < IPC_BAN_ROWS_MAX; page.count++) {
		size += put_row(tail + size, ban);
		ban = ban_list_after(&bans->list, &ban->network);
	}
	page.status = ban ? BAN_MORE : BAN_OK;
	bans->answer(bans->context, from->instance, &page, (pop3_span){tail, size});
	free(tail);
}

void bans_ask(struct bans *bans, uint64_t instance, const struct ipc_ban *ask, bool may)
{
	const struct bans_waiter from = {.instance = instance, .number = ask->number};

	if (!may)
		answer(bans, &from, BAN_REFUSED, "");
	else if (ask->act == BAN_LIST)
		list(bans, &from, ask);
	else
		change(bans, &from, ask);
}

void bans_init(struct bans *bans, struct loop *loop)
{
	bans->table_fd = -1;
	bans->job = (struct job){.run = run, .done = done};
	loop_timer_init(&bans->over, loop, is_over, bans);
	bans->loop_set = true;
}

bool bans_are_settled(const struct bans *bans)
{
	return !bans->working && !bans->waiter_count;
}

bool bans_would_be_lost(const struct bans *bans)
{
	return bans->list.count && bans->written < bans->changes;
}

void bans_end(struct bans *bans)
{
	bans->ending = true;
	if (bans->loop_set)
		loop_timer_cancel(&bans->over);
}

void bans_finish(struct bans *bans)
{
	close_fd(&bans->table_fd);
	ban_list_finish(&bans->list);
}
