/* See link.h. */
#include "server/front/link.h"

#include "server/child.h"

#include <stdlib.h>

void link_init(struct link *link, struct peer *peer, const struct link_handler *handler)
{
	*link = (struct link){.peer = peer, .handler = handler};
	link->waiting_end = &link->waiting;
}

void link_set_arena(struct link *link, int fd)
{
	if (!link->arena)
		link->arena = arena_open(fd);
}

struct peer *link_peer(const struct link *link)
{
	return link->peer;
}

/* ---- users ---- */

void link_join(struct link *link, struct link_user *user)
{
	user->link = link;
	user->next = link->users;
	user->at = &link->users;
	if (user->next)
		user->next->at = &user->next;
	link->users = user;
}

struct link *link_of(const struct link_user *user)
{
	return user->link;
}

struct chan *link_chan(const struct link_user *user)
{
	return &user->link->peer->chan;
}

struct arena *link_arena(const struct link_user *user)
{
	return user->link->arena;
}

static void stop_waiting(struct link *link, struct link_user *user)
{
	struct link_user **at = &link->waiting;

	if (!user->parked)
		return;
	while (*at != user)
		at = &(*at)->next_waiting;
	*at = user->next_waiting;
	if (!*at)
		link->waiting_end = at;
	free(user->parked);
	user->parked = NULL;
}

static void take_out(struct link_user *user)
{
	*user->at = user->next;
	if (user->next)
		user->next->at = user->at;
	user->link = NULL;
	user->at = NULL;
}

void link_part(struct link_user *user)
{
	if (!user->link)
		return;
	stop_waiting(user->link, user);
	link_answered(user);
	take_out(user);
}

void link_finish(struct link *link)
{
	while (link->waiting)
		stop_waiting(link, link->waiting);
	while (link->users) {
		struct link_user *user = link->users;

		user->asked = IPC_NONE;
		user->slow = false;
		take_out(user);
		link->handler->gone(user);
	}
	arena_release(link->arena);
}

/* ---- credits ---- */

static bool has_credit(const struct link *link)
{
	return link->unanswered < link->handler->credits;
}

bool link_has_credit(const struct link_user *user)
{
	return has_credit(user->link);
}

int link_wait(struct link_user *user, const struct pop3_event *event)
{
	struct link *link = user->link;

	user->parked = malloc(sizeof(*event));
	if (!user->parked)
		return -1;
	*user->parked = *event;
	user->next_waiting = NULL;
	*link->waiting_end = user;
	link->waiting_end = &user->next_waiting;
	return 0;
}

void link_asked(struct link_user *user, enum ipc_type type)
{
	user->asked = (uint16_t)type;
	user->link->unanswered++;
}

bool link_ask(struct link_user *user, enum ipc_type type, void *message)
{
	if (ipc_send(link_chan(user), type, message) < 0)
		return false;
	link_asked(user, type);
	return true;
}

enum ipc_type link_unanswered(const struct link_user *user)
{
	return (enum ipc_type)user->asked;
}

/* A credit may be free: those that wait go on, in order. */
static void resume_waiting(struct link *link)
{
	while (link->waiting && has_credit(link)) {
		struct link_user *next = link->waiting;
		struct pop3_event event = *next->parked;

		stop_waiting(link, next);
		link->handler->resume(next, &event);
	}
}

bool link_slow(struct link_user *user)
{
	struct link *link = user->link;

	if (!user->asked || user->slow)
		return false;
	user->slow = true;
	link->unanswered--;
	link->slow++;
	resume_waiting(link);
	return true;
}

void link_answered(struct link_user *user)
{
	struct link *link = user->link;

	if (!user->asked)
		return;
	user->asked = IPC_NONE;
	if (user->slow)
		link->slow--;
	else
		link->unanswered--;
	user->slow = false;
	resume_waiting(link);
}
