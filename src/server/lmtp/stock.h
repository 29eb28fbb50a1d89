/* Files of the spool that the monitor has made and no message uses yet: a message need not wait for
 * one. On the loop of the LMTP front. */
#ifndef SERVER_LMTP_STOCK_H
#define SERVER_LMTP_STOCK_H

#include "sys/chan.h"

#include <stdbool.h>

enum { STOCK_MAX = 4 };

struct stock {
	struct chan *monitor;
	int fds[STOCK_MAX][2]; /* to write, to read */
	unsigned count, asked;
};

/* Asks for the first files. */
void stock_init(struct stock *stock, struct chan *monitor);
/* Asks for what is missing. */
void stock_ask(struct stock *stock);
/* Takes a file, and asks for others. False: none is there now. */
bool stock_take(struct stock *stock, int ret_fds[2]);
/* Answers of the monitor: a file, whose descriptors are taken; none. */
void stock_file(struct stock *stock, int fds[2]);
void stock_none(struct stock *stock);

#endif
