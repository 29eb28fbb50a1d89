/*
 * The list of bans: networks, each until when, since when, by whose command and why; sorted and
 * bounded. And its form as text, which is the file in the state folder:
 *
 *     valija-bans 1
 *     192.0.2.0/24 until=1764460800 since=1764374400 by-uid=0 why=guesses passwords
 *     end 1
 *
 * Text that is damaged is an error with the number of its line, never an empty list. No I/O. In the
 * monitor.
 */
#ifndef SERVER_MONITOR_BAN_LIST_H
#define SERVER_MONITOR_BAN_LIST_H

#include "base/err.h"
#include "ipc/messages.h"
#include "server/ban_table.h"

enum {
	BAN_LINE_MAX = 256,                           /* octets of a line, with its end */
	BAN_TEXT_MAX = (BANS_MAX + 2) * BAN_LINE_MAX, /* of a list */
	BAN_NETWORK_MAX = 64,
};

struct ban {
	struct network network;
	int64_t until, since; /* seconds of 1970 */
	uint32_t by_uid;
	char why[IPC_BAN_WHY_MAX + 1]; /* "": nobody said; printable, no line break */
};

struct ban_list {
	struct ban *bans; /* sorted by ban_order */
	uint32_t count;
};

void ban_list_finish(struct ban_list *list);
/* Adds a ban, in place of one of the same network. -1: the list is full, or there is no memory;
 * nothing is changed. */
int ban_list_add(struct ban_list *list, const struct ban *ban);
/* False: that network is not banned. */
bool ban_list_remove(struct ban_list *list, const struct network *network);
/* Forgets those that are over. Returns how many. */
uint32_t ban_list_prune(struct ban_list *list, int64_t now);
/* The first ban behind network, in order; NULL network: the first of all. NULL: none is left. */
const struct ban *ban_list_after(const struct ban_list *list, const struct network *network);
/* The list as rows of a table; rows has room for list->count. */
void ban_list_rows(const struct ban_list *list, struct ban_row *rows);

/* "192.0.2.0/24"; an address alone stands without its bits. */
const char *ban_network(const struct network *network, char buf[BAN_NETWORK_MAX]);
/* The list as text; owned by the caller. NULL: no memory. */
char *ban_list_print(const struct ban_list *list, size_t *ret_size);
/*
 * Adds the bans of a text that are not over at now; of the same network the later end stays.
 * Returns 0, or -1 with err, "NAME:LINE: what is wrong": then every line that is sound was taken.
 */
int ban_list_parse(struct ban_list *list, pop3_span text, const char *name, int64_t now,
		   struct err *err);

#endif
