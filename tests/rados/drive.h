/* Drives stores on one loop, as a keeper would: each call waits until its operation has ended. */
#ifndef TESTS_RADOS_DRIVE_H
#define TESTS_RADOS_DRIVE_H

#include "maildrop/rados/engine/engine.h"
#include "maildrop/rados/rados.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MESSAGES_MAX = 256, UNIQUE_MAX = 71, TEXT_MAX = 4096 };

/* A keeper on a node: a store of its own, with a connection of its own. */
struct node {
	struct store_host host;
	struct maildrop_settings settings;
	struct rados_settings rados;
	struct store *store;
	struct store_where where;
};

/* A session as a client sees it. */
struct view {
	struct maildrop *maildrop;
	uint32_t count;
	char ids[MESSAGES_MAX][UNIQUE_MAX];
	char *texts[MESSAGES_MAX]; /* NULL: not read */
	unsigned events;           /* of the store */
};

extern struct loop *drive_loop;
extern const char *drive_conf;

/* Makes the loop; conf from the environment. */
void drive_begin(void);
void drive_end(void);
/* Runs the loop until *over, which somebody sets. */
void drive_until(const bool *over);
/* Runs it for some time. */
void drive_for(unsigned ms);

void node_begin(struct node *node);
void node_use(struct node *node, const char *path); /* the maildrop of what follows */
void node_end(struct node *node);

enum maildrop_status node_make(struct node *node);
enum maildrop_status node_deliver(struct node *node, const char *text, size_t size);
/* The same in two steps; text lives until the second. */
struct node_delivery {
	struct store_deliver op;
	bool over;
};
void node_deliver_begin(struct node *node, struct node_delivery *ret, const char *text,
			size_t size);
enum maildrop_status node_deliver_end(struct node *node, struct node_delivery *delivery);
enum maildrop_status node_usage(struct node *node, struct maildrop_usage *ret);
enum maildrop_status node_open(struct node *node, struct view *ret);
/* Reads all messages. */
enum maildrop_status node_read(struct node *node, struct view *view);
enum maildrop_status node_commit(struct node *node, struct view *view, const uint32_t *numbers,
				 uint32_t count);
void node_close(struct node *node, struct view *view, bool hurry);
/* For what the store does behind the last operation. */
void node_settle(struct node *node);

/* A path that no test had. */
void drive_new_path(char ret[64]);

#endif
