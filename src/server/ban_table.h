/*
 * The banned networks as fronts look them up: rows in a sealed memory file, sorted, each with the
 * next wider network that it lies in. The monitor makes one whenever the list changes; POP3 fronts
 * and mta map it. Without bans there is no table, and nothing is done for a connection. No I/O
 * beyond the mapping.
 */
#ifndef SERVER_BAN_TABLE_H
#define SERVER_BAN_TABLE_H

#include "ipc/messages.h"
#include "users/networks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BANS_MAX = IPC_BANS_MAX };

struct ban_row {
	struct network network;
	uint8_t unused[3];
	uint32_t wider; /* the place of the row that has this one in it, from 1; 0: none */
	int64_t until;  /* seconds of 1970 */
};

struct ban_table {
	const struct ban_row *rows; /* NULL: nobody is banned */
	uint32_t count;
};

/* By first address, the wider network first: the order that rows have to have. */
int ban_order(const struct network *a, const struct network *b);
/* Fills in the member wider of sorted rows. */
void ban_link(struct ban_row *rows, uint32_t count);
/* Takes the rows of a sealed memory file, in place of those before; count 0 needs none. -1: it is
 * no such file, and nothing is changed. */
int ban_table_open(struct ban_table *table, int fd, uint32_t count);
void ban_table_close(struct ban_table *table);
/* Whether a network of the table has the address now. An IPv6 network never has an IPv4 address,
 * however wide it is. */
bool ban_table_has(const struct ban_table *table, const uint8_t address[16], int64_t now);

#endif
