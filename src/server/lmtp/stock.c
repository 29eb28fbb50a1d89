/* See stock.h. In the LMTP front, on its loop. */
#include "server/lmtp/stock.h"

#include "ipc/messages.h"

void stock_ask(struct stock *stock)
{
	struct ipc_empty wanted;

	while (stock->count + stock->asked < STOCK_MAX &&
	       ipc_send(stock->monitor, IPC_SPOOL_WANTED, &wanted) == 0)
		stock->asked++;
}

void stock_init(struct stock *stock, struct chan *monitor)
{
	*stock = (struct stock){.monitor = monitor};
	stock_ask(stock);
}

bool stock_take(struct stock *stock, int ret_fds[2])
{
	bool found = stock->count > 0;

	if (found) {
		stock->count--;
		ret_fds[0] = stock->fds[stock->count][0];
		ret_fds[1] = stock->fds[stock->count][1];
	}
	stock_ask(stock);
	return found;
}

void stock_file(struct stock *stock, int fds[2])
{
	if (!stock->asked || stock->count == STOCK_MAX)
		return; /* not asked for: the caller closes it */
	stock->asked--;
	stock->fds[stock->count][0] = fds[0];
	stock->fds[stock->count++][1] = fds[1];
	fds[0] = fds[1] = -1;
}

void stock_none(struct stock *stock)
{
	if (stock->asked)
		stock->asked--;
}
