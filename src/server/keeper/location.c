/* See location.h. */
#include "server/keeper/location.h"

#include "base/text.h"
#include "users/location.h"

#include <stdio.h>
#include <stdlib.h>

struct question {
	struct table_node node;   /* key: its number, of the part that was sent last */
	struct loop_timer refuse; /* where it cannot be sent */
	struct keeper *keeper;
	enum ipc_location_ask ask;
	const struct keeper_place *place;
	struct keeper_whose whose;
	unsigned elsewhere;  /* other places that were asked about */
	bool is_last;        /* the maildrop itself is asked about */
	uint32_t other_root; /* else: the place */
	char other[USER_HOME_MAX + 1];
	keeper_located *located;
	void *context;
};

static int post(struct keeper *keeper, enum ipc_location_ask ask, uint64_t number, uint32_t root,
		const char *home)
{
	struct ipc_location message = {.number = number, .ask = ask, .root = root};
	pop3_span path = span_of(home);

	return ipc_send_texts(&keeper->child->monitor, IPC_LOCATION, &message, &path, 1);
}

static void finish(struct question *question, bool allowed, const char *why)
{
	struct keeper *keeper = question->keeper;

	table_remove(&keeper->questions, &question->node);
	loop_timer_cancel(&question->refuse);
	question->located(question->context, allowed, why);
	free(question);
	keeper_done(keeper);
}

static void refuse(struct loop_timer *timer)
{
	finish(timer->context, false, "the monitor takes no question about it");
}

/* A maildrop that is, or may be, in another place is not passed over for an empty one. */
static void refuse_other(struct question *question, const char *why)
{
	const struct config *config = question->keeper->child->config;
	char text[IPC_TEXT_MAX + 3 * CONFIG_PATH_MAX];

	snprintf(text, sizeof(text),
		 "maildrop %s: it is not there, and the mail of %s may be in %s/%s (%s); if it is, "
		 "write that path into the user's field maildir; if not: %s/%s",
		 question->place->path, question->whose.name,
		 config->roots[question->other_root].path, question->other, why,
		 question->place->root->root.path, question->place->path);
	finish(question, false, text);
}

static bool find_other(struct question *question)
{
	struct user user = {.root = question->place->root->index, .placed = question->whose.placed};

	if (span_copy(span_of(question->whose.name), user.name, sizeof(user.name)) < 0 ||
	    span_copy(span_of(question->place->path), user.home, sizeof(user.home)) < 0)
		return false;
	return user_location_elsewhere(question->keeper->child->config, &user,
				       question->elsewhere++, &question->other_root,
				       question->other);
}

static void refuse_unmarked(struct loop_timer *timer)
{
	refuse_other(timer->context, "that folder has no mark, so it may be one that is not "
				     "mounted: valija mark it, then reload");
}

/* Other programs remove mailboxes without messages, so they are not in the register: the mark of
 * their folder, which the store looks at each time, tells it from one that is not mounted. */
static bool is_mbox(const struct keeper *keeper, const struct keeper_place *place)
{
	return keeper->child->config->roots[place->root->index].store == CONFIG_MBOX;
}

static void allow(struct loop_timer *timer)
{
	finish(timer->context, true, "");
}

/* Asks about the next place, and about the maildrop itself when there is none left. */
static void advance(struct question *question)
{
	struct keeper *keeper = question->keeper;
	const struct keeper_place *place = question->place;
	int sent;

	question->node.key = ++keeper->question_number;
	table_add(&keeper->questions, &question->node, question->node.key);
	question->is_last = question->ask == LOCATION_MADE || !find_other(question);
	if (question->is_last && is_mbox(keeper, place)) {
		loop_timer_init(&question->refuse, keeper->child->loop, allow, question);
		sent = -1;
	} else if (question->is_last) {
		sent = post(keeper, question->ask, question->node.key, place->root->index,
			    place->path);
	} else if (question->other_root != place->root->index &&
		   atomic_load(&keeper->roots[question->other_root].root.state) ==
			   MAIL_ROOT_UNMARKED) {
		loop_timer_init(&question->refuse, keeper->child->loop, refuse_unmarked, question);
		sent = -1;
	} else {
		sent = post(keeper, LOCATION_LOOK, question->node.key, question->other_root,
			    question->other);
	}
	if (sent < 0)
		loop_timer_set(&question->refuse, 0);
}

void keeper_location_ask(struct keeper *keeper, enum ipc_location_ask ask,
			 const struct keeper_place *place, const struct keeper_whose *whose,
			 keeper_located *located, void *context)
{
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		abort();
	question->keeper = keeper;
	question->ask = ask;
	question->place = place;
	question->whose = *whose;
	question->located = located;
	question->context = context;
	loop_timer_init(&question->refuse, keeper->child->loop, refuse, question);
	keeper_begin(keeper);
	advance(question);
}

void keeper_location_answer(struct keeper *keeper, const struct ipc_location_answer *message)
{
	struct table_node *node = table_find(&keeper->questions, message->number);
	struct question *question = node ? CONTAINER(node, struct question, node) : NULL;
	char why[IPC_TEXT_MAX + 1];

	if (!question)
		return; /* it was refused meanwhile */
	(void)span_copy(ipc_text(message, 0), why, sizeof(why));
	if (question->is_last) {
		finish(question, message->allowed != 0, why);
	} else if (!message->allowed) {
		refuse_other(question, why);
	} else {
		table_remove(&keeper->questions, &question->node);
		advance(question);
	}
}

void keeper_location_seen(struct keeper *keeper, const struct keeper_place *place)
{
	struct keeper_seen *seen = &keeper->seen[place->node.key % KEEPER_SEEN];

	if (seen->key != place->node.key && !is_mbox(keeper, place) &&
	    post(keeper, LOCATION_SEEN, 0, place->root->index, place->path) == 0)
		*seen = (struct keeper_seen){.key = place->node.key};
}
