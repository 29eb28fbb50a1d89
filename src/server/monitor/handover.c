/* See handover.h. What is read was written by a program of the same machine with the same rights,
 * but perhaps of another version, or by somebody who calls valijad by hand: nothing of it is
 * believed before it was judged. */
#include "server/monitor/handover.h"

#include "base/descriptor.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct head { /* of the file */
	char magic[8];
	uint64_t size;
};

struct record { /* then its struct, its text, and NULs up to a multiple of 8 octets */
	uint32_t kind, text;
};

_Static_assert(sizeof(struct handover_monitor) == 1400, "another version is needed");
_Static_assert(sizeof(struct handover_asker) == 24, "another version is needed");
_Static_assert(sizeof(struct handover_listener) == 560, "another version is needed");
_Static_assert(sizeof(struct handover_generation) == 2480, "another version is needed");
_Static_assert(sizeof(struct handover_page) == 64, "another version is needed");
_Static_assert(sizeof(struct handover_root) == 1080, "another version is needed");
_Static_assert(sizeof(struct handover_slot) == 96, "another version is needed");

static size_t rounded(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

/* ---- the judgement of each record ---- */

static bool is_text(const char *text, size_t room)
{
	return memchr(text, '\0', room) != NULL;
}

static bool is_fd(int32_t fd)
{
	return fd == -1 || fd > STDERR_FILENO;
}

static bool judge_monitor(const void *record)
{
	const struct handover_monitor *m = record;

	return m->pid > 0 && m->root <= 1 && m->numbers > 0 && is_fd(m->no_network_fd) &&
	       is_fd(m->samples_fd) && is_fd(m->penalties_fd) && m->program[0] == '/' &&
	       is_text(m->program, sizeof(m->program)) && m->drained <= 1 &&
	       m->log_level <= LOG_LEVEL_COUNT && m->again <= 1 && m->version[0] &&
	       is_text(m->version, sizeof(m->version));
}

static bool judge_asker(const void *record)
{
	const struct handover_asker *a = record;

	return a->control > 0 && a->wanted < COMMANDS_WANTED && a->later <= 1;
}

static bool judge_wanted(const void *record)
{
	const struct handover_wanted *w = record;

	return w->service < SERVICE_COUNT && w->port <= UINT16_MAX && w->only_six <= 1 &&
	       is_text(w->address, sizeof(w->address));
}

static bool judge_listener(const void *record)
{
	const struct handover_listener *l = record;

	return judge_wanted(&l->wanted) && l->sockets <= HANDOVER_SOCKETS_MAX &&
	       l->port <= UINT16_MAX && l->given <= 1 && is_fd(l->folder_fd);
}

static bool judge_socket(const void *record)
{
	return is_fd(((const struct handover_socket *)record)->fd);
}

static bool judge_page(const void *record)
{
	const struct handover_page *p = record;

	return p->role < ROLE_COUNT && p->taken <= 1 && p->fd >= 0 && is_fd(p->fd) &&
	       is_fd(p->read_fd) && is_fd(p->ring_fd) && is_fd(p->ring_read_fd);
}

static bool judge_generation(const void *record)
{
	const struct handover_generation *g = record;
	const int32_t fds[] = {g->program_fd,     g->config_fd,       g->users_fd, g->aliases_fd,
			       g->spool_fd,       g->certificates_fd, g->keys_fd,  g->logins_fd,
			       g->remotes_fd - 1, g->keeper_fd - 1};

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (!is_fd(fds[i]))
			return false;
	return g->remotes_fd >= 0 && g->keeper_fd >= 0 && g->number > 0 && g->draining <= 1 &&
	       g->killed <= g->draining && g->counts <= 1 && g->program_fd >= 0 &&
	       g->config_fd >= 0 && g->wanted <= CONFIG_LISTENERS_MAX && g->roots > 0 &&
	       g->roots <= CONFIG_ROOTS_MAX && g->lookups <= CONFIG_DATABASES_MAX &&
	       g->uid_count <= IPC_UIDS_MAX && g->control_uid_count <= IPC_UIDS_MAX &&
	       g->control_has_group <= 1 && g->fronts > 0 && g->fronts <= HANDOVER_FRONTS_MAX &&
	       g->log_level < LOG_LEVEL_COUNT && is_text(g->file, sizeof(g->file)) &&
	       is_text(g->directory, sizeof(g->directory)) &&
	       is_text(g->log_to, sizeof(g->log_to)) &&
	       is_text(g->log_events, sizeof(g->log_events));
}

static bool judge_root(const void *record)
{
	const struct handover_root *r = record;

	return r->fd >= 0 && is_fd(r->fd) && r->state < IPC_ROOT_STATES && r->away <= 1 &&
	       r->store <= CONFIG_RADOS && is_text(r->path, sizeof(r->path)) &&
	       is_text(r->memory, sizeof(r->memory)) && is_text(r->mark, MAIL_MARK_SIZE);
}

static bool judge_lookup(const void *record)
{
	const struct handover_lookup *l = record;

	return is_fd(l->program_fd) && is_fd(l->secrets_fd);
}

/* A process has a channel unless that is broken; both are there, or none is. */
static bool judge_slot(const void *record)
{
	const struct handover_slot *s = record;

	return s->role > ROLE_MONITOR && s->role < ROLE_COUNT && s->pid >= 0 && s->pid != 1 &&
	       is_fd(s->channel_fd) && is_fd(s->log_fd) && is_fd(s->page_fd) &&
	       (s->pid > 0 || s->channel_fd < 0) && s->home_root < CONFIG_ROOTS_MAX &&
	       s->group_size > 0 && s->ready <= 1 && s->ever_ready <= 1 && s->on_demand <= 1 &&
	       s->leaving <= 1 && s->wanted <= 1;
}

static bool judge_waiting(const void *record)
{
	return ((const struct handover_waiting *)record)->root < CONFIG_ROOTS_MAX;
}

static const struct {
	size_t size;
	bool has_text;
	bool (*judge)(const void *record);
} kinds[HANDOVER_KINDS] = {
	[HANDOVER_MONITOR] = {sizeof(struct handover_monitor), false, judge_monitor},
	[HANDOVER_ASKER] = {sizeof(struct handover_asker), false, judge_asker},
	[HANDOVER_LISTENER] = {sizeof(struct handover_listener), false, judge_listener},
	[HANDOVER_SOCKET] = {sizeof(struct handover_socket), false, judge_socket},
	[HANDOVER_PAGE] = {sizeof(struct handover_page), false, judge_page},
	[HANDOVER_GENERATION] = {sizeof(struct handover_generation), false, judge_generation},
	[HANDOVER_WANTED] = {sizeof(struct handover_wanted), false, judge_wanted},
	[HANDOVER_ROOT] = {sizeof(struct handover_root), false, judge_root},
	[HANDOVER_LOOKUP] = {sizeof(struct handover_lookup), false, judge_lookup},
	[HANDOVER_SLOT] = {sizeof(struct handover_slot), true, judge_slot},
	[HANDOVER_WAITING] = {sizeof(struct handover_waiting), true, judge_waiting},
};

/* ---- the judgement of their order ---- */

struct order {
	enum handover_kind last;
	uint32_t sockets;                /* that the listener lacks still */
	uint32_t wanted, roots, lookups; /* that the generation lacks still */
	uint32_t generations, serving, number, askers;
};

static bool lacks_something(const struct order *order)
{
	return order->sockets || order->wanted || order->roots || order->lookups;
}

/* One of those that a record announced. */
static bool is_due(uint32_t *count)
{
	return *count > 0 && (*count)-- > 0;
}

static bool begin_generation(struct order *order, const struct handover_generation *g)
{
	if (lacks_something(order) || g->number <= order->number)
		return false;
	order->number = g->number;
	order->wanted = g->wanted;
	order->roots = g->roots;
	order->lookups = g->lookups;
	order->serving += !g->draining;
	return ++order->generations <= HANDOVER_GENERATIONS_MAX;
}

static bool fits(struct order *order, enum handover_kind kind, const void *record)
{
	switch (kind) {
	case HANDOVER_MONITOR:
		return order->last == HANDOVER_END;
	case HANDOVER_ASKER:
		return order->last <= HANDOVER_ASKER && ++order->askers <= HANDOVER_ASKERS_MAX;
	case HANDOVER_LISTENER:
		order->sockets = ((const struct handover_listener *)record)->sockets;
		return order->last < HANDOVER_PAGE;
	case HANDOVER_SOCKET:
		return is_due(&order->sockets);
	case HANDOVER_PAGE:
		return order->last < HANDOVER_GENERATION;
	case HANDOVER_GENERATION:
		return begin_generation(order, record);
	case HANDOVER_WANTED:
		return is_due(&order->wanted);
	case HANDOVER_ROOT:
		return !order->wanted && is_due(&order->roots);
	case HANDOVER_LOOKUP:
		return !order->wanted && !order->roots && is_due(&order->lookups);
	case HANDOVER_SLOT:
	case HANDOVER_WAITING:
		return order->generations > 0 && !lacks_something(order);
	case HANDOVER_END:
	case HANDOVER_KINDS:
		break;
	}
	return false;
}

/* Records that another one announced come before the next record of another kind. */
static bool is_in_order(struct order *order, enum handover_kind kind, const void *record)
{
	bool first = order->last == HANDOVER_END, socket = kind == HANDOVER_SOCKET;

	if (first != (kind == HANDOVER_MONITOR) || (order->sockets && !socket) ||
	    !fits(order, kind, record))
		return false;
	order->last = kind;
	return true;
}

/* ---- to write ---- */

static void *grown(void *data, size_t unit, size_t count, size_t *room)
{
	size_t more = *room ? *room : 64;
	void *larger;

	while (more < count)
		more *= 2;
	larger = calloc(more, unit);
	if (!larger)
		return NULL;
	if (data) {
		memcpy(larger, data, *room * unit);
		explicit_bzero(data, *room * unit);
		free(data);
	}
	*room = more;
	return larger;
}

static void add(struct handover *handover, const void *data, size_t size)
{
	if (handover->size + size + 8 > handover->room) {
		size_t room = handover->room;
		char *larger = handover->size + size > HANDOVER_SIZE_MAX
				       ? NULL
				       : grown(handover->data, 1, handover->size + size + 8, &room);

		if (!larger) {
			handover->why = "the state is too large, or there is no memory for it";
			return;
		}
		handover->data = larger;
		handover->room = room;
	}
	if (size)
		memcpy(handover->data + handover->size, data, size);
	handover->size += size;
}

void handover_begin(struct handover *handover)
{
	struct head head = {.size = 0}; /* handover_seal fills it in */

	*handover = (struct handover){0};
	add(handover, &head, sizeof(head));
}

void handover_put(struct handover *handover, enum handover_kind kind, const void *record,
		  pop3_span text)
{
	const struct record head = {.kind = kind, .text = (uint32_t)text.size};
	static const char nothing[8];

	if (text.size > HANDOVER_TEXT_MAX)
		handover->why = "a text of the state is too long";
	if (handover->why)
		return;
	add(handover, &head, sizeof(head));
	add(handover, record, kinds[kind].size);
	add(handover, text.data, text.size);
	add(handover, nothing, rounded(handover->size) - handover->size);
}

int32_t handover_fd(struct handover *handover, int fd)
{
	if (fd < 0 || handover->why)
		return -1;
	if (handover->fd_count == handover->fd_room) {
		int *larger = grown(handover->fds, sizeof(int), handover->fd_count + 1,
				    &handover->fd_room);

		if (!larger) {
			handover->why = "there is no memory for the state";
			return -1;
		}
		handover->fds = larger;
	}
	handover->fds[handover->fd_count++] = fd;
	return fd;
}

int handover_seal(const struct handover *handover, struct err *err)
{
	struct head head = {.size = handover->size};
	int fd, errnum;

	if (handover->why)
		return err_set(err, EX_OSERR, "%s", handover->why);
	memcpy(head.magic, handover_magic, sizeof(head.magic));
	fd = memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(err, EX_OSERR, errno, "no memory file for the state");
	if (write_all(fd, (const char *)&head, sizeof(head)) == 0 &&
	    write_all(fd, handover->data + sizeof(head), handover->size - sizeof(head)) == 0 &&
	    fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	errnum = errno;
	close(fd);
	return err_sys(err, EX_OSERR, errnum, "the state cannot be written");
}

void handover_finish(struct handover *handover)
{
	if (handover->data)
		explicit_bzero(handover->data, handover->size);
	free(handover->data);
	free(handover->fds);
	*handover = (struct handover){0};
}

/* ---- to read ---- */

static int bad(struct err *err, const char *why)
{
	return err_set(err, EX_DATAERR, "the state of the running valijad is not understood: %s",
		       why);
}

static size_t record_size(const struct record *record)
{
	return rounded(sizeof(*record) + kinds[record->kind].size + record->text);
}

static bool is_whole(const struct handover_reader *reader)
{
	const struct record *record = (const void *)(reader->data + reader->at);
	size_t left = reader->size - reader->at;

	if (left < sizeof(*record) || record->kind == HANDOVER_END ||
	    record->kind >= HANDOVER_KINDS || record->text > HANDOVER_TEXT_MAX ||
	    (record->text && !kinds[record->kind].has_text))
		return false;
	return record_size(record) <= left && kinds[record->kind].judge(record + 1) &&
	       !memchr((const char *)(record + 1) + kinds[record->kind].size, '\0', record->text);
}

static int judge_records(struct handover_reader *reader, struct err *err)
{
	struct order order = {.last = HANDOVER_END};

	while (reader->at < reader->size) {
		const struct record *record = (const void *)(reader->data + reader->at);

		if (!is_whole(reader))
			return bad(err, "a record is damaged");
		if (!is_in_order(&order, (enum handover_kind)record->kind, record + 1))
			return bad(err, "its records are in another order");
		reader->at += record_size(record);
	}
	reader->at = sizeof(struct head);
	if (lacks_something(&order) || order.serving != 1)
		return bad(err, "it is not whole");
	return 0;
}

static int judge_head(const struct head *head, size_t size, struct err *err)
{
	const size_t version = sizeof(handover_magic) - 1;

	if (memcmp(head->magic, handover_magic, version) != 0)
		return bad(err, "it is none");
	if (head->magic[version] != handover_magic[version])
		return err_set(err, EX_DATAERR,
			       "the state of the running valijad has version %d, and this program "
			       "understands version %d: stop valijad and start it again",
			       head->magic[version] - '0', handover_magic[version] - '0');
	return head->size == size ? 0 : bad(err, "it is not whole");
}

int handover_open(int fd, struct handover_reader *ret, struct err *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	off_t size = lseek(fd, 0, SEEK_END);
	struct handover_reader reader = {.at = sizeof(struct head)};
	void *data;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return bad(err, "it is no sealed memory file");
	if (size < (off_t)sizeof(struct head) || size > HANDOVER_SIZE_MAX)
		return bad(err, "it is too short or too long");
	reader.size = (size_t)size;
	data = mmap(NULL, reader.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return err_sys(err, EX_OSERR, errno, "the state cannot be read");
	reader.data = data;
	if (judge_head(data, reader.size, err) == 0 && judge_records(&reader, err) == 0) {
		*ret = reader;
		return 0;
	}
	handover_close(&reader);
	return -1;
}

void handover_close(struct handover_reader *reader)
{
	union {
		const char *read;
		void *unmapped;
	} data = {.read = reader->data};

	if (reader->data)
		munmap(data.unmapped, reader->size);
	*reader = (struct handover_reader){0};
}

void handover_rewind(struct handover_reader *reader)
{
	reader->at = sizeof(struct head);
}

/* Only what the old program named stays open at an exec; all else of this process is close-on-exec.
 */
int handover_take_fd(int32_t fd)
{
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFD);

	if (flags < 0 || flags & FD_CLOEXEC || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	return fd;
}

enum handover_kind handover_kind(const struct handover_reader *reader)
{
	const struct record *record = (const void *)(reader->data + reader->at);

	return reader->at < reader->size ? (enum handover_kind)record->kind : HANDOVER_END;
}

const void *handover_next(struct handover_reader *reader, pop3_span *ret_text)
{
	const struct record *record = (const void *)(reader->data + reader->at);

	reader->at += record_size(record);
	if (ret_text)
		*ret_text = (pop3_span){(const char *)(record + 1) + kinds[record->kind].size,
					record->text};
	return record + 1;
}
