/* See generation.h. */
#include "server/monitor/generation.h"

#include "base/log.h"
#include "base/text.h"
#include "maildrop/mail_root.h"
#include "server/certificates.h"
#include "sys/process.h"
#include "sys/sandbox.h"
#include "users/recipients.h"
#include "users/users.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define BACK_OFF_FIRST 10 /* ms */
#define BACK_OFF_MOST 800 /* service is back within a second */
#define GOOD_LIFE 10000   /* ms: a child that lived so long starts again at once */
#define OWNERS_MAX 64     /* keepers on demand, one a uid */
#define STOP_GRACE 2000   /* ms between the end of a drain and SIGKILL */
#define NEW_ROOT 10000    /* ms between two looks whether a new mail root has its first maildrop */

/* A place in the generation that a process fills. */
struct slot {
	struct slot *next;
	struct generation *generation;
	enum ipc_role role;
	uint32_t index, uid, gid, group_size;
	/* of the process in it; pid 0: none now */
	pid_t pid;
	uint64_t instance, started;
	struct chan chan;
	bool has_chan, ready, ever_ready;
	uint64_t back_off;
	struct loop_timer again;
};

struct generation {
	struct generation_owner *owner;
	struct config config;
	struct slot *slots;
	int config_fd, certificates_fd, mail_fd, users_fd, aliases_fd;
	uint64_t certificates_size;
	uint32_t number;
	unsigned owners;
	struct mail_root root; /* what is known of mail_fd */
	struct loop_timer look_at_root;
	bool announced, draining, failed;
	struct loop_timer deadline;
	uid_t net_uid, auth_uid, mail_uid;
	gid_t net_gid, auth_gid, mail_gid;
};

static int start_slot(struct slot *slot, struct err *err);

/* Those that this process may run on: a container or taskset may have given it fewer than there
 * are. */
static unsigned cores(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return n > 0 ? (unsigned)n : 1;
}

unsigned generation_fronts(const struct config *config)
{
	return config->fronts ? config->fronts : cores();
}

static unsigned keepers(const struct config *config)
{
	return config->keepers ? config->keepers : cores() < 4 ? cores() : 4;
}

static int open_directory(const char *path, int how, int *ret, struct err *err)
{
	*ret = open(path, how | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_sys(err, EX_NOINPUT, errno, "cannot open the directory %s", path) : 0;
}

static int open_parent(const char *path, int *ret, struct err *err)
{
	char copy[CONFIG_PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	return open_directory(dirname(copy), O_PATH, ret, err);
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int find_user(const char *name, uid_t *uid, gid_t *gid, struct err *err)
{
	if (sandbox_user(name, uid, gid, NULL) == 0)
		return 0;
	return err_set(err, EX_NOUSER,
		       "there is no system user \"%s\" to give up root for; make the users of "
		       "dist/sysusers.d/valija.conf: "
		       "systemd-sysusers dist/sysusers.d/valija.conf",
		       name);
}

static int find_owner(struct generation *g, struct err *err)
{
	struct stat st;

	if (fstat(g->mail_fd, &st) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot look at %s", g->config.mail);
	g->mail_uid = st.st_uid;
	g->mail_gid = st.st_gid;
	if (st.st_uid == 0)
		log_warning("%s belongs to root: its keepers run as root, without capabilities; "
			    "better: chown -R vmail: %s",
			    g->config.mail, g->config.mail);
	return 0;
}

/* Mail that is not there is said before anybody logs in. */
static void look_at_root(struct generation *g)
{
	bool in_use = mail_root_in_use(&maildrop_kernel, g->mail_fd);

	mail_root_look(g->mail_fd, g->config.mail, &g->root);
	switch (atomic_load(&g->root.state)) {
	case MAIL_ROOT_NEW:
		return;
	case MAIL_ROOT_KNOWN:
		if (in_use)
			return;
		break;
	case MAIL_ROOT_OTHER:
		break;
	}
	if (in_use)
		log_error(
			"%s is not the folder that had maildrops before: users without one here "
			"cannot log in, and their mail is put off; mount the right filesystem and "
			"reload; if mail was moved to this one: rm -f %s, then reload",
			g->config.mail, g->root.memory);
	else
		log_error(
			"%s is empty, but it had maildrops before: nobody can log in, and mail is "
			"put off; mount its filesystem and reload; if it is meant to be empty: "
			"rm -f %s, then reload",
			g->config.mail, g->root.memory);
}

/* The one of today, for tomorrow. */
static void remember_root(struct generation *g)
{
	struct err err;

	if (mail_root_remember(&g->root, g->mail_fd, g->config.mail, &err) < 0)
		log_warning("%s: after a restart nothing would tell that its filesystem is not "
			    "mounted: %s",
			    g->config.mail, err.text);
}

static void look_again(struct loop_timer *timer)
{
	struct generation *g = timer->context;

	remember_root(g);
	if (atomic_load(&g->root.state) == MAIL_ROOT_NEW)
		loop_timer_set(timer, NEW_ROOT);
}

static int prepare(struct generation *g, bool root, struct err *err)
{
	g->certificates_fd = certificates_pack(&g->config, &g->certificates_size, err);
	if (g->certificates_fd < 0 ||
	    open_directory(g->config.mail, O_RDONLY, &g->mail_fd, err) < 0 ||
	    open_parent(g->config.users, &g->users_fd, err) < 0)
		return -1;
	if (g->config.aliases[0] && open_parent(g->config.aliases, &g->aliases_fd, err) < 0)
		return -1;
	look_at_root(g);
	g->config_fd = config_seal(&g->config, err);
	if (g->config_fd < 0)
		return -1;
	if (!root)
		return 0;
	if (find_user(g->config.user_net, &g->net_uid, &g->net_gid, err) < 0 ||
	    find_user(g->config.user_auth, &g->auth_uid, &g->auth_gid, err) < 0)
		return -1;
	return find_owner(g, err);
}

static struct generation *new_generation(const struct config *config)
{
	struct generation *g = calloc(1, sizeof(*g));

	if (g) {
		g->config = *config;
		g->config_fd = g->certificates_fd = g->mail_fd = g->users_fd = g->aliases_fd = -1;
	}
	return g;
}

static void close_files(struct generation *g)
{
	int fds[] = {g->config_fd, g->certificates_fd, g->mail_fd, g->users_fd, g->aliases_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* As auth will read them (it may have other permissions: that is seen at its start). */
static int check_users(const struct generation *g, struct err *err)
{
	const struct config *config = &g->config;
	struct recipients_settings settings = {
		.delimiters = config->recipient_delimiter,
		.domains = config->domains,
		.catch_all = config->catch_all,
		.aliases_dir_fd = g->aliases_fd,
		.aliases_file = g->aliases_fd >= 0 ? name_of(config->aliases) : NULL};
	struct recipients *recipients = NULL;
	struct users *users;
	int rc;

	if (users_open_passwd_file(g->users_fd, name_of(config->users), config->mail, &users, err) <
	    0) {
		err_prefix(err, "cannot use %s", config->users);
		return -1;
	}
	rc = recipients_open(&settings, users, &recipients, err);
	if (rc < 0 && g->aliases_fd >= 0)
		err_prefix(err, "cannot use %s", config->aliases);
	recipients_close(recipients);
	users_close(users);
	return rc;
}

int generation_check(const struct config *config, bool root, struct err *err)
{
	struct generation *g = new_generation(config);
	struct tls_server *tls = NULL;
	int rc;

	if (!g)
		return err_set(err, EX_OSERR, "out of memory");
	rc = prepare(g, root, err);
	if (rc == 0)
		rc = check_users(g, err);
	if (rc == 0)
		rc = certificates_unpack(g->certificates_fd, g->certificates_size, config, &tls,
					 err);
	tls_server_destroy(tls);
	close_files(g);
	free(g);
	return rc;
}

/* -- what a child is told at its start -- */

static void send_config(struct slot *slot)
{
	struct generation *g = slot->generation;
	struct ipc_config message = {.instance = slot->instance,
				     .role = slot->role,
				     .index = slot->index,
				     .uid = slot->uid,
				     .gid = slot->gid,
				     .change_ids = g->owner->root,
				     .generation = g->number};

	ipc_send_fds(&slot->chan, IPC_CONFIG, &message, &g->config_fd, 1);
}

static void send_directory(struct slot *slot, enum ipc_directory_kind kind, int fd,
			   const char *path)
{
	struct ipc_directory message = {.kind = kind};
	const char *name = kind == DIRECTORY_MAIL ? "" : name_of(path);
	pop3_span text = {name, strlen(name)};

	if (fd >= 0)
		ipc_send_all(&slot->chan, IPC_DIRECTORY, &message, &text, 1, &fd, 1);
}

static void send_mail_root(struct slot *slot)
{
	struct generation *g = slot->generation;
	struct ipc_directory message = {.kind = DIRECTORY_MAIL,
					.state = (uint32_t)atomic_load(&g->root.state)};
	pop3_span text = span_of(g->root.memory);

	ipc_send_all(&slot->chan, IPC_DIRECTORY, &message, &text, 1, &g->mail_fd, 1);
}

static void send_listeners(struct slot *slot, bool lmtp)
{
	struct generation *g = slot->generation;

	for (uint32_t i = 0; i < g->config.listener_count; i++) {
		const struct config_listener *wanted = &g->config.listeners[i];
		struct ipc_listener message = {.service = wanted->service};
		int fd;

		if ((wanted->service == SERVICE_LMTP) != lmtp)
			continue;
		fd = listeners_fd(g->owner->listeners, wanted, lmtp ? 0 : slot->index);
		if (fd >= 0)
			ipc_send_fds(&slot->chan, IPC_LISTENER, &message, &fd, 1);
	}
}

static bool has_listener(const struct config *config, const struct config_listener *wanted)
{
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *own = &config->listeners[i];

		if (own->service == wanted->service && own->port == wanted->port &&
		    own->only_six == wanted->only_six && strcmp(own->address, wanted->address) == 0)
			return true;
	}
	return false;
}

void generation_send_listener(struct generation *g, const struct config_listener *wanted,
			      unsigned index)
{
	enum ipc_role role = wanted->service == SERVICE_LMTP ? ROLE_LMTP : ROLE_FRONT;
	int fd = listeners_fd(g->owner->listeners, wanted, index);
	struct ipc_listener message = {.service = wanted->service};

	if (fd < 0 || !has_listener(&g->config, wanted))
		return;
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->role == role && slot->has_chan &&
		    listeners_fd(g->owner->listeners, wanted, slot->index) == fd)
			ipc_send_fds(&slot->chan, IPC_LISTENER, &message, &fd, 1);
}

static void send_ticket_keys(struct slot *slot)
{
	struct ipc_ticket_keys message;

	memcpy(message.keys, slot->generation->owner->ticket_keys, sizeof(message.keys));
	ipc_send(&slot->chan, IPC_TICKET_KEYS, &message);
	explicit_bzero(&message, sizeof(message));
}

static void send_role_things(struct slot *slot)
{
	struct generation *g = slot->generation;
	struct ipc_certificates certificates = {.size = g->certificates_size};

	switch (slot->role) {
	case ROLE_FRONT:
		ipc_send_fds(&slot->chan, IPC_CERTIFICATES, &certificates, &g->certificates_fd, 1);
		send_ticket_keys(slot);
		send_listeners(slot, false);
		break;
	case ROLE_LMTP:
		send_listeners(slot, true);
		break;
	case ROLE_AUTH:
		send_directory(slot, DIRECTORY_USERS, g->users_fd, g->config.users);
		send_directory(slot, DIRECTORY_ALIASES, g->aliases_fd, g->config.aliases);
		send_directory(slot, DIRECTORY_MAIL, g->mail_fd, g->config.mail);
		break;
	case ROLE_KEEPER:
		send_mail_root(slot);
		break;
	case ROLE_MONITOR:
	case ROLE_COUNT:
		break;
	}
}

static bool talk(enum ipc_role a, enum ipc_role b)
{
	bool front = a == ROLE_FRONT || a == ROLE_LMTP;

	return (front && (b == ROLE_AUTH || b == ROLE_KEEPER)) ||
	       (a == ROLE_AUTH && b == ROLE_KEEPER);
}

static void send_peer(struct slot *to, const struct slot *peer, int fd)
{
	struct ipc_peer message = {.instance = peer->instance,
				   .role = peer->role,
				   .index = peer->index,
				   .uid = peer->uid,
				   .group_size = peer->group_size};

	ipc_send_fds(&to->chan, IPC_PEER, &message, &fd, 1);
}

static int wire(struct slot *a, struct slot *b, struct err *err)
{
	int pair[2];

	if (!talk(a->role, b->role) && !talk(b->role, a->role))
		return 0;
	if (chan_pair(pair, err) < 0)
		return -1;
	send_peer(a, b, pair[0]);
	send_peer(b, a, pair[1]);
	close(pair[0]);
	close(pair[1]);
	return 0;
}

/* -- what children say -- */

/* Whether it failed now: then it may be gone. */
static bool give_up(struct generation *g, const char *why, int code)
{
	if (g->announced || g->failed)
		return false;
	g->failed = true;
	g->owner->failed(g->owner, g, why, code);
	return true;
}

static void check_ready(struct generation *g)
{
	if (g->announced || g->failed)
		return;
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (!slot->ready)
			return;
	g->announced = true;
	g->owner->ready(g->owner, g);
}

static struct slot *add_slot(struct generation *g, enum ipc_role role, uint32_t index, uid_t uid,
			     gid_t gid);

/* Logins that wait for a keeper of that uid are to wait no longer. */
static void refuse_owner(struct generation *g, uint32_t uid)
{
	struct ipc_owner refused = {.uid = uid};

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->role == ROLE_AUTH && slot->has_chan)
			ipc_send(&slot->chan, IPC_KEEPER_REFUSED, &refused);
}

/* Auth met mail of an owner that no keeper serves yet. It may be lying: all it gets is one more
 * confined keeper. */
static void want_keeper(struct slot *from, const struct ipc_owner *wanted)
{
	struct generation *g = from->generation;
	struct err err = {.text = "too many owners of mail"};
	struct slot *slot;

	for (slot = g->slots; slot; slot = slot->next)
		if (slot->role == ROLE_KEEPER && slot->uid == wanted->uid)
			return; /* it is on its way */
	if (wanted->uid == 0)   /* only root can have made that folder (auth follows no link) */
		log_warning("a maildrop in %s belongs to root: its keeper runs as root, without "
			    "capabilities and confined to that folder; better: chown -R vmail: it",
			    g->config.mail);
	if (g->owner->root && !g->draining && g->owners < OWNERS_MAX) {
		slot = add_slot(g, ROLE_KEEPER, 0, wanted->uid, wanted->gid);
		g->owners += slot != NULL;
		if (slot && start_slot(slot, &err) == 0)
			return;
		if (slot && !slot->pid)
			loop_timer_set(&slot->again, BACK_OFF_MOST);
	}
	log_error("no keeper for mail of uid %u: %s", wanted->uid,
		  g->owner->root ? err.text : "not started as root");
	refuse_owner(g, wanted->uid);
}

/* A process that broke the rules of a channel, or that could not keep up, is started anew. One that
 * ended by itself is past caring. */
static void peer_lost(const struct slot *from, uint64_t instance)
{
	for (struct slot *slot = from->generation->slots; slot; slot = slot->next)
		if (slot->pid > 0 && slot->instance == instance &&
		    (slot->role == ROLE_FRONT || slot->role == ROLE_LMTP ||
		     (slot->role == ROLE_KEEPER && from->role == ROLE_AUTH)))
			kill(slot->pid, SIGKILL);
}

static void child_failed(struct slot *slot, const struct ipc_failed *message)
{
	char text[IPC_TEXT_MAX + 1];

	if (span_copy(ipc_text(message, 0), text, sizeof(text)) < 0)
		snprintf(text, sizeof(text), "it did not say why");
	log_error("%s %u cannot start: %s", ipc_role_name(slot->role), slot->index, text);
	give_up(slot->generation, text, (int)message->code);
}

static void slot_packet(struct chan *chan, const void *data, size_t size, int *fds,
			unsigned fd_count)
{
	struct slot *slot = chan->context;
	const char *why;
	enum ipc_type type = ipc_check(data, size, fd_count, slot->role, ROLE_MONITOR, &why);

	(void)fds;
	if (type == IPC_NONE) {
		chan_break(chan, why);
	} else if (type == IPC_READY) {
		slot->ready = slot->ever_ready = true;
		check_ready(slot->generation);
	} else if (type == IPC_FAILED) {
		child_failed(slot, data);
	} else if (type == IPC_KEEPER_WANTED) {
		want_keeper(slot, data);
	} else if (type == IPC_PEER_LOST) {
		peer_lost(slot, ((const struct ipc_peer_lost *)data)->instance);
	} else if (type == IPC_LISTENER_DEAD) {
		slot->generation->owner->suspect(slot->generation->owner);
	}
}

static void slot_broken(struct chan *chan, const char *why)
{
	struct slot *slot = chan->context;

	(void)why;
	chan_finish(chan);
	slot->has_chan = false;
	/* a child without a monitor ends by itself; one that broke the rules is made to */
	if (slot->pid > 0)
		kill(slot->pid, SIGKILL);
}

static const struct chan_handler slot_handler = {.packet = slot_packet, .broken = slot_broken};

/* -- processes -- */

static int start_slot(struct slot *slot, struct err *err)
{
	struct generation *g = slot->generation;
	char title[64], child_argument[] = "--child";
	char *argv[] = {title, child_argument, NULL};
	struct ipc_empty message;
	int pair[2];

	if (chan_pair(pair, err) < 0)
		return -1;
	snprintf(title, sizeof(title), "valijad: %s %u", ipc_role_name(slot->role), slot->index);
	slot->pid = process_spawn(g->owner->exe_fd, argv, &pair[1], 1, err);
	close(pair[1]);
	if (slot->pid < 0) {
		close(pair[0]);
		slot->pid = 0;
		return -1;
	}
	slot->instance = ++g->owner->instances;
	slot->started = loop_now(g->owner->loop);
	slot->ready = false;
	chan_init(&slot->chan, g->owner->loop, &pair[0], &slot_handler, slot, 1u << 20);
	slot->has_chan = true;
	send_config(slot);
	send_role_things(slot);
	for (struct slot *other = g->slots; other; other = other->next)
		if (other != slot && other->has_chan && wire(slot, other, err) < 0)
			goto failed;
	if (ipc_send(&slot->chan, IPC_START, &message) == 0)
		return 0;
	err_set(err, EX_OSERR, "it does not listen");
failed:
	kill(slot->pid, SIGKILL); /* when it is reaped it is started again */
	return -1;
}

static void start_again(struct loop_timer *timer)
{
	struct slot *slot = timer->context;
	struct err err;

	if (!slot->generation->draining && start_slot(slot, &err) < 0) {
		log_error("cannot start %s %u: %s", ipc_role_name(slot->role), slot->index,
			  err.text);
		if (!slot->pid)
			loop_timer_set(&slot->again, BACK_OFF_MOST);
	}
}

static struct slot *add_slot(struct generation *g, enum ipc_role role, uint32_t index, uid_t uid,
			     gid_t gid)
{
	struct slot *slot = calloc(1, sizeof(*slot)), **at = &g->slots;

	if (!slot)
		return NULL;
	slot->generation = g;
	slot->role = role;
	slot->index = index;
	slot->uid = uid;
	slot->gid = gid;
	slot->group_size = 1;
	loop_timer_init(&slot->again, g->owner->loop, start_again, slot);
	while (*at)
		at = &(*at)->next;
	*at = slot;
	return slot;
}

static bool serves(const struct config *config, bool lmtp)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if ((config->listeners[i].service == SERVICE_LMTP) == lmtp)
			return true;
	return false;
}

static int add_slots(struct generation *g)
{
	unsigned n = keepers(&g->config);
	struct slot *slot = add_slot(g, ROLE_AUTH, 0, g->auth_uid, g->auth_gid);
	bool ok = slot != NULL;

	for (unsigned i = 0; i < n && ok; i++) {
		slot = add_slot(g, ROLE_KEEPER, i, g->mail_uid, g->mail_gid);
		ok = slot != NULL;
		if (ok)
			slot->group_size = n;
	}
	for (unsigned i = 0; i < generation_fronts(&g->config) && ok && serves(&g->config, false);
	     i++)
		ok = add_slot(g, ROLE_FRONT, i, g->net_uid, g->net_gid) != NULL;
	if (ok && serves(&g->config, true))
		ok = add_slot(g, ROLE_LMTP, 0, g->net_uid, g->net_gid) != NULL;
	return ok ? 0 : -1;
}

int generation_create(struct generation_owner *owner, const struct config *config, uint32_t number,
		      struct generation **ret, struct err *err)
{
	struct generation *g = new_generation(config);
	int rc;

	if (!g)
		return err_set(err, EX_OSERR, "out of memory");
	g->owner = owner;
	g->number = number;
	rc = prepare(g, owner->root, err);
	if (rc == 0 && add_slots(g) < 0)
		rc = err_set(err, EX_OSERR, "out of memory");
	if (rc == 0) {
		loop_timer_init(&g->look_at_root, owner->loop, look_again, g);
		look_again(&g->look_at_root);
	}
	for (struct slot *slot = g->slots; slot && rc == 0; slot = slot->next)
		rc = start_slot(slot, err);
	if (rc < 0) {
		generation_kill(g);
		generation_destroy(g);
		return -1;
	}
	*ret = g;
	return 0;
}

const struct config *generation_config(const struct generation *g)
{
	return &g->config;
}

uint32_t generation_number(const struct generation *g)
{
	return g->number;
}

bool generation_ready(const struct generation *g)
{
	return g->announced;
}

void generation_send_ticket_keys(struct generation *g)
{
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->role == ROLE_FRONT && slot->has_chan)
			send_ticket_keys(slot);
}

/* -- the end -- */

static void deadline_over(struct loop_timer *timer)
{
	struct generation *g = timer->context;

	log_warning("processes that did not end in time are killed");
	generation_kill(g);
}

static void check_ended(struct generation *g)
{
	if (!g->draining)
		return;
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->pid > 0)
			return;
	g->owner->ended(g->owner, g);
}

void generation_drain(struct generation *g, uint64_t ms, bool stop)
{
	struct ipc_drain message = {.ms = ms, .stop = stop};

	if (!g->draining)
		loop_timer_init(&g->deadline, g->owner->loop, deadline_over, g);
	if (!g->draining && g->look_at_root.loop) { /* its last look */
		loop_timer_cancel(&g->look_at_root);
		if (atomic_load(&g->root.state) == MAIL_ROOT_NEW)
			remember_root(g);
	}
	g->draining = true;
	loop_timer_set(&g->deadline, ms + STOP_GRACE);
	for (struct slot *slot = g->slots; slot; slot = slot->next) {
		loop_timer_cancel(&slot->again);
		if (slot->has_chan)
			ipc_send(&slot->chan, IPC_DRAIN, &message);
	}
	check_ended(g);
}

void generation_kill(struct generation *g)
{
	g->draining = true;
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->pid > 0)
			kill(slot->pid, SIGKILL);
}

void generation_destroy(struct generation *g)
{
	while (g->slots) {
		struct slot *slot = g->slots;

		g->slots = slot->next;
		loop_timer_cancel(&slot->again);
		if (slot->has_chan)
			chan_finish(&slot->chan);
		free(slot);
	}
	if (g->deadline.loop)
		loop_timer_cancel(&g->deadline);
	if (g->look_at_root.loop)
		loop_timer_cancel(&g->look_at_root);
	close_files(g);
	free(g);
}

static void say_how_it_ended(const struct slot *slot, int status)
{
	const char *role = ipc_role_name(slot->role);

	if (WIFSIGNALED(status))
		log_warning("%s %u (pid %d) was ended by signal %d (%s)", role, slot->index,
			    (int)slot->pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) || !slot->generation->draining)
		log_warning("%s %u (pid %d) ended with exit code %d", role, slot->index,
			    (int)slot->pid, WEXITSTATUS(status));
}

bool generation_reaped(struct generation *g, pid_t pid, int status)
{
	struct slot *slot = g->slots;
	uint64_t lived;

	while (slot && slot->pid != pid)
		slot = slot->next;
	if (!slot)
		return false;
	lived = loop_now(g->owner->loop) - slot->started;
	say_how_it_ended(slot, status);
	slot->pid = 0;
	if (slot->has_chan) /* its last words may say why */
		chan_take_rest(&slot->chan);
	slot->ready = false;
	if (slot->has_chan)
		chan_finish(&slot->chan);
	slot->has_chan = false;
	if (slot->role == ROLE_FRONT || slot->role == ROLE_LMTP)
		g->owner->suspect(g->owner);
	if (g->draining) {
		check_ended(g);
		return true;
	}
	if (!slot->ever_ready && give_up(g, "a process ended while it was starting", EX_SOFTWARE))
		return true;
	if (!slot->ever_ready && slot->role == ROLE_KEEPER)
		refuse_owner(g, slot->uid);
	slot->back_off = lived > GOOD_LIFE || !slot->back_off ? BACK_OFF_FIRST : slot->back_off * 3;
	if (slot->back_off > BACK_OFF_MOST)
		slot->back_off = BACK_OFF_MOST;
	loop_timer_set(&slot->again, slot->back_off);
	return true;
}
